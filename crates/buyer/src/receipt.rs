//! What the answer to a credential proves about the money.
//!
//! A receipt is the seller's word: good enough to count the amount as spent, never to release it
//! (ARCHITECTURE law 3). What cannot be read is no receipt.

use farebox_core::payment::Event;
use farebox_core::rail::Terms;
use farebox_wire::challenge;
use farebox_wire::x402::header::{self, HeaderError};
use farebox_wire::x402::types::SettleResponse;
use farebox_wire::x402::verdict::Verdict;
use farebox_wire::x402::{Version, reason::Reason, v1};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::asked::all_of;
use crate::options::{REASON_CHARS_MAX, TRANSACTION_BYTES_MAX};

/// What an answer says about the payment for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A receipt for this very payment, with a transaction.
    Settled {
        /// Its hash.
        transaction: String,
    },
    /// Sent and not decided.
    Pending,
    /// The seller says no.
    Refused {
        /// A stranger's code, cut and cleaned.
        reason: String,
    },
    /// Nothing that can be read.
    Nothing {
        /// Why nothing.
        reason: &'static str,
    },
}

/// What an answer says, and the receipt as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) word: Word,
    /// JSON text.
    pub(crate) receipt: Option<String>,
}

impl Said {
    /// What the wallet is told.
    pub(crate) fn event(&self) -> Event {
        match &self.word {
            Word::Settled { transaction } => Event::Settled {
                transaction: transaction.clone(),
                is_final: false,
            },
            Word::Pending => Event::NoReply {
                reason: Reason::SettlementPending.code().to_owned(),
            },
            Word::Refused { reason } => Event::Refused {
                reason: reason.clone(),
            },
            Word::Nothing { reason } => Event::NoReply {
                reason: (*reason).to_owned(),
            },
        }
    }
}

/// Reads the head of an answer to a credential.
pub(crate) fn read(status: StatusCode, headers: &HeaderMap, terms: &Terms) -> Said {
    let (word, receipt) = match receipt_of(headers) {
        Some((receipt, json)) => (judge(&receipt, terms), Some(json.to_string())),
        None => (
            Word::Nothing {
                reason: "no_receipt",
            },
            None,
        ),
    };
    let word = match word {
        // A refusal without a word of its own.
        Word::Nothing { .. } if status.as_u16() >= 400 => Word::Refused {
            reason: challenge_error(headers).unwrap_or_else(|| format!("http_{}", status.as_u16())),
        },
        other => other,
    };
    Said { word, receipt }
}

/// The one receipt; two are as good as none. Version 2 is looked for first, as the SDKs do.
fn receipt_of(headers: &HeaderMap) -> Option<(SettleResponse, Value)> {
    let versions = [Version::V2, Version::V1];
    let version = versions
        .into_iter()
        .find(|version| headers.contains_key(version.receipt_header()))?;
    let mut all = headers.get_all(version.receipt_header()).iter();
    let (Some(text), None) = (all.next(), all.next()) else {
        return None;
    };
    let receipt = receipt_in(version, text.as_bytes()).ok()?;
    let json = header::decode(text.as_bytes()).ok()?;
    Some((receipt, json))
}

fn receipt_in(version: Version, text: &[u8]) -> Result<SettleResponse, HeaderError> {
    match version {
        Version::V1 => v1::decode_receipt(text),
        Version::V2 => header::decode(text),
    }
}

fn judge(receipt: &SettleResponse, terms: &Terms) -> Word {
    match receipt.verdict() {
        Verdict::Settled {
            transaction: Some(transaction),
        } if is_ours(receipt, terms) && is_hash(transaction) => Word::Settled {
            transaction: transaction.to_owned(),
        },
        Verdict::Settled { .. } => Word::Nothing {
            reason: "receipt_mismatch",
        },
        Verdict::Pending { .. } => Word::Pending,
        Verdict::Refused { reason, .. } => Word::Refused {
            reason: reason
                .and_then(cleaned)
                .unwrap_or_else(|| "refused".to_owned()),
        },
    }
}

/// Whether a stranger's name of a transaction could be one: people will read it in a terminal.
fn is_hash(transaction: &str) -> bool {
    transaction.len() <= TRANSACTION_BYTES_MAX
        && transaction.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a receipt speaks of our network and our payer.
fn is_ours(receipt: &SettleResponse, terms: &Terms) -> bool {
    let payer_fits = match (&receipt.payer, &terms.payer) {
        // Hex addresses come in two spellings, others in one.
        (Some(theirs), Some(ours)) if terms.network.namespace() == "eip155" => {
            theirs.eq_ignore_ascii_case(ours)
        }
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => true,
    };
    receipt.network == terms.network.as_str() && payer_fits
}

/// The seller's reason in a new challenge.
fn challenge_error(headers: &HeaderMap) -> Option<String> {
    let error = challenge::read(all_of(headers), b"").ok()?.error?;
    cleaned(&error)
}

/// A stranger's text, short and printable; `None` where nothing is left of it.
fn cleaned(text: &str) -> Option<String> {
    let text: String = text
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(REASON_CHARS_MAX)
        .collect();
    Some(text.trim().to_owned()).filter(|t| !t.is_empty())
}

#[cfg(test)]
#[path = "receipt_tests.rs"]
mod tests;
