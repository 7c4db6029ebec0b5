//! Runs transactions and calls in the EVM on top of a view of the state. Called by `chain` and the RPC.
//! It must never write: what a run changes comes back as data.

use std::convert::Infallible;
use std::sync::Arc;

use alloy_consensus::Transaction as _;
use alloy_primitives::{Bloom, U256};
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::context::{BlockEnv, CfgEnv, Context, ContextTr as _, TxEnv};
use revm::database::CacheDB;
use revm::primitives::hardfork::SpecId;
use revm::state::EvmState;
use revm::{DatabaseCommit as _, ExecuteEvm as _, MainBuilder as _, MainContext as _};

use crate::block::MinedTx;
use crate::signed::SignedTx;
use crate::world::View;

/// The rules of the chain: Prague, which has EIP-7702.
pub(crate) const RULES: SpecId = SpecId::PRAGUE;

/// State that calls and blocks run on: a view, and what was changed on top of it.
pub(crate) type Scratch<'a> = CacheDB<View<'a>>;

pub(crate) type RunError = EVMError<Infallible, InvalidTransaction>;

/// What executing a list of transactions gave.
#[derive(Debug, Default)]
pub(crate) struct Executed {
    pub(crate) changes: Vec<EvmState>,
    pub(crate) mined: Vec<Arc<MinedTx>>,
    /// Transactions that can never be included as they are, with the reason.
    pub(crate) refused: Vec<(Arc<SignedTx>, String)>,
}

/// Runs one call, without the checks of fees, nonces and the sender's code that `eth_call` leaves out. What it
/// changed comes back beside its result, for genesis and for tokens that tests create; everyone else drops it.
pub(crate) fn call(
    scratch: &mut Scratch<'_>,
    block: BlockEnv,
    chain_id: u64,
    tx: TxEnv,
) -> Result<(ExecutionResult, EvmState), RunError> {
    let mut cfg = config(chain_id);
    cfg.disable_nonce_check = true;
    cfg.disable_base_fee = true;
    cfg.disable_balance_check = true;
    cfg.disable_eip3607 = true;
    let mut evm = Context::mainnet()
        .with_db(scratch)
        .with_cfg(cfg)
        .with_block(block)
        .build_mainnet();
    let run = evm.transact(tx)?;
    Ok((run.result, run.state))
}

/// Executes transactions in order, as many as the block's gas limit holds.
pub(crate) fn block(
    view: View<'_>,
    env: &BlockEnv,
    chain_id: u64,
    transactions: &[Arc<SignedTx>],
) -> Executed {
    let mut scratch = Scratch::new(view);
    let mut evm = Context::mainnet()
        .with_db(&mut scratch)
        .with_cfg(config(chain_id))
        .with_block(env.clone())
        .build_mainnet();
    let mut done = Executed::default();
    let (mut gas_used, mut log_index) = (0_u64, 0_usize);
    for signed in transactions {
        if gas_used.saturating_add(signed.envelope.gas_limit()) > env.gas_limit {
            break;
        }
        match evm.transact(signed.tx_env()) {
            Ok(run) => {
                evm.ctx.db_mut().commit(run.state.clone());
                done.changes.push(run.state);
                gas_used = gas_used.saturating_add(run.result.tx_gas_used());
                let mined = mined(
                    signed,
                    run.result,
                    env.basefee,
                    done.mined.len(),
                    gas_used,
                    log_index,
                );
                log_index = log_index.saturating_add(mined.logs.len());
                done.mined.push(Arc::new(mined));
            }
            Err(error) => done.refused.push((Arc::clone(signed), error.to_string())),
        }
    }
    done
}

fn config(chain_id: u64) -> CfgEnv {
    let mut cfg = CfgEnv::default();
    cfg.chain_id = chain_id;
    cfg.set_spec_and_mainnet_gas_params(RULES);
    cfg
}

fn mined(
    signed: &Arc<SignedTx>,
    result: ExecutionResult,
    base_fee: u64,
    index: usize,
    cumulative_gas_used: u64,
    first_log_index: usize,
) -> MinedTx {
    let success = result.is_success();
    let contract_address = result.created_address().filter(|_| success);
    let gas_used = result.tx_gas_used();
    let logs = if success {
        result.into_logs()
    } else {
        Vec::new()
    };
    let mut bloom = Bloom::ZERO;
    for log in &logs {
        bloom.accrue_log(log);
    }
    MinedTx {
        signed: Arc::clone(signed),
        index,
        success,
        gas_used,
        cumulative_gas_used,
        effective_gas_price: signed.envelope.effective_gas_price(Some(base_fee)),
        contract_address,
        logs,
        first_log_index,
        bloom,
    }
}

/// What a transaction must at least pay for: `(intrinsic gas, floor gas)`.
pub(crate) fn minimum_gas(tx: &TxEnv) -> (u64, u64) {
    let gas = revm::context_interface::cfg::gas::calculate_initial_tx_gas_for_tx(tx, RULES, None);
    (gas.initial_total_gas(), gas.floor_gas())
}

/// The most a transaction may cost its sender up front; `None` if it overflows.
pub(crate) fn upfront_cost(signed: &SignedTx) -> Option<U256> {
    let tx = &signed.envelope;
    U256::from(tx.gas_limit())
        .checked_mul(U256::from(tx.max_fee_per_gas()))?
        .checked_add(tx.value())
}
