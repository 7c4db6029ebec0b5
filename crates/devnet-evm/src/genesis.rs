//! Block 0: the token, Multicall3, the CREATE2 factory and the funded accounts. Called once by `chain`.
//! Every balance is minted, so that the total supply is the sum of the balances.

use alloy_primitives::{Address, Bytes};
use revm::bytecode::Bytecode;

use crate::options::{CREATE2_FACTORY_ADDRESS, DevnetOptions, MULTICALL3_ADDRESS};
use crate::world::World;
use crate::{DevnetError, token};

const MULTICALL3_RUNTIME: &str =
    include_str!("../../../contracts/artifacts/Multicall3.runtime.hex");

/// The code of the deterministic deployment proxy as it is on every chain, in words: what follows the first 32 bytes of
/// the call is created by CREATE2 with those 32 as salt, the new address is returned as 20 bytes, and a creation that
/// fails reverts.
const CREATE2_FACTORY_RUNTIME: &str = "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0\
    3601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3";

/// The world at block 0.
pub(crate) fn build(options: &DevnetOptions) -> Result<World, DevnetError> {
    let mut world = World::new(options.chain_id, options.gas_limit);
    set_code(
        &mut world,
        MULTICALL3_ADDRESS,
        read_hex(MULTICALL3_RUNTIME)?,
    );
    set_code(
        &mut world,
        CREATE2_FACTORY_ADDRESS,
        read_hex(CREATE2_FACTORY_RUNTIME)?,
    );
    let token_code = token::runtime_code(&world, options)?;
    set_code(&mut world, options.token.address, token_code);
    let tokens =
        token::whole_tokens(options.whole_tokens, options.token.decimals).ok_or_else(|| {
            DevnetError::Token("the funded amount is larger than any token amount".to_owned())
        })?;
    for account in &options.accounts {
        let mut info = world.latest().account(account.address);
        info.balance = options.ether_wei;
        world.state.set_account(account.address, info);
        token::mint(&mut world, options, account.address, tokens)?;
    }
    world.seal_genesis();
    Ok(world)
}

/// Reads one of our artifacts.
pub(crate) fn read_hex(text: &str) -> Result<Bytes, DevnetError> {
    hex::decode(text.trim())
        .map(Bytes::from)
        .map_err(|error| DevnetError::Token(error.to_string()))
}

/// A contract's nonce starts at 1 (EIP-161).
fn set_code(world: &mut World, address: Address, code: Bytes) {
    let mut info = world
        .latest()
        .account(address)
        .with_code(Bytecode::new_raw(code));
    info.nonce = 1;
    world.state.set_account(address, info);
}
