//! What somebody without a token is told, and what that costs the seller.

use std::net::{IpAddr, Ipv4Addr};

use farebox_core::ledger::Ledger;
use farebox_seller::l402::{InvoiceLimits, TokenTerms, Uses};
use farebox_seller::{Protocol, SellerConfig};
use farebox_wire::money::{Amount, UsdMicros};
use http::StatusCode;
use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, ORIGIN, WWW_AUTHENTICATE};

use crate::support::l402::{Stand, challenge_of, config, from_client, refusal, sold, sold_for};
use crate::support::scripted_node::{Mode, ScriptedNode};
use crate::support::{NOW_S, TestClock, get};

const BOTH: [Protocol; 2] = [Protocol::X402, Protocol::L402];

fn client(n: u32) -> IpAddr {
    // Not this machine's, whose clients are not kept apart.
    IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + n))
}

#[tokio::test]
async fn the_first_line_is_l402_and_the_second_lsat() {
    let stand = Stand::new();
    let seen = stand.send(get("/weather/x")).await;
    assert_eq!(seen.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(seen.headers[CACHE_CONTROL], "no-store");
    assert!(seen.challenge().is_none(), "no x402 on this route");
    assert_eq!(seen.code(), "payment_required");
    let lines: Vec<&str> = seen
        .headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .map(|line| line.to_str().expect("text"))
        .collect();
    let [l402, lsat] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(l402.starts_with("L402 macaroon=\"AgE"), "{l402}");
    assert!(l402.contains("\", invoice=\"lnbcrt"), "{l402}");
    assert!(l402.contains("\", version=\"0\", token=\"AgE"), "{l402}");
    assert!(lsat.starts_with("LSAT macaroon=\"AgE"), "{lsat}");
    let [made] = stand.node.made()[..] else {
        panic!("one invoice");
    };
    assert_eq!(made.amount, Amount::from_atomic(1_000));
}

#[tokio::test]
async fn one_402_speaks_both_dialects() {
    let stand = Stand::selling(vec![sold("weather", "/weather/*", &BOTH)]);
    let seen = stand.send(get("/weather/x")).await;
    seen.assert_challenged("Payment required");
    assert!(challenge_of(&seen).is_some());
    let text = String::from_utf8_lossy(&seen.body);
    assert!(text.contains("WWW-Authenticate"), "{text}");
    // A bad payment over one dialect is told of the other too.
    let mut request = get("/weather/x");
    let junk = "e30=".parse().expect("a value");
    request.headers_mut().insert("payment-signature", junk);
    let refused = stand.send(request).await;
    assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED);
    assert!(refused.challenge().is_some() && challenge_of(&refused).is_some());
}

#[tokio::test]
async fn a_page_in_a_browser_can_read_the_challenge() {
    let stand = Stand::new();
    let mut request = get("/weather/x");
    let page = "https://app.example".parse().expect("a value");
    request.headers_mut().insert(ORIGIN, page);
    let seen = stand.send(request).await;
    let exposed = seen.headers[ACCESS_CONTROL_EXPOSE_HEADERS]
        .to_str()
        .expect("text");
    assert!(exposed.contains("WWW-Authenticate"), "{exposed}");
}

#[tokio::test]
async fn a_client_is_offered_the_same_invoice_and_others_their_own() {
    let stand = Stand::new();
    let ask = async |from: IpAddr| {
        let seen = stand.send(from_client(get("/weather/x"), from)).await;
        challenge_of(&seen).expect("a challenge")
    };
    let first = ask(client(1)).await;
    let again = ask(client(1)).await;
    assert_eq!(first.invoice, again.invoice);
    assert_ne!(first.token, again.token, "each token is one of its own");
    assert_ne!(ask(client(2)).await.invoice, first.invoice);
    assert_eq!(stand.node.made().len(), 2);
    // Both tokens are for the one payment.
    let bought = stand.paid(&again);
    let seen = stand.show("/weather/x", &bought).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_ne!(ask(client(1)).await.invoice, first.invoice, "it was paid");
    let twin = stand.paid(&first);
    let seen = stand.show("/weather/x", &twin).await;
    assert_eq!(seen.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(seen.code(), "token_exhausted");
}

#[tokio::test]
async fn parallel_requests_of_one_client_have_one_invoice_made() {
    let stand = Stand::new();
    let asks = (0..50).map(|_| stand.open(from_client(get("/weather/x"), client(1))));
    let answers = futures_util::future::join_all(asks).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.headers().contains_key(WWW_AUTHENTICATE))
    );
    assert_eq!(stand.node.made().len(), 1);
}

/// Law 9: no row, a bounded number of invoices, and still a payable one for everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_leaves_a_bounded_number_of_invoices_and_no_row() {
    let limits = InvoiceLimits {
        per_prefix: 3,
        total: 50,
    };
    let stand = Stand::with(SellerConfig {
        invoice_limits: limits,
        ..config(vec![sold("weather", "/weather/*", &[Protocol::L402])])
    });
    for round in 0..20 {
        let asks = (0..100).map(|n| {
            let from = client(round * 100 + n);
            stand.open(from_client(get("/weather/x"), from))
        });
        for answer in futures_util::future::join_all(asks).await {
            assert!(answer.headers().contains_key(WWW_AUTHENTICATE));
        }
    }
    // 45 for those who came first, and 3 of the 5 that are kept for all.
    assert_eq!(stand.node.made().len(), 48);
    assert_eq!(stand.seller.open_invoices(), Some(48));
    assert!(stand.payments().await.is_empty());
    assert!(stand.ledger.books().await.expect("books").is_empty());
    // Somebody honest among them.
    let seen = stand
        .send(from_client(get("/weather/x"), client(1_000_000)))
        .await;
    let bought = stand.paid(&challenge_of(&seen).expect("a challenge"));
    let served = stand.show("/weather/x", &bought).await;
    assert_eq!(served.status, StatusCode::OK);
    assert_eq!(stand.seller.open_invoices(), Some(47));
}

