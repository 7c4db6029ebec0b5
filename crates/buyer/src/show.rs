//! Shows a credential and reads what comes back.
//!
//! From here on money may move. Every way out tells the wallet what was learned, and none of them
//! follows a redirect, sends the credential anywhere else, or signs another.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use farebox_core::fault::Fault;
use farebox_core::ledger::{Payment, PaymentId};
use farebox_core::payment::{Event, Phase};
use farebox_core::purse::{LEASE_RENEW_MS, Ticket};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use tokio::time::{Instant, MissedTickBehavior};

use crate::answer::{Body, Fetched};
use crate::call::Call;
use crate::client::{Buyer, Halt};
use crate::ending::{Ending, Facts};
use crate::options;
use crate::passes;
use crate::receipt::{self, Said, Word};
use crate::transport::Hop;
use crate::walk;

/// The longest pause that a seller may ask for before the same credential is shown again.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// The shortest, whatever the seller says.
const RETRY_AFTER_MIN: Duration = Duration::from_millis(100);

impl Buyer {
    /// Shows a credential where it belongs and tells the wallet what came of it.
    pub(crate) async fn show(
        &self,
        call: &Call,
        hop: &Hop,
        ticket: Box<Ticket>,
    ) -> Result<Fetched, Halt> {
        let showing = self.show_until_decided(call, hop, &ticket);
        match self.while_alive(Some(&ticket.payment.id), showing).await {
            Ok((response, said)) => {
                if let Some(token) = &ticket.token {
                    let news = passes::news_of(response.status());
                    self.tell_shown(token, news).await;
                }
                Ok(self.conclude(call, hop, &ticket, response, said).await)
            }
            Err(fault) => {
                let reason = fault.code.to_owned();
                let payment = self.tell(&ticket, Event::NoReply { reason }, None).await;
                Err(Halt {
                    fault,
                    payment: Some(Box::new(payment)),
                    credential_sent: true,
                })
            }
        }
    }

    /// A seller that still serves an earlier request with this credential says 409 and when to
    /// come again; the same bytes are shown again then, within `max_time`.
    async fn show_until_decided(
        &self,
        call: &Call,
        hop: &Hop,
        ticket: &Ticket,
    ) -> Result<(Response, Said), Fault> {
        let deadline = options::deadline(call.max_time);
        loop {
            let response = self.transport.send(hop, Some(&ticket.credential)).await?;
            let said = receipt::read(response.status(), response.headers(), &ticket.payment.terms);
            let in_flight = response.status() == StatusCode::CONFLICT && said.receipt.is_none();
            let pause = retry_after(response.headers()).filter(|_| in_flight);
            match pause.map(|pause| Instant::now() + pause) {
                Some(again) if again < deadline => tokio::time::sleep_until(again).await,
                _ => return Ok((response, said)),
            }
        }
    }

    async fn conclude(
        &self,
        call: &Call,
        hop: &Hop,
        ticket: &Ticket,
        response: Response,
        said: Said,
    ) -> Fetched {
        let payment = self.tell(ticket, said.event(), said.receipt.clone()).await;
        let is_redirect = walk::is_redirect(response.status(), response.headers());
        let ending = Ending::new(Facts {
            credential_sent: true,
            status: Some(response.status().as_u16()),
            // What was paid first is not in the seller's hands to settle.
            is_pending: said.word == Word::Pending && ticket.token.is_none(),
            // The seller's receipt, or the chain, which somebody may have asked meanwhile.
            is_settled: payment.state.phase == Phase::Settled
                || matches!(said.word, Word::Settled { .. }),
            keeps_token: ticket.token.is_some()
                && passes::is_kept(passes::news_of(response.status())),
            is_fresh: call.fresh,
            redirect_refused: is_redirect && call.follow_redirects,
            ..Facts::default()
        });
        let head = (response.status(), response.headers().clone());
        let body = Body::of(response, call.max_time);
        let mut fetched = Fetched::with_head(&hop.url, head.0, head.1, body, ending);
        fetched.payment = Some(payment);
        fetched
    }

    /// Says that an open payment's credential was not shown this time after all.
    pub(crate) async fn not_shown(&self, ticket: &Ticket) -> Payment {
        let reason = "not_presented".to_owned();
        self.tell(ticket, Event::NoReply { reason }, None).await
    }

    /// Tells the wallet. A wallet that cannot write does not undo what was paid and answered: the
    /// payment stays Sent there, and its next reader asks the rail.
    async fn tell(&self, ticket: &Ticket, event: Event, receipt: Option<String>) -> Payment {
        let told = self.purse.report(&ticket.payment.id, event, receipt).await;
        told.unwrap_or_else(|fault| {
            tracing::error!(
                payment = %ticket.payment.id,
                %fault,
                "what came of this payment could not be written; run `farebox payments resume --all`"
            );
            ticket.payment.clone()
        })
    }

    /// Gives signs of life for a payment while `work` goes on.
    pub(crate) async fn while_alive<T>(
        &self,
        payment: Option<&PaymentId>,
        work: impl Future<Output = T>,
    ) -> T {
        let Some(id) = payment else {
            return work.await;
        };
        let period = Duration::from_millis(LEASE_RENEW_MS);
        let mut beat = tokio::time::interval_at(Instant::now() + period, period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = beat.tick() => {
                    // Without a lease somebody may show the same credential too: harmless.
                    if let Err(fault) = self.purse.keep_alive(id).await {
                        tracing::warn!(payment = %id, %fault, "no sign of life could be given");
                    }
                }
            }
        }
    }
}

/// Seconds only; a date is a pause of unknown length and counts as none.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    let pause = Duration::from_secs(seconds);
    (pause <= RETRY_AFTER_MAX).then(|| pause.max(RETRY_AFTER_MIN))
}
