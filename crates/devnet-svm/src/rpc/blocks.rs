//! Methods about slots, blockhashes, fees and time.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use solana_hash::Hash;
use solana_message::VersionedMessage;

use super::params::Params;
use super::{Answer, Rpc, RpcError, context};
use crate::world::Commitment;

/// Slots of one epoch, as on every Solana network.
const SLOTS_PER_EPOCH: u64 = 432_000;
/// Slots whose prioritization fees are told.
const FEE_SLOTS: u64 = 150;
/// The largest account that there can be.
const MAX_ACCOUNT_BYTES: usize = 10 * 1024 * 1024;

impl Rpc {
    pub(crate) fn get_slot(&self, params: &Params) -> Answer {
        let block = self.bank(&params.config(0)?)?.1;
        Ok(json!(block.slot))
    }

    pub(crate) fn get_block_height(&self, params: &Params) -> Answer {
        let block = self.bank(&params.config(0)?)?.1;
        Ok(json!(block.height))
    }

    pub(crate) fn get_block_time(&self, params: &Params) -> Answer {
        let slot = params.required(0)?;
        let block = self.chain.world().block_at(slot);
        block
            .map(|block| json!(block.time_s))
            .ok_or_else(|| RpcError::block_not_available(slot))
    }

    pub(crate) fn get_epoch_info(&self, params: &Params) -> Answer {
        let (world, block) = self.bank(&params.config(0)?)?;
        Ok(json!({
            "absoluteSlot": block.slot,
            "blockHeight": block.height,
            "epoch": block.slot / SLOTS_PER_EPOCH,
            "slotIndex": block.slot % SLOTS_PER_EPOCH,
            "slotsInEpoch": SLOTS_PER_EPOCH,
            "transactionCount": world.landed_count(),
        }))
    }

    pub(crate) fn get_latest_blockhash(&self, params: &Params) -> Answer {
        let block = self.bank(&params.config(0)?)?.1;
        let value = json!({
            "blockhash": block.hash.to_string(),
            "lastValidBlockHeight": block.last_valid_height(),
        });
        Ok(context(block, value))
    }

    pub(crate) fn is_blockhash_valid(&self, params: &Params) -> Answer {
        let text: String = params.required(0)?;
        // The one method that does not say "Invalid param" before what is wrong.
        let hash: Hash = text
            .parse()
            .map_err(|error| RpcError::params(format!("{error:?}")))?;
        let config = params.config(1)?;
        let (world, block) = self.bank(&config)?;
        let is_valid = world.takes(&hash, config.commitment());
        Ok(context(block, json!(is_valid)))
    }

    pub(crate) fn get_fee_for_message(&self, params: &Params) -> Answer {
        let text: String = params.required(0)?;
        let invalid = |why: String| RpcError::params(format!("invalid transaction message: {why}"));
        let bytes = BASE64_STANDARD
            .decode(text)
            .map_err(|error| invalid(error.to_string()))?;
        let message: VersionedMessage =
            bincode::deserialize(&bytes).map_err(|error| invalid(error.to_string()))?;
        message
            .sanitize()
            .map_err(|error| invalid(error.to_string()))?;
        let config = params.config(1)?;
        let (world, block) = self.bank(&config)?;
        let is_known = world.takes(message.recent_blockhash(), config.commitment());
        let fee = is_known.then(|| world.fee(message));
        Ok(context(block, json!(fee)))
    }

    /// Blocks here are never full: the least fee that gets in is none.
    pub(crate) fn recent_prioritization_fees(&self) -> Value {
        let newest = self.chain.world().block(Commitment::Processed).slot;
        let slots = newest.saturating_sub(FEE_SLOTS).saturating_add(1)..=newest;
        slots
            .map(|slot| json!({"slot": slot, "prioritizationFee": 0}))
            .collect()
    }

    pub(crate) fn minimum_balance(&self, params: &Params) -> Answer {
        let data_len: usize = params.required(0)?;
        let data_len = data_len.min(MAX_ACCOUNT_BYTES);
        Ok(json!(self.chain.world().rent_exempt(data_len)))
    }
}
