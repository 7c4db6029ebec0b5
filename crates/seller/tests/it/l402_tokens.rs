//! What a token buys, how often, and what is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use farebox_core::ledger::Ledger;
use farebox_core::payment::{Delivery, Phase};
use farebox_seller::Protocol;
use farebox_seller::l402::{TokenTerms, Uses};
use farebox_wire::identity::Identity;
use farebox_wire::l402::credential::L402Credential;
use farebox_wire::l402::macaroon::Macaroon;
use farebox_wire::l402::preimage::Preimage;
use farebox_wire::l402::{Scheme, identifier};
use http::{HeaderMap, Response, StatusCode};

use crate::support::l402::{Bought, Stand, challenge_of, sold, sold_for, with_token};
use crate::support::{Seen, Step, eventually, get};

fn uses(uses: Uses) -> TokenTerms {
    TokenTerms {
        uses,
        valid_for_s: Some(3_600),
        ..TokenTerms::default()
    }
}

fn selling(terms: TokenTerms) -> Stand {
    Stand::selling(vec![sold_for("weather", "/weather/*", terms)])
}

fn identity_of(bought: &Bought) -> Identity {
    let preimage = Preimage::from_hex(&bought.preimage).expect("a preimage");
    Identity::l402(&preimage.payment_hash())
}

