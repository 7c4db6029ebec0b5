//! Along redirects to an answer, with what was bought before where it lets a request in.
//!
//! A token is shown first, without asking, at the one origin that sold it; a redirect takes it
//! nowhere. It is not shown where the caller sends an `Authorization` of their own: theirs stays.

use farebox_core::fault::Fault;
use farebox_core::ledger::CallKey;
use farebox_core::purse::{Pass, PassRequest, Passes};
use farebox_core::token::{TokenId, TokenNews};
use http::StatusCode;
use http::header::AUTHORIZATION;
use reqwest::Response;
use tokio::time::Instant;

use crate::answer::{Body, Fetched};
use crate::call::Call;
use crate::client::{Buyer, Halt};
use crate::ending::{Ending, Facts};
use crate::faults;
use crate::options::{REDIRECTS_MAX, TWIN_POLL_MAX, TWIN_POLL_MIN};
use crate::origin;
use crate::transport::Hop;
use crate::walk;

/// The protocol whose tokens there are, and the rail that pays for them.
const PROTOCOL: &str = "l402";
const RAIL: &str = "lightning";

/// An answer, and what was shown for it.
pub(crate) struct Arrived {
    pub(crate) hop: Hop,
    pub(crate) response: Response,
    pub(crate) pass: Option<Box<Pass>>,
}

impl Buyer {
    /// Asks, and follows redirects where the call wants that.
    pub(crate) async fn to_answer(
        &self,
        call: &Call,
        key: &CallKey,
        deadline: Instant,
    ) -> Result<Arrived, Halt> {
        let mut hop = walk::first(call);
        for _ in 0..=REDIRECTS_MAX {
            let pass = self.pass_for(call, key, &hop, deadline).await?;
            let response = match &pass {
                None => self.transport.send(&hop, None).await?,
                Some(pass) => self.show_pass(&hop, pass).await?,
            };
            match walk::next(call, &hop, response.status(), response.headers()) {
                None => {
                    return Ok(Arrived {
                        hop,
                        response,
                        pass,
                    });
                }
                Some(next) => {
                    if let Some(pass) = &pass {
                        self.tell_shown(&pass.token.id, None).await;
                    }
                    hop = next;
                }
            }
        }
        Err(walk::too_many_redirects().into())
    }

    /// What may be shown for this request. Waits while a twin shows what it has just paid for.
    async fn pass_for(
        &self,
        call: &Call,
        key: &CallKey,
        hop: &Hop,
        deadline: Instant,
    ) -> Result<Option<Box<Pass>>, Halt> {
        let is_wanted = !call.fresh
            && !call.dry_run
            && call.protocol.as_deref().is_none_or(|wish| wish == PROTOCOL)
            && call.rail.as_deref().is_none_or(|wish| wish == RAIL)
            && !hop.headers.contains_key(AUTHORIZATION)
            && origin::check_safe_for_credentials(&hop.url).is_ok();
        if !is_wanted {
            return Ok(None);
        }
        let request = PassRequest {
            call: key.clone(),
            agent: call.agent.clone(),
            method: hop.method.to_string(),
            url: origin::bare(&hop.url).into(),
        };
        let mut pause = TWIN_POLL_MIN;
        loop {
            let twin = match self.purse.pass(&request).await? {
                Passes::Nothing => return Ok(None),
                Passes::Show(pass) => return Ok(Some(pass)),
                Passes::Busy(twin) => twin,
            };
            let now = Instant::now();
            if now >= deadline {
                return Err(faults::busy(twin));
            }
            tokio::time::sleep_until((now + pause).min(deadline)).await;
            pause = (pause * 2).min(TWIN_POLL_MAX);
        }
    }

    async fn show_pass(&self, hop: &Hop, pass: &Pass) -> Result<Response, Halt> {
        let sending = self.transport.send(hop, Some(&pass.token.credential));
        let id = pass.payment.as_ref().map(|payment| &payment.id);
        match self.while_alive(id, sending).await {
            Ok(response) => Ok(response),
            Err(fault) => {
                self.tell_shown(&pass.token.id, None).await;
                Err(Halt {
                    fault,
                    payment: pass.payment.clone().map(Box::new),
                    credential_sent: true,
                })
            }
        }
    }

    /// Tells the wallet what came of a token. One that cannot write has it shown once more.
    pub(crate) async fn tell_shown(&self, token: &TokenId, news: Option<TokenNews>) {
        if let Err(fault) = self.purse.shown(token, news).await {
            tracing::error!(%token, %fault, "what came of this token could not be written");
        }
    }
}

/// What a status says about the token that was shown.
pub(crate) fn news_of(status: StatusCode) -> Option<TokenNews> {
    match status.as_u16() {
        402 => Some(TokenNews::AskedAgain),
        401 => Some(TokenNews::NotTaken),
        served if served < 400 => Some(TokenNews::Served),
        _ => None,
    }
}

/// An answer to a token that was bought before: nothing was paid for it now.
pub(crate) fn reused(call: &Call, arrived: Arrived) -> Fetched {
    let Arrived {
        hop,
        response,
        pass,
    } = arrived;
    let status = response.status();
    let ending = Ending::new(Facts {
        credential_sent: true,
        status: Some(status.as_u16()),
        // The preimage in it proves that.
        is_settled: true,
        keeps_token: is_kept(news_of(status)),
        is_fresh: call.fresh,
        ..Facts::default()
    });
    let headers = response.headers().clone();
    let body = Body::of(response, call.max_time);
    let mut fetched = Fetched::with_head(&hop.url, status, headers, body, ending);
    fetched.payment = pass.and_then(|pass| pass.payment);
    fetched.is_reused = true;
    fetched
}

/// Whether the next identical call shows the token again before it buys.
pub(crate) fn is_kept(news: Option<TokenNews>) -> bool {
    matches!(news, None | Some(TokenNews::Served))
}

/// The caller's own `Authorization` is where the credential of an open payment would be.
pub(crate) fn in_the_way() -> Fault {
    faults::authorization_in_the_way(
        "the same call has a payment that is shown in the Authorization header, which -H sets too; leave it out to get what was paid for, or buy afresh with --new",
    )
}
