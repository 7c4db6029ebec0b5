//! A real local EVM chain in this process, for tests and demonstrations.
//!
//! [`Devnet::start`] gives a chain with Prague's rules behind a JSON-RPC port on 127.0.0.1 (HTTP and WebSocket), with
//! funded accounts, a token that behaves like USDC, Multicall3 and the CREATE2 factory that other chains have. Nothing is written to disk. The chain runs on threads
//! of its own, so it goes on while a test blocks. It must never be reachable from outside this machine.
//!
//! ```
//! use farebox_devnet_evm::{Devnet, DevnetOptions, Fault};
//!
//! let devnet = Devnet::start(DevnetOptions::quiet())?;
//! println!("{} has {} accounts", devnet.rpc_url(), devnet.accounts().len());
//! devnet.faults().set_times("eth_sendRawTransaction", Fault::LoseReply, 1);
//! let before = devnet.snapshot();
//! devnet.mine();
//! devnet.revert(before)?;
//! assert_eq!(devnet.block_number(), 0);
//! # Ok::<(), farebox_devnet_evm::DevnetError>(())
//! ```
//!
//! In automine the reply to `eth_sendRawTransaction` comes when the transaction is in a block (or queued behind a nonce
//! gap), so its receipt is there at once; transactions that arrive while a block is executed share the next one. Past
//! state is kept for about the last 500,000 changes. Block hashes are real hashes of headers whose state root is not real.

mod block;
mod chain;
mod devnet;
mod exec;
mod faults;
mod genesis;
mod mempool;
mod miner;
mod options;
mod rpc;
mod signed;
mod state;
mod token;
mod world;

pub use devnet::{Devnet, DevnetError};
pub use faults::{ANY_METHOD, Fault, Faults};
pub use options::{
    Account, CREATE2_FACTORY_ADDRESS, DEFAULT_CHAIN_ID, DEFAULT_ETHER_WEI, DEFAULT_GAS_LIMIT,
    DEFAULT_WHOLE_TOKENS, DevnetOptions, MULTICALL3_ADDRESS, TokenSpec, USDC_ADDRESS,
    WELL_KNOWN_ACCOUNTS,
};
