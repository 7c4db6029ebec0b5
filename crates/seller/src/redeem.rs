//! THE collect function: from a credential to a paid answer, in the order of ARCHITECTURE laws 7 and 8.
//!
//! Called by the layer, in a task of its own, so that a buyer who hangs up cannot lose an
//! outcome. Cheap checks come first, then the claim, then the upstream and the settlement; an
//! answer leaves only after the ledger says that the payment is settled. A credential that fails
//! a check changes nothing for the one whom it imitates.

use std::sync::Arc;

use axum::body::Body;
use farebox_core::claim::{self, Presented, Repeat};
use farebox_core::ledger::{Payment, PaymentId, SellerSide};
use farebox_core::rail::{CollectRail, Examined, Proof};
use farebox_wire::x402::Version;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::answer::{Refused, UpstreamFailed, with_receipt};
use crate::body::{BodyDigest, Bought, Delivery, HandedOver, HashingBody, PaidBody};
use crate::buckets::Cost;
use crate::client::Meter;
use crate::config::SettleWhen;
use crate::credential::{self, Credential, Found};
use crate::headers;
use crate::inner::Inner;
use crate::layer::MatchedRoute;
use crate::shop::{OpenRoute, Shop};
use crate::till::settle::{Attempt, Settlement, receipt};
use crate::till::{Fingerprint, NotClaimed, NotProven, Proven, Seat, Taken};

/// Bytes of a repeated request's body that are read to compare it with the first. The first
/// streams through and has no such limit.
const REPEAT_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Names the payment of an answer, for the log: an extension of the response.
#[derive(Clone, Debug)]
pub struct PaidBy(pub PaymentId);

/// A request with a credential, and what it is for.
pub(crate) struct Visit {
    pub(crate) shop: Arc<Shop>,
    pub(crate) open: Arc<OpenRoute>,
    pub(crate) request: Request<Body>,
    pub(crate) credential: Credential,
}

/// Collects: checks, claims, settles, and lets through.
///
/// Hundreds of these wait for one block. What they need for a moment only is on the heap for that moment.
pub(crate) async fn collect(visit: Visit, inner: Inner) -> Result<Response<Body>, Refused> {
    let (case, request) = Box::pin(sit(visit)).await?;
    match case.earlier().await? {
        None => case.serve_first(request, inner).await,
        Some(paid) => Box::pin(case.serve_again(paid, request, inner)).await,
    }
}

/// Does what is cheap, and takes the seat.
async fn sit(visit: Visit) -> Result<(Box<Case>, Request<Body>), Refused> {
    let Visit {
        shop,
        open,
        mut request,
        credential,
    } = visit;
    MatchedRoute::mark_paid(request.extensions_mut());
    let meter = Meter::new(&shop, request.extensions().get().copied());
    let found = credential::examine(&shop, &open, &credential, &meter)?;
    refuse_late(&shop, &found).await?;
    let Found {
        rail,
        examined,
        settle,
        ..
    } = found;
    let fingerprint = Fingerprint {
        payload: examined.payload_digest,
        request: request_digest(&shop, &open, &request),
    };
    let may_ask = || {
        meter.may(Cost::FirstSight)?;
        meter.may(Cost::Simulation)?;
        // It costs the chain's time whatever comes of it.
        meter.charge(Cost::Simulation);
        Ok(())
    };
    let proven = shop.till.prove(rail.as_ref(), &examined, may_ask).await;
    let proven = proven.map_err(|why| match why {
        NotProven::NotAsked(refused) => refused,
        NotProven::Refused(refusal) => meter.charged(refusal),
        NotProven::Ledger(error) => Refused::by_ledger(&error),
    })?;
    let seat = shop
        .till
        .sit(&examined.identity, fingerprint)
        .await
        .map_err(|taken| match taken {
            Taken::BySameRequest => Refused::InFlight,
            Taken::ByAnother => Refused::used_elsewhere(),
        })?;
    let case = Case {
        shop,
        open,
        rail,
        examined,
        settle,
        fingerprint,
        proven,
        seat,
        version: credential.version,
        meter,
    };
    Ok((Box::new(case), request))
}

/// An offer that is over is for payments that were made in time: one that is pending gets no new
/// challenge, and one that was not delivered is let through (ARCHITECTURE law 6).
async fn refuse_late(shop: &Shop, found: &Found) -> Result<(), Refused> {
    if !found.is_over {
        return Ok(());
    }
    let known = shop.till.earlier(&found.examined.identity).await;
    match known.map_err(|error| Refused::by_ledger(&error))? {
        Some(_) => Ok(()),
        None => Err(credential::not_offered()),
    }
}

