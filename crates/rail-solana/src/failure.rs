//! What the chain says of a transaction that does nothing, sorted by what follows from it.
//!
//! Read from simulations and from statuses: a node's `TransactionError` as JSON, the text of a
//! stranger.

use farebox_core::rail::Refusal;
use farebox_wire::x402::reason::Reason;
use serde_json::Value;

use crate::rules::refusal;

/// Why a transaction does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Its message has run.
    AlreadyProcessed,
    /// The block that it names is too old, or not known to the node.
    BlockhashNotFound,
    /// The fee payer cannot pay its fee.
    FeePayer,
    /// The payer has too little.
    Funds,
    /// Something else, in the node's words.
    Other(String),
}

/// Characters of a node's words that are passed on.
const WORDS_CHARS_MAX: usize = 160;
/// The transfer, among the instructions.
const TRANSFER: u64 = 2;
/// `TokenError::InsufficientFunds`.
const INSUFFICIENT_FUNDS: u64 = 1;
/// `TokenError::AccountFrozen`.
const ACCOUNT_FROZEN: u64 = 17;

impl Failure {
    /// Sorts a node's words.
    pub(crate) fn of(error: &Value) -> Self {
        match error.as_str() {
            Some("AlreadyProcessed") => return Self::AlreadyProcessed,
            Some("BlockhashNotFound") => return Self::BlockhashNotFound,
            Some("InsufficientFundsForFee" | "AccountNotFound" | "InvalidAccountForFee") => {
                return Self::FeePayer;
            }
            _ => {}
        }
        // The fee payer is the first account, and the only one whose lamports change.
        if error.get("InsufficientFundsForRent").is_some() {
            return Self::FeePayer;
        }
        match token_error(error) {
            Some(INSUFFICIENT_FUNDS) => Self::Funds,
            Some(ACCOUNT_FROZEN) => {
                Self::Other("the token account of the payer or of the payee is frozen".to_owned())
            }
            _ => Self::Other(error.to_string().chars().take(WORDS_CHARS_MAX).collect()),
        }
    }

    /// What is said to the buyer where a transaction would fail.
    pub(crate) fn foreseen(&self) -> Refusal {
        self.refusal(Reason::SvmSimulationFailed)
    }

    /// What is said to the buyer where a transaction has failed, its fee paid.
    pub(crate) fn happened(&self) -> Refusal {
        self.refusal(Reason::SvmTransactionFailed)
    }

    fn refusal(&self, otherwise: Reason) -> Refusal {
        match self {
            Self::AlreadyProcessed => refusal(
                Reason::NonceAlreadyUsed,
                "the chain has carried out this transaction already",
            ),
            Self::BlockhashNotFound => refusal(
                otherwise,
                "the block that the transaction names is too old, or not known yet; sign it anew",
            ),
            Self::FeePayer => Refusal {
                reason: Reason::SvmInvalidFeePayer,
                message: "the fee payer cannot pay the fee; send it some SOL".to_owned(),
                is_ours: true,
            },
            Self::Funds => refusal(
                Reason::InsufficientBalance,
                "the payer's token account has too little",
            ),
            Self::Other(words) => refusal(otherwise, format!("the chain says no: {words}")),
        }
    }
}

/// The token program's own code, where its transfer failed.
fn token_error(error: &Value) -> Option<u64> {
    let [at, why] = error.get("InstructionError")?.as_array()?.as_slice() else {
        return None;
    };
    (at.as_u64()? == TRANSFER).then(|| why.get("Custom")?.as_u64())?
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
