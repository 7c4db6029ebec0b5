//! Hands payments over: nonce, signature, journal, and only then the transaction leaves (law 2).
//! Runs in tasks that outlive the callers.

use std::sync::Arc;
use std::time::Instant;

use farebox_core::rail::{Outcome, RailError, Refusal, SentTransaction};
use tracing::{Instrument as _, Span};

use super::batch::Underway;
use super::fees::Fee;
use super::lanes::{Lane, Stake};
use super::nonces::Lease;
use super::payment::{Payment, Ticket};
use super::refusal::{NotTaken, not_taken};
use super::trip::{Trip, Way, party};
use super::tx::{SignedTx, sign};
use super::{Settler, Working, journals, ours, sending};
use crate::rpc::{Quantity, SendError};

/// Tries to hand payments over; each costs a new signature and a line in each journal.
const SEND_TRIES: u32 = 5;

/// A trip whose transaction no node has.
pub(super) struct Untaken {
    pub(super) trip: Trip,
    pub(super) why: NotTaken,
    pub(super) message: String,
}

impl Settler {
    /// Sends payments as one transaction. Their callers may take them back until one is signed.
    pub(super) fn launch(
        self: &Arc<Self>,
        mut tickets: Vec<Arc<Ticket>>,
        way: Way,
        underway: Option<Arc<Underway>>,
    ) -> Working {
        let settler = Arc::clone(self);
        let span = sending::span(&tickets);
        let sending = async move {
            for _ in 0..SEND_TRIES {
                tickets = settler.try_launch(tickets, &way, underway.clone()).await;
                if tickets.is_empty() {
                    return;
                }
            }
            let why = "the node refused every nonce; another program seems to use the gas key";
            refuse(&tickets, &ours(&why));
        };
        Box::pin(sending.instrument(span))
    }

    /// Returns what has to be tried again with another nonce or fee.
    async fn try_launch(
        self: &Arc<Self>,
        tickets: Vec<Arc<Ticket>>,
        way: &Way,
        underway: Option<Arc<Underway>>,
    ) -> Vec<Arc<Ticket>> {
        let (fee, lane, lease, stake) = match self.ready(way.gas_limit(tickets.len())).await {
            Ok(ready) => ready,
            Err(refusal) => {
                refuse(&tickets, &refusal);
                return Vec::new();
            }
        };
        // From here on their callers cannot take them back.
        let payments: Vec<Payment> = tickets.iter().filter_map(|t| t.take()).collect();
        let each = way.most_each(payments.len(), fee);
        let parties: Vec<_> = payments.iter().map(party).collect();
        let (hold, answers) = self.gas.reserve(&parties, each);
        let mut trip = Trip {
            lane,
            lease,
            stake,
            payments: Vec::with_capacity(payments.len()),
            way: way.clone(),
            hold,
            fee,
            sent_at: Instant::now(),
            underway,
            stuck: None,
        };
        for (payment, answer) in payments.into_iter().zip(answers) {
            match answer {
                Ok(()) => trip.payments.push(payment),
                Err(why) => payment.refuse(ours(&why)),
            }
        }
        let unsent = |error: RailError| Outcome::Rejected(ours(&error));
        match self.sign(&mut trip, fee, unsent).await {
            Some(tx) => self.hand_over(trip, tx).await,
            None => Vec::new(),
        }
    }

    /// Fees, and a nonce of a lane that can pay them.
    async fn ready(
        self: &Arc<Self>,
        gas_limit: u64,
    ) -> Result<(Fee, Arc<Lane>, Lease, Stake), Refusal> {
        let fee = self.fee().await.map_err(|e| ours(&e))?;
        let most = fee.max.saturating_mul(gas_limit.into());
        if let Ok((lane, lease, stake)) = self.lanes.lease(most) {
            return Ok((fee, lane, lease, stake));
        }
        // What is known of the lanes may be old.
        self.lanes.look(&self.rpc).await.map_err(|e| ours(&e))?;
        let (lane, lease, stake) = self.lanes.lease(most)?;
        Ok((fee, lane, lease, stake))
    }

    /// Signs the trip's transaction and has every payment write it down. Whoever cannot is left
    /// out with the outcome that `left_out` gives, and the rest is signed and written down anew.
    /// `None` where nobody is left.
    pub(super) async fn sign(
        &self,
        trip: &mut Trip,
        fee: Fee,
        left_out: impl Fn(RailError) -> Outcome,
    ) -> Option<SignedTx> {
        loop {
            if trip.payments.is_empty() && !trip.way.is_nothing() {
                return None;
            }
            let nonce = trip.lease.nonce();
            let tx = sign(&trip.lane.key, self.chain.number, nonce, fee, trip.action());
            let line = SentTransaction {
                hash: tx.hash.to_string(),
                signer: Some(trip.own().to_string()),
                nonce: Some(nonce),
            };
            let written = journals::write_down(&trip.payments, &line).await;
            let all = trip.payments.len();
            for (payment, written) in std::mem::take(&mut trip.payments).into_iter().zip(written) {
                match written {
                    Ok(()) => trip.payments.push(payment),
                    Err(error) => payment.finish(left_out(error)),
                }
            }
            if trip.payments.len() == all {
                return Some(tx);
            }
        }
    }

