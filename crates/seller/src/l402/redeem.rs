//! From a token and a preimage to what they buy: the collect function of L402.
//!
//! Called by the layer. Cheap checks first, then a use is taken in the books, then the upstream is
//! called; the use is given back unless the head of a good answer is handed over. What came is
//! stripped before anything goes on (`inner`).

use std::sync::Arc;

use axum::body::Body;
use farebox_core::ledger::{Attach, PaymentId, SellerSide};
use farebox_core::payment::Event;
use farebox_core::uses::{Allowance, NewPaid, Used};
use farebox_wire::identity::Identity;
use farebox_wire::l402::credential::{
    self, AUTHORIZATION, CredentialError, L402Credential, METADATA,
};
use farebox_wire::l402::preimage::PaymentHash;
use farebox_wire::money::Amount;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::Uses;
use super::answer::Denied;
use super::known::LineDigest;
use super::offer::{Offering, Sales};
use super::token::{self, Asked, Bad, Good, Proven};
use crate::answer::{Refused, UpstreamFailed, problem};
use crate::body::{Bought, Delivery, HandedOver, PaidBody};
use crate::buckets::Cost;
use crate::client::Meter;
use crate::cors;
use crate::headers;
use crate::inner::Inner;
use crate::layer::MatchedRoute;
use crate::redeem::{PaidBy, has_no_body, is_good, request_digest};
use crate::shop::{OpenRoute, Shop};
use crate::till::{NotClaimed, Till, new_payment_id};

/// A request with a token, and what it is for.
pub(crate) struct Bearer {
    pub(crate) shop: Arc<Shop>,
    pub(crate) open: Arc<OpenRoute>,
    pub(crate) request: Request<Body>,
    pub(crate) token: Token,
}

/// The token of a request.
pub(crate) enum Token {
    /// The same line has shown it before.
    Known(Arc<Proven>),
    /// Read, and nothing more. If it is good, the next line like this one need not be read.
    New(Box<L402Credential>, Option<LineDigest>),
}

/// Why a token is not served.
pub(crate) enum NotServed {
    /// It buys nothing.
    Denied(Denied),
    /// Anything else.
    Refused(Refused),
    /// What is for sale has failed; the use was given back.
    Upstream(UpstreamFailed),
}

impl NotServed {
    /// For the log.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Denied(denied) => denied.code,
            Self::Refused(refused) => refused.code(),
            Self::Upstream(_) => "upstream_failed",
        }
    }

    /// The answer that says so, where it needs no challenge.
    pub(crate) fn upstream(failed: UpstreamFailed) -> Response<Body> {
        problem(
            failed.status(),
            "upstream_failed",
            "the service behind this price failed; the use of your token was given back",
        )
    }
}

/// Whether a request has a token, readable or not.
pub(crate) fn bears_token(headers: &HeaderMap) -> bool {
    read(headers).is_some()
}

/// The token of a request, if it has one.
pub(crate) fn token_of(
    sales: &Sales,
    headers: &HeaderMap,
) -> Option<Result<Token, CredentialError>> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    // Of two lines, one says nothing of the other.
    let only = lines.next().filter(|_| lines.next().is_none());
    let line = only.map(|line| Sha256::digest(line).into());
    if let Some(proven) = line.and_then(|line| sales.known.find(&line)) {
        return Some(Ok(Token::Known(proven)));
    }
    let read = read(headers)?;
    Some(read.map(|credential| Token::New(Box::new(credential), line)))
}

fn read(headers: &HeaderMap) -> Option<Result<L402Credential, CredentialError>> {
    let has_some = headers.contains_key(AUTHORIZATION)
        || METADATA.iter().any(|name| headers.contains_key(*name));
    if !has_some {
        return None;
    }
    let read = credential::read(|name| {
        let values = headers.get_all(name).iter();
        values.map(HeaderValue::as_bytes)
    });
    read.transpose()
}

/// The payment of a known token that needs nothing of the books: it has no limit, was good a moment
/// ago, and its delivery is on record. It is looked at like any other; only what a use would have
/// been written for is left out. `None` is no refusal: [`redeem`] decides.
pub(crate) fn pass(
    shop: &Arc<Shop>,
    offering: &Offering,
    request: &Request<Body>,
    token: &Token,
) -> Option<PaidBy> {
    let Token::Known(proven) = token else {
        return None;
    };
    let meter = Meter::new(shop, request.extensions().get().copied());
    meter.may(Cost::BadSignature).ok()?;
    let good = proven.allows(&asked(shop, offering, request), &offering.product);
    let good = good.ok().filter(|good| good.uses == Uses::Unlimited)?;
    let now_ms = shop.till.clock().now_ms();
    let pass = offering.sales.passes.find(&good.payment_hash.0, now_ms)?;
    pass.is_delivered.then_some(PaidBy(pass.payment))
}

