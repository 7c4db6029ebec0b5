//! Writes down for all payments of a transaction that it is about to leave (law 2), in one go where
//! their lines stand in the same books. Called before each version of a transaction is sent; what
//! has no line must not be in it.

use std::ptr;
use std::sync::Arc;

use farebox_core::ledger::{Ledger, Taker};
use farebox_core::payment::Event;
use farebox_core::rail::{Journal, Page, RailError, SentTransaction};
use futures_util::future::join_all;

use super::payment::Payment;

/// One answer for each payment, in their order: whether its line is on disk.
pub(super) async fn write_down(
    payments: &[Payment],
    line: &SentTransaction,
) -> Vec<Result<(), RailError>> {
    let journals: Vec<_> = payments.iter().map(|p| Arc::clone(&p.journal)).collect();
    write_all(&journals, line).await
}

async fn write_all(
    journals: &[Arc<dyn Journal>],
    line: &SentTransaction,
) -> Vec<Result<(), RailError>> {
    let (book, others) = Book::gather(journals);
    let others = others.into_iter().map(|(place, journal)| async move {
        let written = journal.sending(line).await;
        (place, written)
    });
    let (on_page, others) = tokio::join!(write_page(book, line), join_all(others));
    // Whoever is not answered has no line.
    let mut answers = vec![Err(unanswered()); journals.len()];
    for (place, written) in on_page.into_iter().chain(others) {
        if let Some(answer) = answers.get_mut(place) {
            *answer = written;
        }
    }
    answers
}

/// A journal and its place in the transaction.
type Placed<'a> = (usize, &'a dyn Journal);

/// Those who write to the same ledger.
#[derive(Default)]
struct Book<'a> {
    ledger: Option<Arc<dyn Ledger>>,
    now_ms: u64,
    takers: Vec<Taker>,
    journals: Vec<Placed<'a>>,
}

impl<'a> Book<'a> {
    /// The book of the first who has one, and whoever does not write there.
    fn gather(journals: &'a [Arc<dyn Journal>]) -> (Self, Vec<Placed<'a>>) {
        let (mut book, mut others) = (Self::default(), Vec::new());
        for (place, journal) in journals.iter().enumerate() {
            let placed = (place, journal.as_ref());
            match journal.page() {
                Some(page) if book.is_of(&page) => book.add(page, placed),
                _ => others.push(placed),
            }
        }
        (book, others)
    }

    fn is_of(&self, page: &Page) -> bool {
        let of = |ledger: &Arc<dyn Ledger>| Arc::as_ptr(ledger).cast::<()>();
        let ledger = self.ledger.as_ref();
        ledger.is_none_or(|ledger| ptr::eq(of(ledger), of(&page.ledger)))
    }

    fn add(&mut self, page: Page, journal: Placed<'a>) {
        self.now_ms = page.now_ms;
        self.takers.push(page.taker);
        self.journals.push(journal);
        self.ledger.get_or_insert(page.ledger);
    }
}

async fn write_page(book: Book<'_>, line: &SentTransaction) -> Vec<(usize, Result<(), RailError>)> {
    let Some(ledger) = book.ledger else {
        return Vec::new();
    };
    let event = Event::Sending {
        transaction: Some(line.clone()),
    };
    let written = ledger.apply_to_each(book.takers, event, book.now_ms).await;
    let journals = book.journals.into_iter().zip(written);
    journals
        .map(|((place, journal), line)| (place, journal.written(line)))
        .collect()
}

fn unanswered() -> RailError {
    RailError {
        code: "not_recorded",
        message: "the books did not say whether the payment is on record".to_owned(),
    }
}

#[cfg(test)]
#[path = "journals_tests.rs"]
mod tests;
