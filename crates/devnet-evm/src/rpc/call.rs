//! `eth_call` and `eth_estimateGas`. They run under a read lock, so they never hold up other calls.

use std::collections::HashMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::bytecode::Bytecode;
use revm::context::result::ExecutionResult;
use revm::context::{BlockEnv, TxEnv};
use serde::Deserialize;
use serde_json::json;

use super::params::{BlockId, CallRequest, Params};
use super::{Answer, Rpc, RpcError, render};
use crate::exec::{self, Scratch};
use crate::world::World;

/// geth's default cap of what one call may burn.
const CALL_GAS_CAP: u64 = 50_000_000;
/// An estimate this close (in 1/1000) to the least possible is good enough, as in geth.
const ESTIMATE_TOLERANCE: u64 = 15;
/// What the EVM gives a call with value for free; part of the first guess, as in geth.
const CALL_STIPEND: u64 = 2300;
/// What every transaction costs at least.
const PLAIN_TRANSFER_GAS: u64 = 21_000;

/// Changes to the state that last for one call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StateOverride {
    balance: Option<U256>,
    nonce: Option<U256>,
    code: Option<Bytes>,
    state: Option<HashMap<B256, B256>>,
    state_diff: Option<HashMap<B256, B256>>,
}

type Overrides = HashMap<Address, StateOverride>;

impl Rpc {
    /// `latest` runs in the newest block's environment (its number and time), `pending` in the next block's.
    pub(crate) fn call(&self, params: &Params) -> Answer {
        if params
            .value(3)
            .is_some_and(|value| value.as_object().is_none_or(|fields| !fields.is_empty()))
        {
            return Err(RpcError::params("block overrides are not supported"));
        }
        let world = self.chain.world();
        let id = params.block(1, BlockId::Latest)?;
        let mut prepared = self.prepare(&world, id, params)?;
        match prepared.run(prepared.tx.gas_limit)? {
            ExecutionResult::Success { output, .. } => Ok(json!(output.into_data())),
            failed => Err(failure(failed)),
        }
    }

    /// The least gas with which the call succeeds in the next block, within geth's tolerance.
    pub(crate) fn estimate_gas(&self, params: &Params) -> Answer {
        let world = self.chain.world();
        let id = match params.block(1, BlockId::Pending)? {
            BlockId::Latest => BlockId::Pending,
            id => id,
        };
        let mut prepared = self.prepare(&world, id, params)?;
        let most = prepared.tx.gas_limit;
        let (used, spent) = match prepared.run(most)? {
            result @ ExecutionResult::Success { .. } => {
                (result.tx_gas_used(), result.gas().total_gas_spent())
            }
            failed => return Err(failure(failed)),
        };
        if used == PLAIN_TRANSFER_GAS {
            // No code ran and no data was paid for: there is nothing to search.
            return Ok(render::quantity(used));
        }
        let least = prepared.least_gas();
        search(used, spent, most, |gas| {
            Ok(gas >= least && prepared.run(gas)?.is_success())
        })
        .map(render::quantity)
    }

    fn prepare<'a>(
        &self,
        world: &'a World,
        id: BlockId,
        params: &Params,
    ) -> Result<Prepared<'a>, RpcError> {
        let request: CallRequest = params.required(0)?;
        let overrides: Option<Overrides> = params.optional(2)?;
        let (block, view) = self.view(world, id)?;
        let env = if id == BlockId::Pending {
            world.next_env()
        } else {
            block.env()
        };
        let chain_id = self.chain.options.chain_id;
        let nonce = view.account(request.from.unwrap_or_default()).nonce;
        let tx = request.tx_env(nonce, chain_id, CALL_GAS_CAP.min(world.gas_limit));
        let mut scratch = Scratch::new(view);
        apply(&mut scratch, overrides)?;
        check_value(&scratch, &tx)?;
        Ok(Prepared {
            scratch,
            env,
            chain_id,
            tx,
        })
    }
}

/// A call that can be run as often as needed.
struct Prepared<'a> {
    scratch: Scratch<'a>,
    env: BlockEnv,
    chain_id: u64,
    tx: TxEnv,
}