/// The answer to what had a pass. Nothing was written, so nothing is lost where it never leaves.
pub(crate) fn passed(
    shop: &Shop,
    page: Option<&HeaderValue>,
    payment: PaidBy,
    answer: Result<Response<Body>, UpstreamFailed>,
) -> Response<Body> {
    let mut answer = answer.unwrap_or_else(NotServed::upstream);
    if is_good(&answer) {
        headers::make_private(answer.headers_mut());
        answer.extensions_mut().insert(payment);
    }
    cors::expose(&shop.cors, page, answer.headers_mut());
    answer
}

/// Collects: checks, takes a use, and lets through.
pub(crate) async fn redeem(bearer: Bearer, inner: Inner) -> Result<Response<Body>, NotServed> {
    let Bearer {
        shop,
        open,
        mut request,
        token,
    } = bearer;
    let offering = open.price.as_ref().and_then(|priced| priced.l402.as_ref());
    let Some(offering) = offering else {
        let denied = Denied::over("token_not_taken", "this route takes no L402 tokens");
        return Err(NotServed::Denied(denied));
    };
    let meter = Meter::new(&shop, request.extensions().get().copied());
    meter.may(Cost::BadSignature).map_err(NotServed::Refused)?;
    let (proven, good) = examine(&shop, offering, &request, token).map_err(|why| {
        if !matches!(why, Bad::Expired { .. }) {
            meter.charge(Cost::BadSignature);
        }
        NotServed::Denied(Denied::bad(&why))
    })?;
    let wish = Wish {
        shop: &shop,
        open: &open,
        sales: &offering.sales,
        proven,
        good,
    };
    let now_ms = shop.till.clock().now_ms();
    let taken = match wish.pass(now_ms) {
        Some(taken) => taken,
        None => {
            let paid = wish.paid(&request, now_ms);
            let paid = paid.map_err(|why| NotServed::Refused(Refused::by_till(why)))?;
            wish.take(paid).await?
        }
    };
    MatchedRoute::mark_paid(request.extensions_mut());
    let is_head = request.method() == Method::HEAD;
    match inner(request).await {
        Ok(answer) if is_good(&answer) => Ok(hand_over(&shop.till, taken, answer, is_head)),
        // Given back before anybody hears of it, so that the same token is good at once.
        Ok(answer) => {
            taken.give_back().await;
            Ok(answer)
        }
        Err(failed) => {
            taken.give_back().await;
            Err(NotServed::Upstream(failed))
        }
    }
}

fn examine(
    shop: &Shop,
    offering: &Offering,
    request: &Request<Body>,
    token: Token,
) -> Result<(Arc<Proven>, Good), Bad> {
    let sales = &offering.sales;
    let (proven, new_line) = match token {
        Token::Known(proven) => (proven, None),
        Token::New(credential, line) => {
            let proven = token::prove(&sales.key, &credential)?;
            (Arc::new(proven), line)
        }
    };
    let good = proven.allows(&asked(shop, offering, request), &offering.product)?;
    if let Some(line) = new_line {
        sales.known.keep(line, &proven);
    }
    Ok((proven, good))
}

fn asked<'a>(shop: &'a Shop, offering: &'a Offering, request: &'a Request<Body>) -> Asked<'a> {
    Asked {
        now_s: shop.till.clock().now_s(),
        route: &offering.product.route,
        origin: &shop.public_url,
        method: request.method().as_str(),
        path: request.uri().path(),
    }
}

/// A good token that wants to be used.
struct Wish<'a> {
    shop: &'a Arc<Shop>,
    open: &'a Arc<OpenRoute>,
    sales: &'a Arc<Sales>,
    proven: Arc<Proven>,
    good: Good,
}

