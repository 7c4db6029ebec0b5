//! Methods that read accounts, and the choice of the block whose state is read.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use serde_json::{Value, json};

use super::params::{BlockId, Params};
use super::{Answer, Rpc, RpcError, render};
use crate::block::Block;
use crate::world::{View, World};

impl Rpc {
    /// The block that is meant; `None` if there is none such. `pending` is the newest block.
    pub(crate) fn find<'a>(&self, world: &'a World, id: BlockId) -> Option<&'a Arc<Block>> {
        match id {
            BlockId::Earliest => world.block(0),
            BlockId::Finalized => world.block(
                world
                    .head_number()
                    .saturating_sub(self.chain.options.finality_blocks),
            ),
            BlockId::Latest | BlockId::Pending => world.head(),
            BlockId::Number(number) => world.block(number),
            BlockId::Hash(hash) => world.block_by_hash(&hash),
        }
    }

    /// The state after the block that is meant, with that block.
    pub(crate) fn view<'a>(
        &self,
        world: &'a World,
        id: BlockId,
    ) -> Result<(&'a Arc<Block>, View<'a>), RpcError> {
        let block = self
            .find(world, id)
            .ok_or_else(|| RpcError::server("header not found"))?;
        let gone =
            || RpcError::server("missing trie node: the state of this block is no longer kept");
        Ok((block, world.at(block).ok_or_else(gone)?))
    }

    pub(crate) fn get_balance(&self, params: &Params) -> Answer {
        self.read(params, 1, |view, address| {
            Ok(render::quantity(view.account(address).balance))
        })
    }

    pub(crate) fn get_transaction_count(&self, params: &Params) -> Answer {
        if params.block(1, BlockId::Latest)? == BlockId::Pending {
            let address: Address = params.required(0)?;
            let world = self.chain.world();
            let nonce = world.latest().account(address).nonce;
            return Ok(render::quantity(
                self.chain.pool().next_nonce(address, nonce),
            ));
        }
        self.read(params, 1, |view, address| {
            Ok(render::quantity(view.account(address).nonce))
        })
    }

    pub(crate) fn get_code(&self, params: &Params) -> Answer {
        self.read(params, 1, |view, address| {
            let code: Bytes = view
                .account(address)
                .code
                .map(|code| code.original_bytes())
                .unwrap_or_default();
            Ok(json!(code))
        })
    }

    pub(crate) fn get_storage_at(&self, params: &Params) -> Answer {
        let slot: U256 = params.required(1)?;
        self.read(params, 2, |view, address| {
            Ok(json!(B256::from(view.slot(address, slot))))
        })
    }

    fn read(
        &self,
        params: &Params,
        block: usize,
        read: impl FnOnce(&View<'_>, Address) -> Result<Value, RpcError>,
    ) -> Answer {
        let address: Address = params.required(0)?;
        let world = self.chain.world();
        let (_, view) = self.view(&world, params.block(block, BlockId::Latest)?)?;
        read(&view, address)
    }
}
