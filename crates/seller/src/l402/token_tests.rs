//! Every way in which a token can be less than it seems, and the few in which it is good.

use farebox_wire::l402::Scheme;
use farebox_wire::l402::caveat::PREIMAGE;
use farebox_wire::l402::preimage::Preimage;
use farebox_wire::money::Amount;
use zeroize::Zeroizing;

use super::super::TokenTerms;
use super::super::offer::Asking;
use super::*;

const ORIGIN: &str = "https://api.example.com";
const END_S: u64 = 5_000;

fn key(byte: u8) -> MasterKey {
    MasterKey::new(Zeroizing::new([byte; 32]))
}

fn preimage() -> Preimage {
    Preimage::from_bytes([7; 32])
}

fn product(terms: TokenTerms) -> Product {
    Product::new(
        "GET /weather",
        Asking::Native(Amount::from_atomic(1_000)),
        terms,
    )
    .expect("a product")
}

fn minted(terms: TokenTerms) -> Macaroon {
    let paying = Paying {
        payment_hash: preimage().payment_hash(),
        price_msat: 1_000,
        valid_until_s: END_S,
    };
    let text = mint(&key(1), ORIGIN, &product(terms), &paying, [9; 32]).expect("a token");
    Macaroon::from_base64(&text).expect("a macaroon")
}

fn narrowed(terms: TokenTerms, caveats: &[&str]) -> Macaroon {
    caveats.iter().fold(minted(terms), |token, caveat| {
        token
            .add_first_party_caveat(caveat.as_bytes())
            .expect("a short caveat")
    })
}

const ASKED: Asked<'static> = Asked {
    now_s: END_S - 1,
    route: "GET /weather",
    origin: ORIGIN,
    method: "GET",
    path: "/weather",
};

fn shown(token: &Macaroon, preimage: Preimage) -> L402Credential {
    let shown = L402Credential::new(Scheme::L402, &token.to_base64(), preimage);
    shown.expect("a credential")
}

fn examined(token: &Macaroon, asked: Asked<'_>, terms: TokenTerms) -> Result<Good, Bad> {
    let proven = prove(&key(1), &shown(token, preimage()))?;
    proven.allows(&asked, &Arc::new(product(terms)))
}

fn refused(caveats: &[&str]) -> Bad {
    let token = narrowed(TokenTerms::default(), caveats);
    examined(&token, ASKED, TokenTerms::default()).expect_err("a refusal")
}

#[test]
fn a_token_is_good_for_what_it_was_sold_for() {
    let token = minted(TokenTerms::default());
    let good = examined(&token, ASKED, TokenTerms::default()).expect("a good token");
    assert_eq!(good.uses, Uses::Times(1));
    assert_eq!(good.price_msat, 1_000);
    assert_eq!(good.payment_hash, preimage().payment_hash());
}

#[test]
fn another_route_origin_key_preimage_or_time_is_refused() {
    let token = minted(TokenTerms::default());
    let with = |asked| examined(&token, asked, TokenTerms::default()).expect_err("a refusal");
    let elsewhere = |what| Bad::NotAllowed(Refusal::Elsewhere(what));
    assert_eq!(
        with(Asked {
            route: "GET /other",
            ..ASKED
        }),
        elsewhere("route")
    );
    assert_eq!(
        with(Asked {
            origin: "https://other.example.com",
            ..ASKED
        }),
        elsewhere("origin")
    );
    let late = with(Asked {
        now_s: END_S,
        ..ASKED
    });
    assert_eq!(late, Bad::Expired { at_s: END_S });
    let other_key = prove(&key(2), &shown(&token, preimage()));
    assert_eq!(other_key.err(), Some(Bad::Forged));
    let unpaid = prove(&key(1), &shown(&token, Preimage::from_bytes([8; 32])));
    assert_eq!(unpaid.err(), Some(Bad::Preimage));
}

#[test]
fn a_token_can_be_narrowed_and_never_widened() {
    let many = TokenTerms {
        uses: Uses::Times(10),
        ..TokenTerms::default()
    };
    let narrow = narrowed(
        many.clone(),
        &["farebox_uses=2", "farebox_valid_until=4999999"],
    );
    let wider_end = examined(&narrow, ASKED, many.clone());
    assert!(matches!(
        wider_end,
        Err(Bad::NotAllowed(Refusal::Widened(_)))
    ));
    let narrow = narrowed(many.clone(), &["farebox_uses=2", "farebox_path=/weather"]);
    let good = examined(&narrow, ASKED, many).expect("a good token");
    assert_eq!(good.uses, Uses::Times(2));
    for widening in [
        "farebox_uses=2",
        "farebox_uses=unlimited",
        "farebox_route=GET /other",
        "services=farebox:1",
        "services=other:0",
    ] {
        assert!(
            matches!(refused(&[widening]), Bad::NotAllowed(_)),
            "{widening}"
        );
    }
}

