//! The rail of Lightning itself, over a node that a test holds in its hands: invoices are real, and
//! what a seller says beside them is not believed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Response;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use farebox_buyer::{Buyer, BuyerOptions, Call, FetchError, Fetched};
use farebox_core::clock::{Clock as _, SystemClock};
use farebox_core::invoice::SettledInvoice;
use farebox_core::ledger::Ledger;
use farebox_core::policy::Limits;
use farebox_core::rates::{NoRate, Rate, Rates};
use farebox_ledger::SqliteLedger;
use farebox_rail_lightning::{
    FeeCap, InvoiceFate, LightningPayer, Liquidity, Network, Node, NodeError, NodeErrorKind,
    NodeIdentity, NodeState, Order, PayError, PayPlace, PaymentFate,
};
use farebox_wallet::{Desk, DeskOptions};
use farebox_wire::l402::macaroon::Macaroon;
use farebox_wire::l402::preimage::Preimage;
use farebox_wire::money::UsdMicros;
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret, SiPrefix};

use crate::purse::{Customer, code, exit, get};
use crate::sellers::{Seller, sold};

const PREIMAGE: [u8; 32] = [5; 32];
/// Of the node that pays, and of the one that is paid.
const OURS: &str = "02aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const THEIRS: [u8; 32] = [0x42; 32];
const AMOUNT_MSAT: u64 = 10_000;
const FEE_MSAT: u64 = 1_000;

/// An invoice over `amount`, made some seconds ago for an hour.
fn invoice(currency: Currency, amount: Option<(u64, Option<SiPrefix>)>, ago_s: u64) -> String {
    let (secp, key) = (Secp256k1::new(), SecretKey::from_slice(&THEIRS).unwrap());
    let mut raw = InvoiceBuilder::new(currency)
        .description("a test".to_owned())
        .payment_hash(sha256::Hash::hash(&PREIMAGE))
        .payment_secret(PaymentSecret([0x11; 32]))
        .duration_since_epoch(Duration::from_secs(SystemClock.now_s() - ago_s))
        .expiry_time(Duration::from_secs(3_600))
        .min_final_cltv_expiry_delta(40)
        .build_raw()
        .unwrap();
    raw.hrp.raw_amount = amount.map(|(number, _)| number);
    raw.hrp.si_prefix = amount.and_then(|(_, prefix)| prefix);
    let signed = raw.sign::<_, ()>(|hash| Ok(secp.sign_ecdsa_recoverable(hash, &key)));
    signed.unwrap().to_string()
}

fn good() -> String {
    let amount = Some((AMOUNT_MSAT * 10, Some(SiPrefix::Pico)));
    invoice(Currency::Regtest, amount, 0)
}

/// A token for the payment of this preimage.
fn token(preimage: [u8; 32]) -> String {
    let hash = Preimage::from_bytes(preimage).payment_hash();
    let identifier = [&[0, 0][..], &hash.0, &[9; 32]].concat();
    Macaroon::mint(&[7; 32], "lsat", &identifier).to_base64()
}

/// Pays everything, and gives this preimage for it.
struct Told {
    preimage: [u8; 32],
    paid: AtomicU64,
    is_paid: Mutex<bool>,
}

fn unused() -> NodeError {
    NodeError {
        kind: NodeErrorKind::Refused,
        message: "the buyer does not ask that".into(),
    }
}

impl Told {
    fn proof(&self) -> PaymentFate {
        PaymentFate::Succeeded {
            preimage: Some(Preimage::from_bytes(self.preimage)),
            fee_msat: FEE_MSAT,
        }
    }
}

#[async_trait]
impl Node for Told {
    fn name(&self) -> &str {
        "the node of the test"
    }

    async fn identity(&self) -> Result<NodeIdentity, NodeError> {
        Ok(NodeIdentity {
            pubkey: OURS.into(),
            network: Network::Regtest,
        })
    }

    async fn state(&self) -> Result<NodeState, NodeError> {
        Err(unused())
    }

    async fn liquidity(&self) -> Result<Liquidity, NodeError> {
        Ok(Liquidity {
            outbound_msat: u64::MAX,
            inbound_msat: 0,
        })
    }

    async fn create_invoice(&self, _: u64, _: &str, _: u64) -> Result<String, NodeError> {
        Err(unused())
    }

    async fn look_up(&self, _: &[u8; 32]) -> Result<InvoiceFate, NodeError> {
        Err(unused())
    }

