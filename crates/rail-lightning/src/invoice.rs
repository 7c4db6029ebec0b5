//! Reads BOLT 11 invoices: what a buyer is asked to pay, and what our own node has made for a
//! seller.
//!
//! Called by quoting, paying and collecting. The invoice is the word of a stranger, but a signed one
//! that the network carries out: what it says is what would be paid, so amount, payee and hash are
//! taken from here and never from what stands around it. Its description is never looked at.

use std::str::FromStr as _;

use lightning_invoice::{
    Bolt11Invoice, Bolt11ParseError, Currency, ParseOrSemanticError, SiPrefix,
};

use crate::network::{MSAT_MAX, Network};

/// Bytes of an invoice's text. One with many route hints has a thousand.
pub const INVOICE_BYTES_MAX: usize = 8 * 1024;
/// Nothing is begun this close to an invoice's end: finding a way takes seconds.
pub const EXPIRY_MARGIN_S: u64 = 5;
/// Blocks for which a payee may ask to hold a payment: a week. What is on its way is nobody's for
/// as long.
const FINAL_BLOCKS_MAX: u64 = 1_008;

/// What an invoice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bolt11 {
    /// In millisatoshis: positive, and not more than there is.
    pub amount_msat: u64,
    /// SHA-256 of the preimage that paying reveals.
    pub payment_hash: [u8; 32],
    /// Public key of the node that is paid, 66 hex digits.
    pub payee: String,
    /// Until when it can be paid, in Unix seconds.
    pub expires_s: u64,
    /// Where.
    pub network: Network,
}

/// Why an invoice is not paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// Longer than [`INVOICE_BYTES_MAX`].
    #[error("the invoice is longer than {INVOICE_BYTES_MAX} bytes")]
    TooLong,
    /// Not BOLT 11, or its signature is not the payee's.
    #[error("the invoice is not one of BOLT 11: {0}")]
    Unreadable(String),
    /// How much to pay would be anybody's guess.
    #[error("the invoice names no amount")]
    NoAmount,
    /// Zero, or a fraction of a millisatoshi, or more than there is.
    #[error("the invoice's amount is no amount of bitcoin")]
    Amount,
    /// Of a network that is none of [`Network::ALL`], or another than was wanted.
    #[error("the invoice is for {of}, not for {wanted}")]
    Network {
        /// Its network.
        of: &'static str,
        /// Ours.
        wanted: &'static str,
    },
    /// Past its end, or about to be.
    #[error("the invoice has expired, or is about to; ask for a new one")]
    Expired,
    /// More than [`FINAL_BLOCKS_MAX`].
    #[error("the invoice's payee could hold the payment for {0} blocks, longer than a week")]
    HeldTooLong(u64),
}

impl InvoiceError {
    /// Machine code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong | Self::Unreadable(_) => "invoice_unreadable",
            Self::NoAmount => "invoice_amountless",
            Self::Amount => "invoice_amount",
            Self::Network { .. } => "invoice_network",
            Self::Expired => "invoice_expired",
            Self::HeldTooLong(_) => "invoice_held_too_long",
        }
    }
}

impl Bolt11 {
    /// Reads an invoice and checks its signature, but not its time.
    ///
    /// # Errors
    /// See [`InvoiceError`].
    pub fn read(text: &str) -> Result<Self, InvoiceError> {
        if text.len() > INVOICE_BYTES_MAX {
            return Err(InvoiceError::TooLong);
        }
        let invoice = Bolt11Invoice::from_str(text).map_err(unreadable)?;
        let blocks = invoice.min_final_cltv_expiry_delta();
        if blocks > FINAL_BLOCKS_MAX {
            return Err(InvoiceError::HeldTooLong(blocks));
        }
        let expires = invoice.expires_at().ok_or(InvoiceError::Expired)?;
        Ok(Self {
            amount_msat: amount_msat(&invoice)?,
            payment_hash: *AsRef::<[u8; 32]>::as_ref(invoice.payment_hash()),
            payee: invoice.get_payee_pub_key().to_string(),
            expires_s: expires.as_secs(),
            network: network(&invoice)?,
        })
    }

    /// The same, of an invoice that is to be paid now on this network.
    ///
    /// # Errors
    /// See [`InvoiceError`].
    pub fn payable(text: &str, wanted: Network, now_s: u64) -> Result<Self, InvoiceError> {
        let invoice = Self::read(text)?;
        if invoice.network != wanted {
            return Err(InvoiceError::Network {
                of: invoice.network.name(),
                wanted: wanted.name(),
            });
        }
        match invoice.can_begin(now_s) {
            true => Ok(invoice),
            false => Err(InvoiceError::Expired),
        }
    }

    /// Whether there is time to begin paying it.
    #[must_use]
    pub const fn can_begin(&self, now_s: u64) -> bool {
        now_s.saturating_add(EXPIRY_MARGIN_S) < self.expires_s
    }
}

/// The amount by our own arithmetic: without a multiplier it is in whole bitcoins.
fn amount_msat(invoice: &Bolt11Invoice) -> Result<u64, InvoiceError> {
    let raw = invoice.clone().into_signed_raw();
    let raw = raw.raw_invoice();
    let number = raw.hrp.raw_amount.ok_or(InvoiceError::NoAmount)?;
    let picos: u128 = match raw.hrp.si_prefix {
        None => 1_000_000_000_000,
        Some(SiPrefix::Milli) => 1_000_000_000,
        Some(SiPrefix::Micro) => 1_000_000,
        Some(SiPrefix::Nano) => 1_000,
        Some(SiPrefix::Pico) => 1,
    };
    let picos = u128::from(number).checked_mul(picos);
    let msat = picos
        .filter(|picos| picos % 10 == 0)
        .and_then(|picos| u64::try_from(picos / 10).ok());
    msat.filter(|msat| (1..=MSAT_MAX).contains(msat))
        .ok_or(InvoiceError::Amount)
}

fn network(invoice: &Bolt11Invoice) -> Result<Network, InvoiceError> {
    match invoice.currency() {
        Currency::Bitcoin => Ok(Network::Mainnet),
        Currency::BitcoinTestnet => Ok(Network::Testnet),
        Currency::Signet => Ok(Network::Signet),
        Currency::Regtest => Ok(Network::Regtest),
        Currency::Simnet => Err(InvoiceError::Network {
            of: "simnet",
            wanted: "any network that is known here",
        }),
    }
}

fn unreadable(why: ParseOrSemanticError) -> InvoiceError {
    use lightning_invoice::Bolt11SemanticError::ImpreciseAmount;
    match why {
        ParseOrSemanticError::SemanticError(ImpreciseAmount)
        | ParseOrSemanticError::ParseError(
            Bolt11ParseError::IntegerOverflowError | Bolt11ParseError::ParseAmountError(_),
        ) => InvoiceError::Amount,
        why => InvoiceError::Unreadable(why.to_string()),
    }
}

#[cfg(test)]
#[path = "invoice_tests.rs"]
mod tests;
