//! Somebody with a token, or without: from the layer's request to the answer that leaves.
//!
//! Called by the layer. Everything that is refused ends here, in words that say how to do better.

use std::sync::Arc;

use axum::body::Body;
use farebox_wire::x402::Version;
use http::header::ORIGIN;
use http::{HeaderValue, Request, Response, StatusCode};
use tracing::{Instrument as _, Span};

use super::answer::{Denied, challenge};
use super::redeem::{Bearer, NotServed, redeem};
use crate::answer::problem;
use crate::client::Prefix;
use crate::cors;
use crate::goes_on::GoesOn;
use crate::inner::Inner;
use crate::shop::{OpenRoute, Shop};

/// A request with a token for something that has a price.
pub(crate) async fn serve(bearer: Bearer, inner: Inner) -> Response<Body> {
    let asker = Asker::of(&bearer.shop, Arc::clone(&bearer.open), &bearer.request);
    let page = asker.page.clone();
    let shop = Arc::clone(&bearer.shop);
    // If the buyer hangs up, it goes on: what was begun costs a use, or is given back.
    let redeeming = redeem(bearer, inner).instrument(Span::current());
    let mut answer = match GoesOn::new(redeeming, shop.till.tasks()).await {
        Ok(answer) => answer,
        Err(why) => {
            tracing::info!(path = asker.path, code = why.code(), "a token was refused");
            asker.refuse(why).await
        }
    };
    cors::expose(&shop.cors, page.as_ref(), answer.headers_mut());
    answer
}

/// Somebody who gets an answer of our own, as far as that depends on who it is.
pub(crate) struct Asker {
    shop: Arc<Shop>,
    open: Arc<OpenRoute>,
    path: String,
    page: Option<HeaderValue>,
    prefix: Option<Prefix>,
}

impl Asker {
    pub(crate) fn of(shop: &Arc<Shop>, open: Arc<OpenRoute>, request: &Request<Body>) -> Self {
        Self {
            shop: Arc::clone(shop),
            open,
            path: request.uri().path().to_owned(),
            page: request.headers().get(ORIGIN).cloned(),
            prefix: shop.guard.prefix(request.extensions().get().copied()),
        }
    }

    /// The challenge, readable for the page that asked.
    pub(crate) async fn challenge(self, denied: Option<Denied>) -> Response<Body> {
        let Self {
            shop, open, path, ..
        } = &self;
        let mut answer = challenge(shop, open, path, self.prefix, denied).await;
        if self.page.is_some() {
            cors::expose(&shop.cors, self.page.as_ref(), answer.headers_mut());
        }
        answer
    }

    async fn refuse(self, why: NotServed) -> Response<Body> {
        match (why, &self.open.price) {
            (NotServed::Denied(denied), _) => {
                challenge(
                    &self.shop,
                    &self.open,
                    &self.path,
                    self.prefix,
                    Some(denied),
                )
                .await
            }
            (NotServed::Refused(refused), Some(priced)) => {
                refused.into_response(&priced.quote, &self.path, Version::V2)
            }
            (NotServed::Upstream(failed), _) => NotServed::upstream(failed),
            (NotServed::Refused(_), None) => problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "the seller has failed; send the same token again",
            ),
        }
    }
}
