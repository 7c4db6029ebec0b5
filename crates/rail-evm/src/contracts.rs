//! Contracts that we call besides tokens: ours, compiled in `contracts/`, and those that other
//! people have put at one address on every chain.

use std::sync::LazyLock;

use alloy_primitives::{address, hex, keccak256};
use farebox_wire::evm::EvmAddress;

/// Multicall3.
pub(crate) const MULTICALL3: EvmAddress =
    EvmAddress(address!("cA11bde05977b3631167028862bE2a173976CA11").0.0);
/// The deterministic deployment proxy: deploys by CREATE2 what follows a salt of 32 bytes.
pub(crate) const CREATE2_FACTORY: EvmAddress =
    EvmAddress(address!("4e59b44847b379578588920cA78FbF26c0B4956C").0.0);

static SETTLER_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    artifact(include_str!(
        "../../../contracts/artifacts/Settler.creation.hex"
    ))
});
static PROBE_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    artifact(include_str!(
        "../../../contracts/artifacts/Probe.creation.hex"
    ))
});

static SETTLER: LazyLock<EvmAddress> = LazyLock::new(|| {
    let factory = alloy_primitives::Address::from(CREATE2_FACTORY.0);
    EvmAddress(
        factory
            .create2([0; 32], keccak256(settler_code()))
            .into_array(),
    )
});

/// Where our settler is on every chain that has it.
pub(crate) fn settler() -> EvmAddress {
    *SETTLER
}

/// What deploys our settler, behind a salt of zeros.
pub(crate) fn settler_code() -> &'static [u8] {
    &SETTLER_CODE
}

/// What tries a wallet's payment, with its arguments behind it.
pub(crate) fn probe_code() -> &'static [u8] {
    &PROBE_CODE
}

/// Hex of ours; a test reads every one.
fn artifact(text: &str) -> Vec<u8> {
    hex::decode(text.trim()).unwrap_or_default()
}

#[cfg(test)]
#[path = "contracts_tests.rs"]
mod tests;
