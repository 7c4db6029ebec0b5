//! A Lightning rail without Lightning: one node for any number of desks, that pays an invoice once
//! and does with it what a test says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::ledger::{Filter, Ledger, Payment};
use farebox_core::policy::{Level, Limits};
use farebox_core::purse::{PassRequest, Passes, Purse, SpendRequest, Standing};
use farebox_core::rail::{
    Authorised, Credential, Finding, Handle, Holding, NotPayable, Paid, PayRail, Quote, RailError,
    Terms,
};
use farebox_ledger::SqliteLedger;
use farebox_wallet::{Desk, DeskOptions};
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};

use crate::fake::{self, HandClock, START_MS};

/// What an invoice is over, and the most and the usual fee.
pub(crate) const PRICE: u128 = 1_000;
pub(crate) const FEE_MAX: u128 = 20;
pub(crate) const FEE: u128 = 3;
/// What is held for one payment, and what one costs in the end.
pub(crate) const HELD: u128 = PRICE + FEE_MAX;
pub(crate) const PAID: u128 = PRICE + FEE;
/// How long an invoice can be paid, in seconds.
pub(crate) const LIVES_S: u64 = 60;

/// What the node does when it is told to pay an invoice that it has not paid yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Pays,
    Fails,
    /// The payment is on its way, and the caller hears nothing in time.
    OnItsWay,
    /// The payment is on its way, and the call does not return.
    Hangs,
    /// Pays, and the answer is lost.
    LosesTheAnswer,
    /// The node is not there.
    IsAway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invoice {
    OnItsWay,
    Paid,
    Failed,
}

pub(crate) struct Node {
    clock: Arc<HandClock>,
    fate: Mutex<Fate>,
    invoices: Mutex<HashMap<String, Invoice>>,
    /// Times that money has left.
    moved: AtomicU64,
    /// Times that it was told to pay.
    told: AtomicU64,
    pub(crate) keeps_preimages: Mutex<bool>,
    pub(crate) is_known: Mutex<bool>,
    pub(crate) balance: Mutex<Option<u128>>,
    pub(crate) asked_for_balance: AtomicU64,
}

impl Node {
    pub(crate) fn does(&self, fate: Fate) {
        *self.fate.lock().unwrap() = fate;
    }

    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::SeqCst)
    }

    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::SeqCst)
    }

    /// Decides what is on its way.
    pub(crate) fn decides(&self, invoice: &str, end: Invoice) {
        self.invoices.lock().unwrap().insert(invoice.into(), end);
        if end == Invoice::Paid {
            self.moved.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn proof(&self, invoice: &str) -> Paid {
        if !*self.keeps_preimages.lock().unwrap() {
            return Paid::Unknown {
                reason: "preimage_unavailable".into(),
            };
        }
        Paid::Settled {
            credential: Credential {
                header: "authorization".into(),
                value: format!("L402 token-{invoice}:00"),
            },
            transaction: format!("hash-{invoice}"),
            fee: Amount::from_atomic(FEE),
            cost: UsdMicros(PAID),
        }
    }

    fn state(&self, invoice: &str) -> Option<Invoice> {
        self.invoices.lock().unwrap().get(invoice).copied()
    }
}

fn failed() -> Paid {
    Paid::Failed {
        reason: "no_route".into(),
        message: "there is no route".into(),
    }
}

#[async_trait]
impl PayRail for Node {
    fn rail(&self) -> &'static str {
        "lightning"
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        // The offer only carries the name of an invoice here.
        let x402 = offer.as_x402().unwrap();
        Ok(Quote {
            terms: Terms {
                protocol: "l402".into(),
                rail: "lightning".into(),
                network: "lightning:regtest".parse().unwrap(),
                scheme: "bolt11".into(),
                asset: "lightning:regtest/slip44:1".parse().unwrap(),
                symbol: "sat".into(),
                decimals: 3,
                amount: Amount::from_atomic(PRICE),
                fee_max: Amount::from_atomic(FEE_MAX),
                cost: UsdMicros(HELD),
                payee: "02seller".into(),
                payer: Some("02buyer".into()),
            },
            offer: offer.clone(),
            max_timeout_s: x402.requirements.max_timeout_seconds,
            is_mainnet: false,
        })
    }

    async fn authorise(
        &self,
        quote: &Quote,
        _challenge: &Challenge,
        _valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        let x402 = quote.offer.as_x402().unwrap();
        let invoice = x402.requirements.asset.clone();
        Ok(Authorised {
            credential: None,
            identity: Identity::from_stored(&format!("l402:{invoice}")),
            handle: Handle::new(invoice),
            valid_before_s: START_MS / 1000 + LIVES_S,
        })
    }

    async fn pay(&self, handle: &Handle, _wait_ms: u64) -> Paid {
        self.told.fetch_add(1, Ordering::SeqCst);
        let invoice = handle.text();
        let fate = *self.fate.lock().unwrap();
        match (self.state(invoice), fate) {
            (_, Fate::IsAway) => Paid::Unknown {
                reason: "node_away".into(),
            },
            (Some(Invoice::Paid), _) => self.proof(invoice),
            (Some(Invoice::OnItsWay), Fate::Hangs) => std::future::pending().await,
            (Some(Invoice::OnItsWay), _) => Paid::Unknown {
                reason: "in_flight".into(),
            },
            (_, Fate::Pays) => {
                self.decides(invoice, Invoice::Paid);
                self.proof(invoice)
            }
            (_, Fate::LosesTheAnswer) => {
                self.decides(invoice, Invoice::Paid);
                Paid::Unknown {
                    reason: "connection_lost".into(),
                }
            }
            (_, Fate::Fails) => {
                self.decides(invoice, Invoice::Failed);
                failed()
            }
            (_, Fate::OnItsWay) => {
                self.decides(invoice, Invoice::OnItsWay);
                Paid::Unknown {
                    reason: "in_flight".into(),
                }
            }
            (_, Fate::Hangs) => {
                self.decides(invoice, Invoice::OnItsWay);
                std::future::pending().await
            }
        }
    }

    async fn check(&self, handle: &Handle) -> Finding {
        if *self.fate.lock().unwrap() == Fate::IsAway {
            return fake::unanswered();
        }
        if !*self.is_known.lock().unwrap() {
            return fake::cannot_tell();
        }
        let is_late = self.clock.now_s() >= START_MS / 1000 + LIVES_S;
        match self.state(handle.text()) {
            Some(Invoice::Paid) => fake::settled(true),
            Some(Invoice::Failed) => Finding::NeverWill,
            Some(Invoice::OnItsWay) => Finding::Open,
            None if is_late => Finding::NeverWill,
            None => Finding::Open,
        }
    }

    async fn balances(&self) -> Vec<Result<Holding, RailError>> {
        self.asked_for_balance.fetch_add(1, Ordering::SeqCst);
        let balance = *self.balance.lock().unwrap();
        let holding = |amount| {
            Ok(Holding {
                network: "lightning:regtest".parse().unwrap(),
                asset: "lightning:regtest/slip44:1".parse().unwrap(),
                symbol: "sat".into(),
                decimals: 3,
                address: "02buyer".into(),
                amount: Amount::from_atomic(amount),
            })
        };
        balance.map(holding).into_iter().collect()
    }
}

