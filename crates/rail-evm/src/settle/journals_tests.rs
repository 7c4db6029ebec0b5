//! One transaction, many journals: each gets its own answer, wherever its line stands.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use farebox_core::ledger::{Attach, LedgerError, PaymentId};
use farebox_core::payment::Effect;
use farebox_core::rail::Handle;
use farebox_ledger::SqliteLedger;
use farebox_ledger::conformance::kit::{self, Ask as _};

use super::*;

/// In a real ledger, and how it is to be written.
struct Line {
    ledger: Arc<dyn Ledger>,
    payment: PaymentId,
    has_page: bool,
    was_alone: AtomicBool,
    is_written: AtomicBool,
}

impl Line {
    fn of(ledger: &Arc<dyn Ledger>, name: &str, has_page: bool) -> Arc<Self> {
        Arc::new(Self {
            ledger: Arc::clone(ledger),
            payment: PaymentId(name.to_owned()),
            has_page,
            was_alone: AtomicBool::new(false),
            is_written: AtomicBool::new(false),
        })
    }

    fn says(&self) -> (bool, bool) {
        let says = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        (says(&self.was_alone), says(&self.is_written))
    }
}

#[async_trait]
impl Journal for Line {
    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        self.was_alone.store(true, Ordering::SeqCst);
        let event = Event::Sending {
            transaction: Some(transaction.clone()),
        };
        let attach = Attach::default();
        let applied = self
            .ledger
            .apply(&self.payment, event, attach, kit::NOON_MS);
        self.written(applied.await.map(|applied| applied.effects))
    }

    async fn handing_over(&self, _: &Handle) -> Result<(), RailError> {
        panic!("this rail settles by itself")
    }

    fn page(&self) -> Option<Page> {
        let id = self.payment.clone();
        let attach = Attach::default();
        self.has_page.then(|| Page {
            ledger: Arc::clone(&self.ledger),
            taker: Taker { id, attach },
            now_ms: kit::NOON_MS,
        })
    }

    fn written(&self, line: Result<Vec<Effect>, LedgerError>) -> Result<(), RailError> {
        let refused = |error: LedgerError| RailError {
            code: "not_recorded",
            message: error.to_string(),
        };
        assert!(line.map_err(refused)?.contains(&Effect::Send));
        self.is_written.store(true, Ordering::SeqCst);
        Ok(())
    }
}

async fn ledger(folder: &tempfile::TempDir, name: &str, payments: &[&str]) -> Arc<dyn Ledger> {
    let file = folder.path().join(name);
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(&file).unwrap());
    for name in payments {
        ledger.must_claim(kit::claim(name, 5)).await;
    }
    ledger
}

#[tokio::test]
async fn every_journal_has_its_line_or_says_why_not() {
    let folder = tempfile::TempDir::new().unwrap();
    let ours = ledger(&folder, "ours.db", &["one", "ended", "two", "by itself"]).await;
    let theirs = ledger(&folder, "theirs.db", &["elsewhere"]).await;
    let reason = kit::reason();
    ours.must_take("ended", Event::Abandoned { reason }).await;
    let lines = [
        Line::of(&ours, "one", true),
        Line::of(&ours, "ended", true),
        Line::of(&theirs, "elsewhere", true),
        Line::of(&ours, "by itself", false),
        Line::of(&ours, "two", true),
    ];
    let journals = lines.clone().map(|line| line as Arc<dyn Journal>);
    let sent = SentTransaction {
        hash: "0x01".to_owned(),
        signer: Some("0xf39f".to_owned()),
        nonce: Some(3),
    };
    let written = write_all(&journals, &sent).await;
    let is_ok: Vec<bool> = written.iter().map(Result::is_ok).collect();
    assert_eq!(is_ok, [true, false, true, true, true]);
    let says: Vec<_> = lines.iter().map(|line| line.says()).collect();
    let (together, alone) = ((false, true), (true, true));
    assert_eq!(says, [together, (false, false), alone, alone, together]);
    for line in &lines {
        let payment = line.ledger.payment(&line.payment).await.unwrap().unwrap();
        let has_line = payment.sent == [sent.clone()];
        assert_eq!(has_line, line.payment.0 != "ended", "{}", line.payment);
    }
}

#[tokio::test]
async fn without_a_word_of_the_books_nothing_is_on_record() {
    /// Has a page, and does not know what to do with the answer.
    struct Mute(Arc<dyn Ledger>);
    #[async_trait]
    impl Journal for Mute {
        async fn sending(&self, _: &SentTransaction) -> Result<(), RailError> {
            panic!("it has a page")
        }
        async fn handing_over(&self, _: &Handle) -> Result<(), RailError> {
            panic!("this rail settles by itself")
        }
        fn page(&self) -> Option<Page> {
            let id = PaymentId("one".to_owned());
            let attach = Attach::default();
            Some(Page {
                ledger: Arc::clone(&self.0),
                taker: Taker { id, attach },
                now_ms: kit::NOON_MS,
            })
        }
    }
    let folder = tempfile::TempDir::new().unwrap();
    let ledger = ledger(&folder, "ours.db", &["one"]).await;
    let journals: [Arc<dyn Journal>; 1] = [Arc::new(Mute(ledger))];
    let line = SentTransaction::by_stranger("0x01");
    let written = write_all(&journals, &line).await;
    assert!(matches!(written.as_slice(), [Err(_)]), "{written:?}");
}
