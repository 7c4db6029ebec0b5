//! The seller's half: prices in bitcoin, invoices of our node, and what became of them.
//!
//! Called by the gate. What our node answers is read like a stranger's: an invoice over another
//! amount, or of another node, is never put into a challenge. What happens in each state is the table
//! of [`farebox_core::invoice`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::invoice::{Invoice, InvoiceRail, InvoiceState, SettledInvoice};
use farebox_core::rail::{NetworkHealth, Price, RailError, Terms};
use farebox_core::rates::{NoRate, Rates};
use farebox_wire::caip::ChainId;
use farebox_wire::money::Amount;

use crate::invoice::Bolt11;
use crate::network::{Chain, DECIMALS, MSAT_MAX, SYMBOL, amount_for, worth};
use crate::node::{InvoiceFate, Node, NodeErrorKind, NodeIdentity};
use crate::payer::check_network;
use crate::quote::{PROTOCOL, SCHEME, sats};

/// Bytes of a description that fit into an invoice (BOLT 11, field `d`).
const DESCRIPTION_BYTES_MAX: usize = 639;
/// A node's clock may be this far from ours.
const SKEW_S: u64 = 120;

/// Collects over Lightning.
pub struct LightningCollector {
    chain: Chain,
    node: Arc<dyn Node>,
    known: NodeIdentity,
    rates: Arc<dyn Rates>,
    clock: Arc<dyn Clock>,
    /// The most that one invoice has asked for, in millisatoshis.
    largest_msat: AtomicU64,
}

impl LightningCollector {
    /// Asks the node who it is.
    ///
    /// # Errors
    /// A network that is none of Lightning, or a node that does not answer, or is on another one.
    pub async fn start(
        network: &ChainId,
        node: Arc<dyn Node>,
        rates: Arc<dyn Rates>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RailError> {
        let chain = Chain::of(network).ok_or_else(|| RailError {
            code: "invalid_network",
            message: format!("{network} is no network of Lightning"),
        })?;
        let known = node.identity().await?;
        check_network(&known, &chain, node.name())?;
        Ok(Self {
            chain,
            node,
            known,
            rates,
            clock,
            largest_msat: AtomicU64::new(0),
        })
    }

    /// Public key of the node that is paid, 66 hex digits.
    #[must_use]
    pub fn payee(&self) -> &str {
        &self.known.pubkey
    }

    /// What a node's invoice is worth to us, if it is what was asked for.
    fn checked(&self, text: String, amount_msat: u64, expiry_s: u64) -> Result<Invoice, RailError> {
        let wrong = |why: &str| RailError {
            code: "node_answer",
            message: format!(
                "the Lightning node at {} made an invoice that was not asked for: {why}",
                self.node.name()
            ),
        };
        let read = Bolt11::read(&text).map_err(|why| wrong(&why.to_string()))?;
        if read.amount_msat != amount_msat {
            return Err(wrong("another amount"));
        }
        if read.payee != self.known.pubkey {
            return Err(wrong("another payee"));
        }
        if read.network != self.chain.network {
            return Err(wrong("another network"));
        }
        let latest = self
            .clock
            .now_s()
            .saturating_add(expiry_s)
            .saturating_add(SKEW_S);
        if read.expires_s > latest {
            return Err(wrong("it lives longer"));
        }
        Ok(Invoice {
            text,
            payment_hash: read.payment_hash,
            expires_s: read.expires_s,
        })
    }

    /// What stands in the way of being paid.
    async fn complaints(&self, is_synced: bool) -> Vec<String> {
        let mut complaints = Vec::new();
        if !is_synced {
            complaints.push("the Lightning node is not synced; payments to it may fail".to_owned());
        }
        match self.node.liquidity().await {
            Ok(has) if has.inbound_msat == 0 => complaints.push(
                "the Lightning node cannot receive: nobody has a channel to it with money on the other side; buy inbound liquidity, or spend from a channel of yours"
                    .to_owned(),
            ),
            Ok(has) => {
                let largest = self.largest_msat.load(Ordering::Relaxed);
                if has.inbound_msat < largest {
                    complaints.push(format!(
                        "the Lightning node can receive {} sat, less than the {} sat that one invoice asks for; buy inbound liquidity",
                        sats(has.inbound_msat),
                        sats(largest)
                    ));
                }
            }
            // A macaroon for invoices alone does not tell.
            Err(why) if why.kind == NodeErrorKind::Permission => {}
            Err(why) => complaints.push(why.message),
        }
        complaints
    }
}

#[async_trait]
impl InvoiceRail for LightningCollector {
    fn rail(&self) -> &'static str {
        crate::RAIL
    }