    async fn cancel(&self, _: &[u8; 32]) -> Result<(), NodeError> {
        Err(unused())
    }

    async fn pay(&self, _: &Order<'_>) -> Result<PaymentFate, PayError> {
        let mut is_paid = self.is_paid.lock().unwrap();
        if !*is_paid {
            *is_paid = true;
            self.paid.fetch_add(1, Ordering::SeqCst);
        }
        Ok(self.proof())
    }

    async fn look_up_payment(&self, _: &[u8; 32]) -> Result<PaymentFate, NodeError> {
        Ok(match *self.is_paid.lock().unwrap() {
            true => self.proof(),
            false => PaymentFate::Unknown,
        })
    }

    async fn settlements(&self, _: u64) -> Result<Vec<SettledInvoice>, NodeError> {
        Err(unused())
    }
}

/// Sixty thousand dollars for a bitcoin.
struct Sixty;

impl Rates for Sixty {
    fn rate(&self, _: &str) -> Result<Rate, NoRate> {
        Ok(Rate::new(UsdMicros(60_000_000_000), 0).unwrap())
    }
}

struct Payer {
    customer: Customer,
    node: Arc<Told>,
}

impl Payer {
    /// With a dollar.
    async fn whose_node_gives(preimage: [u8; 32]) -> Self {
        let customer = Customer::with_budget_for(1).await;
        let limits = Limits {
            total: Some(UsdMicros(1_000_000)),
            ..Limits::default()
        };
        customer.ledger.set_budget(None, limits).await.unwrap();
        let node = Arc::new(Told {
            preimage,
            paid: AtomicU64::new(0),
            is_paid: Mutex::new(false),
        });
        Self { customer, node }
    }

    async fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        self.fetch_call(get(url)).await
    }

    async fn fetch_call(&self, call: Call) -> Result<Fetched, FetchError> {
        let place = PayPlace {
            network: "lightning:regtest".parse().unwrap(),
            node: Arc::<Told>::clone(&self.node),
            fee_cap: FeeCap::default(),
        };
        let clock = Arc::new(SystemClock);
        let rail = LightningPayer::new(vec![place], Arc::new(Sixty), clock.clone()).unwrap();
        let ledger = Arc::<SqliteLedger>::clone(&self.customer.ledger);
        let rails: Vec<Arc<dyn farebox_core::rail::PayRail>> = vec![
            Arc::<crate::purse::FakeRail>::clone(&self.customer.rail),
            Arc::new(rail),
        ];
        let desk = Desk::new(ledger, rails, clock, DeskOptions::new().unwrap());
        let buyer = Buyer::new(Arc::new(desk), BuyerOptions::default()).unwrap();
        buyer.fetch(call).await
    }

    fn paid(&self) -> u64 {
        self.node.paid.load(Ordering::SeqCst)
    }
}

