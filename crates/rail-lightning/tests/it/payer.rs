//! Paying an L402 offer: the quote is the invoice's, the credential is the preimage, and whatever
//! happens in between, money moves once and nothing is given up too early.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use farebox_core::clock::Clock;
use farebox_core::rail::{Finding, Handle, Paid, PayRail as _, Quote};
use farebox_core::rates::{NoRates, Rates};
use farebox_rail_lightning::{FeeCap, LightningPayer, Node, PayPlace};
use farebox_wire::challenge::{Challenge, L402Offer, Offer};
use farebox_wire::l402::Scheme;
use farebox_wire::l402::identifier::{Identifier, TokenId};
use farebox_wire::l402::macaroon::Macaroon;
use farebox_wire::l402::preimage::PaymentHash;
use farebox_wire::money::{Amount, UsdMicros};
use lightning_invoice::Currency;

use crate::collector::Sixty;
use crate::invoices::{Wanted, hash_of, now_s, pubkey};
use crate::stub::{Act, OWN_KEY, Stub, node_at};

/// Longer than any payment at the stub takes.
const LONG_MS: u64 = 20_000;
/// Long enough to hear that a payment was taken on.
const SHORT_MS: u64 = 300;

/// A clock that a test turns.
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

struct Desk {
    stub: Stub,
    payer: LightningPayer,
    clock: Arc<Hands>,
}

impl Desk {
    async fn new() -> Self {
        let stub = Stub::new();
        let node = stub.node().await;
        Self::at(stub, node, Arc::new(Sixty))
    }

    fn at(stub: Stub, node: Arc<dyn Node>, rates: Arc<dyn Rates>) -> Self {
        let clock = Arc::new(Hands(AtomicU64::new(now_s() * 1_000)));
        let place = PayPlace {
            network: "lightning:regtest".parse().unwrap(),
            node,
            fee_cap: FeeCap::default(),
        };
        let payer = LightningPayer::new(vec![place], rates, clock.clone()).unwrap();
        Self { stub, payer, clock }
    }

