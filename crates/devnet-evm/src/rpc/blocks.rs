//! Methods that read blocks, transactions and receipts, and the fees that they suggest.

use alloy_primitives::B256;
use serde_json::{Value, json};

use super::params::{BlockId, Params};
use super::{Answer, Rpc, RpcError, Said, render};

/// What `eth_maxPriorityFeePerGas` suggests: a tip as small as Base's.
pub(crate) const SUGGESTED_TIP_WEI: u64 = 1_000_000;
/// geth answers at most so many blocks of fee history.
const MAX_FEE_HISTORY_BLOCKS: u64 = 1024;

impl Rpc {
    pub(crate) fn gas_price(&self) -> Value {
        render::quantity(
            self.chain
                .world()
                .base_fee
                .saturating_add(SUGGESTED_TIP_WEI),
        )
    }

    pub(crate) fn fee_history(&self, params: &Params) -> Answer {
        let world = self.chain.world();
        let newest = self
            .find(&world, params.block(1, BlockId::Latest)?)
            .map_or(0, |block| block.number());
        let count = params
            .number(0)?
            .unwrap_or(1)
            .clamp(1, MAX_FEE_HISTORY_BLOCKS)
            .min(newest.saturating_add(1));
        let oldest = newest.saturating_add(1).saturating_sub(count);
        let blocks: Vec<_> = (oldest..=newest)
            .filter_map(|number| world.block(number))
            .collect();
        let mut base_fees: Vec<_> = blocks
            .iter()
            .map(|block| render::quantity(block.base_fee()))
            .collect();
        base_fees.push(render::quantity(world.base_fee));
        let ratios: Vec<_> = blocks
            .iter()
            .map(|block| ratio(block.header.gas_used, block.header.gas_limit))
            .collect();
        let mut history = json!({
            "oldestBlock": render::quantity(oldest),
            "baseFeePerGas": base_fees,
            "gasUsedRatio": ratios,
            "baseFeePerBlobGas": vec!["0x1"; blocks.len().saturating_add(1)],
            "blobGasUsedRatio": vec![0; blocks.len()],
        });
        if let Some(percentiles) = params.value(2).and_then(Value::as_array) {
            let reward = vec![render::quantity(SUGGESTED_TIP_WEI); percentiles.len()];
            history["reward"] = json!(vec![reward; blocks.len()]);
        }
        Ok(history)
    }

    pub(crate) fn get_receipt(&self, params: &Params) -> Result<Said, RpcError> {
        let hash: B256 = params.required(0)?;
        let world = self.chain.world();
        let receipt = world
            .transaction(&hash)
            .map(|(block, tx)| render::receipt(block, tx));
        Ok(Said::written(&receipt))
    }

    pub(crate) fn get_transaction(&self, params: &Params) -> Answer {
        let hash: B256 = params.required(0)?;
        let world = self.chain.world();
        if let Some((block, tx)) = world.transaction(&hash) {
            return Ok(render::mined_transaction(block, tx));
        }
        let waiting = self
            .chain
            .pool()
            .get(&hash)
            .map(|signed| render::transaction(signed));
        Ok(waiting.unwrap_or(Value::Null))
    }

    pub(crate) fn get_block(&self, params: &Params) -> Answer {
        let id = params.block(0, BlockId::Latest)?;
        let full = params.optional::<bool>(1)?.unwrap_or(false);
        let world = self.chain.world();
        Ok(self
            .find(&world, id)
            .map_or(Value::Null, |block| render::block(block, full)))
    }

    pub(crate) fn get_block_receipts(&self, params: &Params) -> Answer {
        let id = params.block(0, BlockId::Latest)?;
        let world = self.chain.world();
        Ok(self.find(&world, id).map_or(Value::Null, |block| {
            block
                .transactions
                .iter()
                .map(|tx| render::receipt_value(block, tx))
                .collect()
        }))
    }

    pub(crate) fn get_block_transaction_count(&self, params: &Params) -> Answer {
        let id = params.block(0, BlockId::Latest)?;
        let world = self.chain.world();
        Ok(self.find(&world, id).map_or(Value::Null, |block| {
            render::quantity(block.transactions.len())
        }))
    }

    pub(crate) fn get_transaction_by_index(&self, params: &Params) -> Answer {
        let id = params.block(0, BlockId::Latest)?;
        let index = params.number(1)?.unwrap_or_default();
        let world = self.chain.world();
        let found = self.find(&world, id).and_then(|block| {
            let tx = block.transactions.get(usize::try_from(index).ok()?)?;
            Some(render::mined_transaction(block, tx))
        });
        Ok(found.unwrap_or(Value::Null))
    }
}

/// For people to look at; no money is computed from it.
fn ratio(used: u64, limit: u64) -> f64 {
    used as f64 / limit.max(1) as f64
}
