//! Being paid: invoices, what became of them, and the settlements in their order.

use std::sync::Arc;

use ldk_node::bitcoin::hashes::Hash as _;
use ldk_node::lightning_invoice::{Bolt11InvoiceDescription, Description};
use ldk_node::lightning_types::payment::{PaymentHash as LdkHash, PaymentPreimage};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::decode::now;
use crate::error::Error;
use crate::hash::{PaymentHash, Preimage};
use crate::node::{Inner, Node};
use crate::open::{MAX_OPEN, Stage};
use crate::records::{self, Records};

/// Longest life of an invoice: a day. What expires later is no price any more.
pub(crate) const MAX_EXPIRY_S: u32 = 86_400;
/// Expired invoices that the making of a new one forgets: more than one, so that none pile up; few, so that it is quick.
const PRUNED_PER_INVOICE: usize = 8;

/// An invoice that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// What the payer's node reads.
    pub bolt11: String,
    /// What names its payment.
    pub payment_hash: PaymentHash,
    /// Until when it may be paid, in seconds since 1970.
    pub expires_at_unix_s: u64,
}

/// Where an invoice of ours stands.
#[derive(Debug, PartialEq, Eq)]
pub enum InvoiceState {
    /// Not paid yet.
    Open {
        /// Msat.
        amount_msat: u64,
        /// Seconds since 1970.
        expires_at_unix_s: u64,
    },
    /// A payment is here and held ([`Node::create_hold_invoice`] alone).
    Held {
        /// Msat that arrived.
        amount_msat: u64,
    },
    /// Paid.
    Settled {
        /// Proof of payment; not known of an invoice that was made before a restart.
        preimage: Option<Preimage>,
        /// Msat that arrived: at least what the invoice asked for.
        amount_msat: u64,
        /// Seconds since 1970.
        at_unix_s: u64,
        /// Its place in the order of settlements.
        index: u64,
    },
    /// Not paid in time.
    Expired,
    /// Cancelled before it was paid.
    Canceled,
    /// Not ours; forgotten ten minutes after it expired; or made before a restart and not paid. The last may still be paid
    /// and is then [`InvoiceState::Settled`].
    Unknown,
}

/// A payment that was received, in the order of settling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// Its place: 1 is the first, no place is left out.
    pub index: u64,
    /// Which invoice.
    #[serde(with = "crate::hash::as_hex")]
    pub payment_hash: PaymentHash,
    /// Msat that arrived.
    pub amount_msat: u64,
    /// Seconds since 1970.
    pub at_unix_s: u64,
}

impl Node {
    /// Makes an invoice that is claimed as soon as it is paid. It costs no write to the storage.
    ///
    /// # Errors
    /// An argument makes no sense, 100,000 invoices are open, or the node is stopped.
    pub async fn create_invoice(
        &self,
        amount_msat: u64,
        description: &str,
        expiry_s: u32,
    ) -> Result<Invoice, Error> {
        let description = check(amount_msat, description, expiry_s)?;
        self.blocking(move |inner| inner.create(amount_msat, &description, expiry_s, None))
            .await
    }

    /// Makes an invoice for a preimage that the caller has. A payment is held ([`Event::Held`](crate::Event::Held)) until
    /// [`Node::claim_held`] or [`Node::cancel_invoice`]. It is written to the storage, for it must outlive a restart.
    ///
    /// # Errors
    /// As [`Node::create_invoice`].
    pub async fn create_hold_invoice(
        &self,
        payment_hash: PaymentHash,
        amount_msat: u64,
        description: &str,
        expiry_s: u32,
    ) -> Result<Invoice, Error> {
        let description = check(amount_msat, description, expiry_s)?;
        self.blocking(move |inner| {
            inner.create(amount_msat, &description, expiry_s, Some(payment_hash))
        })
        .await
    }

