//! Gift cards as a rail: a shop issues cards, a buyer pays with one, and the shop redeems it.
//!
//! This is the example of `docs/adding-a-rail.md`. It is small and it is whole: money moves once
//! whatever breaks, and `tests/conformance.rs` holds it to the list that every rail keeps. Nothing of
//! it stands in wire, core, buyer, seller or server; `main.rs` sells and buys with it.
//!
//! - [`slip`]: what a buyer signs: so much from this card, for that shop, until then, once.
//! - [`book`]: what the shop knows of its cards. Redeeming is atomic there, and decides.
//! - [`pay`] and [`collect`]: core's `PayRail` and `CollectRail` over it.

pub mod book;
pub mod collect;
pub mod pay;
pub mod slip;

use farebox_core::rail::{NotPayable, Price, Terms};
use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::money::Amount;
use farebox_wire::x402::types::PaymentRequirements;

/// How money moves.
pub const RAIL: &str = "gift-card";
/// The only scheme: to the unit.
pub const SCHEME: &str = "exact";
/// What is paid with: a millionth of a dollar is the smallest unit.
pub const ASSET: &str = "credit";
/// Digits after the point of a whole dollar.
pub const DECIMALS: u8 = 6;

/// The network of a shop's cards, for instance `giftcard:corner-shop`: nobody else takes them.
///
/// # Errors
/// A name that CAIP-2 does not know.
pub fn network_of(shop: &str) -> Result<ChainId, farebox_wire::caip::ParseCaipError> {
    format!("giftcard:{shop}").parse()
}

/// Terms of so much on a network, as both sides write them down.
fn terms(network: &ChainId, amount: Amount) -> Result<Terms, NotPayable> {
    let asset: AssetId = format!("{network}/{ASSET}:usd")
        .parse()
        .map_err(|why| refused("invalid_network", format!("{why}")))?;
    Ok(Terms {
        protocol: "x402".to_owned(),
        rail: RAIL.to_owned(),
        network: network.clone(),
        scheme: SCHEME.to_owned(),
        asset,
        symbol: "CARD".to_owned(),
        decimals: DECIMALS,
        amount,
        fee_max: Amount::ZERO,
        cost: farebox_wire::money::UsdMicros(amount.atomic()),
        payee: network.reference().to_owned(),
        payer: None,
    })
}

/// What is asked of a buyer for a price.
fn requirements(network: &ChainId, price: &Price) -> PaymentRequirements {
    let upfront = price.upfront.then(|| {
        let flow = ("paymentFlow".to_owned(), "upfront".into());
        [flow].into_iter().collect()
    });
    PaymentRequirements {
        scheme: SCHEME.to_owned(),
        network: network.clone(),
        amount: Amount::from_atomic(price.usd.0),
        asset: ASSET.to_owned(),
        pay_to: network.reference().to_owned(),
        max_timeout_seconds: price.max_timeout_s,
        extra: upfront,
    }
}

/// The terms of requirements, if they are those of this network. What the money is comes from here,
/// never from the offer's own words.
fn read(network: &ChainId, asked: &PaymentRequirements) -> Result<Terms, NotPayable> {
    if asked.network != *network {
        return Err(refused(
            "unknown_network",
            format!("only cards of {network} are known here"),
        ));
    }
    let is_ours = asked.scheme == SCHEME
        && asked.asset == ASSET
        && asked.pay_to == network.reference()
        && !asked.amount.is_zero();
    match is_ours {
        true => terms(network, asked.amount),
        false => Err(refused(
            "invalid_offer",
            format!("this is not how {network} asks for money"),
        )),
    }
}

fn refused(code: &'static str, why: String) -> NotPayable {
    NotPayable { code, why }
}
