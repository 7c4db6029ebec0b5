//! How a command ends when it does not end well: one exit code, one sentence.
//!
//! Made by every command, shown once by `main`. It never carries a secret, and never text of a
//! stranger that could pass for an instruction.

use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::ledger::LedgerError;

/// Failed before any payment: network, TLS, disk, internal.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Usage or configuration.
pub(crate) const EXIT_USAGE: u8 = 2;

/// The end of a command.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the process exits with (docs/command-line.md).
    pub(crate) exit: u8,
    /// What is said about it; `None` where nothing is to be said.
    pub(crate) fault: Option<Fault>,
}

impl Failure {
    /// Something in flags, environment or file: exit 2.
    pub(crate) fn config(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(
            EXIT_USAGE,
            Fault::harmless(code, Kind::Config, Blame::User, message),
        )
    }

    /// A defect, a disk, a socket of ours: exit 1.
    pub(crate) fn internal(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(
            EXIT_FAILED,
            Fault::harmless(code, Kind::Internal, Blame::Us, message),
        )
    }

    /// Any fault with any exit.
    pub(crate) fn new(exit: u8, fault: Fault) -> Self {
        Self {
            exit,
            fault: Some(fault),
        }
    }

    /// The machine code, where something is said.
    pub(crate) fn code(&self) -> Option<&'static str> {
        self.fault.as_ref().map(|fault| fault.code)
    }

    /// The same at the start of a gate, which exits 2 whatever the reason (docs/command-line.md).
    pub(crate) fn at_start(self) -> Self {
        Self {
            exit: EXIT_USAGE,
            ..self
        }
    }

    /// The one who reads our output has gone, as in `farebox payments list | head -1`: that is
    /// success, and nothing is said.
    pub(crate) const fn reader_gone() -> Self {
        Self {
            exit: 0,
            fault: None,
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let (exit, code) = match &error {
            LedgerError::NotFound(_) => (EXIT_USAGE, "payment_not_found"),
            LedgerError::Illegal(_) => (EXIT_FAILED, "payment_state"),
            LedgerError::Taken(_) => (EXIT_FAILED, "payment_taken"),
            LedgerError::Overflow => (EXIT_FAILED, "amount_overflow"),
            LedgerError::Damaged(_) => (EXIT_FAILED, "ledger_damaged"),
            LedgerError::Busy(_) => (EXIT_FAILED, "ledger_busy"),
            LedgerError::Store(_) => (EXIT_FAILED, "ledger_failed"),
        };
        Self::new(
            exit,
            Fault::harmless(code, Kind::Store, Blame::Us, error.to_string()),
        )
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let exit = if fault.kind == Kind::Config {
            EXIT_USAGE
        } else {
            EXIT_FAILED
        };
        Self::new(exit, fault)
    }
}
