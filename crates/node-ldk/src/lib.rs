//! An embedded Lightning node: makes invoices, pays each payment hash at most once, and remembers both across restarts.
//!
//! `rail-lightning` uses it where no other node is at hand (`kind = "embedded"`), and `devnet-ln` runs two of them. It is
//! ldk-node in our own words (docs/adr/0013); nothing else in the workspace names ldk-node. It must never say that a
//! payment failed while money may still move, and never pay a payment hash twice.
//!
//! ```no_run
//! # async fn example() -> Result<(), farebox_node_ldk::Error> {
//! use std::time::Duration;
//! use farebox_node_ldk::{ChainSource, LdkOptions, Network, Node, PayState, Seed, Storage};
//!
//! let chain = ChainSource::Esplora { url: "http://127.0.0.1:3002".to_owned() };
//! let node = Node::start(LdkOptions {
//!     storage: Storage::Directory("node".into()),
//!     listen: vec!["127.0.0.1:9735".parse().expect("an address")],
//!     ..LdkOptions::new(Network::Regtest, chain, Seed::generate()?)
//! }).await?;
//! let invoice = node.create_invoice(25_000, "weather", 300).await?;
//! println!("{}", invoice.bolt11);
//! match node.pay("lnbcrt1…", 1_000, Duration::from_secs(30)).await? {
//!     PayState::Succeeded { fee_msat, .. } => println!("paid, {fee_msat} msat for the way"),
//!     PayState::InFlight => println!("not decided yet: ask lookup_payment later"),
//!     PayState::Failed { reason } => println!("{reason}"),
//!     PayState::NotFound => {}
//! }
//! node.stop().await
//! # }
//! ```
//!
//! # What becomes of a payment
//!
//! Before anything is sent, an intent is written to the node's own storage; what ldk-node reports is written there before
//! the report is confirmed to it. A payment hash has one attempt that may leave the node: an attempt that had left and
//! failed is final, and the caller asks the payee for a new invoice. LDK reports a failure only when no part of the
//! payment can settle any more; when its retries time out (ten seconds), parts that are under way stay under way. After a
//! crash an intent is [`PayState::InFlight`] until LDK tells, except where no channel has ever heard of the hash: then
//! nothing can have left, and the intent is dropped.

mod decode;
mod error;
mod events;
mod funds;
mod hash;
mod invoices;
mod lock;
mod logs;
mod node;
mod open;
mod options;
mod payments;
mod records;
mod store;

pub use decode::{Decoded, decode};
pub use error::{Error, ErrorKind};
pub use events::{Event, Events};
pub use funds::{ANCHOR_RESERVE_SATS, Balances, Block, Channel, ChannelId};
pub use hash::{BadHash, PaymentHash, Preimage};
pub use invoices::{Invoice, InvoiceState, Settlement, Settlements};
pub use node::{Node, Peer};
pub use options::{ChainSource, LdkOptions, MemoryStore, Network, Seed, Storage};
pub use payments::{FailReason, PayState};