/// Asks with this token and invoice as aperture does; sells to everybody who shows something.
async fn seller(token: String, invoice: String, takes: bool) -> Seller {
    Seller::with(move |seen| {
        let lines = ["LSAT", "L402"]
            .map(|name| format!(r#"{name} macaroon="{token}", invoice="{invoice}""#));
        async move {
            if takes && seen.authorization.is_some() {
                return sold(&seen);
            }
            let [lsat, l402] = lines;
            let asks = Response::builder().status(402);
            let asks = asks.header("www-authenticate", lsat);
            let asks = asks.header("www-authenticate", l402);
            asks.body("pay".into()).unwrap()
        }
    })
    .await
}

#[tokio::test]
async fn a_real_invoice_is_paid_and_the_preimage_shown() {
    let payer = Payer::whose_node_gives(PREIMAGE).await;
    let token = token(PREIMAGE);
    let seller = seller(token.clone(), good(), true).await;
    let fetched = payer.fetch(&seller.url("/x")).await.unwrap();
    assert_eq!(fetched.ending.exit().code(), 0);
    let shown: Vec<_> = seller
        .seen()
        .into_iter()
        .filter_map(|s| s.authorization)
        .collect();
    assert_eq!(shown, [format!("L402 {token}:{}", "05".repeat(32))]);
    let payment = fetched.payment.unwrap();
    let hash = Preimage::from_bytes(PREIMAGE).payment_hash();
    assert_eq!(payment.state.transaction, Some(hash.to_string()));
    assert_eq!(payment.terms.amount.atomic(), u128::from(AMOUNT_MSAT));
    let actual = payment.buyer.unwrap().actual.unwrap();
    assert_eq!(actual.fee.atomic(), u128::from(FEE_MSAT));
    // 11 satoshis at sixty thousand dollars for a bitcoin.
    assert_eq!(actual.cost, UsdMicros(6_600));
    assert_eq!(payer.customer.used().await, (6_600, 0));
    payer.customer.ledger.verify(true).await.unwrap();
}

#[tokio::test]
async fn an_invoice_that_is_not_what_it_seems_is_not_paid() {
    let pico = |number| Some((number, Some(SiPrefix::Pico)));
    let amount = pico(AMOUNT_MSAT * 10);
    for (what, token, invoice, expected) in [
        (
            "a token of another payment",
            token([6; 32]),
            good(),
            "another payment",
        ),
        (
            "another network",
            token(PREIMAGE),
            invoice(Currency::Bitcoin, amount, 0),
            "mainnet",
        ),
        (
            "signet",
            token(PREIMAGE),
            invoice(Currency::Signet, amount, 0),
            "signet",
        ),
        (
            "no amount",
            token(PREIMAGE),
            invoice(Currency::Regtest, None, 0),
            "amount",
        ),
        (
            "half a millisatoshi",
            token(PREIMAGE),
            invoice(Currency::Regtest, pico(15), 0),
            "no amount of bitcoin",
        ),
        (
            "expired",
            token(PREIMAGE),
            invoice(Currency::Regtest, amount, 3_601),
            "expired",
        ),
        ("torn", token(PREIMAGE), good()[..100].to_owned(), "invoice"),
    ] {
        let payer = Payer::whose_node_gives(PREIMAGE).await;
        let seller = seller(token, invoice, true).await;
        let result = payer.fetch(&seller.url("/x")).await;
        assert_eq!(
            (exit(&result), code(&result)),
            (4, "no_payable_offer"),
            "{what}"
        );
        let fault = result.unwrap().ending.fault().unwrap();
        assert!(fault.message.contains(expected), "{what}: {fault}");
        assert_eq!(
            (payer.paid(), payer.customer.used().await),
            (0, (0, 0)),
            "{what}"
        );
    }
}

#[tokio::test]
async fn whole_bitcoins_and_all_there_are_meet_the_budget() {
    for bitcoins in [1, 21_000_000] {
        let payer = Payer::whose_node_gives(PREIMAGE).await;
        let invoice = invoice(Currency::Regtest, Some((bitcoins, None)), 0);
        let seller = seller(token(PREIMAGE), invoice, true).await;
        let result = payer.fetch(&seller.url("/x")).await;
        assert_eq!(
            (exit(&result), code(&result)),
            (3, "over_budget"),
            "{bitcoins}"
        );
        assert_eq!((payer.paid(), payer.customer.used().await), (0, (0, 0)));
    }
}

#[tokio::test]
async fn a_preimage_that_does_not_hash_is_shown_to_nobody_and_stays_unknown() {
    let payer = Payer::whose_node_gives([6; 32]).await;
    let seller = seller(token(PREIMAGE), good(), true).await;
    for _ in 0..2 {
        let result = payer.fetch(&seller.url("/x")).await;
        assert_eq!((exit(&result), code(&result)), (6, "payment_undecided"));
    }
    assert!(
        seller
            .seen()
            .iter()
            .all(|seen| seen.authorization.is_none())
    );
    let (spent, held) = payer.customer.used().await;
    assert_eq!((payer.paid(), spent), (1, 0));
    assert!(held > 0);
}

#[tokio::test]
async fn a_seller_that_asks_for_the_same_invoice_again_is_paid_once() {
    let payer = Payer::whose_node_gives(PREIMAGE).await;
    let seller = seller(token(PREIMAGE), good(), false).await;
    let result = payer.fetch(&seller.url("/x")).await;
    assert_eq!((exit(&result), code(&result)), (7, "paid_not_delivered"));
    // The same invoice once more, which this wallet has paid: nothing is paid for it again.
    let mut again = get(&seller.url("/x"));
    again.max_time = Duration::from_millis(300);
    let result = payer.fetch_call(again).await;
    assert_eq!((exit(&result), code(&result)), (4, "invoice_taken"));
    assert_eq!((payer.paid(), payer.customer.used().await), (1, (6_600, 0)));
}
