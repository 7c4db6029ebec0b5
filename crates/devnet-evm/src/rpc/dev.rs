//! Methods that only development chains have: time, snapshots, mining and edits, under anvil's and hardhat's names.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::bytecode::Bytecode;
use serde_json::{Value, json};

use super::params::Params;
use super::{Answer, Rpc, RpcError, render};
use crate::miner::Mode;

/// Blocks that one `anvil_mine` may make.
const MAX_MINED_AT_ONCE: u64 = 100_000;

impl Rpc {
    pub(crate) fn dev_method(&self, method: &str, params: &Params) -> Answer {
        let name = method.split_once('_').map_or(method, |(_, name)| name);
        match name {
            "snapshot" => Ok(render::quantity(self.chain.edit(|world| world.snapshot()))),
            "revert" => Ok(json!(
                self.chain.revert(params.number(0)?.unwrap_or_default())
            )),
            "increaseTime" => {
                let seconds = params.number(0)?.unwrap_or_default();
                Ok(json!(
                    self.chain.edit(|world| world.clock.increase(seconds))
                ))
            }
            "setNextBlockTimestamp" => self.set_next_timestamp(params),
            "mine" => self.mine(method, params),
            "setAutomine" => {
                let mode = if params.required(0)? {
                    Mode::Automine
                } else {
                    Mode::Manual
                };
                self.chain.schedule.set_mode(mode);
                Ok(json!(true))
            }
            "getAutomine" => Ok(json!(self.chain.schedule.mode() == Mode::Automine)),
            "setIntervalMining" => self.set_interval(method, params),
            "setBalance" => self.edit_account(params, |info, balance: U256| info.balance = balance),
            "setNonce" => self.edit_account(params, |info, nonce: U256| {
                info.nonce = nonce.saturating_to()
            }),
            "setCode" => self.set_code(params),
            "setStorageAt" => self.set_storage(params),
            "setNextBlockBaseFeePerGas" => {
                let fee: U256 = params.required(0)?;
                self.chain
                    .edit(|world| world.base_fee = fee.saturating_to());
                self.chain.schedule.wake();
                Ok(json!(true))
            }
            "reorg" => self.reorg(params),
            "dropTransaction" => {
                let hash: B256 = params.required(0)?;
                Ok(if self.chain.pool().remove(&hash) {
                    json!(hash)
                } else {
                    Value::Null
                })
            }
            _ => Err(RpcError::unknown_method(method)),
        }
    }

    fn set_next_timestamp(&self, params: &Params) -> Answer {
        let wanted = params
            .number(0)?
            .ok_or_else(|| RpcError::params("missing timestamp"))?;
        self.chain.edit(|world| {
            let head = world.head().map_or(0, |block| block.header.timestamp);
            if wanted < head {
                return Err(RpcError::params(format!(
                    "timestamp {wanted} is before the newest block's {head}"
                )));
            }
            world.clock.set_next(wanted);
            Ok(Value::Null)
        })
    }

    /// `evm_mine([timestamp])`; `anvil_mine([blocks, interval])`, which hardhat has too.
    fn mine(&self, method: &str, params: &Params) -> Answer {
        if method == "evm_mine" {
            let timestamp = params
                .value(0)
                .and_then(|value| value.get("timestamp"))
                .cloned();
            let single = json!([timestamp.as_ref().or(params.value(0))]);
            let single = Params::new(Some(&single))?;
            if single.value(0).is_some_and(|value| !value.is_object()) {
                self.set_next_timestamp(&single)?;
            }
            self.chain.mine(true);
            return Ok(json!("0x0"));
        }
        let blocks = params.number(0)?.unwrap_or(1);
        let interval = params.number(1)?.unwrap_or_default();
        if blocks > MAX_MINED_AT_ONCE {
            return Err(RpcError::params(format!(
                "at most {MAX_MINED_AT_ONCE} blocks at once"
            )));
        }
        for made in 0..blocks {
            if made > 0 && interval > 0 {
                self.chain.edit(|world| world.clock.increase(interval));
            }
            self.chain.mine(true);
        }
        Ok(Value::Null)
    }

    /// hardhat counts milliseconds, anvil seconds.
    fn set_interval(&self, method: &str, params: &Params) -> Answer {
        let count = params.number(0)?.unwrap_or_default();
        let every = if method.starts_with("anvil") {
            Duration::from_secs(count)
        } else {
            Duration::from_millis(count)
        };
        let mode = if every.is_zero() {
            Mode::Manual
        } else {
            Mode::Interval(every)
        };
        self.chain.schedule.set_mode(mode);
        Ok(json!(true))
    }

    fn edit_account<T: serde::de::DeserializeOwned>(
        &self,
        params: &Params,
        change: impl FnOnce(&mut revm::state::AccountInfo, T),
    ) -> Answer {
        let address: Address = params.required(0)?;
        let value: T = params.required(1)?;
        self.chain.edit_account(address, |info| change(info, value));
        Ok(json!(true))
    }

    fn set_code(&self, params: &Params) -> Answer {
        let code: Bytes = params.required(1)?;
        let code =
            Bytecode::new_raw_checked(code).map_err(|error| RpcError::params(error.to_string()))?;
        let address: Address = params.required(0)?;
        self.chain
            .edit_account(address, |info| *info = info.clone().with_code(code));
        Ok(json!(true))
    }

    fn set_storage(&self, params: &Params) -> Answer {
        let (address, slot, value): (Address, U256, B256) = (
            params.required(0)?,
            params.required(1)?,
            params.required(2)?,
        );
        self.chain
            .edit(|world| world.state.set_slot(address, slot, value.into()));
        Ok(json!(true))
    }

    /// `anvil_reorg(depth)` or `anvil_reorg({depth, …})`: empty blocks take the place of the newest ones, and the
    /// transactions that were in them are forgotten.
    fn reorg(&self, params: &Params) -> Answer {
        let depth = match params.value(0) {
            Some(Value::Object(options)) => options.get("depth").and_then(Value::as_u64),
            _ => params.number(0)?,
        };
        let depth = depth.ok_or_else(|| RpcError::params("missing depth"))?;
        self.chain.reorg(depth, false)?;
        Ok(Value::Null)
    }
}