#[test]
fn what_is_not_known_is_refused() {
    for unknown in ["farebox_rute=GET /weather", "ip=127.0.0.1", "nonsense"] {
        assert!(
            matches!(refused(&[unknown]), Bad::NotAllowed(_)),
            "{unknown}"
        );
    }
    let foreign = format!("{PREIMAGE}={}", "00".repeat(32));
    assert_eq!(refused(&[&foreign]), Bad::NotAllowed(Refusal::Preimage));
}

#[test]
fn a_tier_counts_from_below() {
    let tier = |tier| TokenTerms {
        tier,
        ..TokenTerms::default()
    };
    let token = minted(tier(1));
    assert!(examined(&token, ASKED, tier(1)).is_ok());
    assert!(examined(&token, ASKED, tier(0)).is_ok());
    let low = examined(&token, ASKED, tier(2)).expect_err("a refusal");
    assert_eq!(low, Bad::Tier { has: 1, needs: 2 });
    let lowered = narrowed(tier(1), &["services=farebox:0"]);
    let low = examined(&lowered, ASKED, tier(1)).expect_err("a refusal");
    assert_eq!(low, Bad::Tier { has: 0, needs: 1 });
}

#[test]
fn every_capability_of_the_route_is_needed() {
    let can = |names: &[&str]| TokenTerms {
        capabilities: names.iter().map(|name| (*name).to_owned()).collect(),
        ..TokenTerms::default()
    };
    let both = can(&["read", "write"]);
    let token = minted(both.clone());
    assert!(examined(&token, ASKED, both.clone()).is_ok());
    assert!(examined(&token, ASKED, can(&["read"])).is_ok());
    let more = examined(&token, ASKED, can(&["read", "admin"])).expect_err("a refusal");
    assert_eq!(more, Bad::NotAllowed(Refusal::Elsewhere("capability")));
    let narrow = narrowed(both.clone(), &["farebox_capabilities=read"]);
    let less = examined(&narrow, ASKED, both).expect_err("a refusal");
    assert_eq!(less, Bad::NotAllowed(Refusal::Elsewhere("capability")));
}

#[test]
fn a_bare_token_of_our_key_lacks_what_ours_have() {
    let identifier = Identifier {
        payment_hash: preimage().payment_hash(),
        token_id: TokenId([9; 32]),
    };
    let root_key = derive_root_key(&[1; 32], &identifier.to_bytes());
    let bare = Macaroon::mint(&root_key, ORIGIN, &identifier.to_bytes());
    let refused = examined(&bare, ASKED, TokenTerms::default());
    assert!(matches!(refused, Err(Bad::NotAllowed(Refusal::Missing(_)))));
    let short = Macaroon::mint(&root_key, ORIGIN, &identifier.to_bytes()[..65]);
    let refused = examined(&short, ASKED, TokenTerms::default());
    assert!(matches!(refused, Err(Bad::Unreadable(_))));
}

#[test]
fn what_is_proven_once_is_still_asked_for_time_route_method_and_path() {
    let token = narrowed(
        TokenTerms::default(),
        &["farebox_method=GET", "farebox_path=/weather"],
    );
    let proven = prove(&key(1), &shown(&token, preimage())).expect("ours, and paid");
    let product = Arc::new(product(TokenTerms::default()));
    let with = |asked| proven.allows(&asked, &product).err();
    let elsewhere = |what| Some(Bad::NotAllowed(Refusal::Elsewhere(what)));
    assert_eq!(with(ASKED), None);
    let now_s = END_S;
    assert_eq!(
        with(Asked { now_s, ..ASKED }),
        Some(Bad::Expired { at_s: END_S })
    );
    let route = "GET /other";
    assert_eq!(with(Asked { route, ..ASKED }), elsewhere("route"));
    let method = "POST";
    assert_eq!(with(Asked { method, ..ASKED }), elsewhere("method"));
    let path = "/other";
    assert_eq!(with(Asked { path, ..ASKED }), elsewhere("path"));
    assert_eq!(with(ASKED), None, "a refusal changes nothing");
}

#[test]
fn what_was_granted_for_one_product_says_nothing_of_the_next() {
    let proven = prove(&key(1), &shown(&minted(TokenTerms::default()), preimage()));
    let proven = proven.expect("ours, and paid");
    let sold = Arc::new(product(TokenTerms::default()));
    // The route after a reload: the same name, and it costs more.
    let dearer = Arc::new(product(TokenTerms {
        tier: 1,
        ..TokenTerms::default()
    }));
    for _ in 0..2 {
        assert!(proven.allows(&ASKED, &sold).is_ok());
        assert_eq!(
            proven.allows(&ASKED, &dearer).err(),
            Some(Bad::Tier { has: 0, needs: 1 })
        );
        let origin = "https://other.example.com";
        let elsewhere = proven.allows(&Asked { origin, ..ASKED }, &sold);
        let refused = Bad::NotAllowed(Refusal::Elsewhere("origin"));
        assert_eq!(elsewhere.err(), Some(refused));
    }
}