/// What names a request apart from its body: route, method, origin, path and query.
pub(crate) fn request_digest(shop: &Shop, open: &OpenRoute, request: &Request<Body>) -> [u8; 32] {
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let mut hash = Sha256::new();
    for part in [
        &open.route.id,
        request.method().as_str(),
        &shop.public_url,
        target,
    ] {
        // Lengths first, so that no two requests run together to the same bytes.
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A credential that passed the cheap checks and has taken its seat.
struct Case {
    shop: Arc<Shop>,
    open: Arc<OpenRoute>,
    rail: Arc<dyn CollectRail>,
    examined: Examined,
    /// When the money moves.
    settle: SettleWhen,
    fingerprint: Fingerprint,
    /// What the chain has said a moment ago, where it had to be asked.
    proven: Option<Proven>,
    seat: Seat,
    /// In which the client is answered.
    version: Version,
    meter: Meter,
}

impl Case {
    /// The settled payment that this credential may use once more, or `None` where it comes for
    /// the first time. Everything else is refused.
    async fn earlier(&self) -> Result<Option<Payment>, Refused> {
        let known = self
            .shop
            .till
            .earlier(&self.examined.identity)
            .await
            .map_err(|error| Refused::by_ledger(&error))?;
        match known {
            None => Ok(None),
            Some(payment) => self.judge(payment),
        }
    }

    /// The table of ARCHITECTURE law 6.
    fn judge(&self, payment: Payment) -> Result<Option<Payment>, Refused> {
        let same_request = payment.seller.as_ref().is_some_and(|side| {
            side.payload_digest == self.fingerprint.payload
                && side.request_digest == self.fingerprint.request
        });
        let repeat = claim::repeat(&Presented {
            state: &payment.state,
            same_request,
            // The seat is ours, so nobody else serves it.
            in_flight: false,
            expired: self.shop.till.clock().now_s() >= self.examined.valid_before_s,
        });
        match repeat {
            Repeat::AsNew => Ok(None),
            Repeat::LetThrough => Ok(Some(payment)),
            Repeat::UsedElsewhere => Err(Refused::used_elsewhere()),
            Repeat::InFlight => Err(Refused::InFlight),
            Repeat::Delivered => Err(Refused::Delivered {
                receipt: payment.receipt,
            }),
            Repeat::Pending => Err(Refused::pending(
                &payment.terms,
                payment.hashes().next_back(),
            )),
            Repeat::Rejected => Err(Refused::unsettled(
                &payment.terms,
                payment.hashes().next_back(),
                payment.state.reason.as_deref().unwrap_or("payment_lost"),
                "this payment was rejected before; sign a new one",
            )),
        }
    }

    /// Claims the identity and holds the payer's balance.
    async fn claim(&self, body: &BodyDigest) -> Result<Payment, Refused> {
        let side = SellerSide {
            route: self.open.route.id.clone(),
            payload_digest: self.fingerprint.payload,
            request_digest: self.fingerprint.request,
            body_digest: body.get(),
        };
        let till = &self.shop.till;
        self.meter.may(Cost::FirstSight)?;
        let claimed = till
            .claim(self.rail.as_ref(), &self.examined, side, self.proven)
            .await;
        claimed.map_err(|why| match why {
            NotClaimed::Refused(refusal) => self.meter.charged(refusal),
            why => Refused::by_till(why),
        })
    }

    /// The credential comes for the first time.
    async fn serve_first(
        self: Box<Self>,
        request: Request<Body>,
        inner: Inner,
    ) -> Result<Response<Body>, Refused> {
        let is_head = request.method() == Method::HEAD;
        let (parts, body) = request.into_parts();
        let (body, digest) = HashingBody::new(body);
        let request = Request::from_parts(parts, Body::new(body));
        let payment = Box::pin(self.claim(&digest)).await?;
        match self.settle {
            SettleWhen::Before => {
                let receipt = self.settle(&payment, &digest).await?;
                let answer = inner(request).await;
                self.hand_over(payment.id, receipt, digest, is_head, answer)
            }
            SettleWhen::After => {
                let answer = self
                    .upstream_first(&payment, request, inner)
                    .await
                    .map_err(|failed| failed.into_refused(None))?;
                if !is_good(&answer) {
                    return Ok(answer);
                }
                // The body of the answer waits unread until the money has moved.
                let receipt = self.settle(&payment, &digest).await?;
                self.hand_over(payment.id, receipt, digest, is_head, Ok(answer))
            }
        }
    }

    /// Calls the upstream before anything is settled; where it fails, nothing will be.
    async fn upstream_first(
        &self,
        payment: &Payment,
        request: Request<Body>,
        inner: Inner,
    ) -> Result<Response<Body>, UpstreamFailed> {
        let answer = inner(request).await;
        if answer.as_ref().is_ok_and(is_good) {
            return answer;
        }
        let released = self.shop.till.abandon(payment, "upstream_failed");
        if let Err(error) = released.await {
            // Held until the watch finds it; the buyer was not charged.
            tracing::error!(payment = %payment.id, %error, "a claim was not released");
        }
        answer
    }

    /// Paid for and never delivered: once more, without settling again.
    async fn serve_again(
        self: Box<Self>,
        paid: Payment,
        request: Request<Body>,
        inner: Inner,
    ) -> Result<Response<Body>, Refused> {
        let is_head = request.method() == Method::HEAD;
        let (parts, body) = request.into_parts();
        let bytes = match Limited::new(body, REPEAT_BODY_BYTES_MAX).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) => return Err(unreadable_body(error.as_ref())),
        };
        let digest = BodyDigest::of(&bytes);
        let first = paid.seller.as_ref().and_then(|side| side.body_digest);
        if first.is_some() && first != digest.get() {
            return Err(Refused::used_elsewhere());
        }
        let receipt = paid.receipt.clone().unwrap_or_else(|| {
            let transaction = paid.state.transaction.as_deref().unwrap_or_default();
            receipt(&paid.terms, transaction, Proof::Chain)
        });
        let request = Request::from_parts(parts, Body::from(bytes));
        let answer = inner(request).await;
        self.hand_over(paid.id, receipt, digest, is_head, answer)
    }

    /// Settles. `Ok` is the receipt, as JSON text: the paid answer may leave.
    async fn settle(
        &self,
        payment: &Payment,
        request_body: &BodyDigest,
    ) -> Result<String, Refused> {
        let till = &self.shop.till;
        let attempt = Attempt {
            rail: self.rail.as_ref(),
            payment,
            handle: &self.examined.handle,
            request_body,
            delivers: None,
            wait_ms: till.settle_wait_ms(),
        };
        match till.settle(attempt).await {
            Settlement::Settled { receipt, .. } => Ok(receipt),
            other => Err(Refused::by_settlement(&payment.terms, other)),
        }
    }

    /// A settled payment's answer, with its receipt. A bad one is passed on as well, but does
    /// not count as delivered.
    fn hand_over(
        self,
        payment: PaymentId,
        receipt: String,
        request_body: BodyDigest,
        is_head: bool,
        answer: Result<Response<Body>, UpstreamFailed>,
    ) -> Result<Response<Body>, Refused> {
        let handed_over = HandedOver::default();
        let mut delivery = Delivery {
            till: Arc::clone(&self.shop.till),
            payment: payment.clone(),
            bought: Bought::Authorization {
                request_body,
                seat: self.seat,
            },
            handed_over: handed_over.clone(),
            is_bodyless: is_head,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(failed) => {
                delivery.record(None, &Handle::current());
                return Err(failed.into_refused(Some(receipt)));
            }
        };
        let mut answer = with_receipt(answer, Some(&receipt), self.version);
        headers::make_private(answer.headers_mut());
        answer.extensions_mut().insert(PaidBy(payment));
        if !is_good(&answer) {
            delivery.record(None, &Handle::current());
            return Ok(answer);
        }
        delivery.is_bodyless |= has_no_body(answer.status());
        answer.extensions_mut().insert(handed_over);
        Ok(answer.map(|body| Body::new(PaidBody::new(body, delivery))))
    }
}

/// Whether an answer is worth its price. gRPC says with 200 that a call has failed: in the head where
/// that is all there is to say.
pub(crate) fn is_good(answer: &Response<Body>) -> bool {
    answer.status().as_u16() < 400 && !headers::says_that_grpc_failed(answer.headers())
}

/// What follows 101 is no body: the price bought its opening.
pub(crate) fn has_no_body(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    )
}

fn unreadable_body(error: &(dyn std::error::Error + 'static)) -> Refused {
    if error.is::<LengthLimitError>() {
        return Refused::Problem {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            code: "repeated_body_too_long",
            message: format!(
                "a repeated request may have {REPEAT_BODY_BYTES_MAX} bytes of body at most"
            ),
        };
    }
    Refused::Problem {
        status: StatusCode::BAD_REQUEST,
        code: "body_unreadable",
        message: "the request's body broke off".to_owned(),
    }
}
