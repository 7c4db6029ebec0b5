//! Reads BOLT 11 invoices. The signature is checked by the library; amounts and networks are judged here.

use std::str::FromStr as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ldk_node::bitcoin::hashes::Hash as _;
use ldk_node::lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, Currency};

use crate::error::Error;
use crate::hash::PaymentHash;
use crate::options::Network;

/// Longest invoice that is read, in bytes. Real ones have some 300; route hints make them longer.
const MAX_BYTES: usize = 7_089;

/// What an invoice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What names its payment.
    pub payment_hash: PaymentHash,
    /// Msat; `None` if it names no amount.
    pub amount_msat: Option<u64>,
    /// Its network.
    pub network: Network,
    /// The payee's public key, hexadecimal.
    pub payee: String,
    /// Its text; empty where it carries only a hash of one.
    pub description: String,
    /// The hash of a longer text, where it carries one.
    pub description_hash: Option<[u8; 32]>,
    /// When it was made, in seconds since 1970.
    pub created_unix_s: u64,
    /// How long it may be paid, in seconds.
    pub expiry_s: u64,
    /// What the payer must show to the payee (`payment_secret`; LND calls it `payment_addr`).
    pub payment_secret: [u8; 32],
    /// Blocks that the last hop must leave.
    pub min_final_cltv_expiry: u64,
}

/// Reads an invoice.
///
/// # Errors
/// It is too long, breaks BOLT 11, or is of a network that we do not know.
pub fn decode(bolt11: &str) -> Result<Decoded, Error> {
    let invoice = parse(bolt11)?;
    let (description, description_hash) = match invoice.description() {
        Bolt11InvoiceDescriptionRef::Direct(text) => (text.to_string(), None),
        Bolt11InvoiceDescriptionRef::Hash(hash) => (String::new(), Some(hash.0.to_byte_array())),
    };
    Ok(Decoded {
        payment_hash: hash_of(&invoice),
        amount_msat: invoice.amount_milli_satoshis(),
        network: network_of(&invoice)?,
        payee: invoice.get_payee_pub_key().to_string(),
        description,
        description_hash,
        created_unix_s: invoice.duration_since_epoch().as_secs(),
        expiry_s: invoice.expiry_time().as_secs(),
        payment_secret: invoice.payment_secret().0,
        min_final_cltv_expiry: invoice.min_final_cltv_expiry_delta(),
    })
}

/// Reads an invoice that a node of this network could pay, expired or not.
pub(crate) fn payable(bolt11: &str, network: Network) -> Result<(Bolt11Invoice, u64), Error> {
    let invoice = parse(bolt11)?;
    let theirs = network_of(&invoice)?;
    if theirs != network {
        return Err(Error::WrongNetwork {
            invoice: theirs.name(),
            node: network.name(),
        });
    }
    match invoice.amount_milli_satoshis() {
        Some(amount) if amount > 0 => Ok((invoice, amount)),
        _ => Err(Error::NoAmount),
    }
}

pub(crate) fn hash_of(invoice: &Bolt11Invoice) -> PaymentHash {
    PaymentHash(invoice.payment_hash().to_byte_array())
}

/// For how long an invoice has been expired.
pub(crate) fn expired_for(invoice: &Bolt11Invoice) -> Option<Duration> {
    let end = invoice
        .duration_since_epoch()
        .saturating_add(invoice.expiry_time());
    now().checked_sub(end)
}

/// Since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn parse(bolt11: &str) -> Result<Bolt11Invoice, Error> {
    if bolt11.len() > MAX_BYTES {
        return Err(Error::Invoice(format!(
            "it has more than {MAX_BYTES} bytes"
        )));
    }
    Bolt11Invoice::from_str(bolt11).map_err(|error| Error::Invoice(error.to_string()))
}

fn network_of(invoice: &Bolt11Invoice) -> Result<Network, Error> {
    match invoice.currency() {
        Currency::Bitcoin => Ok(Network::Bitcoin),
        Currency::BitcoinTestnet => Ok(Network::Testnet),
        Currency::Signet => Ok(Network::Signet),
        Currency::Regtest => Ok(Network::Regtest),
        Currency::Simnet => Err(Error::Invoice("it is of simnet".to_owned())),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