    fn turn(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    async fn quoted(&self, seed: u8) -> Quote {
        let (invoice, _) = self.stub.payable(25_000, seed);
        self.payer.quote(&offer(&invoice, "AgE")).await.unwrap()
    }

    /// The handle of a new payment over 25 satoshis.
    async fn authorised(&self, seed: u8) -> Handle {
        let quote = self.quoted(seed).await;
        let signed = self
            .payer
            .authorise(&quote, &Challenge::default(), 60)
            .await;
        let signed = signed.unwrap_or_else(|why| panic!("{why}"));
        assert!(signed.credential.is_none(), "money moves first");
        assert_eq!(
            signed.identity.as_str(),
            format!("l402:{}", hex::encode(hash_of(&[seed; 32])))
        );
        // As it comes back from the books.
        Handle::new(signed.handle.text().to_owned())
    }

    async fn pay(&self, handle: &Handle, wait_ms: u64) -> String {
        told(self.payer.pay(handle, wait_ms).await)
    }
}

fn offer(invoice: &str, token: &str) -> Offer {
    Offer::L402(L402Offer {
        scheme: Scheme::Lsat,
        token: token.to_owned(),
        invoice: invoice.to_owned(),
        is_versioned: false,
    })
}

fn told(paid: Paid) -> String {
    match paid {
        Paid::Settled {
            credential, fee, ..
        } => {
            assert_eq!(credential.header, "authorization");
            format!("{} for {}", credential.value, fee.atomic())
        }
        Paid::Failed { reason, message } => {
            assert!(!message.is_empty());
            format!("failed: {reason}")
        }
        Paid::Unknown { reason } => format!("unknown: {reason}"),
    }
}

fn proof(seed: u8, fee_msat: u64) -> String {
    format!("LSAT AgE:{} for {fee_msat}", hex::encode([seed; 32]))
}

#[tokio::test]
async fn the_quote_is_the_invoices_with_the_fee_cap_on_top() {
    let desk = Desk::new().await;
    let quote = desk.quoted(1).await;
    let terms = &quote.terms;
    assert_eq!(terms.amount, Amount::from_atomic(25_000));
    assert_eq!(
        terms.fee_max,
        Amount::from_atomic(10_000),
        "10 sat at least"
    );
    assert_eq!(terms.cost, UsdMicros(21_000), "35 sat at 0.0006 USD");
    assert_eq!(terms.payee, pubkey(&[0x42; 32]));
    assert_eq!(terms.payer, Some(pubkey(&OWN_KEY)));
    assert_eq!(
        (terms.protocol.as_str(), terms.scheme.as_str()),
        ("l402", "bolt11")
    );
    assert!(!quote.is_mainnet);
    let (large, _) = desk.stub.payable(5_000_000, 2);
    let quote = desk.payer.quote(&offer(&large, "AgE")).await.unwrap();
    assert_eq!(
        quote.terms.fee_max,
        Amount::from_atomic(50_000),
        "one per cent"
    );
}

#[tokio::test]
async fn an_offer_that_cannot_be_paid_says_why_and_nothing_is_sent() {
    let desk = Desk::new().await;
    let base = Wanted::msat(25_000, [1; 32]);
    let own = Wanted {
        key: OWN_KEY,
        ..base.clone()
    };
    let expired = Wanted {
        made_s: now_s() - 7_200,
        ..base.clone()
    };
    let foreign = Wanted {
        currency: Currency::Bitcoin,
        ..base.clone()
    };
    let simnet = Wanted {
        currency: Currency::Simnet,
        ..base.clone()
    };
    let amountless = Wanted {
        amount: None,
        ..base.clone()
    };
    let dear = Wanted::msat(2_000_000_000, [1; 32]);
    let hash = PaymentHash([9; 32]);
    let identifier = Identifier {
        payment_hash: hash,
        token_id: TokenId([1; 32]),
    };
    let other = Macaroon::mint(&[1; 32], "here", &identifier.to_bytes()).to_base64();
    for (invoice, token, code) in [
        (own.text(), "AgE", "payee_is_self"),
        (expired.text(), "AgE", "invoice_expired"),
        (foreign.text(), "AgE", "invoice_network"),
        (simnet.text(), "AgE", "invoice_network"),
        (amountless.text(), "AgE", "invoice_amountless"),
        (dear.text(), "AgE", "insufficient_balance"),
        (base.text(), other.as_str(), "token_of_another_payment"),
        ("lnbcrt1".to_owned(), "AgE", "invoice_unreadable"),
    ] {
        let why = desk.payer.quote(&offer(&invoice, token)).await.unwrap_err();
        assert_eq!(why.code, code, "{}", why.why);
    }
    assert!(desk.stub.books().sends.is_empty());
}

#[tokio::test]
async fn without_a_rate_or_a_node_there_is_no_quote() {
    let desk = Desk::new().await;
    let (invoice, _) = desk.stub.payable(25_000, 1);
    let poor = Desk::at(Stub::new(), desk.stub.node().await, Arc::new(NoRates));
    let why = poor.payer.quote(&offer(&invoice, "AgE")).await.unwrap_err();
    assert_eq!(why.code, "rate_missing");
    let node = Arc::new(node_at("http://127.0.0.1:1"));
    let away = Desk::at(Stub::new(), node, Arc::new(Sixty));
    let why = away.payer.quote(&offer(&invoice, "AgE")).await.unwrap_err();
    assert_eq!(why.code, "node_unreachable");
}

#[tokio::test]
async fn a_token_for_the_invoices_payment_is_paid_for() {
    let desk = Desk::new().await;
    let (invoice, hash) = desk.stub.payable(25_000, 1);
    let fitting = Identifier {
        payment_hash: PaymentHash(hash),
        token_id: TokenId([1; 32]),
    };
    let token = Macaroon::mint(&[1; 32], "here", &fitting.to_bytes()).to_base64();
    let offer = offer(&invoice, &token);
    desk.payer.quote(&offer).await.unwrap();
}

#[tokio::test]
async fn a_payment_gives_the_credential_again_and_moves_money_once() {
    let desk = Desk::new().await;
    let handle = desk.authorised(1).await;
    desk.stub.next(Act::Succeed { fee_msat: 2_000 });
    let Paid::Settled {
        fee,
        cost,
        transaction,
        ..
    } = desk.payer.pay(&handle, LONG_MS).await
    else {
        panic!("not settled");
    };
    assert_eq!(
        (fee.atomic(), cost),
        (2_000, UsdMicros(16_200)),
        "27 sat at 0.0006 USD"
    );
    assert_eq!(transaction, hex::encode(hash_of(&[1; 32])));
    assert_eq!(desk.pay(&handle, LONG_MS).await, proof(1, 2_000));
    desk.turn(100_000);
    assert_eq!(
        desk.pay(&handle, LONG_MS).await,
        proof(1, 2_000),
        "after the invoice's end too"
    );
    let finding = desk.payer.check(&handle).await;
    assert_eq!(
        finding,
        Finding::Settled {
            transaction,
            is_final: true
        }
    );
    let taken_on = desk.stub.books().payments.len();
    assert_eq!(taken_on, 1);
}

#[tokio::test]
async fn a_failure_gives_the_reason_and_check_agrees() {
    let desk = Desk::new().await;
    let handle = desk.authorised(1).await;
    assert_eq!(desk.payer.check(&handle).await, Finding::Open, "not begun");
    desk.stub.next(Act::Fail("FAILURE_REASON_NO_ROUTE"));
    assert_eq!(desk.pay(&handle, LONG_MS).await, "failed: no_route");
    assert_eq!(desk.payer.check(&handle).await, Finding::NeverWill);
}

#[tokio::test]
async fn what_hangs_is_open_and_what_settles_late_is_found() {
    let desk = Desk::new().await;
    let handle = desk.authorised(1).await;
    desk.stub.next(Act::Hang);
    assert_eq!(
        desk.pay(&handle, SHORT_MS).await,
        "unknown: payment_in_flight"
    );
    desk.turn(100_000);
    assert_eq!(
        desk.payer.check(&handle).await,
        Finding::Open,
        "however late it is"
    );
    desk.stub.succeed(&hash_of(&[1; 32]), 0);
    assert!(matches!(
        desk.payer.check(&handle).await,
        Finding::Settled { .. }
    ));
    assert_eq!(desk.pay(&handle, LONG_MS).await, proof(1, 0));
}

#[tokio::test]
async fn a_node_that_restarts_during_a_payment_is_asked_and_not_told_again() {
    let desk = Desk::new().await;
    let handle = desk.authorised(1).await;
    desk.stub.next(Act::SwallowAndTakeOn);
    assert_eq!(
        desk.pay(&handle, SHORT_MS).await,
        "unknown: payment_in_flight"
    );
    // The process restarts too: another payer, which remembers nothing.
    let restarted = Desk::at(desk.stub.clone(), desk.stub.node().await, Arc::new(Sixty));
    assert_eq!(restarted.payer.check(&handle).await, Finding::Open);
    desk.stub.succeed(&hash_of(&[1; 32]), 3);
    assert_eq!(restarted.pay(&handle, LONG_MS).await, proof(1, 3));
    assert_eq!(desk.stub.books().payments.len(), 1);
}

#[tokio::test]
async fn silence_holds_the_money_until_the_invoice_is_over() {
    let desk = Desk::new().await;
    let handle = desk.authorised(1).await;
    desk.stub.next(Act::Swallow);
    assert_eq!(
        desk.pay(&handle, SHORT_MS).await,
        "unknown: node_unreachable"
    );
    assert_eq!(desk.payer.check(&handle).await, Finding::Open);
    desk.turn(3_610);
    assert_eq!(desk.payer.check(&handle).await, Finding::Open);
    assert_eq!(
        desk.pay(&handle, SHORT_MS).await,
        "unknown: invoice_expiring"
    );
    desk.turn(120);
    assert_eq!(desk.payer.check(&handle).await, Finding::NeverWill);
    assert_eq!(desk.pay(&handle, SHORT_MS).await, "failed: invoice_expired");
    assert_eq!(
        desk.stub.books().sends.len(),
        1,
        "nothing is sent after the end"
    );
}

#[tokio::test]
async fn the_failure_of_an_earlier_attempt_ends_nothing() {
    let desk = Desk::new().await;
    let handle = desk.authorised(1).await;
    desk.stub.put(&hash_of(&[1; 32]), "FAILED", now_s() - 50);
    assert_eq!(desk.payer.check(&handle).await, Finding::Open);
}

#[tokio::test]
async fn a_node_that_is_away_failed_only_what_it_never_heard_of() {
    let stub = Stub::new();
    let desk = Desk::new().await;
    let handle = desk.authorised(1).await;
    let away = Desk::at(
        stub,
        Arc::new(node_at("http://127.0.0.1:1")),
        Arc::new(Sixty),
    );
    // This process has not authorised it: somebody else may have sent it.
    assert_eq!(
        away.pay(&handle, SHORT_MS).await,
        "unknown: node_unreachable"
    );
    assert!(matches!(
        away.payer.check(&handle).await,
        Finding::Unanswered { .. }
    ));
    let quote = desk.quoted(2).await;
    let signed = away
        .payer
        .authorise(&quote, &Challenge::default(), 60)
        .await;
    let fresh = signed.unwrap_or_else(|why| panic!("{why}")).handle;
    assert_eq!(away.pay(&fresh, SHORT_MS).await, "failed: node_unreachable");
    assert_eq!(
        away.pay(&fresh, SHORT_MS).await,
        "unknown: node_unreachable"
    );
}

#[tokio::test]
async fn success_without_a_proof_is_unknown_and_stays_so() {
    let desk = Desk::new().await;
    for (seed, act, reason) in [
        (1, Act::SucceedBlank, "preimage_unavailable"),
        (2, Act::SucceedWrong, "preimage_wrong"),
    ] {
        let handle = desk.authorised(seed).await;
        desk.stub.next(act);
        assert_eq!(
            desk.pay(&handle, LONG_MS).await,
            format!("unknown: {reason}")
        );
        let finding = desk.payer.check(&handle).await;
        assert!(
            matches!(&finding, Finding::Unanswered { why } if why.contains(reason)),
            "{finding:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_pay_at_once_pay_once() {
    let desk = Arc::new(Desk::new().await);
    let handle = desk.authorised(1).await;
    desk.stub.next(Act::Hang);
    let twin = || {
        let (desk, handle) = (desk.clone(), handle.clone());
        tokio::spawn(async move { desk.pay(&handle, LONG_MS).await })
    };
    let (one, two) = (twin(), twin());
    while desk.stub.books().sends.len() < 2 {
        tokio::task::yield_now().await;
    }
    desk.stub.succeed(&hash_of(&[1; 32]), 1);
    assert_eq!(one.await.unwrap(), proof(1, 1));
    assert_eq!(two.await.unwrap(), proof(1, 1));
}

#[tokio::test]
async fn a_fee_over_the_cap_is_never_more_than_was_held() {
    let desk = Desk::new().await;
    let handle = desk.authorised(1).await;
    desk.stub.next(Act::Succeed { fee_msat: 99_999 });
    assert_eq!(desk.pay(&handle, LONG_MS).await, proof(1, 10_000));
    assert_eq!(desk.stub.books().sends[0]["fee_limit_msat"], "10000");
}

#[tokio::test]
async fn what_the_node_can_pay_is_the_balance() {
    let desk = Desk::new().await;
    desk.stub.books().outbound_msat = 123_456;
    let holdings = desk.payer.balances().await;
    let holding = holdings[0].as_ref().unwrap();
    assert_eq!(holding.amount, Amount::from_atomic(123_456));
    assert_eq!((holding.symbol.as_str(), holding.decimals), ("sat", 3));
    assert_eq!(holding.address, pubkey(&OWN_KEY));
}

#[tokio::test]
async fn a_stored_handle_that_cannot_be_read_is_unknown() {
    let desk = Desk::new().await;
    let junk = Handle::new("{}".to_owned());
    assert_eq!(
        desk.pay(&junk, SHORT_MS).await,
        "unknown: handle_unreadable"
    );
    assert!(matches!(
        desk.payer.check(&junk).await,
        Finding::CannotTell { .. }
    ));
}
