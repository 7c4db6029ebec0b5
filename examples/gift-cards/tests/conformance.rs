//! The list that every rail keeps, over gift cards; and the shop itself.

#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::conformance::{LocalNet, SignedNet};
use farebox_core::rail::{CollectRail, PayRail};
use farebox_wire::caip::ChainId;
use farebox_wire::money::Amount;
use farebox_wire::x402::reason::Reason;
use gift_cards::book::{Away, Book, FileBook, State};
use gift_cards::collect::CardCollector;
use gift_cards::network_of;
use gift_cards::pay::CardPayer;
use gift_cards::slip::{ShopKey, Slip, new_name};
use tokio::sync::watch;

/// The book's clock, which a rule may put forward.
#[derive(Default)]
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}

/// A book on a bad line.
struct Faulty {
    book: FileBook,
    is_away: AtomicBool,
    loses_reply: AtomicBool,
    is_held: watch::Sender<bool>,
}

impl Faulty {
    fn reach(&self) -> Result<(), Away> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(Away("nobody is there".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Book for Faulty {
    async fn redeem(&self, slip: &Slip) -> Result<State, Away> {
        self.reach()?;
        let mut held = self.is_held.subscribe();
        held.wait_for(|is_held| !is_held).await.unwrap();
        let state = self.book.redeem(slip).await;
        match self.loses_reply.swap(false, Ordering::SeqCst) {
            true => Err(Away("the line broke".to_owned())),
            false => state,
        }
    }

    async fn look_up(&self, slip: &Slip) -> Result<State, Away> {
        self.reach()?;
        self.book.look_up(slip).await
    }

    async fn balance(&self, card: &str) -> Result<Amount, Away> {
        self.reach()?;
        self.book.balance(card).await
    }
}

/// A shop with its book in a folder of its own.
struct Cards {
    network: ChainId,
    book: Arc<Faulty>,
    clock: Arc<Ahead>,
    payer: CardPayer,
    pauper: CardPayer,
    collector: Arc<CardCollector>,
    _folder: tempfile::TempDir,
}

fn key() -> ShopKey {
    ShopKey::from_bytes([7; 32])
}

impl Cards {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Ahead::default());
        let network = network_of("corner-shop").unwrap();
        let book = Arc::new(Faulty {
            book: FileBook::new(&folder.path().join("book.json"), clock.clone()),
            is_away: AtomicBool::new(false),
            loses_reply: AtomicBool::new(false),
            is_held: watch::Sender::new(false),
        });
        let payer = |dollars: u128| {
            let number = new_name().unwrap();
            let has = Amount::from_atomic(dollars * 1_000_000);
            book.book.issue(&number, has).unwrap();
            let card = key().card(&number);
            CardPayer::new(network.clone(), card, book.clone(), Arc::new(SystemClock))
        };
        Self {
            payer: payer(1),
            pauper: payer(0),
            collector: Arc::new(CardCollector::new(network.clone(), key(), book.clone())),
            network,
            book,
            clock,
            _folder: folder,
        }
    }
}

impl LocalNet for Cards {
    fn revenue(&self) -> u128 {
        self.book.book.earned().unwrap().atomic()
    }

    fn expire(&self) {
        self.clock.0.fetch_add(3_600_000, Ordering::SeqCst);
    }

    fn cut_off(&self, is_cut: bool) {
        self.book.is_away.store(is_cut, Ordering::SeqCst);
    }

    fn lose_reply(&self) {
        self.book.loses_reply.store(true, Ordering::SeqCst);
    }

    fn hold(&self, is_held: bool) {
        self.book.is_held.send_replace(is_held);
    }
}

#[async_trait]
impl SignedNet for Cards {
    fn payer(&self) -> &dyn PayRail {
        &self.payer
    }

    fn pauper(&self) -> &dyn PayRail {
        &self.pauper
    }

    fn collector(&self) -> Arc<dyn CollectRail> {
        self.collector.clone()
    }

    async fn restarted(&self) -> Arc<dyn CollectRail> {
        let book = self.book.clone();
        Arc::new(CardCollector::new(self.network.clone(), key(), book))
    }

    fn unfunded_reason(&self) -> Reason {
        Reason::InsufficientBalance
    }

    fn used_reason(&self) -> Reason {
        Reason::AlreadyUsed
    }
}

farebox_core::rail_conformance!(signed, Cards::open);

#[tokio::test]
async fn a_slip_that_somebody_has_changed_is_not_the_cards() {
    let cards = Cards::open().await;
    let number = new_name().unwrap();
    let sign = || {
        let slip = key()
            .card(&number)
            .sign(&cards.network, Amount::from_atomic(1), 7);
        slip.unwrap()
    };
    assert!(key().has_signed(&sign()));
    let changes: [fn(&mut Slip); 6] = [
        |slip| slip.network = network_of("other-shop").unwrap(),
        |slip| slip.card = "00".repeat(16),
        |slip| slip.amount = Amount::from_atomic(2),
        |slip| slip.nonce = "00".repeat(16),
        |slip| slip.valid_before = 8,
        |slip| slip.mac = String::new(),
    ];
    for change in changes {
        let mut slip = sign();
        change(&mut slip);
        assert!(!key().has_signed(&slip), "{slip:?}");
    }
    assert!(!ShopKey::from_bytes([8; 32]).has_signed(&sign()));
}

#[test]
fn the_shop_sells_and_is_paid() {
    let ran = Command::new(env!("CARGO_BIN_EXE_gift-cards"))
        .output()
        .unwrap();
    let told = String::from_utf8(ran.stdout).unwrap();
    let lines = [
        "paid 1000 CARD: sunny",
        "paid 1000 CARD: sunny",
        "the shop has 2000, the card 998000",
    ];
    let why = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success() && told.lines().eq(lines),
        "{told} {why}"
    );
}