/// 402 or 401 that says why, with a new challenge.
fn assert_refused(seen: &Seen, status: u16, code: &str) {
    assert_eq!(seen.status.as_u16(), status, "{code}: {seen:?}");
    assert_eq!(seen.code(), code);
    assert!(challenge_of(seen).is_some(), "{code}: a new challenge");
    assert_eq!(seen.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_token_buys_one_request_and_then_no_more() {
    let stand = Stand::new();
    let bought = stand.buy("/weather/x").await;
    let seen = stand.show("/weather/y", &bought).await;
    assert_eq!((seen.status, &*seen.body), (StatusCode::OK, &b"sunny"[..]));
    assert_eq!(seen.headers["cache-control"], "private");
    let again = stand.show("/weather/y", &bought).await;
    assert_refused(&again, 402, "token_exhausted");
    assert_eq!(stand.goods.calls(), 1);
    let [payment] = &stand.payments().await[..] else {
        panic!("one payment");
    };
    assert_eq!(payment.state.phase, Phase::Settled);
    assert!(payment.state.is_final);
    assert_eq!(payment.state.delivery, Delivery::Delivered);
    assert_eq!(payment.identity, Some(identity_of(&bought)));
    assert_eq!(stand.revenue().await, 1_000);
}

#[tokio::test]
async fn every_spelling_of_a_credential_is_taken() {
    let stand = selling(uses(Uses::Times(20)));
    let bought = stand.buy("/weather/x").await;
    let Bought { token, preimage } = &bought;
    let upper = preimage.to_uppercase();
    let url_safe = token.replace('+', "-").replace('/', "_");
    let bare = token.trim_end_matches('=');
    for header in [
        format!("LSAT {token}:{preimage}"),
        format!("l402 {token}:{upper}"),
        format!("L402 {url_safe}:{preimage}"),
        format!("L402 {bare}:{preimage}"),
    ] {
        let seen = stand.send(with_token(get("/weather/x"), &header)).await;
        assert_eq!(seen.status, StatusCode::OK, "{header}");
    }
    // Beside another scheme, which the upstream gets.
    let seen_by_upstream = watch_headers(&stand);
    for headers in [
        ["Bearer mine".to_owned(), bought.header()],
        [bought.header(), "Bearer mine".to_owned()],
    ] {
        let request = headers.iter().fold(get("/weather/x"), |request, value| {
            with_token(request, value)
        });
        assert_eq!(stand.send(request).await.status, StatusCode::OK);
    }
    for headers in seen_by_upstream.lock().expect("lock").iter() {
        let lines: Vec<_> = headers.get_all("authorization").iter().collect();
        assert_eq!(lines, ["Bearer mine"]);
    }
    // In metadata, as callers of gRPC do.
    let credential = L402Credential::new(
        Scheme::L402,
        token,
        Preimage::from_hex(preimage).expect("a preimage"),
    );
    let metadata = match credential {
        Ok(credential) => credential.to_metadata(),
        Err(why) => panic!("{why}"),
    };
    let metadata = metadata.expect("a macaroon");
    for name in ["macaroon", "token"] {
        let mut request = get("/weather/x");
        let value = metadata.parse().expect("a value");
        request.headers_mut().insert(name, value);
        assert_eq!(stand.send(request).await.status, StatusCode::OK, "{name}");
    }
    let headers = seen_by_upstream.lock().expect("lock");
    let last = headers.last().expect("a call");
    assert!(!last.contains_key("macaroon") && !last.contains_key("token"));
}

fn watch_headers(stand: &Stand) -> Arc<std::sync::Mutex<Vec<HeaderMap>>> {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    stand.goods.behave(move |request| {
        into.lock().expect("lock").push(request.headers().clone());
        async { Ok(Response::new(Body::from("sunny"))) }
    });
    seen
}

#[tokio::test]
async fn what_is_no_token_for_this_is_refused_and_reaches_nobody() {
    let only = [Protocol::L402];
    let stand = Stand::selling(vec![
        sold("weather", "/weather/*", &only),
        sold("other", "/other/*", &only),
    ]);
    let bought = stand.buy("/weather/x").await;
    let mut bytes = Macaroon::from_base64(&bought.token)
        .expect("a macaroon")
        .to_v2();
    *bytes.last_mut().expect("a signature") ^= 1;
    let forged = Bought {
        token: Macaroon::from_bytes(&bytes)
            .expect("a macaroon")
            .to_base64(),
        ..bought.clone()
    };
    let unpaid = Bought {
        preimage: "00".repeat(32),
        ..bought.clone()
    };
    let bare = Macaroon::mint(&[1; 32], "x", &[0; identifier::IDENTIFIER_BYTES]);
    let preimage_of_nothing = Bought {
        token: bare.to_base64(),
        ..bought.clone()
    };
    let cut = Bought {
        token: bought.token[..bought.token.len() / 2].to_owned(),
        ..bought.clone()
    };
    for (token, path, code) in [
        (&bought, "/other/x", "token_not_allowed"),
        (&forged, "/weather/x", "token_forged"),
        (&unpaid, "/weather/x", "preimage_wrong"),
        (&preimage_of_nothing, "/weather/x", "preimage_wrong"),
        (&cut, "/weather/x", "token_unreadable"),
    ] {
        let seen = stand.show(path, token).await;
        assert_refused(&seen, 401, code);
    }
    for caveats in [
        &["farebox_uses=2"][..],
        &["farebox_uses=1", "farebox_uses=unlimited"],
        &["who=me"],
        &["farebox_origin=https://evil.example"],
        &["farebox_tenant=other"],
        &["farebox_method=POST"],
    ] {
        let seen = stand.show("/weather/x", &bought.narrowed(caveats)).await;
        assert_refused(&seen, 401, "token_not_allowed");
    }
    assert_eq!(stand.goods.calls(), 0);
    assert_eq!(stand.revenue().await, 0);
    // None of it has burnt the good one.
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_told_so() {
    let stand = Stand::new();
    for malformed in ["L402 ", "L402 abc", "L402 abc:", "L402 :00", "L402 abc:zz"] {
        let seen = stand.send(with_token(get("/weather/x"), malformed)).await;
        assert_refused(&seen, 401, "token_unreadable");
    }
    assert_eq!(stand.goods.calls(), 0);
}

#[tokio::test]
async fn caveats_in_another_order_are_another_token() {
    let stand = selling(uses(Uses::Times(5)));
    let bought = stand.buy("/weather/x").await;
    let good = bought.narrowed(&["farebox_method=GET", "farebox_path=/weather"]);
    assert_eq!(stand.show("/weather/x", &good).await.status, StatusCode::OK);
    let text = Macaroon::from_base64(&good.token).expect("a macaroon");
    let (one, two) = (&b"farebox_method=GET"[..], &b"farebox_path=/weather"[..]);
    let bytes = text.to_v2();
    let at = |needle: &[u8]| {
        let found = bytes.windows(needle.len()).position(|part| part == needle);
        found.expect("a caveat")
    };
    let (first, second) = (at(one), at(two));
    // `0x02 length bytes 0x00` twice, exchanged.
    let mut swapped = bytes[..first - 2].to_vec();
    swapped.extend(&bytes[second - 2..=second + two.len()]);
    swapped.extend(&bytes[first - 2..=first + one.len()]);
    swapped.extend(&bytes[second + two.len() + 1..]);
    assert_eq!(swapped.len(), bytes.len());
    let reordered = Bought {
        token: Macaroon::from_bytes(&swapped)
            .expect("a macaroon")
            .to_base64(),
        ..good
    };
    let seen = stand.show("/weather/x", &reordered).await;
    assert_refused(&seen, 401, "token_forged");
}

#[tokio::test]
async fn two_credentials_are_refused() {
    let stand = Stand::selling(vec![sold(
        "weather",
        "/weather/*",
        &[Protocol::X402, Protocol::L402],
    )]);
    let (one, two) = (stand.buy("/weather/x").await, stand.buy("/weather/x").await);
    let request = with_token(get("/weather/x"), &one.header());
    let seen = stand.send(with_token(request, &two.header())).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert_eq!(seen.code(), "several_credentials");
    let mut request = with_token(get("/weather/x"), &one.header());
    let other = "e30=".parse().expect("a value");
    request.headers_mut().insert("payment-signature", other);
    let seen = stand.send(request).await;
    assert_eq!(seen.status, StatusCode::BAD_REQUEST);
    assert_eq!(seen.code(), "several_payment_headers");
    // The same one twice is one.
    let request = with_token(get("/weather/x"), &one.header());
    let seen = stand.send(with_token(request, &one.header())).await;
    assert_eq!(seen.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_ends() {
    let stand = selling(uses(Uses::Unlimited));
    let bought = stand.buy("/weather/x").await;
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
    // After the life of the invoice and what was bought.
    stand.clock.advance_s(300 + 3_600 - 1);
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
    stand.clock.advance_s(1);
    let seen = stand.show("/weather/x", &bought).await;
    assert_refused(&seen, 402, "token_expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_parallel_uses_of_n_there_are_n() {
    for times in [1_u64, 7, 50] {
        let stand = Arc::new(selling(uses(Uses::Times(times))));
        let bought = stand.buy("/weather/x").await;
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (stand, bought) = (Arc::clone(&stand), bought.clone());
                tokio::spawn(async move { stand.show("/weather/x", &bought).await.status })
            })
            .collect();
        let mut served = 0;
        for task in tasks {
            match task.await.expect("no panic") {
                StatusCode::OK => served += 1,
                other => assert_eq!(other, StatusCode::PAYMENT_REQUIRED),
            }
        }
        assert_eq!(served, times);
        assert_eq!(stand.revenue().await, 1_000);
        stand.ledger.verify(true).await.expect("books that add up");
    }
}

#[tokio::test]
async fn a_bad_answer_gives_the_use_back() {
    let stand = Stand::new();
    let bought = stand.buy("/weather/x").await;
    for status in [400, 404, 500, 503] {
        let status = StatusCode::from_u16(status).expect("a status");
        stand.goods.answer_status(status);
        let seen = stand.show("/weather/x", &bought).await;
        assert_eq!(seen.status, status);
    }
    stand.goods.behave(|_| async { Err("broken".to_owned()) });
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(seen.status, StatusCode::BAD_GATEWAY);
    stand.goods.behave(|_| async { panic!("broken") });
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(seen.status, StatusCode::INTERNAL_SERVER_ERROR);
    stand.goods.behave(|_| async {
        let mut answer = Response::new(Body::empty());
        let failed = "13".parse().expect("a value");
        answer.headers_mut().insert("grpc-status", failed);
        Ok(answer)
    });
    stand.show("/weather/x", &bought).await;
    stand.goods.answer_status(StatusCode::OK);
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
    let seen = stand.show("/weather/x", &bought).await;
    assert_refused(&seen, 402, "token_exhausted");
    assert_eq!(stand.revenue().await, 1_000);
}

#[tokio::test]
async fn an_answer_that_nobody_took_gives_the_use_back() {
    let stand = Stand::new();
    let bought = stand.buy("/weather/x").await;
    // The head is there, and the connection is not.
    let answer = stand
        .open(with_token(get("/weather/x"), &bought.header()))
        .await;
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer);
    stand.seller.finish().await;
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_buyer_who_hangs_up_early_does_not_stop_what_was_begun() {
    let stand = Arc::new(Stand::new());
    let bought = stand.buy("/weather/x").await;
    let begun = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicUsize::new(0));
    let (open, gate) = tokio::sync::watch::channel(false);
    let (counts, done) = (Arc::clone(&begun), Arc::clone(&ended));
    stand.goods.behave(move |_| {
        let (begun, ended, mut gate) = (Arc::clone(&counts), Arc::clone(&done), gate.clone());
        async move {
            begun.fetch_add(1, Ordering::SeqCst);
            gate.wait_for(|open| *open).await.expect("a gate");
            ended.fetch_add(1, Ordering::SeqCst);
            Ok(Response::new(Body::from("sunny")))
        }
    });
    let task = tokio::spawn({
        let (stand, bought) = (Arc::clone(&stand), bought.clone());
        async move {
            let request = with_token(get("/weather/x"), &bought.header());
            stand.open(request).await.status()
        }
    });
    eventually(|| async { begun.load(Ordering::SeqCst) == 1 }).await;
    task.abort();
    assert!(task.await.is_err());
    open.send(true).expect("somebody who waits");
    stand.seller.finish().await;
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    // Nobody has had the answer.
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
    assert_eq!(stand.revenue().await, 1_000);
}

#[tokio::test]
async fn without_the_books_nothing_is_served() {
    let stand = selling(uses(Uses::Times(2)));
    let bought = stand.buy("/weather/x").await;
    stand.ledger.fail_at(Some(Step::Use));
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(seen.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(seen.code(), "ledger_unavailable");
    assert_eq!(stand.goods.calls(), 0);
    stand.ledger.fail_at(None);
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn unlimited_uses_are_written_once_and_revoked_within_seconds() {
    let stand = selling(uses(Uses::Unlimited));
    let bought = stand.buy("/weather/x").await;
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
    stand.ledger.fail_at(Some(Step::Use));
    for _ in 0..10 {
        let seen = stand.show("/weather/x", &bought).await;
        assert_eq!(seen.status, StatusCode::OK, "the books are not asked");
    }
    stand.ledger.fail_at(None);
    let revoked = stand.ledger.revoke(&identity_of(&bought), 1).await;
    assert!(revoked.expect("a store"));
    stand.clock.advance_s(2);
    let seen = stand.show("/weather/x", &bought).await;
    assert_refused(&seen, 402, "token_revoked");
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_where_uses_are_counted() {
    let stand = selling(uses(Uses::Times(3)));
    let bought = stand.buy("/weather/x").await;
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
    let revoked = stand.ledger.revoke(&identity_of(&bought), 1).await;
    assert!(revoked.expect("a store"));
    let seen = stand.show("/weather/x", &bought).await;
    assert_refused(&seen, 402, "token_revoked");
    let copy = bought.narrowed(&["farebox_uses=1"]);
    let seen = stand.show("/weather/x", &copy).await;
    assert_refused(&seen, 402, "token_revoked");
}

#[tokio::test]
async fn tiers_and_capabilities_are_enforced() {
    let able = |tier, names: &[&str]| TokenTerms {
        tier,
        capabilities: names.iter().map(|name| (*name).to_owned()).collect(),
        ..uses(Uses::Times(9))
    };
    let stand = selling(able(1, &["read", "write"]));
    let bought = stand.buy("/weather/x").await;
    assert_eq!(
        stand.show("/weather/x", &bought).await.status,
        StatusCode::OK
    );
    for less in ["services=farebox:0", "farebox_capabilities=read"] {
        let seen = stand.show("/weather/x", &bought.narrowed(&[less])).await;
        assert_refused(&seen, 401, "token_not_allowed");
    }
}

#[tokio::test]
async fn forgeries_of_one_client_are_limited_and_tokens_are_not() {
    let stand = selling(uses(Uses::Times(500)));
    let bought = stand.buy("/weather/x").await;
    let from = "203.0.113.9".parse().expect("an address");
    let send = async |bought: &Bought| {
        let request = with_token(get("/weather/x"), &bought.header());
        let request = crate::support::l402::from_client(request, from);
        stand.send(request).await.status
    };
    for _ in 0..200 {
        assert_eq!(send(&bought).await, StatusCode::OK);
    }
    let unpaid = Bought {
        preimage: "00".repeat(32),
        ..bought.clone()
    };
    let mut refused = 0;
    for _ in 0..200 {
        match send(&unpaid).await {
            StatusCode::UNAUTHORIZED => {}
            other => {
                assert_eq!(other, StatusCode::TOO_MANY_REQUESTS);
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
