//! The HTTP 402 loop as a client library: ask, choose, pay within limits, repeat, keep the
//! receipt.
//!
//! [`Buyer`] talks HTTP and asks a [`Purse`](farebox_core::purse::Purse) to pay. It never sees a
//! key or a ledger, believes nothing that a 402 says, and shows a credential to the origin that
//! asked for it and to nobody else (ARCHITECTURE laws 3 and 11).
//!
//! ```no_run
//! # async fn example(purse: std::sync::Arc<dyn farebox_core::purse::Purse>) -> Result<(), Box<dyn std::error::Error>> {
//! use farebox_buyer::{Buyer, BuyerOptions};
//!
//! // `purse` is a `farebox_wallet::Desk` over your ledger and rails.
//! let buyer = Buyer::new(purse, BuyerOptions::default())?;
//! let mut answer = buyer.get("https://api.example.com/weather/oslo").await?;
//! println!("{}", String::from_utf8_lossy(&answer.collect().await?));
//! if let Some(payment) = &answer.payment {
//!     println!("paid {} {}", payment.terms.amount, payment.terms.symbol);
//! }
//! # Ok(()) }
//! ```

mod answer;
mod asked;
mod call;
mod choose;
mod client;
mod ending;
mod faults;
mod guard;
mod options;
mod origin;
mod passes;
mod receipt;
mod report;
mod show;
mod transport;
mod view;
mod walk;

pub use answer::{FetchError, Fetched};
pub use call::Call;
pub use choose::{Decision, OfferView, Plan};
pub use client::Buyer;
pub use ending::{Ending, Exit, Facts, Stop, exit_of};
pub use farebox_core::cidr::{Cidr, ParseCidrError};
pub use options::BuyerOptions;
pub use origin::{origin_of, without_userinfo};
pub use report::{Cost, ErrorView, Report, Shown};
pub use view::{AmountView, PaymentView};
