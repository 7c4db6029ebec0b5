//! A rail that signs nothing and a clock that stands still, around a SQLite ledger in a
//! temporary directory.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::fault::Fault;
use farebox_core::ledger::{CallKey, Ledger, Payment};
use farebox_core::policy::{Level, Limits};
use farebox_core::purse::{Purse, Spend, SpendRequest, Standing, Ticket};
use farebox_core::rail::{
    Authorised, Credential, Finding, Handle, Holding, NotPayable, PayRail, Quote, RailError, Terms,
};
use farebox_ledger::SqliteLedger;
use farebox_wallet::{Desk, DeskOptions};
use farebox_wire::challenge::{Challenge, Offer, X402Offer};
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};
use farebox_wire::x402::Version;
use serde_json::json;

pub(crate) const TOKEN: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
pub(crate) const START_MS: u64 = 1_900_000_000_000;
pub(crate) const PRICE: u128 = 1_000;

pub(crate) struct HandClock(AtomicU64);

impl Default for HandClock {
    fn default() -> Self {
        Self(AtomicU64::new(START_MS))
    }
}

impl HandClock {
    pub(crate) fn forward_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn back_ms(&self, ms: u64) {
        self.0.fetch_sub(ms, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

type Hook = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Knows one token, at a dollar a million units. Its credentials are numbered.
pub(crate) struct FakeRail {
    clock: Arc<HandClock>,
    signed: AtomicU64,
    pub(crate) broken: Mutex<Option<RailError>>,
    pub(crate) finding: Mutex<Finding>,
    pub(crate) while_signing: Mutex<Option<Hook>>,
}

impl FakeRail {
    pub(crate) fn signed(&self) -> u64 {
        self.signed.load(Ordering::SeqCst)
    }

    pub(crate) fn find(&self, finding: Finding) {
        *self.finding.lock().unwrap() = finding;
    }
}

#[async_trait]
impl PayRail for FakeRail {
    fn rail(&self) -> &'static str {
        "evm"
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        let x402 = offer.as_x402().expect("an offer of x402");
        let requirements = &x402.requirements;
        if requirements.asset != TOKEN {
            return Err(NotPayable {
                code: "unknown_token",
                why: format!("{} is not a token that is known here", requirements.asset),
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
                payer: Some("0xbuyer".into()),
            },
            offer: offer.clone(),
            max_timeout_s: requirements.max_timeout_seconds,
            is_mainnet: false,
        })
    }

    async fn authorise(
        &self,
        _quote: &Quote,
        _challenge: &Challenge,
        valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        let hook = self.while_signing.lock().unwrap().take();
        if let Some(hook) = hook {
            hook().await;
        }
        if let Some(error) = self.broken.lock().unwrap().clone() {
            return Err(error);
        }
        let number = self.signed.fetch_add(1, Ordering::SeqCst);
        Ok(Authorised {
            credential: Some(Credential {
                header: "payment-signature".into(),
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

/// A ledger, a rail, a clock, and as many desks as there are processes.
pub(crate) struct World {
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) rail: Arc<FakeRail>,
    pub(crate) clock: Arc<HandClock>,
    dir: tempfile::TempDir,
}

impl World {
    /// With a budget for `payments` payments.
    pub(crate) async fn with_budget_for(payments: u128) -> Self {
        let world = Self::without_budget();
        let limits = Limits {
            total: Some(UsdMicros(PRICE * payments)),
            ..Limits::default()
        };
        world.ledger.set_budget(None, limits).await.unwrap();
        world
    }

    pub(crate) fn without_budget() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock::default());
        let ledger = SqliteLedger::open(&dir.path().join("buyer.db")).unwrap();
        Self {
            ledger: Arc::new(ledger),
            rail: Arc::new(FakeRail {
                clock: Arc::clone(&clock),
                signed: AtomicU64::new(0),
                broken: Mutex::new(None),
                finding: Mutex::new(Finding::Open),
                while_signing: Mutex::new(None),
            }),
            clock,
            dir,
        }
    }

    /// The desk of another process on the same ledger file.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        self.desk_over(Arc::<SqliteLedger>::clone(&self.ledger))
    }

    /// The same, through connections of its own.
    pub(crate) fn distant_desk(&self) -> Arc<Desk> {
        let ledger = SqliteLedger::open(&self.dir.path().join("buyer.db")).unwrap();
        self.desk_over(Arc::new(ledger))
    }

    fn desk_over(&self, ledger: Arc<dyn Ledger>) -> Arc<Desk> {
        Arc::new(Desk::new(
            ledger,
            vec![Arc::<FakeRail>::clone(&self.rail)],
            Arc::<HandClock>::clone(&self.clock),
            DeskOptions::new().unwrap(),
        ))
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

    pub(crate) async fn stored(&self, payment: &Payment) -> Payment {
        self.ledger.payment(&payment.id).await.unwrap().unwrap()
    }
}

pub(crate) fn offer(asset: &str, timeout_s: u64) -> Offer {
    let raw = json!({
        "scheme": "exact", "network": "eip155:84532", "amount": PRICE.to_string(),
        "asset": asset, "payTo": "0xseller", "maxTimeoutSeconds": timeout_s
    });
    Offer::X402(X402Offer {
        version: Version::V2,
        requirements: serde_json::from_value(raw.clone()).unwrap(),
        raw,
    })
}

pub(crate) fn challenge(offers: Vec<Offer>) -> Challenge {
    Challenge {
        resource: None,
        error: None,
        offers,
        unreadable: Vec::new(),
        extensions: None,
    }
}

pub(crate) fn key(call: &str) -> CallKey {
    CallKey(call.to_owned())
}

/// What the buyer's loop would ask for.
pub(crate) async fn request(world: &World, call: &str) -> SpendRequest {
    let offer = offer(TOKEN, 60);
    SpendRequest {
        call: key(call),
        agent: None,
        method: "GET".into(),
        url: "http://127.0.0.1/x".into(),
        quote: world.rail.quote(&offer).await.unwrap(),
        challenge: challenge(vec![offer]),
        max_cost: None,
        wait_ms: 1_000,
        fresh: false,
    }
}

pub(crate) async fn buy(world: &World, desk: &Desk, call: &str) -> Box<Ticket> {
    match desk.spend(request(world, call).await).await {
        Ok(Spend::Pay(ticket)) => ticket,
        other => panic!("it should pay, but: {}", name(&other)),
    }
}

pub(crate) fn name(spend: &Result<Spend, Fault>) -> String {
    match spend {
        Ok(Spend::Pay(_)) => "pay".into(),
        Ok(Spend::Twin(_)) => "twin".into(),
        Ok(Spend::Denied(denial)) => format!("denied {}", denial.rule()),
        Ok(Spend::Ask { .. }) => "ask".into(),
        Ok(Spend::Taken(_)) => "taken".into(),
        Ok(Spend::Undecided(_)) => "undecided".into(),
        Err(fault) => format!("fault {}", fault.code),
    }
}

/// How a call stands, in a word, with the credential where there is one.
pub(crate) async fn standing(desk: &Desk, call: &str) -> String {
    match desk.standing(&key(call), 1_000).await {
        Ok(Standing::Nothing) => "nothing".into(),
        Ok(Standing::Busy(_)) => "busy".into(),
        Ok(Standing::Undecided(_)) => "undecided".into(),
        Ok(Standing::RePresent(ticket)) => format!("show {}", ticket.credential.value),
        Err(fault) => format!("fault {}", fault.code),
    }
}

pub(crate) fn settled(is_final: bool) -> Finding {
    Finding::Settled {
        transaction: "0xhash".into(),
        is_final,
    }
}

pub(crate) fn unanswered() -> Finding {
    Finding::Unanswered {
        why: "connection refused".into(),
    }
}

pub(crate) fn cannot_tell() -> Finding {
    Finding::CannotTell {
        why: "no rpc".into(),
    }
}

pub(crate) fn price() -> Amount {
    Amount::from_atomic(PRICE)
}
