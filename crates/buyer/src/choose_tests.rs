//! Which offer is taken, and what is said about the others.

use farebox_core::rail::NotPayable;
use farebox_wire::challenge::{L402Offer, X402Offer};
use farebox_wire::l402::Scheme;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::Version;
use http::Method;
use serde_json::{Value, json};

use super::*;

fn choose(quoted: Vec<Quoted>, challenge: &Challenge, call: &Call) -> Choice {
    judge(quoted, challenge, call, &call.headers).rank(&[], call)
}

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

#[test]
fn what_is_not_covered_is_left_out_and_what_nobody_knows_comes_last() {
    let best = |covered: &[Option<bool>]| {
        let (challenge, call) = (challenge(Vec::new()), call());
        let judged = judge(three(), &challenge, &call, &call.headers);
        assert_eq!(judged.payable().len(), 3);
        let choice = judged.rank(covered, &call);
        let network = choice.best.map(|quote| quote.terms.network.to_string());
        (network.map_err(|fault| fault.code), choice.offers)
    };
    let name = |network: &str| Ok(network.to_owned());
    assert_eq!(best(&[None, None, None]).0, name("eip155:84532"));
    let yes = Some(true);
    assert_eq!(best(&[yes, None, yes]).0, name("eip155:137"));
    let (taken, offers) = best(&[yes, Some(false), None]);
    assert_eq!(taken, name("eip155:8453"));
    let ranks: Vec<_> = offers.iter().map(|offer| offer.rank).collect();
    assert_eq!(ranks, [Some(1), None, Some(2)]);
    assert_eq!(offers[0].reason, None);
    let reason = |at: usize| offers[at].reason.clone().unwrap();
    assert!(!offers[1].payable && reason(1).contains("does not have enough USDC"));
    assert!(offers[2].payable && reason(2).contains("is not known"));
    let none = best(&[Some(false); 3]).0;
    assert_eq!(none, Err("no_payable_offer"));
}

#[test]
fn a_preference_outranks_what_is_known_of_balances() {
    let mut call = call();
    call.prefer = vec!["EURC".into()];
    let judged = judge(three(), &challenge(Vec::new()), &call, &call.headers);
    let choice = judged.rank(&[Some(true), Some(true), None], &call);
    assert_eq!(choice.best.unwrap().terms.symbol, "EURC");
}

#[test]
fn assets_and_mainnets_are_ruled_out() {
    let mut call = call();
    call.assets = vec!["eurc".into()];
    assert_eq!(best_of(&call), "eip155:137");
    call.assets = vec!["eip155:8453/erc20:0x036CBD53842C5426634E7929541EC2318F3DCF7E".into()];
    assert_eq!(best_of(&call), "eip155:8453");
    call.assets = vec!["DAI".into()];
    let choice = choose(three(), &challenge(Vec::new()), &call);
    let fault = choice.best.err().unwrap();
    assert!(fault.message.contains("--asset asks for DAI"), "{fault}");

    call.assets.clear();
    call.no_mainnet = true;
    let mut quoted = three();
    for at in [1, 2] {
        if let Ok(quote) = &mut quoted[at].quote {
            quote.is_mainnet = true;
        }
    }
    let choice = choose(quoted, &challenge(Vec::new()), &call);
    assert_eq!(choice.best.unwrap().terms.network.as_str(), "eip155:8453");
}

#[test]
fn an_authorization_of_the_callers_own_rules_l402_out_and_nothing_else() {
    let mut call = call();
    call.headers
        .insert(AUTHORIZATION, "Bearer mine".parse().unwrap());
    let mut quoted = three();
    if let Ok(quote) = &mut quoted[1].quote {
        quote.terms.protocol = "l402".into();
    }
    let choice = choose(quoted, &challenge(Vec::new()), &call);
    assert_eq!(choice.best.unwrap().terms.network.as_str(), "eip155:137");
    let reason = choice.offers[1].reason.clone().unwrap();
    assert!(reason.contains("Authorization"), "{reason}");
}
