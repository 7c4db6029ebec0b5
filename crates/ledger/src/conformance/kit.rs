//! What the rules of the suite are written with: payments, claims, and readings of the books.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::ledger::{
    Applied, Attach, CallKey, Claimed, Cover, Lease, Ledger, LedgerError, NewClaim, NewSpend,
    PayerMark, Payment, PaymentId, Reserved, SellerSide,
};
use farebox_core::payment::{Event, Role};
use farebox_core::policy::{Denial, Limits};
use farebox_core::rail::{Handle, Terms};
use farebox_core::uses::NewPaid;
use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};

/// One store, empty at first, that can be opened many times at once: as by several processes.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens it (again).
    async fn open(&self) -> Arc<dyn Ledger>;
}

/// Noon of a day, in Unix milliseconds.
pub const NOON_MS: u64 = 20_000 * DAY_MS + DAY_MS / 2;
/// A day.
pub const DAY_MS: u64 = 86_400_000;
/// The payer of every claim, unless a rule says otherwise.
pub const PAYER: &str = "0x00000000000000000000000000000000000000aa";
/// Who is paid.
pub const PAYEE: &str = "0x00000000000000000000000000000000000000bb";

/// A dollar stablecoin on a test chain.
#[must_use]
pub fn asset() -> AssetId {
    "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e"
        .parse()
        .expect("a well-formed asset")
}

/// Terms that cost `amount` millionths of a dollar, in as many atomic units.
#[must_use]
pub fn terms(amount: u128) -> Terms {
    Terms {
        protocol: "x402".to_owned(),
        rail: "evm".to_owned(),
        network: ChainId::eip155(84532),
        scheme: "exact".to_owned(),
        asset: asset(),
        symbol: "USDC".to_owned(),
        decimals: 6,
        amount: Amount::from_atomic(amount),
        fee_max: Amount::ZERO,
        cost: UsdMicros(amount),
        payee: PAYEE.to_owned(),
        payer: Some(PAYER.to_owned()),
    }
}

/// A lease of `owner` for six seconds from noon.
#[must_use]
pub fn lease(owner: &str) -> Lease {
    Lease {
        owner: owner.to_owned(),
        until_ms: NOON_MS + 6_000,
    }
}

/// A wish of the owner to spend, for a call of its own.
#[must_use]
pub fn spend(name: &str, amount: u128) -> NewSpend {
    NewSpend {
        id: PaymentId(name.to_owned()),
        call: CallKey(format!("call of {name}")),
        agent: None,
        method: Some("GET".to_owned()),
        url: "http://127.0.0.1/weather".to_owned(),
        terms: terms(amount),
        lease: lease("one"),
        fresh: false,
        now_ms: NOON_MS,
    }
}

/// A seller's claim of an identity of the same name, without a look at the payer's balance.
#[must_use]
pub fn claim(name: &str, amount: u128) -> NewClaim {
    NewClaim {
        id: PaymentId(name.to_owned()),
        role: Role::Seller,
        identity: Identity::from_stored(&format!("eip3009:{name}")),
        side: SellerSide {
            route: "weather".to_owned(),
            payload_digest: [1; 32],
            request_digest: [2; 32],
            body_digest: None,
        },
        terms: terms(amount),
        valid_before_s: NOON_MS / 1000 + 60,
        handle: Handle::new(format!("handle of {name}")),
        cover: Cover::NotNeeded,
        now_ms: NOON_MS,
    }
}

/// Five millionths of a dollar that have come in for `l402:<name>`; each attempt to book them has a
/// name of its own.
#[must_use]
pub fn paid(name: &str, attempt: usize) -> NewPaid {
    NewPaid {
        id: PaymentId(format!("{name}-{attempt}")),
        identity: Identity::from_stored(&format!("l402:{name}")),
        side: claim(name, 5).side,
        terms: Terms {
            protocol: "l402".to_owned(),
            payer: None,
            ..terms(5)
        },
        transaction: name.to_owned(),
        now_ms: NOON_MS,
    }
}