impl Wish<'_> {
    /// A token without a limit whose use is on record.
    fn pass(&self, now_ms: u64) -> Option<TakenUse> {
        if self.good.uses != Uses::Unlimited {
            return None;
        }
        let pass = self.sales.passes.find(&self.good.payment_hash.0, now_ms)?;
        Some(self.taken(pass.payment, false))
    }

    async fn take(&self, paid: NewPaid) -> Result<TakenUse, NotServed> {
        let till = &self.shop.till;
        let (hash, now_ms) = (self.good.payment_hash, paid.now_ms);
        let is_unlimited = self.good.uses == Uses::Unlimited;
        let allowed = match self.good.uses {
            Uses::Times(times) => Allowance::Uses(times),
            Uses::Unlimited => Allowance::Unlimited,
        };
        let terms = paid.terms.clone();
        let used = till.ledger().take_use(paid, allowed).await;
        let used = used.map_err(|error| NotServed::Refused(Refused::by_ledger(&error)))?;
        let (payment, is_counted) = match used {
            Used::First {
                payment,
                is_booked_now,
            } => {
                if is_booked_now {
                    till.counts().paid(&self.open.route.id, &terms);
                }
                self.sales.invoices.paid(&hash.0);
                (payment, true)
            }
            Used::Again { payment, .. } => (payment, !is_unlimited),
            Used::Exhausted => {
                let message = "every use of the token is taken; buy another one";
                return Err(NotServed::Denied(Denied::over("token_exhausted", message)));
            }
            Used::Revoked => {
                let message = "the token was revoked by its seller; buy another one";
                return Err(NotServed::Denied(Denied::over("token_revoked", message)));
            }
        };
        if is_unlimited {
            self.sales.passes.keep(hash.0, &payment, now_ms);
        }
        Ok(self.taken(payment, is_counted))
    }

    fn taken(&self, payment: PaymentId, is_counted: bool) -> TakenUse {
        TakenUse {
            sales: Arc::clone(self.sales),
            till: Arc::clone(&self.shop.till),
            hash: self.good.payment_hash.0,
            payment,
            is_to_be_given_back: is_counted,
            runtime: Handle::current(),
        }
    }

    fn paid(&self, request: &Request<Body>, now_ms: u64) -> Result<NewPaid, NotClaimed> {
        let price = Amount::from_atomic(self.good.price_msat.into());
        Ok(NewPaid {
            id: new_payment_id(now_ms)?,
            identity: Identity::l402(&self.good.payment_hash),
            side: SellerSide {
                route: self.open.route.id.clone(),
                payload_digest: self.proven.digest(),
                request_digest: request_digest(self.shop, self.open, request),
                body_digest: None,
            },
            terms: self.sales.rail.terms_over(price),
            transaction: self.good.payment_hash.to_string(),
            now_ms,
        })
    }
}

/// A use that is on record. It is given back unless its answer leaves.
pub(crate) struct TakenUse {
    sales: Arc<Sales>,
    till: Arc<Till>,
    hash: [u8; 32],
    payment: PaymentId,
    is_to_be_given_back: bool,
    runtime: Handle,
}

impl TakenUse {
    /// How its answer ended; `None` where it never left.
    pub(crate) fn ended(mut self, event: Option<Event>) {
        let Some(event) = event else {
            return;
        };
        self.is_to_be_given_back = false;
        if !self.sales.passes.is_first_delivery(self.hash) {
            return;
        }
        let (till, payment) = (Arc::clone(&self.till), self.payment.clone());
        let record = async move {
            let now_ms = till.clock().now_ms();
            let recorded = till
                .ledger()
                .apply(&payment, event, Attach::default(), now_ms);
            if let Err(error) = recorded.await {
                // The use is taken in any case.
                tracing::error!(%payment, %error, "the end of an answer is not on record");
            }
        };
        drop(self.till.tasks().spawn_on(record, &self.runtime));
    }

    /// What it was taken for has failed.
    async fn give_back(mut self) {
        if std::mem::take(&mut self.is_to_be_given_back) {
            give_back(Arc::clone(&self.till), self.hash).await;
        }
    }
}

async fn give_back(till: Arc<Till>, hash: [u8; 32]) {
    let identity = Identity::l402(&PaymentHash(hash));
    if let Err(error) = till.ledger().give_back_use(&identity).await {
        tracing::error!(%identity, %error, "a use that bought nothing was not given back");
    }
}

impl Drop for TakenUse {
    fn drop(&mut self) {
        if !self.is_to_be_given_back {
            return;
        }
        let giving_back = give_back(Arc::clone(&self.till), self.hash);
        drop(self.till.tasks().spawn_on(giving_back, &self.runtime));
    }
}

/// A good answer, watched to its end.
fn hand_over(
    till: &Arc<Till>,
    taken: TakenUse,
    mut answer: Response<Body>,
    is_head: bool,
) -> Response<Body> {
    headers::make_private(answer.headers_mut());
    answer
        .extensions_mut()
        .insert(PaidBy(taken.payment.clone()));
    let handed_over = HandedOver::default();
    let delivery = Delivery {
        till: Arc::clone(till),
        payment: taken.payment.clone(),
        bought: Bought::Token(taken),
        handed_over: handed_over.clone(),
        is_bodyless: is_head || has_no_body(answer.status()),
    };
    answer.extensions_mut().insert(handed_over);
    answer.map(|body| Body::new(PaidBody::new(body, delivery)))
}