#[tokio::test]
async fn one_client_cannot_have_more_than_three_invoices() {
    let routes = (0..4).map(|n| sold(&format!("r{n}"), &format!("/r{n}"), &[Protocol::L402]));
    let stand = Stand::selling(routes.collect());
    for n in 0..3 {
        let seen = stand
            .send(from_client(get(&format!("/r{n}")), client(1)))
            .await;
        assert!(challenge_of(&seen).is_some());
    }
    let other = stand.send(from_client(get("/r3"), client(2))).await;
    let other = challenge_of(&other).expect("a challenge");
    assert_eq!(stand.node.made().len(), 4);
    // It has one that is everybody's, and never one that was made for somebody.
    for _ in 0..100 {
        let fourth = stand.send(from_client(get("/r3"), client(1))).await;
        let shown = challenge_of(&fourth).expect("a challenge");
        assert_ne!(shown.invoice, other.invoice);
    }
    assert_eq!(
        stand.node.made().len(),
        4 + 16,
        "those that are everybody's"
    );
}

#[tokio::test]
async fn a_silent_node_costs_the_l402_offer_and_not_the_answer() {
    let stand = Stand::selling(vec![
        sold("both", "/both", &BOTH),
        sold("only", "/only", &[Protocol::L402]),
    ]);
    for mode in [Mode::Hangs, Mode::Refuses] {
        stand.node.set(mode);
        let both = stand.send(get("/both")).await;
        both.assert_challenged("Payment required");
        assert!(challenge_of(&both).is_none(), "{mode:?}");
        let only = stand.send(get("/only")).await;
        assert_eq!(only.status, StatusCode::SERVICE_UNAVAILABLE, "{mode:?}");
        assert_eq!(only.code(), "no_invoice");
    }
    stand.node.set(Mode::Well);
    let well = stand.send(get("/only")).await;
    assert!(challenge_of(&well).is_some());
}

#[tokio::test]
async fn invoices_that_have_ended_are_forgotten_and_taken_back() {
    let stand = Stand::new();
    stand.send(get("/weather/x")).await;
    assert_eq!(stand.seller.open_invoices(), Some(1));
    stand.clock.advance_s(301);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let watching = tokio::spawn(stand.seller.clone().watch(async move {
        let _ = stopped.await;
    }));
    crate::support::eventually(|| async { stand.node.cancelled() == 1 }).await;
    assert_eq!(stand.seller.open_invoices(), Some(0));
    stop.send(()).expect("a watch");
    watching.await.expect("no panic");
}

#[tokio::test]
async fn prices_are_in_dollars_or_in_bitcoin() {
    let dollars = sold("dollars", "/dollars", &[Protocol::L402]);
    let mut bitcoin = sold("bitcoin", "/bitcoin", &BOTH);
    bitcoin.price = UsdMicros(0);
    bitcoin.price_msat = Some(Amount::from_atomic(10_500));
    let stand = Stand::selling(vec![dollars, bitcoin]);
    for path in ["/dollars", "/bitcoin"] {
        let seen = stand.send(get(path)).await;
        assert!(challenge_of(&seen).is_some(), "{path}");
    }
    let asked: Vec<u128> = stand
        .node
        .made()
        .iter()
        .map(|made| made.amount.atomic())
        .collect();
    assert_eq!(asked, [1_000, 10_500]);
    let seen = stand.send(get("/bitcoin")).await;
    let offer = &seen.challenge().expect("x402 besides").accepts[0];
    assert_eq!(offer["amount"], "10500", "millionths of a dollar");
    let text = String::from_utf8_lossy(&seen.body);
    assert!(text.contains("10.5 sat"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_sold_is_refused_at_the_start() {
    let node = || ScriptedNode::new(std::sync::Arc::new(TestClock::at_s(NOW_S)) as _);
    let with = |token: TokenTerms| refusal(vec![sold_for("r", "/r", token)], &node());
    let none = with(TokenTerms {
        uses: Uses::Times(0),
        ..TokenTerms::default()
    });
    assert!(none.expect("a refusal").contains("uses = 0"));
    let endless = with(TokenTerms {
        uses: Uses::Unlimited,
        ..TokenTerms::default()
    });
    assert!(endless.expect("a refusal").contains("valid_for"));
    let unwritable = with(TokenTerms {
        capabilities: vec!["a,b".to_owned()],
        ..TokenTerms::default()
    });
    assert!(unwritable.expect("a refusal").contains("cannot be written"));
    let rateless = node();
    rateless.forget_rate();
    let mut route = sold("r", "/r", &BOTH);
    route.price = UsdMicros(0);
    route.price_msat = Some(Amount::from_atomic(1_000));
    let no_rate = refusal(vec![route.clone()], &rateless);
    assert!(no_rate.expect("a refusal").contains("BTC/USD"));
    route.accept = vec![Protocol::L402];
    assert_eq!(
        refusal(vec![route], &rateless),
        None,
        "no dollars are asked"
    );
}
