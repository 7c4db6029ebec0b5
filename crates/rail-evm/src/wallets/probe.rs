//! Tries a wallet's payment by one `eth_call` without `to` (`contracts/src/Probe.sol`).
//!
//! Every stranger's call in it has its own gas limit, and no answer is longer than what the probe
//! writes, so that a wallet can cost the node a bounded time and us a bounded answer.

use farebox_core::rail::Refusal;
use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::x402::reason::Reason;
use serde_json::json;

use super::wrapper::Deployment;
use super::{FACTORY_GAS_MAX, TRANSFER_GAS_MAX};
use crate::abi::{self, Arg, address_word, number_word};
use crate::contracts;
use crate::digest::transfer_digest;
use crate::examine::refusal;
use crate::handle::EvmHandle;
use crate::rpc::{Call, Data, Rpc, RpcError};
use crate::settle::refusal::{error_string, reason_of};

/// Gas with which a wallet may check a signature. The token's call holds the same check.
const SIGNATURE_GAS_MAX: u64 = 400_000;
/// Gas of the probe itself: its own bytes, the arguments and what stays behind at every call.
const PROBE_GAS_MAX: u64 = 2_000_000;
/// Characters of the token's own words that are repeated; honest ones have some fifty.
const WORDS_CHARS_MAX: usize = 200;
/// Words of the answer before the token's reason.
const WORDS: usize = 4;

/// What is tried.
pub(super) struct Question<'a> {
    pub(super) handle: &'a EvmHandle,
    pub(super) domain: &'a Word,
    /// As the wallet itself knows it.
    pub(super) signature: &'a [u8],
    /// The token's call.
    pub(super) transfer: &'a [u8],
    pub(super) deployment: Option<Deployment<'a>>,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    has_code: bool,
    accepts: bool,
    transfers: bool,
    /// The token's own bytes, where it refused.
    refusal: Vec<u8>,
}

/// Tries it at the newest block.
pub(super) async fn ask(rpc: &Rpc, question: &Question<'_>) -> Result<Answer, RpcError> {
    let data = alloy_primitives::hex::encode_prefixed(creation(question));
    let gas = PROBE_GAS_MAX
        .saturating_add(FACTORY_GAS_MAX)
        .saturating_add(SIGNATURE_GAS_MAX)
        .saturating_add(TRANSFER_GAS_MAX);
    let call = json!([{"data": data, "gas": format!("{gas:#x}")}, "latest"]);
    let Data(answer) = rpc.one(Call::new("eth_call", call)).await?;
    read(&answer).ok_or_else(|| RpcError::garbage("the probe's answer is cut off"))
}

/// The probe's creation code with its arguments behind it.
fn creation(question: &Question<'_>) -> Vec<u8> {
    let transfer = &question.handle.transfer;
    let digest = transfer_digest(question.domain, transfer);
    let check = abi::is_valid_signature(digest, question.signature);
    let (factory, data) = question
        .deployment
        .map_or((EvmAddress::ZERO, &[][..]), |d| (d.factory, d.data));
    let part = |who: EvmAddress, gas: u64, data: &[u8]| {
        let fields = [
            Arg::Word(address_word(who)),
            Arg::Word(number_word(u128::from(gas))),
            Arg::Dynamic(abi::bytes(data)),
        ];
        Arg::Dynamic(abi::encode(&fields))
    };
    let arguments = abi::encode(&[
        part(transfer.from, SIGNATURE_GAS_MAX, &check),
        part(factory, FACTORY_GAS_MAX, data),
        part(question.handle.token, TRANSFER_GAS_MAX, question.transfer),
    ]);
    [contracts::probe_code(), &arguments].concat()
}

/// Reads what the probe has written.
pub(crate) fn read(answer: &[u8]) -> Option<Answer> {
    let (words, refusal) = answer.split_at_checked(WORDS.checked_mul(32)?)?;
    let mut numbers = words.chunks(32).map(abi::word_number);
    let mut is_set = || numbers.next().flatten().map(|number| number != 0);
    let _before = is_set()?;
    Some(Answer {
        has_code: is_set()?,
        accepts: is_set()?,
        transfers: is_set()?,
        refusal: refusal.to_vec(),
    })
}

impl Answer {
    /// The token's own words, where it refused: one short line, whatever a node makes of it.
    pub(crate) fn words(&self) -> Option<String> {
        let words = error_string(&self.refusal)?;
        let shown = words.chars().filter(|c| !c.is_control());
        Some(shown.take(WORDS_CHARS_MAX).collect())
    }

    /// What the answer means for the payment.
    pub(super) fn judge(&self, handle: &EvmHandle, is_deployed: bool) -> Result<(), Refusal> {
        let payer = handle.transfer.from;
        if !self.has_code && is_deployed {
            return Err(refusal(
                Reason::DeploymentFailed,
                format!("the factory does not deploy a wallet at {payer}; deploy it first"),
            ));
        }
        if !self.accepts {
            return Err(refusal(
                Reason::InvalidSignature,
                format!(
                    "the wallet at {payer} does not accept the signature within {SIGNATURE_GAS_MAX} gas"
                ),
            ));
        }
        if !self.transfers {
            let words = self.words().unwrap_or_else(|| "no reason".to_owned());
            return Err(refusal(
                reason_of(&words),
                format!("the token refuses the transfer: {words}"),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
