//! Reads what facilitators answer: verdicts, whatever status carries them, and nothing else.
//!
//! Called with bytes of strangers. CDP and others put a verdict into a 4xx or 5xx, so the shape
//! decides, not the status. What is no verdict is no answer, never a refusal.

use farebox_core::rail::Terms;
use farebox_wire::x402::header;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{SettleResponse, VerifyResponse};
use serde::de::DeserializeOwned;

use crate::transport::Answer;

/// Characters of a stranger's code or sentence that are kept.
const TEXT_CHARS_MAX: usize = 200;

/// Reads the answer to `/verify`.
pub(crate) fn verify(answer: &Answer, terms: &Terms) -> Result<VerifyResponse, String> {
    let verdict: VerifyResponse = shaped(answer)?;
    if verdict.is_valid && !is_payer(verdict.payer.as_deref(), terms) {
        return Err("it names another payer".to_owned());
    }
    Ok(verdict)
}

/// Reads the answer to `/settle`. A success that names another payment, or no transaction, is no
/// answer.
pub(crate) fn settle(answer: &Answer, terms: &Terms) -> Result<SettleResponse, String> {
    let verdict: SettleResponse = shaped(answer)?;
    if !verdict.success {
        return Ok(verdict);
    }
    if verdict.network != terms.network.as_str() {
        return Err("it names another network".to_owned());
    }
    if !is_payer(verdict.payer.as_deref(), terms) {
        return Err("it names another payer".to_owned());
    }
    if verdict.amount.is_some_and(|amount| amount != terms.amount) {
        return Err("it names another amount".to_owned());
    }
    if verdict.transaction.is_empty() {
        return Err("it claims success without a transaction".to_owned());
    }
    Ok(verdict)
}

/// A stranger's text as it may be shown and stored: one line, short.
pub(crate) fn plain(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(TEXT_CHARS_MAX).collect()
}

/// The code without the details that some append, as in `code: detail`.
pub(crate) fn code(reason: Option<&str>) -> String {
    let code = reason.unwrap_or_default().split(':').next();
    let code = plain(code.unwrap_or_default().trim());
    match code.is_empty() {
        true => "no reason".to_owned(),
        false => code,
    }
}

/// Whether a code says something about the credential, as opposed to the facilitator's own state.
/// Only these are believed without a chain: a payment that was refused for any other reason may be
/// made all the same, a used nonce above all.
pub(crate) fn fault_of_buyer(code: &str) -> Option<Reason> {
    use Reason::{
        AssetNotContract, Eip3009NotSupported, InsufficientBalance, InvalidSignature,
        MissingEip712Domain, NetworkMismatch, RecipientMismatch, SignatureUnreadable,
        TokenNameMismatch, TokenVersionMismatch, UndeployedSmartWallet, UnsupportedPayloadType,
        ValidAfter, ValidBefore, ValueMismatch,
    };
    Reason::from_code(code).filter(|reason| {
        is_wrong_on_solana(*reason)
            || matches!(
                reason,
                AssetNotContract
                    | Eip3009NotSupported
                    | InsufficientBalance
                    | InvalidSignature
                    | MissingEip712Domain
                    | NetworkMismatch
                    | RecipientMismatch
                    | SignatureUnreadable
                    | TokenNameMismatch
                    | TokenVersionMismatch
                    | UndeployedSmartWallet
                    | UnsupportedPayloadType
                    | ValidAfter
                    | ValidBefore
                    | ValueMismatch
            )
    })
}

/// What a transaction on Solana is refused for before anybody signs it for its fee.
const fn is_wrong_on_solana(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SvmUnsupportedScheme
            | Reason::SvmNetworkMismatch
            | Reason::SvmTransaction
            | Reason::SvmTransactionUnreadable
            | Reason::SvmInvalidSignature
            | Reason::SvmExcessiveSigners
            | Reason::SvmFeePayerMismatch
            | Reason::SvmFeePayerTransfers
            | Reason::SvmInstructionsLength
            | Reason::SvmComputeLimit
            | Reason::SvmComputeLimitTooHigh
            | Reason::SvmComputePrice
            | Reason::SvmComputePriceTooHigh
            | Reason::SvmNoTransfer
            | Reason::SvmUnknownFourth
            | Reason::SvmUnknownFifth
            | Reason::SvmUnknownSixth
            | Reason::SvmUnknownSeventh
            | Reason::SvmUnknownOptional
            | Reason::SvmMintMismatch
            | Reason::SvmRecipientMismatch
            | Reason::SvmAmountMismatch
            | Reason::SvmMemoMismatch
            | Reason::SvmMemoCount
    )
}

fn shaped<T: DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    header::from_json(&answer.body).map_err(|why| match answer.status.is_success() {
        true => plain(&format!("no verdict: {why}")),
        false => format!("HTTP status {}", answer.status.as_u16()),
    })
}

/// A payer that is named must be ours. Hex in any case is the same address; in base58 every case is
/// another one.
fn is_payer(named: Option<&str>, terms: &Terms) -> bool {
    match (named, &terms.payer) {
        (Some(named), Some(payer)) if payer.starts_with("0x") => named.eq_ignore_ascii_case(payer),
        (Some(named), Some(payer)) => named == payer,
        _ => true,
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