    /// Claims a held payment. It is settled when the node says so. After a restart the node does not tell again what it
    /// holds; claiming what is not there does nothing.
    ///
    /// # Errors
    /// No invoice that holds has the preimage's hash, or it was cancelled.
    pub async fn claim_held(&self, preimage: Preimage) -> Result<(), Error> {
        self.blocking(move |inner| {
            let hash = preimage.payment_hash();
            let held = inner.open().get(hash);
            let amount = match held {
                Some(open) if matches!(open.stage, Stage::Hold | Stage::Held) => open.amount_msat,
                _ => return Err(Error::NotHeld),
            };
            let claimed = inner.ldk.bolt11_payment().claim_for_hash(
                LdkHash(hash.0),
                amount,
                PaymentPreimage(*preimage.expose()),
            );
            Ok(claimed?)
        })
        .await
    }

    /// Cancels an invoice of [`Node::create_hold_invoice`]: a held payment goes back, later ones are refused. Other
    /// invoices cannot be cancelled: LDK claims what pays them.
    ///
    /// # Errors
    /// It is no such invoice, or it is settled.
    pub async fn cancel_invoice(&self, payment_hash: PaymentHash) -> Result<(), Error> {
        self.blocking(move |inner| {
            let mut open = inner.open();
            let invoice = open.get(payment_hash).ok_or(Error::NotHeld)?;
            let held = match invoice.stage {
                Stage::Hold => false,
                Stage::Held => true,
                Stage::Canceled => return Ok(()),
                Stage::Open | Stage::Paid => return Err(Error::NotHeld),
            };
            open.set(payment_hash, Stage::Canceled, invoice.amount_msat);
            drop(open);
            if held {
                inner.send_back(payment_hash);
            }
            Ok(())
        })
        .await
    }

    /// What became of an invoice.
    ///
    /// # Errors
    /// The storage failed, or the node is stopped.
    pub async fn lookup_invoice(&self, payment_hash: PaymentHash) -> Result<InvoiceState, Error> {
        self.blocking(move |inner| inner.invoice_state(payment_hash))
            .await
    }

    /// Forgets an unpaid invoice before it expires. Whoever has it can still pay it, and that is recorded.
    ///
    /// # Errors
    /// The storage failed, or the node is stopped.
    pub async fn forget_invoice(&self, payment_hash: PaymentHash) -> Result<(), Error> {
        self.blocking(move |inner| {
            let mut open = inner.open();
            let unpaid = open
                .get(payment_hash)
                .is_some_and(|open| matches!(open.stage, Stage::Open | Stage::Canceled));
            if !unpaid {
                return Ok(());
            }
            open.remove(payment_hash);
            drop(open);
            inner.forget_row(payment_hash)
        })
        .await
    }

    /// Invoices that the node has in memory: open, held, and those that it forgets soon.
    ///
    /// # Errors
    /// The node is stopped.
    pub fn invoices_kept(&self) -> Result<usize, Error> {
        Ok(self.inner()?.open().len())
    }

    /// Every settlement after this index, those that are past and those to come; 0 begins at the first. A caller that
    /// writes down how far it came misses none, through crashes too, as long as it is less than 100,000 behind.
    ///
    /// # Errors
    /// The node is stopped.
    pub fn settlements(&self, after: u64) -> Result<Settlements, Error> {
        let inner = self.inner()?;
        Ok(Settlements {
            records: Arc::clone(&inner.records),
            newest: inner.settled.subscribe(),
            handle: self.handle()?,
            told: after,
        })
    }

    /// The index of the newest settlement; 0 if there is none.
    ///
    /// # Errors
    /// The node is stopped.
    pub fn newest_settlement(&self) -> Result<u64, Error> {
        Ok(*self.inner()?.settled.borrow())
    }
}

/// Settlements in their order.
pub struct Settlements {
    records: Arc<Records>,
    newest: watch::Receiver<u64>,
    handle: Handle,
    told: u64,
}

impl std::fmt::Debug for Settlements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Settlements(after {})", self.told)
    }
}