    fn terms(&self, price: &Price) -> Result<Terms, RailError> {
        let amount = amount_for(&*self.rates, price.usd).map_err(no_rate)?;
        if amount.is_zero() {
            return Err(RailError {
                code: "price_zero",
                message: "a price of nothing has no invoice; make the route free".to_owned(),
            });
        }
        let mut terms = self.terms_over(amount);
        terms.cost = worth(&*self.rates, amount).map_err(no_rate)?;
        Ok(terms)
    }

    fn terms_over(&self, amount: Amount) -> Terms {
        Terms {
            protocol: PROTOCOL.to_owned(),
            rail: crate::RAIL.to_owned(),
            network: self.chain.id.clone(),
            scheme: SCHEME.to_owned(),
            asset: self.chain.asset.clone(),
            symbol: SYMBOL.to_owned(),
            decimals: DECIMALS,
            amount,
            fee_max: Amount::ZERO,
            cost: worth(&*self.rates, amount).unwrap_or_default(),
            payee: self.known.pubkey.clone(),
            payer: None,
        }
    }

    async fn invoice(
        &self,
        terms: &Terms,
        description: &str,
        expiry_s: u64,
    ) -> Result<Invoice, RailError> {
        let amount_msat = u64::try_from(terms.amount.atomic());
        let amount_msat = amount_msat
            .ok()
            .filter(|msat| (1..=MSAT_MAX).contains(msat));
        let amount_msat = amount_msat.ok_or_else(|| RailError {
            code: "invoice_amount",
            message: "an invoice is over an amount that there is, and not over nothing; correct the price".to_owned(),
        })?;
        let description = shortened(description);
        let text = self
            .node
            .create_invoice(amount_msat, description, expiry_s)
            .await?;
        let invoice = self.checked(text, amount_msat, expiry_s)?;
        self.largest_msat.fetch_max(amount_msat, Ordering::Relaxed);
        Ok(invoice)
    }

    async fn look_up(&self, payment_hash: &[u8; 32]) -> Result<InvoiceState, RailError> {
        Ok(match self.node.look_up(payment_hash).await? {
            InvoiceFate::Open => InvoiceState::Open,
            InvoiceFate::Settled(settled) => InvoiceState::Settled(settled),
            InvoiceFate::Cancelled | InvoiceFate::Unknown => InvoiceState::Dead,
        })
    }

    async fn cancel(&self, payment_hash: &[u8; 32]) -> Result<(), RailError> {
        Ok(self.node.cancel(payment_hash).await?)
    }

    async fn settlements(&self, after: u64) -> Result<Vec<SettledInvoice>, RailError> {
        Ok(self.node.settlements(after).await?)
    }

    async fn health(&self) -> NetworkHealth {
        let state = self.node.state().await;
        let (is_reachable, head, complaints) = match state {
            Ok(state) => (true, state.height, self.complaints(state.is_synced).await),
            // A macaroon for invoices alone: that it answers is all there is to know.
            Err(why) if why.kind == NodeErrorKind::Permission => (true, None, Vec::new()),
            Err(why) => (false, None, vec![why.message]),
        };
        NetworkHealth {
            network: self.chain.id.clone(),
            is_reachable,
            head,
            signers: Vec::new(),
            complaints,
        }
    }
}

/// As much of a text as an invoice takes.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(DESCRIPTION_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

fn no_rate(why: NoRate) -> RailError {
    RailError {
        code: why.code,
        message: why.message,
    }
}
