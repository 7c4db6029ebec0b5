//! The main job in one command: a local chain, a priced API behind the gate, and a buyer, all over
//! real sockets; each claim is checked, the chain asked, the books compared.
//!
//! `net` is shared with `farebox devnet`, to which `lightning` belongs, `api` is what is sold, `steps` buys, `report` tells.

#[cfg(feature = "devnet-evm")]
mod api;
#[cfg(feature = "devnet-ln")]
pub(crate) mod lightning;
#[cfg(feature = "devnet-evm")]
pub(crate) mod net;
#[cfg(feature = "devnet-evm")]
mod paint;
#[cfg(feature = "devnet-evm")]
mod report;
#[cfg(feature = "devnet-evm")]
mod stage;
#[cfg(feature = "devnet-evm")]
mod steps;

#[cfg(feature = "devnet-evm")]
pub(crate) use stage::run;

/// Writes a file that only its owner can read.
#[cfg(any(feature = "devnet-evm", feature = "devnet-ln"))]
fn write_private(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(path)?, bytes)
}