impl Prepared<'_> {
    fn run(&mut self, gas_limit: u64) -> Result<ExecutionResult, RpcError> {
        let least = self.least_gas();
        if gas_limit < least {
            let message = format!(
                "err: intrinsic gas too low: have {gas_limit}, want {least} (supplied gas {gas_limit})"
            );
            return Err(RpcError::server(message));
        }
        let tx = TxEnv {
            gas_limit,
            ..self.tx.clone()
        };
        match exec::call(&mut self.scratch, self.env.clone(), self.chain_id, tx) {
            Ok((result, _)) => Ok(result),
            Err(error) => Err(RpcError::server(format!(
                "err: {error} (supplied gas {gas_limit})"
            ))),
        }
    }

    /// What has to be paid before any code runs.
    fn least_gas(&self) -> u64 {
        let (intrinsic, floor) = exec::minimum_gas(&self.tx);
        intrinsic.max(floor)
    }
}

/// Between the gas that was used and the most that was allowed, the least with which the call succeeds.
fn search(
    used: u64,
    spent: u64,
    most: u64,
    mut succeeds: impl FnMut(u64) -> Result<bool, RpcError>,
) -> Result<u64, RpcError> {
    let (mut fails, mut works) = (used.saturating_sub(1), most);
    // A sixty-fourth stays behind at every call (EIP-150), so this usually works at once.
    let guess = spent
        .max(used)
        .saturating_add(CALL_STIPEND)
        .saturating_mul(64)
        / 63;
    if guess < works {
        if succeeds(guess)? {
            works = guess
        } else {
            fails = guess
        }
    }
    while works.saturating_sub(fails) > 1
        && works.saturating_sub(fails).saturating_mul(1000) / works > ESTIMATE_TOLERANCE
    {
        let middle = fails.midpoint(works).min(fails.saturating_mul(2).max(1));
        if succeeds(middle)? {
            works = middle
        } else {
            fails = middle
        }
    }
    Ok(works)
}

fn apply(scratch: &mut Scratch<'_>, overrides: Option<Overrides>) -> Result<(), RpcError> {
    for (address, change) in overrides.into_iter().flatten() {
        let mut info = scratch.db.account(address);
        info.balance = change.balance.unwrap_or(info.balance);
        if let Some(nonce) = change.nonce {
            info.nonce = nonce.saturating_to();
        }
        if let Some(code) = change.code {
            let code = Bytecode::new_raw_checked(code)
                .map_err(|error| RpcError::params(format!("override of {address}: {error}")))?;
            info = info.with_code(code);
        }
        scratch.insert_account_info(address, info);
        let slots = |slots: HashMap<B256, B256>| {
            slots
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
        };
        match (change.state, change.state_diff) {
            (Some(_), Some(_)) => {
                return Err(RpcError::params(format!(
                    "account {address} has both 'state' and 'stateDiff'"
                )));
            }
            (Some(state), None) => {
                match scratch.replace_account_storage(address, slots(state).collect()) {
                    Ok(()) => {}
                }
            }
            (None, diff) => {
                for (key, value) in diff.map(slots).into_iter().flatten() {
                    match scratch.insert_account_storage(address, key, value) {
                        Ok(()) => {}
                    }
                }
            }
        }
    }
    Ok(())
}

fn check_value(scratch: &Scratch<'_>, tx: &TxEnv) -> Result<(), RpcError> {
    use revm::DatabaseRef as _;
    let have = match scratch.basic_ref(tx.caller) {
        Ok(info) => info.unwrap_or_default().balance,
    };
    if tx.value > have {
        let message = format!(
            "insufficient funds for gas * price + value: address {} have {have} want {}",
            tx.caller, tx.value
        );
        return Err(RpcError::server(message));
    }
    Ok(())
}

fn failure(result: ExecutionResult) -> RpcError {
    match result {
        ExecutionResult::Revert { output, .. } => RpcError::reverted(output),
        ExecutionResult::Halt { reason, .. } => RpcError::server(halted(&reason)),
        ExecutionResult::Success { .. } => RpcError::server("no failure"),
    }
}

fn halted(reason: &revm::context::result::HaltReason) -> String {
    use revm::context::result::HaltReason;
    match reason {
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        other => other.to_string(),
    }
}
