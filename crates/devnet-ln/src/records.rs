//! What has become of the invoices and payments of a node, so that books can be held against it. Asked by tests and by
//! the demonstration; it changes nothing.

use farebox_node_ldk::{InvoiceState, Node, PayState, PaymentHash};

use crate::devnet::{Devnet, DevnetError};

/// Money that has moved, as the node records it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moved {
    /// The payment's hash, hexadecimal.
    pub payment_hash: String,
    /// What the payee got, in msat.
    pub msat: u64,
    /// What the way has cost the payer, in msat; 0 for what was received.
    pub fee_msat: u64,
}

impl Devnet {
    /// What a node was paid for invoices that its face has made, by payment hash.
    ///
    /// # Errors
    /// There is no such node, or it is stopped.
    pub fn received(&self, node: usize) -> Result<Vec<Moved>, DevnetError> {
        let invoices = self.invoices(node)?.into_iter();
        let settled = invoices.filter_map(|(hash, state)| match state {
            InvoiceState::Settled { amount_msat, .. } => Some(moved(hash, amount_msat, 0)),
            _ => None,
        });
        Ok(sorted(settled.collect()))
    }

    /// How many invoices that a node's face has made can be paid now.
    ///
    /// # Errors
    /// There is no such node, or it is stopped.
    pub fn open_invoices(&self, node: usize) -> Result<usize, DevnetError> {
        let invoices = self.invoices(node)?;
        let open = invoices
            .iter()
            .filter(|(_, state)| matches!(state, InvoiceState::Open { .. }));
        Ok(open.count())
    }

    /// What a node has paid because its face was told to, by payment hash.
    ///
    /// # Errors
    /// There is no such node, or it is stopped.
    pub fn paid(&self, node: usize) -> Result<Vec<Moved>, DevnetError> {
        let side = self.side(node)?;
        let hashes: Vec<PaymentHash> = side.book().payments.keys().copied().collect();
        self.wait(async move {
            let node = side.node().await?;
            let mut paid = Vec::new();
            for hash in hashes {
                paid.extend(paid_by(&node, hash).await?);
            }
            Ok(sorted(paid))
        })
    }

    fn invoices(&self, node: usize) -> Result<Vec<(PaymentHash, InvoiceState)>, DevnetError> {
        let side = self.side(node)?;
        let hashes: Vec<PaymentHash> = side.book().invoices.keys().copied().collect();
        self.wait(async move {
            let node = side.node().await?;
            let mut states = Vec::with_capacity(hashes.len());
            for hash in hashes {
                states.push((hash, node.lookup_invoice(hash).await?));
            }
            Ok(states)
        })
    }
}

async fn paid_by(node: &Node, hash: PaymentHash) -> Result<Option<Moved>, DevnetError> {
    Ok(match node.lookup_payment(hash).await? {
        PayState::Succeeded {
            fee_msat,
            amount_msat,
            ..
        } => Some(moved(hash, amount_msat, fee_msat)),
        _ => None,
    })
}

fn moved(hash: PaymentHash, msat: u64, fee_msat: u64) -> Moved {
    Moved {
        payment_hash: hash.to_string(),
        msat,
        fee_msat,
    }
}

fn sorted(mut all: Vec<Moved>) -> Vec<Moved> {
    all.sort();
    all
}
