//! Being paid, as LND's REST has it: add, look up, cancel, subscribe.

use std::collections::VecDeque;

use axum::response::Response;
use farebox_node_ldk::{Error, InvoiceState, PaymentHash, Preimage, Settlement, decode};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{Face, Status, base64, code, flag, hash_of_base64, lines, number, ok, text};
use crate::side::{FaceInvoice, Update};

/// LND's own default, in seconds.
const DEFAULT_EXPIRY_S: u64 = 86_400;

impl Face {
    pub(super) async fn add_invoice(&self, body: &Value) -> Result<Response, Status> {
        let (sats, msat) = (number(body, "value")?, number(body, "value_msat")?);
        let value_msat = match (sats, msat) {
            (0, msat) => msat,
            (sats, 0) => sats.saturating_mul(1000),
            _ => {
                let why = "sat and msat arguments are mutually exclusive";
                return Err(Status::new(code::UNKNOWN, why));
            }
        };
        if value_msat == 0 {
            let why = "this devnet makes no invoices without an amount";
            return Err(Status::new(code::UNKNOWN, why));
        }
        let expiry_s = match number(body, "expiry")? {
            0 => DEFAULT_EXPIRY_S,
            expiry => expiry,
        };
        let short = u32::try_from(expiry_s)
            .map_err(|_| Status::new(code::UNKNOWN, "expiry of that length is not taken"))?;
        let memo = text(body, "memo");
        let mut preimage = [0; 32];
        getrandom::fill(&mut preimage)
            .map_err(|error| Status::new(code::UNKNOWN, error.to_string()))?;
        let hash = Preimage::new(preimage).payment_hash();
        let node = self.side.node().await?;
        let made = node
            .create_hold_invoice(hash, value_msat, memo, short)
            .await?;
        let said = decode(&made.bolt11)?;
        let add_index = {
            let mut book = self.side.book();
            book.added.push(hash);
            let add_index = u64::try_from(book.added.len()).unwrap_or(u64::MAX);
            let invoice = FaceInvoice {
                preimage,
                memo: memo.to_owned(),
                value_msat,
                created_unix_s: said.created_unix_s,
                expiry_s,
                bolt11: made.bolt11.clone(),
                add_index,
                payment_secret: said.payment_secret,
                private: flag(body, "private"),
            };
            book.invoices.insert(hash, invoice);
            add_index
        };
        // An error means that nobody has subscribed.
        let _ = self.side.updates.send(Update::Added(hash));
        Ok(ok(&json!({
            "r_hash": base64(&hash.0),
            "payment_request": made.bolt11,
            "add_index": add_index.to_string(),
            "payment_addr": base64(&said.payment_secret),
        })))
    }

    pub(super) async fn lookup_invoice(&self, hash: &str) -> Result<Response, Status> {
        let hash = hash
            .parse()
            .map_err(|_| Status::new(code::INVALID, "the payment hash must be 32 bytes in hex"))?;
        let invoice = self.invoice(hash).await?;
        let missing = || Status::new(code::NOT_FOUND, "unable to locate invoice");
        Ok(ok(&invoice.ok_or_else(missing)?))
    }