/// The same claim under another payment's name, with a balance that the chain has told.
#[must_use]
pub fn funded(name: &str, amount: u128, balance: u128, mark: PayerMark) -> NewClaim {
    NewClaim {
        cover: Cover::Balance(Amount::from_atomic(balance), mark),
        ..claim(name, amount)
    }
}

/// Limits in millionths of a dollar.
#[must_use]
pub fn limits(per_payment: Option<u128>, per_day: Option<u128>, total: Option<u128>) -> Limits {
    Limits {
        per_payment: per_payment.map(UsdMicros),
        per_day: per_day.map(UsdMicros),
        total: total.map(UsdMicros),
    }
}

/// Proof of settlement that can still be undone.
#[must_use]
pub fn settled() -> Event {
    Event::Settled {
        transaction: "0x01".to_owned(),
        is_final: false,
    }
}

/// A sending.
#[must_use]
pub fn sending() -> Event {
    Event::Sending { transaction: None }
}

/// Something went wrong.
#[must_use]
pub fn reason() -> String {
    "test".to_owned()
}

/// What these rules say to a ledger, with answers that panic where a rule is not about them.
#[async_trait]
pub trait Ask {
    /// Reserves, and must be first.
    async fn must_reserve(&self, new: NewSpend) -> Payment;
    /// Reserves, and must be denied.
    async fn must_deny(&self, new: NewSpend) -> Denial;
    /// Claims, and must be first.
    async fn must_claim(&self, new: NewClaim) -> Payment;
    /// Applies without anything attached, at noon.
    async fn take(&self, name: &str, event: Event) -> Result<Applied, LedgerError>;
    /// The same, for the answer alone.
    async fn must_take(&self, name: &str, event: Event) -> Payment;
    /// The balance of an account of the test asset, or of the dollars of budgets.
    async fn balance(&self, account: &str) -> i128;
    /// The full check.
    async fn must_add_up(&self);
}

#[async_trait]
impl Ask for Arc<dyn Ledger> {
    async fn must_reserve(&self, new: NewSpend) -> Payment {
        match self.reserve(new).await.expect("a working store") {
            Reserved::First(payment) => *payment,
            Reserved::Twin(payment) => panic!("a twin of {}", payment.id),
            Reserved::Denied(denial) => panic!("{denial}"),
        }
    }

    async fn must_deny(&self, new: NewSpend) -> Denial {
        match self.reserve(new).await.expect("a working store") {
            Reserved::First(payment) => panic!("{} was allowed", payment.id),
            Reserved::Twin(payment) => panic!("a twin of {}", payment.id),
            Reserved::Denied(denial) => denial,
        }
    }

    async fn must_claim(&self, new: NewClaim) -> Payment {
        match self.claim(new).await.expect("a working store") {
            Claimed::First(payment) => *payment,
            Claimed::Repeat(payment) => panic!("{} was first", payment.id),
            Claimed::Insufficient { left } => panic!("only {left} is left"),
            Claimed::OneAtATime => panic!("another claim of this payer is open"),
        }
    }

    async fn take(&self, name: &str, event: Event) -> Result<Applied, LedgerError> {
        let id = PaymentId(name.to_owned());
        self.apply(&id, event, Attach::default(), NOON_MS).await
    }

    async fn must_take(&self, name: &str, event: Event) -> Payment {
        match self.take(name, event).await {
            Ok(applied) => applied.payment,
            Err(error) => panic!("{error}"),
        }
    }

    async fn balance(&self, account: &str) -> i128 {
        let books = self.books().await.expect("a working store");
        let found = books.iter().find(|line| line.account == account);
        found.map_or(0, |line| line.balance)
    }

    async fn must_add_up(&self) {
        self.verify(true).await.expect("books that add up");
    }
}
