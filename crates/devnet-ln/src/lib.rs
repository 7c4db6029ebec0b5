//! A real local Lightning network in this process, for tests and demonstrations.
//!
//! [`Devnet::start`] gives a regtest chain behind bitcoind's JSON-RPC, two Lightning nodes with a funded channel between
//! them and money on both sides, and for each a REST face like LND's over TLS, with a macaroon, so that processes that know
//! LND can use them. Node 0 sells, node 1 buys. Everything is in memory and on 127.0.0.1; it runs on threads of its own. It
//! must never be reachable from outside this machine, and never meet a network with money.
//!
//! ```no_run
//! use farebox_devnet_ln::{Devnet, DevnetOptions, Fault};
//!
//! let devnet = Devnet::start(DevnetOptions::default())?;
//! let seller = &devnet.nodes()[0];
//! println!("{} at {}", seller.pubkey, seller.url);
//! devnet.faults(0).set_times("addinvoice", Fault::LoseReply, 1);
//! devnet.mine(6);
//! # Ok::<(), farebox_devnet_ln::DevnetError>(())
//! ```
//!
//! The chain mines six blocks whenever a transaction waits, so that channels of other nodes are usable at once. Other
//! processes get coins from it by `sendtoaddress` and blocks by `generatetoaddress`.

mod chain;
mod devnet;
mod face;
mod faults;
mod records;
mod side;
mod start;
mod tls;

pub use devnet::{Devnet, DevnetError, DevnetOptions, LndNode, NodeBalances, RpcAccess};
pub use faults::{ANY_METHOD, Fault, Faults};
pub use records::Moved;
