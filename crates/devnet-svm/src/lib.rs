//! A real local Solana network in this process, for tests and demonstrations.
//!
//! [`DevnetSvm::start`] gives the Solana virtual machine with the real token programs behind a JSON-RPC port on 127.0.0.1
//! (HTTP and WebSocket), with funded accounts and a token at the address of Solana devnet's USDC. Nothing is written to
//! disk. The chain runs on threads of its own, so it goes on while a test blocks. It must never be reachable from outside
//! this machine.
//!
//! ```
//! use farebox_devnet_svm::{DevnetSvm, DevnetSvmOptions, Fault};
//!
//! let devnet = DevnetSvm::start(DevnetSvmOptions::quick())?;
//! println!("{} has {} accounts", devnet.rpc_url(), devnet.accounts().len());
//! devnet.faults().set_times("sendTransaction", Fault::LoseReply, 1);
//! let buyer = devnet.accounts()[1].address;
//! assert_eq!(devnet.token_balance(buyer, devnet.usdc()), 1_000_000_000_000);
//! devnet.expire_blockhashes();
//! # Ok::<(), farebox_devnet_svm::DevnetSvmError>(())
//! ```
//!
//! What a client may trip over on the real network is the same here:
//!
//! - A block knows no blockhash that is newer than itself: `isBlockhashValid` at `finalized` says no to a blockhash that
//!   `getLatestBlockhash` gave at `confirmed`, until that block is final. No alone is therefore no proof that a blockhash
//!   has expired ([`DevnetSvmOptions::quick`] hides this: everything is final at once).
//! - `sendTransaction` and `simulateTransaction` look at the finalized block unless told otherwise.
//! - A message runs once, whoever signed it and how often it is sent; a transaction that failed has run.
//! - Slots are ahead of block heights.
//!
//! What is not as on the real network: one leader that never forks; simulations run on the newest accounts whatever the
//! commitment (only the blockhash is judged by it); accounts from lookup tables are executed but not shown in balances.

mod beat;
mod chain;
mod devnet;
mod faults;
mod landed;
mod options;
mod past;
mod rpc;
mod time;
mod tokens;
mod world;

pub use devnet::{DevnetSvm, DevnetSvmError};
pub use faults::{ANY_METHOD, Fault, Faults};
pub use options::{
    Account, BLOCKHASH_LIFE_BLOCKS, DEFAULT_FINAL_DEPTH, DEFAULT_LAMPORTS, DEFAULT_SLOT_TIME,
    DEFAULT_WHOLE_TOKENS, DevnetSvmOptions, GENESIS_HASH, MAX_FINAL_DEPTH, NETWORK, TokenProgram,
    USDC_DECIMALS, USDC_MINT,
};