    pub(super) async fn cancel_invoice(&self, body: &Value) -> Result<Response, Status> {
        let hash = hash_of_base64(text(body, "payment_hash"))?;
        let node = self.side.node().await?;
        if !self.side.book().invoices.contains_key(&hash) {
            return Err(Status::new(code::NOT_FOUND, "unable to locate invoice"));
        }
        if matches!(
            node.lookup_invoice(hash).await?,
            InvoiceState::Settled { .. }
        ) {
            return Err(Status::new(code::UNKNOWN, "invoice already settled"));
        }
        match node.cancel_invoice(hash).await {
            // Expired and forgotten: as good as cancelled.
            Ok(()) | Err(Error::NotHeld) => Ok(ok(&json!({}))),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn subscribe_invoices(&self, query: &Value) -> Result<Response, Status> {
        let (added, settled) = (number(query, "add_index")?, number(query, "settle_index")?);
        // Before the past is read, so that nothing falls in between.
        let live = self.side.updates.subscribe();
        let node = self.side.node().await?;
        let mut past = VecDeque::new();
        if added > 0 {
            let skip = usize::try_from(added).unwrap_or(usize::MAX);
            let hashes: Vec<PaymentHash> =
                self.side.book().added.iter().skip(skip).copied().collect();
            past.extend(hashes.into_iter().map(Update::Added));
        }
        let newest = node.newest_settlement()?;
        if settled > 0 && settled < newest {
            let mut settlements = node.settlements(settled)?;
            loop {
                let settlement = settlements.next().await?;
                let last = settlement.index >= newest;
                past.push_back(Update::Settled(settlement));
                if last {
                    break;
                }
            }
        }
        let subscription = Subscription {
            face: self.clone(),
            past,
            live,
            told: settled.max(newest),
        };
        Ok(lines(futures_util::stream::unfold(
            subscription,
            Subscription::next,
        )))
    }

    /// An invoice as LND describes it; `None` if the face has made none with this hash.
    async fn invoice(&self, hash: PaymentHash) -> Result<Option<Value>, Status> {
        let node = self.side.node().await?;
        let Some(invoice) = self.side.book().invoices.get(&hash).cloned() else {
            return Ok(None);
        };
        let state = node.lookup_invoice(hash).await?;
        Ok(Some(describe(hash, &invoice, &state)))
    }

    fn settled(&self, settlement: &Settlement) -> Option<Value> {
        let invoice = self
            .side
            .book()
            .invoices
            .get(&settlement.payment_hash)
            .cloned()?;
        let state = InvoiceState::Settled {
            preimage: None,
            amount_msat: settlement.amount_msat,
            at_unix_s: settlement.at_unix_s,
            index: settlement.index,
        };
        Some(describe(settlement.payment_hash, &invoice, &state))
    }
}

/// What a subscriber still has to be told.
struct Subscription {
    face: Face,
    past: VecDeque<Update>,
    live: broadcast::Receiver<Update>,
    /// The newest settlement that is in the past.
    told: u64,
}

impl Subscription {
    /// The next message and what remains. The stream ends where updates were missed: the subscriber comes again with its
    /// index.
    async fn next(mut self) -> Option<(Value, Self)> {
        loop {
            let (update, is_past) = match self.past.pop_front() {
                Some(update) => (update, true),
                None => match self.live.recv().await {
                    Ok(update) => (update, false),
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
                },
            };
            let message = match &update {
                Update::Added(hash) => self.face.invoice(*hash).await.ok().flatten(),
                Update::Settled(settlement) if !is_past && settlement.index <= self.told => None,
                Update::Settled(settlement) => self.face.settled(settlement),
            };
            if let Some(message) = message {
                return Some((message, self));
            }
        }
    }
}

fn describe(hash: PaymentHash, invoice: &FaceInvoice, state: &InvoiceState) -> Value {
    let (name, settled_at, index, paid_msat) = match state {
        InvoiceState::Open { .. } => ("OPEN", 0, 0, 0),
        InvoiceState::Held { .. } => ("ACCEPTED", 0, 0, 0),
        InvoiceState::Settled {
            amount_msat,
            at_unix_s,
            index,
            ..
        } => ("SETTLED", *at_unix_s, *index, *amount_msat),
        InvoiceState::Expired | InvoiceState::Canceled | InvoiceState::Unknown => {
            ("CANCELED", 0, 0, 0)
        }
    };
    let paid_sat = (paid_msat / 1000).to_string();
    // LND tells the preimage of its own invoices from the beginning.
    json!({
        "memo": invoice.memo,
        "r_preimage": base64(&invoice.preimage),
        "r_hash": base64(&hash.0),
        "value": (invoice.value_msat / 1000).to_string(),
        "value_msat": invoice.value_msat.to_string(),
        "settled": name == "SETTLED",
        "creation_date": invoice.created_unix_s.to_string(),
        "settle_date": settled_at.to_string(),
        "payment_request": invoice.bolt11,
        "description_hash": "",
        "expiry": invoice.expiry_s.to_string(),
        "fallback_addr": "",
        "cltv_expiry": "80",
        "route_hints": [],
        "private": invoice.private,
        "add_index": invoice.add_index.to_string(),
        "settle_index": index.to_string(),
        "amt_paid": paid_msat.to_string(),
        "amt_paid_sat": paid_sat,
        "amt_paid_msat": paid_msat.to_string(),
        "state": name,
        "htlcs": [],
        "features": {},
        "is_keysend": false,
        "payment_addr": base64(&invoice.payment_secret),
        "is_amp": false,
        "amp_invoice_state": {},
    })
}
