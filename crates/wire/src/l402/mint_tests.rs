//! Rules of minting: a token of ours is good for what it was made for, and for nothing else.

use super::*;
use crate::l402::conditions::{Grant, Mode, Refusal, Request, check};
use crate::l402::identifier::TokenId;
use crate::l402::macaroon::derive_root_key;
use crate::l402::preimage::PaymentHash;

fn terms() -> Terms<'static> {
    Terms {
        origin: "https://api.example.com",
        route: "weather",
        tenant: Some("ann"),
        service: Service {
            name: "api".to_owned(),
            tier: 2,
        },
        capabilities: None,
        valid_until_s: Some(2000),
        uses: Uses::Times(3),
        price_msat: 1500,
        constraints: &[],
    }
}

fn identifier() -> Identifier {
    Identifier {
        payment_hash: PaymentHash([7; 32]),
        token_id: TokenId([9; 32]),
    }
}

fn request() -> Request<'static> {
    Request {
        now_s: 1999,
        service: "api",
        capability: None,
        payment_hash: PaymentHash([7; 32]),
        route: "weather",
        origin: "https://api.example.com",
        tenant: Some("ann"),
        method: "GET",
        path: "/weather",
        constraints: &[],
    }
}

#[test]
fn a_minted_token_grants_its_terms() {
    let root_key = derive_root_key(&[5; 32], &identifier().to_bytes());
    let token = mint(&root_key, &identifier(), &terms()).expect("plain terms");
    let read = Macaroon::from_base64(&token.to_base64()).expect("ours");
    let verified = read.verify(&root_key).expect("ours");
    assert_eq!(Identifier::read(verified.identifier()), Ok(identifier()));
    let grant = check(verified.caveats(), &request(), Mode::Strict);
    let expected = Grant {
        tier: Some(2),
        valid_until_s: Some(2000),
        uses: Some(Uses::Times(3)),
        price_msat: Some(1500),
        ..Grant::default()
    };
    assert_eq!(grant, Ok(expected));
}

#[test]
fn a_minted_token_is_refused_everywhere_else() {
    let token = mint(&[1; 32], &identifier(), &terms()).expect("plain terms");
    let verified = token.verify(&[1; 32]).expect("ours");
    let refused = |change: fn(&mut Request<'static>)| {
        let mut request = request();
        change(&mut request);
        check(verified.caveats(), &request, Mode::Strict).expect_err("another place")
    };
    let route = refused(|request| request.route = "stars");
    assert_eq!(route, Refusal::Elsewhere("route"));
    let origin = refused(|request| request.origin = "https://api.example.org");
    assert_eq!(origin, Refusal::Elsewhere("origin"));
    let tenant = refused(|request| request.tenant = Some("bob"));
    assert_eq!(tenant, Refusal::Elsewhere("tenant"));
    let nobody = refused(|request| request.tenant = None);
    assert_eq!(nobody, Refusal::Elsewhere("tenant"));
    let service = refused(|request| request.service = "other");
    assert_eq!(service, Refusal::Elsewhere("service"));
    let late = refused(|request| request.now_s = 2000);
    assert_eq!(late, Refusal::Expired { at_s: 2000 });
}

#[test]
fn capabilities_and_constraints_stand_in_the_token() {
    let capabilities = ["add".to_owned()];
    let constraints = [("api_calls".to_owned(), 10)];
    let terms = Terms {
        capabilities: Some(&capabilities),
        constraints: &constraints,
        uses: Uses::Unlimited,
        tenant: None,
        ..terms()
    };
    assert_eq!(
        caveats(&terms).expect("plain terms"),
        [
            "services=api:2",
            "farebox_route=weather",
            "farebox_origin=https://api.example.com",
            "farebox_price=1500",
            "farebox_uses=unlimited",
            "api_capabilities=add",
            "api_valid_until=2000",
            "api_calls=10",
        ]
    );
}

#[test]
fn terms_that_a_caveat_cannot_say_are_refused() {
    let what_of = |terms: Terms<'_>| match caveats(&terms) {
        Err(MintError::Value { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let service = Service {
        name: "a:b".to_owned(),
        tier: 0,
    };
    assert_eq!(what_of(Terms { service, ..terms() }), "service");
    assert_eq!(
        what_of(Terms {
            route: "",
            ..terms()
        }),
        "route"
    );
    assert_eq!(
        what_of(Terms {
            origin: "a\nb",
            ..terms()
        }),
        "origin"
    );
    assert_eq!(
        what_of(Terms {
            tenant: Some(""),
            ..terms()
        }),
        "tenant"
    );
    let capabilities = ["a,b".to_owned()];
    let capabilities = Some(capabilities.as_slice());
    assert_eq!(
        what_of(Terms {
            capabilities,
            ..terms()
        }),
        "capabilities"
    );
    let constraints = [("a=b".to_owned(), 1)];
    let constraints = constraints.as_slice();
    assert_eq!(
        what_of(Terms {
            constraints,
            ..terms()
        }),
        "constraint"
    );
}
