//! A purse with a rail that signs nothing, a ledger in a temporary directory, and a clock that
//! can be moved.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use farebox_buyer::{Buyer, BuyerOptions, Call, FetchError, Fetched};
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::ledger::{Filter, Ledger, Payment};
use farebox_core::payment::Phase;
use farebox_core::policy::{Level, Limits};
use farebox_core::rail::{
    Authorised, Credential, Finding, Handle, Holding, NotPayable, PayRail, Quote, RailError, Terms,
};
use farebox_ledger::SqliteLedger;
use farebox_wallet::{Desk, DeskOptions};
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};
use http::Method;

use crate::sellers::PRICE;

pub(crate) const TOKEN: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
pub(crate) const PAYER: &str = "0x1111111111111111111111111111111111111111";

/// The computer's clock, shifted by what a test says.
#[derive(Default)]
pub(crate) struct ShiftedClock(AtomicU64);

impl ShiftedClock {
    pub(crate) fn forward_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}

/// Knows one token whose name is `USDC`; its credentials are numbered.
pub(crate) struct FakeRail {
    clock: Arc<ShiftedClock>,
    signed: AtomicU64,
    finding: Mutex<Finding>,
}

#[async_trait]
impl PayRail for FakeRail {
    fn rail(&self) -> &'static str {
        "evm"
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        let Some(x402) = offer.as_x402() else {
            return Err(NotPayable {
                code: "other_rail",
                why: "not an offer of this rail".into(),
            });
        };
        let requirements = &x402.requirements;
        let name = requirements
            .extra
            .as_ref()
            .and_then(|extra| extra.get("name"));
        if requirements.asset != TOKEN || name.and_then(|n| n.as_str()) != Some("USDC") {
            return Err(NotPayable {
                code: "unknown_token",
                why: "not a token that is known here".into(),
            });
        }
        Ok(Quote {
            terms: Terms {
                protocol: "x402".into(),
                rail: "evm".into(),
                network: requirements.network.clone(),
                scheme: "exact".into(),
                asset: format!("{}/erc20:{TOKEN}", requirements.network)
                    .parse()
                    .unwrap(),
                symbol: "USDC".into(),
                decimals: 6,
                amount: requirements.amount,
                fee_max: Amount::ZERO,
                cost: UsdMicros(requirements.amount.atomic()),
                payee: requirements.pay_to.clone(),
                payer: Some(PAYER.into()),
            },
            offer: offer.clone(),
            max_timeout_s: requirements.max_timeout_seconds,
            is_mainnet: false,
        })
    }

    async fn authorise(
        &self,
        quote: &Quote,
        _challenge: &Challenge,
        valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        let number = self.signed.fetch_add(1, Ordering::SeqCst);
        let offer = quote.offer.as_x402().expect("an offer of x402");
        Ok(Authorised {
            credential: Some(Credential {
                header: offer.version.credential_header().into(),
                value: format!("credential-{number}"),
            }),
            identity: Identity::from_stored(&format!("fake:{number}")),
            handle: Handle::new(number.to_string()),
            valid_before_s: self.clock.now_s() + valid_for_s,
        })
    }

    async fn check(&self, _handle: &Handle) -> Finding {
        self.finding.lock().unwrap().clone()
    }

    async fn balances(&self) -> Vec<Result<Holding, RailError>> {
        Vec::new()
    }
}

/// A wallet with a budget, and a buyer that uses it.
pub(crate) struct Customer {
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) rail: Arc<FakeRail>,
    pub(crate) clock: Arc<ShiftedClock>,
    options: BuyerOptions,
    _dir: tempfile::TempDir,
}

impl Customer {
    /// With a budget for so many payments.
    pub(crate) async fn with_budget_for(payments: u128) -> Self {
        // The first of the tests wins; the others find what it has installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let ledger = SqliteLedger::open(&dir.path().join("buyer.db")).unwrap();
        let limits = Limits {
            total: Some(UsdMicros(PRICE * payments)),
            ..Limits::default()
        };
        ledger.set_budget(None, limits).await.unwrap();
        let clock = Arc::new(ShiftedClock::default());
        Self {
            ledger: Arc::new(ledger),
            rail: Arc::new(FakeRail {
                clock: Arc::clone(&clock),
                signed: AtomicU64::new(0),
                finding: Mutex::new(Finding::Open),
            }),
            clock,
            options: BuyerOptions::default(),
            _dir: dir,
        }
    }

    pub(crate) fn allowing(mut self, block: &str) -> Self {
        self.options.allow_private.push(block.parse().unwrap());
        self
    }

    /// A buyer as another process has it: with a desk, and so a lease, of its own.
    pub(crate) fn buyer(&self) -> Buyer {
        let desk = Desk::new(
            Arc::<SqliteLedger>::clone(&self.ledger),
            vec![Arc::<FakeRail>::clone(&self.rail)],
            Arc::<ShiftedClock>::clone(&self.clock),
            DeskOptions::new().unwrap(),
        );
        Buyer::new(Arc::new(desk), self.options.clone()).unwrap()
    }

    pub(crate) async fn fetch(&self, call: Call) -> Result<Fetched, FetchError> {
        self.buyer().fetch(call).await
    }

    pub(crate) fn signed(&self) -> u64 {
        self.rail.signed.load(Ordering::SeqCst)
    }

    pub(crate) fn find(&self, finding: Finding) {
        *self.rail.finding.lock().unwrap() = finding;
    }

    /// (spent, reserved) against the owner's total.
    pub(crate) async fn used(&self) -> (u128, u128) {
        let lines = self.ledger.budgets(self.clock.now_ms()).await.unwrap();
        let total = lines
            .iter()
            .find(|line| line.level == Level::Total)
            .unwrap();
        (total.spent.0, total.reserved.0)
    }

    /// Every payment, newest first.
    pub(crate) async fn payments(&self) -> Vec<Payment> {
        self.ledger.list(Filter::default()).await.unwrap()
    }

    /// The phase and reason of the only payment.
    pub(crate) async fn only(&self) -> (Phase, Option<String>) {
        let payments = self.payments().await;
        let [payment] = payments.as_slice() else {
            panic!("{} payments", payments.len())
        };
        (payment.state.phase, payment.state.reason.clone())
    }
}

pub(crate) fn get(url: &str) -> Call {
    Call::new(Method::GET, url).unwrap()
}

/// The exit code of a call, whichever way it ended.
pub(crate) fn exit(result: &Result<Fetched, FetchError>) -> u8 {
    match result {
        Ok(fetched) => fetched.ending.exit().code(),
        Err(error) => error.ending.exit().code(),
    }
}

/// The code of its fault.
pub(crate) fn code(result: &Result<Fetched, FetchError>) -> &'static str {
    let fault = match result {
        Ok(fetched) => fetched.ending.fault(),
        Err(error) => error.ending.fault(),
    };
    fault.map_or("none", |fault| fault.code)
}

pub(crate) fn unknown(reason: &str) -> (Phase, Option<String>) {
    (Phase::Unknown, Some(reason.to_owned()))
}
