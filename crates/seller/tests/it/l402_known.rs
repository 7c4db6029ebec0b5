//! What a seller remembers of a token makes it cheaper, and nothing else.

use farebox_seller::l402::{TokenTerms, Uses};
use http::StatusCode;

use crate::support::get;
use crate::support::l402::{Bought, Stand, challenge_of, sold_for, with_token};

fn nine_uses() -> TokenTerms {
    TokenTerms {
        uses: Uses::Times(9),
        ..TokenTerms::default()
    }
}

#[tokio::test]
async fn a_token_that_is_known_is_checked_as_one_that_is_new() {
    let stand = Stand::selling(vec![
        sold_for("weather", "/weather/*", nine_uses()),
        sold_for("other", "/other/*", nine_uses()),
    ]);
    let bought = stand.buy("/weather/x").await;
    let below = bought.narrowed(&["farebox_path=/weather/x"]);
    for token in [&bought, &below, &bought, &below] {
        let seen = stand.show("/weather/x", token).await;
        assert_eq!(seen.status, StatusCode::OK);
    }
    let unpaid = Bought {
        preimage: "00".repeat(32),
        ..bought.clone()
    };
    for (token, path, code) in [
        (&bought, "/other/x", "token_not_allowed"),
        (&below, "/weather/y", "token_not_allowed"),
        (&unpaid, "/weather/x", "preimage_wrong"),
    ] {
        let seen = stand.show(path, token).await;
        assert_eq!((seen.status.as_u16(), &*seen.code()), (401, code));
        assert!(challenge_of(&seen).is_some(), "{code}: a new challenge");
    }
    let request = with_token(get("/weather/x"), &bought.header());
    let seen = stand.send(with_token(request, &below.header())).await;
    assert_eq!(seen.code(), "several_credentials");
    assert_eq!(stand.goods.calls(), 4);
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
}
