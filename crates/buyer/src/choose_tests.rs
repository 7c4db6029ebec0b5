//! Which offer is taken, and what is said about the others.

use farebox_core::rail::NotPayable;
use farebox_wire::challenge::{L402Offer, X402Offer};
use farebox_wire::l402::Scheme;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::Version;
use http::Method;
use serde_json::{Value, json};

use super::*;

fn offer(network: &str, amount: u128) -> Offer {
    let raw = json!({
        "scheme": "exact", "network": network, "amount": amount.to_string(), "asset": "0xA",
        "payTo": "0xb", "maxTimeoutSeconds": 60
    });
    Offer::X402(X402Offer {
        version: Version::V2,
        requirements: serde_json::from_value(raw.clone()).unwrap(),
        raw,
    })
}

fn quoted(network: &str, symbol: &str, cost: u128) -> Quoted {
    let offer = offer(network, cost);
    let terms = serde_json::from_value(json!({
        "protocol": "x402", "rail": "evm", "network": network, "scheme": "exact",
        "asset": format!("{network}/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e"),
        "symbol": symbol, "decimals": 6, "amount": cost.to_string(), "cost": UsdMicros(cost),
        "payee": "0xb", "payer": "0xc"
    }));
    Quoted {
        offer: offer.clone(),
        quote: Ok(Quote {
            terms: terms.unwrap(),
            offer,
            max_timeout_s: 60,
            is_mainnet: false,
        }),
    }
}

fn refused(code: &'static str, why: &str) -> Quoted {
    Quoted {
        offer: offer("eip155:1", 1),
        quote: Err(NotPayable {
            code,
            why: why.to_owned(),
        }),
    }
}

fn challenge(unreadable: Vec<(usize, String)>) -> Challenge {
    Challenge {
        resource: None,
        error: None,
        offers: Vec::new(),
        unreadable,
        extensions: None,
    }
}

fn call() -> Call {
    Call::new(Method::GET, "https://h.example/").unwrap()
}

fn three() -> Vec<Quoted> {
    vec![
        quoted("eip155:8453", "USDC", 30),
        quoted("eip155:84532", "USDC", 10),
        quoted("eip155:137", "EURC", 20),
    ]
}

fn best_of(call: &Call) -> String {
    let choice = choose(three(), &challenge(Vec::new()), call);
    choice.best.unwrap().terms.network.to_string()
}

#[test]
fn the_cheapest_wins_unless_the_caller_prefers_another() {
    let mut call = call();
    assert_eq!(best_of(&call), "eip155:84532");
    call.prefer = vec!["eurc".into()];
    assert_eq!(best_of(&call), "eip155:137");
    call.prefer = vec!["lightning".into(), "eip155:8453".into(), "USDC".into()];
    assert_eq!(best_of(&call), "eip155:8453");
    call.prefer = vec!["evm".into()];
    assert_eq!(best_of(&call), "eip155:84532");
}

#[test]
fn among_equals_the_sellers_order_decides() {
    let quoted = vec![quoted("eip155:2", "USDC", 5), quoted("eip155:1", "USDC", 5)];
    let choice = choose(quoted, &challenge(Vec::new()), &call());
    assert_eq!(choice.best.unwrap().terms.network.as_str(), "eip155:2");
}

#[test]
fn every_offer_is_explained_and_only_the_taken_one_has_no_reason() {
    let mut quoted = three();
    quoted.push(refused("unknown_token", "unknown token"));
    let challenge = challenge(vec![(4, "no amount".to_owned())]);
    let offers = choose(quoted, &challenge, &call()).offers;
    let payable: Vec<_> = offers.iter().map(|o| o.payable).collect();
    assert_eq!(payable, [true, true, true, false, false]);
    let taken: Vec<_> = offers.iter().map(|o| o.reason.is_none()).collect();
    assert_eq!(taken, [false, true, false, false, false]);
    let json = serde_json::to_value(&offers).unwrap();
    assert_eq!(
        json[1]["cost"],
        json!({"amount": "0.00001", "currency": "USD"})
    );
    assert_eq!(json[1]["amount"], "10");
    assert_eq!(json[3]["cost"], Value::Null);
    assert_eq!(json[4]["reason"], "the offer cannot be read: no amount");
}

#[test]
fn a_limit_of_the_caller_is_a_refusal_and_a_strangers_offer_is_not() {
    let code_of = |quoted, call: &Call| {
        let best = choose(quoted, &challenge(Vec::new()), call).best;
        best.map(|_| ()).map_err(|fault| (fault.code, fault.kind))
    };
    let mut poor = call();
    poor.max_cost = Some(UsdMicros(9));
    assert_eq!(
        code_of(three(), &poor),
        Err(("over_max_cost", Kind::Policy))
    );
    poor.max_cost = Some(UsdMicros(10));
    assert_eq!(code_of(three(), &poor), Ok(()));
    let rateless = vec![refused("no_rate", "no rate")];
    assert_eq!(code_of(rateless, &call()), Err(("no_rate", Kind::Policy)));
    let unknown = vec![refused("unknown_token", "unknown token")];
    assert_eq!(
        code_of(unknown, &call()),
        Err(("no_payable_offer", Kind::Offer))
    );
    assert_eq!(
        code_of(Vec::new(), &call()),
        Err(("no_payable_offer", Kind::Offer))
    );
    let mut picky = call();
    picky.rail = Some("lightning".into());
    assert_eq!(
        code_of(three(), &picky),
        Err(("no_payable_offer", Kind::Offer))
    );
    picky.rail = None;
    picky.protocol = Some("l402".into());
    assert_eq!(
        code_of(three(), &picky),
        Err(("no_payable_offer", Kind::Offer))
    );
}

#[test]
fn a_decision_is_one_verdict_and_its_rule() {
    let json = |decision: Decision| serde_json::to_value(&decision).unwrap();
    assert_eq!(
        json(Decision::Allow("free")),
        json!({"allow": true, "rule": "free"})
    );
    assert_eq!(
        json(Decision::Deny("per_day")),
        json!({"deny": true, "rule": "per_day"})
    );
    assert_eq!(
        json(Decision::Ask("over_ask")),
        json!({"ask": true, "rule": "over_ask"})
    );
}

#[test]
fn an_offer_of_lightning_that_no_rail_pays_is_explained() {
    let mut refused = refused("other_rail", "paid over Lightning");
    refused.offer = Offer::L402(L402Offer {
        scheme: Scheme::L402,
        token: "x".to_owned(),
        invoice: "lnbc1".to_owned(),
        is_versioned: false,
    });
    let choice = choose(vec![refused], &challenge(Vec::new()), &call());
    let [view] = choice.offers.as_slice() else {
        panic!("one offer");
    };
    assert_eq!(view.protocol, Some("l402"));
    assert_eq!(view.rail.as_deref(), Some("lightning"));
    assert_eq!(view.reason.as_deref(), Some("paid over Lightning"));
    assert!(!view.payable);
    let why = choice.best.expect_err("nothing to pay");
    assert!(why.message.contains("paid over Lightning"), "{why:?}");
}
