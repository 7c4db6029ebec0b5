//! The tail begins anywhere, also in the middle of an entry.

use farebox_core::ledger::{Attach, Claimed};
use tempfile::TempDir;

use super::*;
use crate::books::Books;
use crate::conformance::kit::{NOON_MS, claim, settled};
use crate::{apply, schema, seller};

#[test]
fn a_tail_may_begin_in_the_middle_of_an_entry() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("ledger.db");
    let mut books = Books::new(schema::open_writer(&path).expect("a ledger"));
    books.begin().expect("a transaction");
    for name in ["one", "two", "three"] {
        let new = claim(name, 5);
        let id = new.id.clone();
        let claimed = seller::claim(&mut books, new);
        assert!(matches!(claimed, Ok(Claimed::First(_))));
        let applied = apply::apply(&mut books, &id, &[settled()], Attach::default(), NOON_MS);
        assert!(applied.is_ok());
    }
    books.commit().expect("an end");
    let ledger = books.file();
    let last: i64 = query(ledger, "SELECT max(id) FROM postings").expect("postings");
    // A claim has two postings, a settlement of a seller four.
    assert_eq!(last, 18);
    for start in 0..=last {
        let mut walk = Walk::after(ledger, start);
        walk.follow().expect("a tail that adds up");
        walk.compare_balances().expect("balances that agree");
    }
    full(ledger).expect("books that add up");
}
