//! The token from inside: its code, creating tokens and reading balances, all outside of blocks. Called by `genesis` and
//! the test handle. It must never touch the token's storage by hand: the contract's own code keeps the supply right.

use alloy_primitives::{Address, Bytes, TxKind, U256, address};
use alloy_sol_types::{SolCall as _, SolValue as _, sol};
use revm::context::result::ExecutionResult;
use revm::context::{BlockEnv, TxEnv};
use revm::state::EvmState;

use crate::exec::{self, Scratch};
use crate::options::{DevnetOptions, TokenSpec};
use crate::world::World;
use crate::{DevnetError, genesis};

/// May create tokens. Nobody has its key: only the devnet itself acts for it.
const MINTER: Address = address!("fa2eb0cfa2eb0cfa2eb0cfa2eb0cfa2eb0c00001");
const CREATION_CODE: &str = include_str!("../../../contracts/artifacts/Usd.creation.hex");
/// Enough for the constructor, a mint or a read.
const CALL_GAS: u64 = 10_000_000;

sol! {
    function mint(address to, uint256 value) external returns (bool);
    function balanceOf(address owner) external view returns (uint256);
}

/// The token's runtime code, with this token's name and so on in it, as the constructor returns it.
pub(crate) fn runtime_code(world: &World, options: &DevnetOptions) -> Result<Bytes, DevnetError> {
    let TokenSpec {
        name,
        symbol,
        version,
        decimals,
        ..
    } = &options.token;
    let arguments = (
        name.as_str(),
        symbol.as_str(),
        version.as_str(),
        U256::from(*decimals),
        MINTER,
    );
    let mut code = genesis::read_hex(CREATION_CODE)?.to_vec();
    code.extend(arguments.abi_encode_params());
    let (result, _) = run(world, options, TxKind::Create, code.into())?;
    Ok(result.into_output().unwrap_or_default())
}

/// Creates tokens out of nothing.
pub(crate) fn mint(
    world: &mut World,
    options: &DevnetOptions,
    to: Address,
    value: U256,
) -> Result<(), DevnetError> {
    let call = mintCall { to, value }.abi_encode();
    let (_, mut changes) = run(
        world,
        options,
        TxKind::Call(options.token.address),
        call.into(),
    )?;
    // The minter's nonce and the fee recipient are no business of the token.
    changes.retain(|address, _| *address == options.token.address);
    world.state.apply(changes);
    Ok(())
}

/// What an account holds in the newest state, in atomic units.
pub(crate) fn balance_of(
    world: &World,
    options: &DevnetOptions,
    owner: Address,
) -> Result<U256, DevnetError> {
    let call = balanceOfCall { owner }.abi_encode();
    let (result, _) = run(
        world,
        options,
        TxKind::Call(options.token.address),
        call.into(),
    )?;
    balanceOfCall::abi_decode_returns(&result.into_output().unwrap_or_default())
        .map_err(|error| DevnetError::Token(error.to_string()))
}

/// `10^decimals * whole`, or `None` if it overflows.
pub(crate) fn whole_tokens(whole: u64, decimals: u8) -> Option<U256> {
    U256::from(10)
        .checked_pow(U256::from(decimals))?
        .checked_mul(U256::from(whole))
}

fn run(
    world: &World,
    options: &DevnetOptions,
    kind: TxKind,
    data: Bytes,
) -> Result<(ExecutionResult, EvmState), DevnetError> {
    let tx = TxEnv {
        caller: MINTER,
        nonce: world.latest().account(MINTER).nonce,
        kind,
        data,
        gas_limit: CALL_GAS,
        chain_id: None,
        ..TxEnv::default()
    };
    // This is in no block, so no block's gas limit bounds it.
    let env = BlockEnv {
        gas_limit: CALL_GAS,
        ..world.next_env()
    };
    let mut scratch = Scratch::new(world.latest());
    let (result, changes) = exec::call(&mut scratch, env, options.chain_id, tx)
        .map_err(|error| DevnetError::Token(error.to_string()))?;
    match result {
        ExecutionResult::Success { .. } => Ok((result, changes)),
        ExecutionResult::Revert { output, .. } => Err(DevnetError::Token(
            alloy_sol_types::decode_revert_reason(&output).unwrap_or_default(),
        )),
        ExecutionResult::Halt { reason, .. } => Err(DevnetError::Token(reason.to_string())),
    }
}
