//! A wallet with a Lightning rail that moves nothing, and sellers that take what it pays, in the
//! ways that sellers of L402 have.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Response;
use farebox_buyer::{Buyer, BuyerOptions, Call, FetchError, Fetched};
use farebox_core::clock::Clock;
use farebox_core::ledger::Ledger;
use farebox_core::policy::Limits;
use farebox_core::rail::{
    Authorised, Credential, Finding, Handle, Holding, NotPayable, Paid, PayRail, Quote, RailError,
    Terms,
};
use farebox_ledger::SqliteLedger;
use farebox_wallet::{Desk, DeskOptions};
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};

use crate::purse::{Customer, FakeRail, ShiftedClock};
use crate::sellers::{Seen, Seller};

/// What an invoice is over, the most that its fee may be, and what it is.
pub(crate) const PRICE: u128 = 1_000;
pub(crate) const FEE_MAX: u128 = 20;
pub(crate) const FEE: u128 = 3;
pub(crate) const HELD: u128 = PRICE + FEE_MAX;
pub(crate) const PAID: u128 = PRICE + FEE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Pays,
    Fails,
    LosesTheAnswer,
    GivesNoPreimage,
}

/// Pays invoices that are called `i` and a number, each once. The preimage is the number.
pub(crate) struct Node {
    clock: Arc<ShiftedClock>,
    fate: Mutex<Fate>,
    paid: Mutex<HashMap<String, bool>>,
    moved: AtomicU64,
}

impl Node {
    pub(crate) fn does(&self, fate: Fate) {
        *self.fate.lock().unwrap() = fate;
    }

    /// Times that money has left.
    pub(crate) fn moved(&self) -> u64 {
        self.moved.load(Ordering::SeqCst)
    }

    fn proof(&self, handle: &Handle) -> Paid {
        if *self.fate.lock().unwrap() == Fate::GivesNoPreimage {
            return Paid::Unknown {
                reason: "preimage_unavailable".into(),
            };
        }
        let (invoice, token) = handle.text().split_once(' ').unwrap();
        let (scheme, token) = token.split_once(' ').unwrap();
        Paid::Settled {
            credential: Credential {
                header: "authorization".into(),
                value: format!("{scheme} {token}:{}", preimage(invoice)),
            },
            transaction: format!("hash-of-{invoice}"),
            fee: Amount::from_atomic(FEE),
            cost: UsdMicros(PAID),
        }
    }
}

pub(crate) fn preimage(invoice: &str) -> String {
    let number: u64 = invoice.strip_prefix('i').unwrap().parse().unwrap();
    format!("{number:064x}")
}

#[async_trait]
impl PayRail for Node {
    fn rail(&self) -> &'static str {
        "lightning"
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        let refuse = |code, why: &str| NotPayable {
            code,
            why: why.to_owned(),
        };
        let Offer::L402(asked) = offer else {
            return Err(refuse("other_rail", "not paid over Lightning"));
        };
        let number = asked.invoice.strip_prefix('i');
        if number.is_none_or(|number| number.parse::<u64>().is_err()) {
            return Err(refuse("invoice_unreadable", "the invoice cannot be read"));
        }
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
            max_timeout_s: 60,
            is_mainnet: false,
        })
    }

    async fn authorise(
        &self,
        quote: &Quote,
        _challenge: &Challenge,
        valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        let Offer::L402(asked) = &quote.offer else {
            panic!("quoted what it does not pay")
        };
        let scheme = asked.scheme.as_str();
        Ok(Authorised {
            credential: None,
            identity: Identity::from_stored(&format!("l402:{}", asked.invoice)),
            handle: Handle::new(format!("{} {scheme} {}", asked.invoice, asked.token)),
            valid_before_s: self.clock.now_s() + valid_for_s,
        })
    }

    async fn pay(&self, handle: &Handle, _wait_ms: u64) -> Paid {
        let fate = *self.fate.lock().unwrap();
        let invoice = handle.text().split(' ').next().unwrap().to_owned();
        let is_paid = self.paid.lock().unwrap().get(&invoice).copied();
        if is_paid == Some(true) {
            return self.proof(handle);
        }
        if fate == Fate::Fails {
            return Paid::Failed {
                reason: "no_route".into(),
                message: "there is no route".into(),
            };
        }
        self.paid.lock().unwrap().insert(invoice, true);
        self.moved.fetch_add(1, Ordering::SeqCst);
        match fate {
            Fate::LosesTheAnswer => Paid::Unknown {
                reason: "connection_lost".into(),
            },
            _ => self.proof(handle),
        }
    }

    async fn check(&self, handle: &Handle) -> Finding {
        let invoice = handle.text().split(' ').next().unwrap();
        match self.paid.lock().unwrap().get(invoice) {
            Some(true) => Finding::Settled {
                transaction: format!("hash-of-{invoice}"),
                is_final: true,
            },
            _ => Finding::Open,
        }
    }

    async fn balances(&self) -> Vec<Result<Holding, RailError>> {
        Vec::new()
    }
}

/// A customer who has a node besides.
pub(crate) struct LnCustomer {
    pub(crate) customer: Customer,
    pub(crate) node: Arc<Node>,
}

impl LnCustomer {
    /// With a budget for so many holds.
    pub(crate) async fn with_budget_for(payments: u128) -> Self {
        let customer = Customer::with_budget_for(payments).await;
        let limits = Limits {
            total: Some(UsdMicros(HELD * payments)),
            ..Limits::default()
        };
        customer.ledger.set_budget(None, limits).await.unwrap();
        let node = Node {
            clock: Arc::clone(&customer.clock),
            fate: Mutex::new(Fate::Pays),
            paid: Mutex::default(),
            moved: AtomicU64::new(0),
        };
        Self {
            customer,
            node: Arc::new(node),
        }
    }

