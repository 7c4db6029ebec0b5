//! Paying with lnd, and asking it what became of a payment. The table is in `mod.rs`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::http::{Ask, NoAnswer, Refusal};
use super::stream::Lines;
use super::{ANSWER_BYTES_MAX, ANSWER_TIMEOUT, LndNode, answers};
use crate::node::{NodeError, Order, PayError, PaymentFate};

/// Between two questions after a node that does not answer.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// lnd begins with where a payment is; others with where it was, and go on at once.
const AFTERTHOUGHT: Duration = Duration::from_millis(500);
/// A node that looks for ways longer than a minute finds none.
const ATTEMPTS_S_MAX: u64 = 60;
/// It gives up a little before we do, so that we hear of it.
const ATTEMPTS_MARGIN: Duration = Duration::from_secs(3);

/// What a line of a payment's stream has said last.
enum Heard {
    /// lnd has the payment, and it has no end yet.
    TakenOn,
    /// Nothing that can be read.
    Nothing,
}

impl LndNode {
    /// Sends the payment once, and follows it until it ends or the wait does.
    pub(super) async fn pay_once(&self, order: &Order<'_>) -> Result<PaymentFate, PayError> {
        let deadline = Instant::now() + order.wait;
        let mut heard = Heard::Nothing;
        let why = match self.send(order, deadline, &mut heard).await {
            Ok(fate) => return Ok(fate),
            Err(why) => why,
        };
        match (why, heard) {
            (NoAnswer::NotSent(why), _) => {
                Err(PayError::NotSent(self.told(NoAnswer::NotSent(why))))
            }
            (NoAnswer::Refused(refusal), Heard::Nothing) => {
                self.after_refusal(order, refusal, deadline).await
            }
            (why, heard) => self.after_silence(order, why, &heard, deadline).await,
        }
    }

    /// What lnd knows of a payment now.
    pub(super) async fn track_now(&self, hash: &[u8; 32]) -> Result<PaymentFate, NodeError> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let asked = async {
            let mut lines = self.open_track(hash, ANSWER_TIMEOUT).await?;
            match first_state(&mut lines, hash).await? {
                PaymentFate::InFlight => {
                    let next = tokio::time::timeout(AFTERTHOUGHT, first_state(&mut lines, hash));
                    next.await.unwrap_or(Ok(PaymentFate::InFlight))
                }
                fate => Ok(fate),
            }
        };
        let asked = timeout_at(deadline, asked).await;
        match asked.unwrap_or_else(|_| Err(NoAnswer::MaybeSent("no answer in time".to_owned()))) {
            Err(NoAnswer::Refused(refusal)) if refusal.is_unknown_payment() => {
                Ok(PaymentFate::Unknown)
            }
            Err(why) => Err(self.told(why)),
            Ok(fate) => Ok(fate),
        }
    }

    async fn send(
        &self,
        order: &Order<'_>,
        deadline: Instant,
        heard: &mut Heard,
    ) -> Result<PaymentFate, NoAnswer> {
        let attempts = order.wait.saturating_sub(ATTEMPTS_MARGIN).as_secs();
        let body = json!({
            "payment_request": order.bolt11,
            "fee_limit_msat": order.max_fee_msat.to_string(),
            "timeout_seconds": attempts.clamp(1, ATTEMPTS_S_MAX),
            "allow_self_payment": false,
            // The first line says that lnd has taken the payment on.
            "no_inflight_updates": false,
        });
        let body = body.to_string();
        let ask = Ask::post("v2/router/send", &body, order.wait, ANSWER_BYTES_MAX);
        let mut lines = self.http.open(&ask).await?;
        follow(&mut lines, order.payment_hash, deadline, heard).await
    }

    /// lnd itself said no. Nothing of this call is under way any more, so what it knows now is what
    /// there is.
    async fn after_refusal(
        &self,
        order: &Order<'_>,
        refusal: Refusal,
        deadline: Instant,
    ) -> Result<PaymentFate, PayError> {
        if !refusal.is_known_payment() && (refusal.is_permission() || refusal.is_not_ready()) {
            return Err(PayError::NotSent(self.told(NoAnswer::Refused(refusal))));
        }
        match self.track_until(order.payment_hash, deadline).await {
            Ok(PaymentFate::Unknown) => {
                Err(PayError::NotSent(self.told(NoAnswer::Refused(refusal))))
            }
            Ok(fate) => Ok(fate),
            Err(why) => Err(PayError::MaybeSent(why)),
        }
    }

    /// Nobody knows whether lnd has the payment. What it says of a failure may be of an earlier
    /// attempt, unless this one was seen to begin.
    async fn after_silence(
        &self,
        order: &Order<'_>,
        why: NoAnswer,
        heard: &Heard,
        deadline: Instant,
    ) -> Result<PaymentFate, PayError> {
        match (self.track_until(order.payment_hash, deadline).await, heard) {
            (Ok(fate @ (PaymentFate::Succeeded { .. } | PaymentFate::InFlight)), _)
            | (Ok(fate @ PaymentFate::Failed { .. }), Heard::TakenOn) => Ok(fate),
            _ => Err(PayError::MaybeSent(self.told(why))),
        }
    }

    /// Follows a payment until it ends; asks again for as long as the node is away.
    async fn track_until(
        &self,
        hash: &[u8; 32],
        deadline: Instant,
    ) -> Result<PaymentFate, NodeError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let followed = async {
                let mut lines = self.open_track(hash, left.max(ASK_AGAIN)).await?;
                follow(&mut lines, hash, deadline, &mut Heard::Nothing).await
            };
            match followed.await {
                Ok(fate) => return Ok(fate),
                Err(NoAnswer::Refused(refusal)) if refusal.is_unknown_payment() => {
                    return Ok(PaymentFate::Unknown);
                }
                Err(NoAnswer::Refused(refusal)) if !refusal.is_not_ready() => {
                    return Err(self.told(NoAnswer::Refused(refusal)));
                }
                Err(why) if Instant::now() + ASK_AGAIN >= deadline => return Err(self.told(why)),
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    }

    async fn open_track(&self, hash: &[u8; 32], within: Duration) -> Result<Lines, NoAnswer> {
        let path = format!("v2/router/track/{}", URL_SAFE.encode(hash));
        let ask = Ask::get(&path, within.min(ANSWER_TIMEOUT), ANSWER_BYTES_MAX);
        self.http.open(&ask).await
    }
}

/// Reads states until one is an end; at the deadline the payment is under way.
async fn follow(
    lines: &mut Lines,
    hash: &[u8; 32],
    deadline: Instant,
    heard: &mut Heard,
) -> Result<PaymentFate, NoAnswer> {
    loop {
        match timeout_at(deadline, first_state(lines, hash)).await {
            Err(_) => {
                return match heard {
                    Heard::TakenOn => Ok(PaymentFate::InFlight),
                    Heard::Nothing => Err(NoAnswer::MaybeSent("no answer in time".to_owned())),
                };
            }
            Ok(Ok(PaymentFate::InFlight)) => *heard = Heard::TakenOn,
            Ok(other) => return other,
        }
    }
}

async fn first_state(lines: &mut Lines, hash: &[u8; 32]) -> Result<PaymentFate, NoAnswer> {
    match lines.next().await? {
        Some(line) => answers::payment_line(&line, hash),
        None => Err(NoAnswer::MaybeSent("the stream ended too early".to_owned())),
    }
}
