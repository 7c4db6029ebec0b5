//! What a store refuses, in words.

use farebox_core::ledger::LedgerError;

use super::super::Severity;
use super::broken;

#[test]
fn a_ledger_that_is_busy_is_no_damage() {
    let of = |why| {
        let finding = broken("a.db".to_owned(), &why);
        (finding.id, finding.severity)
    };
    let text = String::new;
    assert_eq!(
        of(LedgerError::Busy(text())),
        ("ledger_busy", Severity::Warning)
    );
    assert_eq!(
        of(LedgerError::Damaged(text())),
        ("ledger_damaged", Severity::Error)
    );
    assert_eq!(
        of(LedgerError::Store(text())),
        ("ledger_unusable", Severity::Error)
    );
}
