//! Block 0: the token, Multicall3 and the funded accounts. Called once by `chain`.
//! The token is what its constructor returns and every balance is minted, so that the total supply is the sum of balances.

use alloy_primitives::{Address, Bytes, TxKind, U256, address};
use alloy_sol_types::{SolCall as _, SolValue as _, sol};
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::context::result::ExecutionResult;

use crate::DevnetError;
use crate::chain::whole_tokens;
use crate::exec::{self, Scratch};
use crate::options::{DevnetOptions, MULTICALL3_ADDRESS};
use crate::world::World;

/// May create tokens. Nobody has its key: only the devnet itself acts for it.
pub(crate) const MINTER: Address = address!("fa2eb0cfa2eb0cfa2eb0cfa2eb0cfa2eb0c00001");

const USD_CREATION: &str = include_str!("../../../contracts/artifacts/Usd.creation.hex");
const MULTICALL3_RUNTIME: &str =
    include_str!("../../../contracts/artifacts/Multicall3.runtime.hex");
/// Enough for a constructor or a mint.
const GENESIS_CALL_GAS: u64 = 10_000_000;

sol! {
    function mint(address to, uint256 value) external returns (bool);
}

/// The world at block 0.
pub(crate) fn build(options: &DevnetOptions) -> Result<World, DevnetError> {
    let mut world = World::new(options.chain_id, options.gas_limit);
    set_code(
        &mut world,
        MULTICALL3_ADDRESS,
        read_hex(MULTICALL3_RUNTIME)?,
    );
    let token_code = token_runtime(&world, options)?;
    set_code(&mut world, options.token.address, token_code);
    let amount = whole_tokens(options.whole_tokens, options.token.decimals).ok_or_else(|| {
        DevnetError::Genesis("the funded amount does not fit the token".to_owned())
    })?;
    for account in &options.accounts {
        let mut info = world.latest().account(account.address);
        info.balance = options.ether_wei;
        world.state.set_account(account.address, info);
        mint(&mut world, options, account.address, amount)?;
    }
    world.seal_genesis();
    Ok(world)
}

/// Creates tokens out of nothing, outside of a block.
pub(crate) fn mint(
    world: &mut World,
    options: &DevnetOptions,
    to: Address,
    value: U256,
) -> Result<(), DevnetError> {
    let data = mintCall { to, value }.abi_encode();
    let tx = TxEnv {
        kind: TxKind::Call(options.token.address),
        ..by_minter(world, data.into())
    };
    let (_, mut changes) = run(world, options, tx)?;
    // The caller's nonce and the fee recipient are no business of the token.
    changes.retain(|address, _| *address == options.token.address);
    world.state.apply(changes);
    Ok(())
}

/// The token's code, with this token's name and so on in it, as the constructor returns it.
fn token_runtime(world: &World, options: &DevnetOptions) -> Result<Bytes, DevnetError> {
    let token = &options.token;
    let arguments = (
        token.name.as_str(),
        token.symbol.as_str(),
        token.version.as_str(),
        U256::from(token.decimals),
        MINTER,
    );
    let mut data = read_hex(USD_CREATION)?.to_vec();
    data.extend(arguments.abi_encode_params());
    let tx = TxEnv {
        kind: TxKind::Create,
        ..by_minter(world, data.into())
    };
    let (result, _) = run(world, options, tx)?;
    Ok(result.into_output().unwrap_or_default())
}

fn by_minter(world: &World, data: Bytes) -> TxEnv {
    TxEnv {
        caller: MINTER,
        nonce: world.latest().account(MINTER).nonce,
        data,
        gas_limit: GENESIS_CALL_GAS,
        chain_id: None,
        ..TxEnv::default()
    }
}

fn run(
    world: &World,
    options: &DevnetOptions,
    tx: TxEnv,
) -> Result<(ExecutionResult, revm::state::EvmState), DevnetError> {
    let mut scratch = Scratch::new(world.latest());
    let (result, changes) = exec::call(&mut scratch, world.next_env(), options.chain_id, tx)
        .map_err(|error| DevnetError::Genesis(error.to_string()))?;
    if !result.is_success() {
        return Err(DevnetError::Genesis(format!(
            "the token refused: {result:?}"
        )));
    }
    Ok((result, changes))
}

fn set_code(world: &mut World, address: Address, code: Bytes) {
    let mut info = world.latest().account(address);
    info = info.with_code(Bytecode::new_raw(code));
    info.nonce = 1;
    world.state.set_account(address, info);
}

fn read_hex(text: &str) -> Result<Bytes, DevnetError> {
    hex::decode(text.trim())
        .map(Bytes::from)
        .map_err(|error| DevnetError::Genesis(error.to_string()))
}
