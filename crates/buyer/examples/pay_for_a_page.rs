//! Fetches a URL and pays for it if it must: in USDC on Base Sepolia, within five cents a day.
//!
//! ```sh
//! BUYER_KEY=0x… cargo run -p farebox-buyer --example pay_for_a_page -- http://127.0.0.1:8402/weather/oslo
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use farebox_buyer::{Buyer, BuyerOptions, Call};
use farebox_core::clock::SystemClock;
use farebox_core::ledger::Ledger;
use farebox_core::policy::Limits;
use farebox_ledger::SqliteLedger;
use farebox_rail_evm::{EvmKey, EvmPayer, Network};
use farebox_wallet::{Desk, DeskOptions};
use farebox_wire::money::UsdMicros;
use http::Method;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // First thing: one TLS provider for the whole program.
    let provider = rustls::crypto::ring::default_provider();
    provider
        .install_default()
        .map_err(|_| "a TLS provider is installed already")?;

    let ledger = SqliteLedger::open(Path::new("buyer.db"))?;
    let limits = Limits {
        per_day: Some(UsdMicros::parse("0.05 USD")?),
        ..Limits::default()
    };
    ledger.seed_budget(limits).await?;
    let key = EvmKey::from_hex(&std::env::var("BUYER_KEY")?)?;
    let clock = Arc::new(SystemClock);
    let rail = EvmPayer::new(vec![Network::new(84532)], Arc::new(key), clock.clone())?;
    let options = DeskOptions::new()?;
    let desk = Desk::new(Arc::new(ledger), vec![Arc::new(rail)], clock, options);
    let buyer = Buyer::new(Arc::new(desk), BuyerOptions::default())?;

    let url = std::env::args().nth(1).ok_or("which URL?")?;
    let mut call = Call::new(Method::GET, &url)?;
    call.max_cost = Some(UsdMicros::parse("0.01 USD")?);
    let mut answer = buyer.fetch(call).await?;
    let body = answer.collect().await?;
    println!("{} {}", answer.status, String::from_utf8_lossy(&body));
    match answer.ending.fault() {
        Some(fault) => Err(fault.into()),
        None => Ok(()),
    }
}
