//! Collecting by invoice: the money moves before the credential exists (Lightning under L402).
//!
//! A seller asks an [`InvoiceRail`] for an invoice, puts it into its challenge, and takes the
//! preimage as proof that it was paid. The rail never decides what a token is good for, and it never
//! hands a preimage to anybody: whoever knows it has paid.
//!
//! | what happens | the rail | the seller |
//! |---|---|---|
//! | the node does not answer | `RailError`, after a time limit of its own | 402 without this offer |
//! | two ask for an invoice at once | two invoices | bounds how many are open |
//! | an invoice is paid, nobody comes | tells by [`InvoiceRail::settlements`] | books it as earned |
//! | the node restarts | tells again from the place that it is asked for | books each hash once |
//! | the process restarts | nothing of its own is lost | asks from the last place in its books |

use async_trait::async_trait;
use farebox_wire::money::Amount;

use crate::rail::{NetworkHealth, Price, RailError, Terms};

/// An invoice of ours that can be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// BOLT11 text, as it goes into the challenge.
    pub text: String,
    /// SHA-256 of the preimage that proves payment.
    pub payment_hash: [u8; 32],
    /// Until when it can be paid, in Unix seconds.
    pub expires_s: u64,
}

/// Where an invoice stands, as its node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvoiceState {
    /// It can be paid, or a payment of it is on its way.
    Open,
    /// It was paid.
    Settled(SettledInvoice),
    /// It will not be paid: withdrawn, expired, or not known to this node.
    Dead,
}

/// An invoice that was paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledInvoice {
    /// Its place among the node's settled invoices: positive, rising.
    pub index: u64,
    /// Which one.
    pub payment_hash: [u8; 32],
    /// What came in, in atomic units; not less than was asked for.
    pub amount: Amount,
    /// When, in Unix seconds.
    pub settled_s: u64,
}

/// Collects by invoice.
#[async_trait]
pub trait InvoiceRail: Send + Sync {
    /// `lightning`.
    fn rail(&self) -> &'static str;

    /// What a price comes to in this rail's money now: the terms of an offer, without a payer. It
    /// asks nobody but the rates.
    ///
    /// # Errors
    /// Where there is no rate that can be used, or the amount does not fit.
    fn terms(&self, price: &Price) -> Result<Terms, RailError>;

    /// The same for a price in this rail's own atomic units, which needs no rate: where there is
    /// none, the cost is zero.
    fn terms_over(&self, amount: Amount) -> Terms;

    /// Makes an invoice over `terms.amount`. `description` is for people, without secrets.
    ///
    /// # Errors
    /// Where the node does not answer within a few seconds, or cannot receive that much.
    async fn invoice(
        &self,
        terms: &Terms,
        description: &str,
        expiry_s: u64,
    ) -> Result<Invoice, RailError>;

    /// Where an invoice stands.
    ///
    /// # Errors
    /// Where the node does not tell; that is not [`InvoiceState::Dead`].
    async fn look_up(&self, payment_hash: &[u8; 32]) -> Result<InvoiceState, RailError>;

    /// Takes an invoice back that nobody shall pay any more. One that was paid stays so.
    ///
    /// # Errors
    /// Where the node does not answer; it then ends at its expiry.
    async fn cancel(&self, payment_hash: &[u8; 32]) -> Result<(), RailError>;

    /// The invoices that were paid after the place `after` (0: all), in their order; waits until
    /// there is one, for as long as it takes. Drop it to stop waiting.
    ///
    /// # Errors
    /// Where the connection to the node breaks: pause, and ask again from the same place.
    async fn settlements(&self, after: u64) -> Result<Vec<SettledInvoice>, RailError>;

    /// How the node does, and whether it can receive. Asked for by people and by load balancers.
    async fn health(&self) -> NetworkHealth;
}
