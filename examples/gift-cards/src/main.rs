//! A shop and a buyer in one process: `cargo run -p example-gift-cards`.

use std::error::Error;
use std::future::pending;
use std::sync::Arc;

use axum::{Router, routing::get};
use farebox_buyer::{Buyer, BuyerOptions};
use farebox_core::clock::SystemClock;
use farebox_core::ledger::Ledger as _;
use farebox_core::policy::Limits;
use farebox_ledger::SqliteLedger;
use farebox_seller::{Route, Seller, SellerConfig};
use farebox_wallet::{Desk, DeskOptions};
use farebox_wire::money::{Amount, UsdMicros};
use gift_cards::book::{Book, FileBook};
use gift_cards::collect::CardCollector;
use gift_cards::network_of;
use gift_cards::pay::CardPayer;
use gift_cards::slip::{ShopKey, new_name};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(SystemClock);
    let network = network_of("corner-shop")?;
    let book = FileBook::new(&folder.path().join("book.json"), clock.clone());

    // The shop issues a card over a dollar, and sells the weather for a tenth of a cent.
    let (key, number) = (ShopKey::generate()?, new_name()?);
    let card = key.card(&number);
    book.issue(&number, Amount::from_atomic(1_000_000))
        .map_err(|away| away.0)?;
    let shared: Arc<dyn Book> = Arc::new(book.clone());
    let rail = Arc::new(CardCollector::new(network.clone(), key, shared.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let books = SqliteLedger::open(&folder.path().join("seller.db"))?;
    let price = UsdMicros::parse("0.001 USD")?;
    let route = Route::new("weather", "GET /weather".parse()?, price);
    let config = SellerConfig::new(&url, vec![route]);
    let seller = Seller::new(config, vec![rail], Arc::new(books), clock.clone())?;
    seller.recover().await?;
    tokio::spawn(seller.clone().watch(pending()));
    let app = Router::new().route("/weather", get(|| async { "sunny\n" }));
    tokio::spawn(axum::serve(listener, app.layer(seller.layer())).into_future());

    // The buyer has the card, a budget of a cent, and buys twice.
    let ledger = SqliteLedger::open(&folder.path().join("buyer.db"))?;
    let limits = Limits {
        total: Some(UsdMicros::parse("0.01 USD")?),
        ..Limits::default()
    };
    ledger.set_budget(None, limits).await?;
    let payer = CardPayer::new(network, card, shared.clone(), clock.clone());
    let desk = Desk::new(
        Arc::new(ledger),
        vec![Arc::new(payer)],
        clock,
        DeskOptions::new()?,
    );
    let buyer = Buyer::new(Arc::new(desk), BuyerOptions::default())?;
    for _ in 0..2 {
        let mut answer = buyer.get(&format!("{url}/weather")).await?;
        let paid = answer.payment.as_ref().ok_or("it was not paid for")?;
        let (amount, symbol) = (paid.terms.amount, paid.terms.symbol.clone());
        let body = String::from_utf8(answer.collect().await?.to_vec())?;
        println!("paid {amount} {symbol}: {}", body.trim());
    }
    let (earned, left) = (book.earned(), shared.balance(&number).await);
    println!(
        "the shop has {}, the card {}",
        earned.map_err(|away| away.0)?,
        left.map_err(|away| away.0)?
    );
    Ok(())
}