    /// Gives the transaction to the chain and has it followed. Returns what has to be tried again.
    pub(super) async fn hand_over(self: &Arc<Self>, trip: Trip, tx: SignedTx) -> Vec<Arc<Ticket>> {
        match self.give(trip, tx).await {
            None => Vec::new(),
            Some(Untaken { trip, why, message }) => self.not_taken(why, &message, trip).await,
        }
    }

    /// Gives the transaction to the chain and has it followed, or returns the trip.
    pub(super) async fn give(self: &Arc<Self>, mut trip: Trip, tx: SignedTx) -> Option<Untaken> {
        Span::current().record("farebox.transaction", tracing::field::display(&tx.hash));
        let expires_s = trip.expires_s();
        let (id, news) = self.watcher.register(&tx, trip.payments.len(), expires_s);
        if let Err((why, message)) = self.broadcast(&tx).await {
            self.watcher.forget(id);
            return Some(Untaken { trip, why, message });
        }
        trip.lease.mark_used();
        for payment in &mut trip.payments {
            payment.has_left = true;
        }
        trip.fee = tx.fee;
        trip.sent_at = Instant::now();
        tracing::info!(hash = %tx.hash, nonce = trip.lease.nonce(), payments = trip.payments.len(), "sent");
        self.watcher.sent(id, &tx, expires_s);
        tokio::spawn(Arc::clone(self).follow(trip, id, news));
        None
    }

    /// Gives a transaction to the chain. `Ok` means that a node has it or may have it: a lost
    /// reply is watched and sent again as if it had arrived. `Err` means that none has it.
    pub(super) async fn broadcast(&self, tx: &SignedTx) -> Result<(), (NotTaken, String)> {
        let (why, message) = match self.rpc.send_raw(&tx.raw).await {
            Ok(()) => return Ok(()),
            Err(SendError::MayBeSent(error)) => (NotTaken::Unclear, error.to_string()),
            Err(SendError::NotSent(error)) => (NotTaken::Other, error.to_string()),
            Err(SendError::Refused { message }) => (not_taken(&message), message),
        };
        tracing::warn!(hash = %tx.hash, ?why, message, "a transaction was not simply taken");
        match why {
            NotTaken::Known | NotTaken::Unclear => Ok(()),
            why => Err((why, message)),
        }
    }

    async fn not_taken(&self, why: NotTaken, message: &str, mut trip: Trip) -> Vec<Arc<Ticket>> {
        let refusal = match why {
            NotTaken::NonceUsed | NotTaken::Occupied => {
                self.skip(why, &mut trip).await;
                None
            }
            NotTaken::Underpriced => {
                self.fees.forget();
                None
            }
            NotTaken::Unfunded => {
                // Until the next look. Another gas key may do.
                trip.lane.has(0);
                let most = trip.way.most(trip.payments.len(), trip.fee);
                (!self.lanes.cover(most)).then(|| self.lanes.unfunded())
            }
            NotTaken::Other | NotTaken::Known | NotTaken::Unclear => {
                Some(ours(&format!("the node did not take it: {message}")))
            }
        };
        let tickets: Vec<_> = trip.payments.into_iter().map(Ticket::new).collect();
        let Some(refusal) = refusal else {
            return tickets;
        };
        refuse(&tickets, &refusal);
        Vec::new()
    }

    /// Skips a nonce that is said to be taken, where the node's count agrees.
    pub(super) async fn skip(&self, why: NotTaken, trip: &mut Trip) {
        let count = self.rpc.one::<Quantity>(trip.lane.count_call()).await;
        let count = count.ok().and_then(|q| u64::try_from(q.0).ok());
        // A node whose count says otherwise is not believed: skipping a free nonce would hold up
        // everything above it. Nor is one below it known to be used where this one only waits, so
        // that without a count nothing is skipped.
        let is_gone = why == NotTaken::NonceUsed;
        let nonce = trip.lease.nonce();
        if count.map_or(is_gone, |count| count > nonce) {
            trip.lease.mark_used();
            trip.lane.nonces.skip_to(nonce, count.unwrap_or_default());
        }
    }
}

fn refuse(tickets: &[Arc<Ticket>], refusal: &Refusal) {
    for ticket in tickets {
        ticket.refuse(refusal.clone());
    }
}