impl Settlements {
    /// The next one, when it settles.
    ///
    /// # Errors
    /// The storage failed; or the node is stopped and all were told.
    pub async fn next(&mut self) -> Result<Settlement, Error> {
        loop {
            let newest = *self.newest.borrow_and_update();
            let oldest = newest.saturating_sub(records::LOG_KEPT);
            self.told = self.told.max(oldest);
            if self.told < newest {
                let index = self.told.saturating_add(1);
                let records = Arc::clone(&self.records);
                let read = self.handle.spawn_blocking(move || records.logged(index));
                let entry = read.await.map_err(|_| Error::Stopped)??;
                self.told = index;
                match entry {
                    Some(settlement) => return Ok(settlement),
                    None => continue,
                }
            }
            self.newest.changed().await.map_err(|_| Error::Stopped)?;
        }
    }
}

fn check(amount_msat: u64, description: &str, expiry_s: u32) -> Result<Description, Error> {
    if amount_msat == 0 {
        return Err(Error::Argument(
            "an invoice asks for at least 1 msat".to_owned(),
        ));
    }
    if expiry_s == 0 || expiry_s > MAX_EXPIRY_S {
        return Err(Error::Argument(format!(
            "an invoice lives from 1 to {MAX_EXPIRY_S} s"
        )));
    }
    Description::new(description.to_owned())
        .map_err(|_| Error::Argument("an invoice's text has at most 639 bytes".to_owned()))
}

impl Inner {
    fn create(
        &self,
        amount_msat: u64,
        description: &Description,
        expiry_s: u32,
        hold: Option<PaymentHash>,
    ) -> Result<Invoice, Error> {
        self.prune(PRUNED_PER_INVOICE)?;
        if self.open().len() >= MAX_OPEN {
            return Err(Error::TooManyInvoices(MAX_OPEN));
        }
        let description = Bolt11InvoiceDescription::Direct(description.clone());
        let payments = self.ldk.bolt11_payment();
        let invoice = match hold {
            None => payments.receive(amount_msat, &description, expiry_s)?,
            Some(hash) => {
                // A second invoice under one hash could be paid with the first one's preimage.
                if self.invoice_state(hash)? != InvoiceState::Unknown {
                    return Err(Error::Argument("this hash has an invoice".to_owned()));
                }
                let hash = LdkHash(hash.0);
                payments.receive_for_hash(amount_msat, &description, expiry_s, hash)?
            }
        };
        let payment_hash = PaymentHash(invoice.payment_hash().to_byte_array());
        let expires_at_unix_s = invoice
            .duration_since_epoch()
            .saturating_add(invoice.expiry_time())
            .as_secs();
        let stage = if hold.is_some() {
            Stage::Hold
        } else {
            Stage::Open
        };
        self.open()
            .insert(payment_hash, amount_msat, expires_at_unix_s, stage);
        Ok(Invoice {
            bolt11: invoice.to_string(),
            payment_hash,
            expires_at_unix_s,
        })
    }

    pub(crate) fn invoice_state(&self, hash: PaymentHash) -> Result<InvoiceState, Error> {
        if let Some(settled) = self.records.settled(hash)? {
            return Ok(InvoiceState::Settled {
                preimage: settled
                    .preimage
                    .as_deref()
                    .and_then(records::bytes)
                    .map(Preimage::new),
                amount_msat: settled.amount_msat,
                at_unix_s: settled.at_unix_s,
                index: settled.index,
            });
        }
        let Some(open) = self.open().get(hash) else {
            return Ok(InvoiceState::Unknown);
        };
        Ok(match open.stage {
            Stage::Held => InvoiceState::Held {
                amount_msat: open.amount_msat,
            },
            Stage::Canceled => InvoiceState::Canceled,
            _ if self.is_past(open.expires_at_unix_s) => InvoiceState::Expired,
            _ => InvoiceState::Open {
                amount_msat: open.amount_msat,
                expires_at_unix_s: open.expires_at_unix_s,
            },
        })
    }

    /// Forgets invoices whose time is over, and ldk-node's rows of them.
    pub(crate) fn prune(&self, most: usize) -> Result<(), Error> {
        let due = self.open().take_due(now().as_secs(), most);
        for hash in due {
            self.forget_row(hash)?;
        }
        Ok(())
    }
}
