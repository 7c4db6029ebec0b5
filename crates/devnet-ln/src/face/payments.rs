//! Paying, as LND's REST has it: send and track. A payment goes on when its caller hangs up, and a second send of a hash is
//! refused.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use farebox_node_ldk::{Error, FailReason, Network, Node, PayState, PaymentHash, decode};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{Face, Status, code, flag, hash_of_base64, lines, number, text};
use crate::side::FacePayment;

/// Between two looks whether the node has begun what it was told to pay.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// What LND writes where there is no preimage.
const NO_PREIMAGE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Face {
    pub(super) async fn send_payment(
        &self,
        body: &Value,
        proofs: bool,
    ) -> Result<Response, Status> {
        let bolt11 = text(body, "payment_request").to_owned();
        let unknown = |error: Error| Status::new(code::UNKNOWN, error.to_string());
        let invoice = decode(&bolt11).map_err(unknown)?;
        let hash = invoice.payment_hash;
        if invoice.network != Network::Regtest {
            let why = "invoice not for current active network 'regtest'";
            return Err(Status::new(code::UNKNOWN, why));
        }
        let Some(value_msat) = invoice.amount_msat else {
            let why = "amount must be specified when paying a zero amount invoice";
            return Err(Status::new(code::UNKNOWN, why));
        };
        if number(body, "timeout_seconds")? == 0 {
            return Err(Status::new(
                code::UNKNOWN,
                "timeout_seconds must be specified",
            ));
        }
        let cap_msat = match (
            number(body, "fee_limit_sat")?,
            number(body, "fee_limit_msat")?,
        ) {
            (0, msat) => msat,
            (sats, 0) => sats.saturating_mul(1000),
            _ => {
                let why = "sat and msat arguments are mutually exclusive";
                return Err(Status::new(code::UNKNOWN, why));
            }
        };
        let node = self.side.node().await?;
        self.take_up(&node, hash, &bolt11, value_msat).await?;
        let (end, ended) = oneshot::channel();
        let face = self.clone();
        tokio::spawn(async move {
            let paid = node.pay(&bolt11, cap_msat, Duration::MAX).await;
            if let Some(payment) = face.side.book().payments.get_mut(&hash) {
                payment.running = false;
            }
            // An error means that the caller has hung up.
            let _ = end.send(paid);
        });
        self.follow(hash, ended, flag(body, "no_inflight_updates"), proofs)
            .await
    }

    pub(super) async fn track_payment(
        &self,
        hash: &str,
        query: &Value,
        proofs: bool,
    ) -> Result<Response, Status> {
        let hash = hash_of_base64(hash)?;
        let node = self.side.node().await?;
        let Some(payment) = self.initiated(&node, hash).await? else {
            return Err(Status::new(code::NOT_FOUND, "payment isn't initiated"));
        };
        let (end, ended) = oneshot::channel();
        tokio::spawn(async move {
            // It was sent, so this sends nothing: it waits for the same end.
            let paid = node.pay(&payment.bolt11, 0, Duration::MAX).await;
            let _ = end.send(paid);
        });
        self.follow(hash, ended, flag(query, "no_inflight_updates"), proofs)
            .await
    }

    /// A payment that the node knows, or is about to know: then this waits until it does.
    async fn initiated(
        &self,
        node: &Arc<Node>,
        hash: PaymentHash,
    ) -> Result<Option<FacePayment>, Status> {
        loop {
            let Some(payment) = self.side.book().payments.get(&hash).cloned() else {
                return Ok(None);
            };
            if node.lookup_payment(hash).await? != PayState::NotFound {
                return Ok(Some(payment));
            }
            if !payment.running {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Puts a payment under way, unless it is or has settled.
    async fn take_up(
        &self,
        node: &Arc<Node>,
        hash: PaymentHash,
        bolt11: &str,
        value_msat: u64,
    ) -> Result<(), Status> {
        let state = node.lookup_payment(hash).await?;
        let exists = |message| Err(Status::new(code::ALREADY_EXISTS, message));
        let mut book = self.side.book();
        let running = book
            .payments
            .get(&hash)
            .is_some_and(|payment| payment.running);
        match state {
            PayState::Succeeded { .. } => return exists("invoice is already paid"),
            PayState::InFlight => return exists("payment is in transition"),
            PayState::NotFound | PayState::Failed { .. } if running => {
                return exists("payment is in transition");
            }
            PayState::NotFound | PayState::Failed { .. } => {}
        }
        let index = u64::try_from(book.payments.len()).unwrap_or(u64::MAX);
        let payment = FacePayment {
            bolt11: bolt11.to_owned(),
            value_msat,
            created_unix_s: std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            index: index.saturating_add(1),
            running: true,
        };
        book.payments.insert(hash, payment);
        Ok(())
    }

    /// Tells that a payment is under way, unless that is not wanted, and then its end.
    async fn follow(
        &self,
        hash: PaymentHash,
        ended: oneshot::Receiver<Result<PayState, Error>>,
        quiet: bool,
        proofs: bool,
    ) -> Result<Response, Status> {
        let describe = {
            let face = self.clone();
            move |state: &PayState| face.payment(hash, state, proofs)
        };
        let first = (!quiet).then(|| describe(&PayState::InFlight));
        let last = stream::once(ended).filter_map(move |paid| {
            let told = match paid {
                // The node was stopped: LND's stream ends there too, without an end of the payment.
                Ok(Ok(PayState::InFlight | PayState::NotFound) | Err(_)) | Err(_) => None,
                Ok(Ok(state)) => Some(describe(&state)),
            };
            std::future::ready(told)
        });
        Ok(lines(stream::iter(first).chain(last)))
    }

    fn payment(&self, hash: PaymentHash, state: &PayState, proofs: bool) -> Value {
        let book = self.side.book();
        let payment = book.payments.get(&hash);
        let (status, preimage, fee_msat, reason) = match state {
            PayState::Succeeded {
                preimage, fee_msat, ..
            } => {
                let preimage = hex::encode(preimage.expose());
                ("SUCCEEDED", preimage, *fee_msat, "FAILURE_REASON_NONE")
            }
            PayState::Failed { reason } => {
                ("FAILED", NO_PREIMAGE.to_owned(), 0, reason_of(*reason))
            }
            PayState::InFlight | PayState::NotFound => (
                "IN_FLIGHT",
                NO_PREIMAGE.to_owned(),
                0,
                "FAILURE_REASON_NONE",
            ),
        };
        let preimage = if proofs {
            preimage
        } else {
            NO_PREIMAGE.to_owned()
        };
        let value_msat = payment.map_or(0, |payment| payment.value_msat);
        let created = payment.map_or(0, |payment| payment.created_unix_s);
        json!({
            "payment_hash": hash.to_string(),
            "value": (value_msat / 1000).to_string(),
            "creation_date": created.to_string(),
            "fee": (fee_msat / 1000).to_string(),
            "payment_preimage": preimage,
            "value_sat": (value_msat / 1000).to_string(),
            "value_msat": value_msat.to_string(),
            "payment_request": payment.map_or("", |payment| payment.bolt11.as_str()),
            "status": status,
            "fee_sat": (fee_msat / 1000).to_string(),
            "fee_msat": fee_msat.to_string(),
            "creation_time_ns": created.saturating_mul(1_000_000_000).to_string(),
            "htlcs": [],
            "payment_index": payment.map_or(0, |payment| payment.index).to_string(),
            "failure_reason": reason,
        })
    }
}

const fn reason_of(reason: FailReason) -> &'static str {
    match reason {
        FailReason::NoRoute => "FAILURE_REASON_NO_ROUTE",
        FailReason::Rejected => "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS",
        FailReason::RetriesExhausted | FailReason::Expired => "FAILURE_REASON_TIMEOUT",
        FailReason::Other => "FAILURE_REASON_ERROR",
    }
}
