//! An axum application with a price: `cargo run -p farebox-seller --example paid_axum`.
use std::{error::Error, future::pending, sync::Arc};

use axum::{Router, routing::get};
use farebox_core::clock::SystemClock;
use farebox_devnet_evm::{Devnet, DevnetOptions};
use farebox_ledger::SqliteLedger;
use farebox_rail_evm::{CollectorOptions, EvmCollector, EvmKey, Network};
use farebox_seller::{Route, Seller, SellerConfig};
use farebox_wire::money::UsdMicros;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A chain in this process; on a real one, `rpc` is its node and the keys are yours.
    let devnet = Devnet::start(DevnetOptions::default())?;
    let mut network = Network::new(devnet.chain_id());
    network.rpc = vec![devnet.rpc_url()];
    let [gas, payee] = [0, 9].map(|index| devnet.accounts()[index]);
    let (gas, clock) = (EvmKey::from_hex(&gas.key_hex())?, Arc::new(SystemClock));
    let payee = payee.address_hex().parse()?;
    let options = CollectorOptions::seller(payee, Arc::new(gas));
    let rail = EvmCollector::new(vec![network], options, clock.clone())?;
    rail.start().await?;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let folder = tempfile::tempdir()?;
    let ledger = SqliteLedger::open(&folder.path().join("seller.db"))?;
    let price = UsdMicros::parse("0.001 USD")?;
    let route = Route::new("weather", "GET /weather".parse()?, price);
    let config = SellerConfig::new(&url, vec![route]);
    let seller = Seller::new(config, vec![Arc::new(rail)], Arc::new(ledger), clock)?;
    seller.recover().await?;
    tokio::spawn(seller.clone().watch(pending()));
    let app = Router::new().route("/weather", get(|| async { "sunny\n" }));
    println!("{url}/weather, paid on {}", devnet.rpc_url());
    Ok(axum::serve(listener, app.layer(seller.layer())).await?)
}