    /// A buyer as another process has it.
    pub(crate) fn buyer(&self) -> Buyer {
        let desk = Desk::new(
            Arc::<SqliteLedger>::clone(&self.customer.ledger),
            vec![
                Arc::<FakeRail>::clone(&self.customer.rail),
                Arc::<Node>::clone(&self.node),
            ],
            Arc::<ShiftedClock>::clone(&self.customer.clock),
            DeskOptions::new().unwrap(),
        );
        Buyer::new(Arc::new(desk), BuyerOptions::default()).unwrap()
    }

    pub(crate) async fn fetch(&self, call: Call) -> Result<Fetched, FetchError> {
        self.buyer().fetch(call).await
    }

    /// (spent, reserved); the books add up.
    pub(crate) async fn used(&self) -> (u128, u128) {
        self.customer.ledger.verify(true).await.unwrap();
        self.customer.used().await
    }
}

/// How a seller asks and refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// `LSAT` on a line before `L402`, 402 for everything.
    Aperture,
    /// `version` and `token` alone, 401 for what is not taken.
    Spec,
    /// Everything in one line, another dialect among it.
    Folded,
    /// Small letters, other parameters, no quotes.
    Odd,
    /// The old name alone.
    Lsat,
}

/// A seller whose invoices and tokens are numbered alike: `i1` pays for `t1`.
pub(crate) struct Shop {
    pub(crate) seller: Seller,
    book: Arc<Book>,
}

pub(crate) struct Book {
    manner: Manner,
    uses: u64,
    invoices: AtomicU64,
    used: Mutex<HashMap<String, u64>>,
    /// Whether one invoice is offered to everybody until somebody shows its preimage.
    is_shared: bool,
    /// Whether it takes no token at all.
    pub(crate) takes_nothing: Mutex<bool>,
}

impl Shop {
    pub(crate) async fn new(manner: Manner, uses: u64) -> Self {
        Self::of(manner, uses, false).await
    }

    /// Offers one invoice until it is paid.
    pub(crate) async fn sharing(manner: Manner) -> Self {
        Self::of(manner, 1, true).await
    }

    async fn of(manner: Manner, uses: u64, is_shared: bool) -> Self {
        let book = Arc::new(Book {
            manner,
            uses,
            invoices: AtomicU64::new(0),
            used: Mutex::default(),
            is_shared,
            takes_nothing: Mutex::new(false),
        });
        let shop = Arc::clone(&book);
        let seller = Seller::with(move |seen| {
            let response = shop.answer(&seen);
            async move { response }
        })
        .await;
        Self { seller, book }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        self.seller.url(path)
    }

    /// The values of `Authorization` that came, in order.
    pub(crate) fn shown(&self) -> Vec<String> {
        let seen = self.seller.seen().into_iter();
        seen.filter_map(|seen| seen.authorization).collect()
    }

    pub(crate) fn asked(&self) -> usize {
        self.seller.seen().len()
    }

    pub(crate) fn takes_nothing(&self, is: bool) {
        *self.book.takes_nothing.lock().unwrap() = is;
    }
}

impl Book {
    fn answer(&self, seen: &Seen) -> Response<Body> {
        let Some(shown) = &seen.authorization else {
            return self.asks(402);
        };
        let refused = match self.manner {
            Manner::Spec => 401,
            _ => 402,
        };
        if *self.takes_nothing.lock().unwrap() {
            return self.asks(refused);
        }
        let pair = shown
            .split_once(' ')
            .and_then(|(_, pair)| pair.split_once(':'));
        let Some((token, proof)) = pair else {
            return self.asks(refused);
        };
        let is_paid = token.strip_prefix('t').is_some_and(|number| {
            number.parse::<u64>().is_ok() && proof == preimage(&format!("i{number}"))
        });
        if !is_paid {
            return self.asks(refused);
        }
        let mut used = self.used.lock().unwrap();
        let count = used.entry(token.to_owned()).or_default();
        if *count >= self.uses {
            drop(used);
            return self.asks(402);
        }
        *count += 1;
        Response::new(format!("sold {}", seen.path).into())
    }

    fn asks(&self, status: u16) -> Response<Body> {
        let number = match self.is_shared {
            true => self.used.lock().unwrap().len() as u64 + 1,
            false => self.invoices.fetch_add(1, Ordering::SeqCst) + 1,
        };
        let mut response = Response::builder().status(status);
        for line in lines(self.manner, number) {
            response = response.header("www-authenticate", line);
        }
        response.body("please pay".into()).unwrap()
    }
}

fn lines(manner: Manner, n: u64) -> Vec<String> {
    match manner {
        Manner::Aperture => vec![
            format!(r#"LSAT macaroon="t{n}", invoice="i{n}""#),
            format!(r#"L402 macaroon="t{n}", invoice="i{n}""#),
        ],
        Manner::Spec => vec![format!(r#"L402 version="0", token="t{n}", invoice="i{n}""#)],
        Manner::Folded => vec![format!(
            r#"Bearer realm="x", Payment id="7", method="lightning", L402 macaroon="t{n}", invoice="i{n}", LSAT macaroon="t{n}", invoice="i{n}""#
        )],
        Manner::Odd => vec![format!(
            r"l402 address=x , invoice = i{n} ,realm=y, macaroon=t{n}"
        )],
        Manner::Lsat => vec![format!(r#"LSAT macaroon="t{n}", invoice="i{n}""#)],
    }
}
