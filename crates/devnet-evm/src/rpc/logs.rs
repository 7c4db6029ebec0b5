//! `eth_getLogs` and the matching that filters and subscriptions share.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bloom, BloomInput, Log};
use serde::Deserialize;
use serde_json::Value;

use super::params::{BlockId, block_id};
use super::{Rpc, RpcError, render};
use crate::block::Block;

/// As many blocks as public endpoints scan at once.
pub(crate) const MAX_LOG_RANGE_BLOCKS: u64 = 10_000;
/// As many logs as public endpoints return at once.
pub(crate) const MAX_LOGS: usize = 20_000;
/// Alternatives in one place of a filter.
const MAX_ALTERNATIVES: usize = 1000;

/// Which logs are wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogFilter {
    from_block: Option<Value>,
    to_block: Option<Value>,
    block_hash: Option<B256>,
    #[serde(default)]
    address: OneOrMany<Address>,
    topics: Option<Vec<OneOrMany<B256>>>,
}

/// `null` or absent means any.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
    #[default]
    Any,
}

impl<T: PartialEq + AsRef<[u8]>> OneOrMany<T> {
    fn alternatives(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
            Self::Any => &[],
        }
    }

    fn accepts(&self, value: &T) -> bool {
        let alternatives = self.alternatives();
        alternatives.is_empty() || alternatives.contains(value)
    }

    fn may_be_in(&self, bloom: &Bloom) -> bool {
        let alternatives = self.alternatives();
        alternatives.is_empty()
            || alternatives
                .iter()
                .any(|value| bloom.contains_input(BloomInput::Raw(value.as_ref())))
    }
}

impl LogFilter {
    pub(crate) fn check(&self) -> Result<(), RpcError> {
        let topics = self.topics.as_deref().unwrap_or_default();
        let too_many = topics.len() > 4
            || self.address.alternatives().len() > MAX_ALTERNATIVES
            || topics
                .iter()
                .any(|topic| topic.alternatives().len() > MAX_ALTERNATIVES);
        if too_many {
            return Err(RpcError::params(
                "exceed max addresses or topics per search position",
            ));
        }
        if self.block_hash.is_some() && (self.from_block.is_some() || self.to_block.is_some()) {
            return Err(RpcError::params(
                "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other",
            ));
        }
        Ok(())
    }

    /// The matching logs of one block, in order.
    pub(crate) fn of_block(&self, block: &Block, removed: bool, found: &mut Vec<Value>) {
        let topics = self.topics.as_deref().unwrap_or_default();
        let bloom = &block.header.logs_bloom;
        if !self.address.may_be_in(bloom) || !topics.iter().all(|topic| topic.may_be_in(bloom)) {
            return;
        }
        for tx in &block.transactions {
            for (position, log) in tx.logs.iter().enumerate() {
                if self.accepts(log) {
                    found.extend(render::log(block, tx, position, removed));
                }
            }
        }
    }

    fn accepts(&self, log: &Log) -> bool {
        let topics = self.topics.as_deref().unwrap_or_default();
        self.address.accepts(&log.address)
            && topics.len() <= log.topics().len()
            && topics
                .iter()
                .zip(log.topics())
                .all(|(wanted, topic)| wanted.accepts(topic))
    }
}

impl Rpc {
    pub(crate) fn get_logs(&self, filter: &LogFilter) -> Result<Value, RpcError> {
        filter.check()?;
        let mut found = Vec::new();
        for block in self.filter_blocks(filter)? {
            filter.of_block(&block, false, &mut found);
            if found.len() > MAX_LOGS {
                return Err(RpcError::limit(format!(
                    "query returned more than {MAX_LOGS} results"
                )));
            }
        }
        Ok(Value::Array(found))
    }

    fn filter_blocks(&self, filter: &LogFilter) -> Result<Vec<Arc<Block>>, RpcError> {
        let world = self.chain.world();
        if let Some(hash) = filter.block_hash {
            let block = world
                .block_by_hash(&hash)
                .ok_or_else(|| RpcError::server("unknown block"))?;
            return Ok(vec![Arc::clone(block)]);
        }
        let number = |value: &Option<Value>| -> Result<u64, RpcError> {
            let id = value.as_ref().map_or(Ok(BlockId::Latest), block_id)?;
            Ok(match id {
                BlockId::Number(number) => number,
                id => self.find(&world, id).map_or(0, |block| block.number()),
            })
        };
        let (from, to) = (
            number(&filter.from_block)?,
            number(&filter.to_block)?.min(world.head_number()),
        );
        if from > to {
            return Ok(Vec::new());
        }
        if to - from >= MAX_LOG_RANGE_BLOCKS {
            return Err(RpcError::limit(format!(
                "query exceeds max block range {MAX_LOG_RANGE_BLOCKS}"
            )));
        }
        Ok((from..=to)
            .filter_map(|number| world.block(number).cloned())
            .collect())
    }
}