/// A ledger, a node, a clock, and as many desks as there are processes.
pub(crate) struct Land {
    pub(crate) ledger: Arc<SqliteLedger>,
    pub(crate) node: Arc<Node>,
    pub(crate) clock: Arc<HandClock>,
    dir: tempfile::TempDir,
}

impl Land {
    /// With a budget for so many holds.
    pub(crate) async fn with_budget_for(payments: u128) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock::default());
        let ledger = SqliteLedger::open(&dir.path().join("buyer.db")).unwrap();
        let limits = Limits {
            total: Some(UsdMicros(HELD * payments)),
            ..Limits::default()
        };
        ledger.set_budget(None, limits).await.unwrap();
        Self {
            ledger: Arc::new(ledger),
            node: Arc::new(Node {
                clock: Arc::clone(&clock),
                fate: Mutex::new(Fate::Pays),
                invoices: Mutex::default(),
                moved: AtomicU64::new(0),
                told: AtomicU64::new(0),
                keeps_preimages: Mutex::new(true),
                is_known: Mutex::new(true),
                balance: Mutex::new(None),
                asked_for_balance: AtomicU64::new(0),
            }),
            clock,
            dir,
        }
    }

    /// The desk of another process, with connections of its own.
    pub(crate) fn desk(&self) -> Arc<Desk> {
        let ledger = SqliteLedger::open(&self.dir.path().join("buyer.db")).unwrap();
        Arc::new(Desk::new(
            Arc::new(ledger),
            vec![Arc::<Node>::clone(&self.node)],
            Arc::<HandClock>::clone(&self.clock),
            DeskOptions::new().unwrap(),
        ))
    }

    /// (spent, reserved) against the owner's total; the books add up.
    pub(crate) async fn used(&self) -> (u128, u128) {
        self.ledger.verify(true).await.unwrap();
        let lines = self.ledger.budgets(self.clock.now_ms()).await.unwrap();
        let total = lines
            .iter()
            .find(|line| line.level == Level::Total)
            .unwrap();
        (total.spent.0, total.reserved.0)
    }

    /// The only payment.
    pub(crate) async fn only(&self) -> Payment {
        let mut payments = self.ledger.list(Filter::default()).await.unwrap();
        assert_eq!(payments.len(), 1);
        payments.remove(0)
    }
}

/// A wish to pay an invoice for a call.
pub(crate) async fn wish(land: &Land, call: &str, invoice: &str) -> SpendRequest {
    let offer = fake::offer(invoice, 60);
    SpendRequest {
        call: fake::key(call),
        agent: None,
        method: "GET".into(),
        url: format!("http://127.0.0.1/{call}"),
        quote: land.node.quote(&offer).await.unwrap(),
        challenge: fake::challenge(vec![offer]),
        max_cost: None,
        wait_ms: 1_000,
        fresh: false,
    }
}

/// What came of it, in a word.
pub(crate) async fn buy(land: &Land, desk: &Desk, call: &str, invoice: &str) -> String {
    fake::name(&desk.spend(wish(land, call, invoice).await).await)
}

/// How a call stands, in a word.
pub(crate) async fn standing(desk: &Desk, call: &str) -> String {
    match desk.standing(&fake::key(call), 1_000).await {
        Ok(Standing::Nothing) => "nothing".into(),
        Ok(Standing::Busy(_)) => "busy".into(),
        Ok(Standing::RePresent(ticket)) => format!("show {}", ticket.credential.value),
        Ok(Standing::Undecided(_)) => "undecided".into(),
        Err(fault) => format!("fault {}", fault.code),
    }
}

/// What lets a call in, in a word.
pub(crate) async fn pass(desk: &Desk, call: &str, path: &str) -> String {
    let request = PassRequest {
        call: fake::key(call),
        agent: None,
        method: "GET".into(),
        url: format!("http://127.0.0.1/{path}"),
    };
    match desk.pass(&request).await {
        Ok(Passes::Nothing) => "nothing".into(),
        Ok(Passes::Busy(_)) => "busy".into(),
        Ok(Passes::Show(pass)) => format!("show {}", pass.token.credential.value),
        Err(fault) => format!("fault {}", fault.code),
    }
}
