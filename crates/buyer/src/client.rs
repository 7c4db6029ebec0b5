//! The loop: look whether the call is open, ask, read the challenge, choose, spend, show the
//! credential, tell the wallet what came of it (docs/ARCHITECTURE.md, "How a buyer pays").
//!
//! Whoever drops a call midway leaves a payment whose lease runs out; the next identical call, or
//! `payments resume`, goes on from there. So nothing here undoes anything.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::ledger::{CallKey, Payment};
use farebox_core::purse::{Purse, Spend, SpendRequest, Standing, Ticket};
use farebox_wire::challenge::{self, BODY_BYTES_MAX, Challenge};
use http::{HeaderMap, Method, StatusCode};
use reqwest::Response;
use tokio::time::Instant;

use crate::answer::{Body, FetchError, Fetched};
use crate::call::Call;
use crate::choose::{self, Choice, Decision, Plan};
use crate::ending::{Ending, Facts, Stop};
use crate::options::{self, BuyerOptions, TWIN_POLL_MAX, TWIN_POLL_MIN};
use crate::origin;
use crate::transport::{Hop, Transport};
use crate::walk::{self, Walked};

/// Buys over HTTP. Cheap to share; one serves any number of calls.
pub struct Buyer {
    pub(crate) purse: Arc<dyn Purse>,
    pub(crate) transport: Transport,
}

/// Why a call ends without a reply.
pub(crate) struct Halt {
    pub(crate) fault: Fault,
    pub(crate) payment: Option<Box<Payment>>,
    pub(crate) credential_sent: bool,
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            payment: None,
            credential_sent: false,
        }
    }
}

/// A 402 that has been read.
struct Asked {
    hop: Hop,
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    challenge: Result<Challenge, Fault>,
}

impl Buyer {
    /// Sets up a buyer.
    ///
    /// # Errors
    /// `tls_provider_missing` where the program has not installed rustls' ring provider.
    pub fn new(purse: Arc<dyn Purse>, options: BuyerOptions) -> Result<Self, Fault> {
        Ok(Self {
            purse,
            transport: Transport::new(&options)?,
        })
    }

    /// GETs a URL, pays for it within the limits if it must, and counts everything but a good
    /// answer as an error.
    ///
    /// # Errors
    /// Whatever would not exit with 0 on the command line.
    pub async fn get(&self, url: &str) -> Result<Fetched, FetchError> {
        match Call::new(Method::GET, url) {
            Ok(call) => self.fetch(call).await?.into_result(),
            Err(fault) => Err(FetchError {
                url: url.to_owned(),
                ending: Box::new(Ending::stopped(Facts::default(), fault)),
                payment: None,
            }),
        }
    }

    /// Makes a call and pays for it within the limits if it must.
    ///
    /// # Errors
    /// Where there is no HTTP reply. A reply, of any status, is [`Fetched`], and its ending tells
    /// how good it is.
    pub async fn fetch(&self, call: Call) -> Result<Fetched, FetchError> {
        // Boxed: the whole walk is large, and embedders hold it in futures of their own.
        Box::pin(self.run(&call)).await.map_err(|halt| {
            let facts = Facts {
                credential_sent: halt.credential_sent,
                is_fresh: call.fresh,
                ..Facts::default()
            };
            FetchError {
                url: origin::bare(&call.url).into(),
                ending: Box::new(Ending::stopped(facts, halt.fault)),
                payment: halt.payment,
            }
        })
    }

    async fn run(&self, call: &Call) -> Result<Fetched, Halt> {
        call.check()?;
        let key = call.key();
        let deadline = options::deadline(call.max_time);
        let open = match call.fresh || call.dry_run {
            true => None,
            false => self.await_twin(&key, deadline).await?,
        };
        if let Some(ticket) = open {
            return self.go_on(call, ticket).await;
        }
        let (hop, response) = walk::to_answer(&self.transport, call).await?;
        if response.status() != StatusCode::PAYMENT_REQUIRED {
            return Ok(free(call, &hop, response));
        }
        let asked = read_challenge(call, hop, response).await;
        match call.dry_run {
            true => self.plan(call, asked).await,
            false => self.buy(call, &key, deadline, asked).await,
        }
    }

    /// Waits until nobody is paying for this call, and takes over what was left open.
    async fn await_twin(
        &self,
        key: &CallKey,
        deadline: Instant,
    ) -> Result<Option<Box<Ticket>>, Halt> {
        let mut pause = TWIN_POLL_MIN;
        loop {
            let twin = match self.purse.standing(key).await? {
                Standing::Nothing => return Ok(None),
                Standing::RePresent(ticket) => return Ok(Some(ticket)),
                Standing::Busy(twin) => twin,
            };
            let now = Instant::now();
            if now >= deadline {
                return Err(busy(twin));
            }
            tokio::time::sleep_until((now + pause).min(deadline)).await;
            pause = (pause * 2).min(TWIN_POLL_MAX);
        }
    }

    /// Shows the credential of an open payment again, at the URL for which it was signed.
    async fn go_on(&self, call: &Call, ticket: Box<Ticket>) -> Result<Fetched, Halt> {
        let walking = walk::to_door(&self.transport, call, &ticket);
        let (hop, response) = match self.while_alive(&ticket, walking).await {
            Ok(Walked::AtTheDoor(hop)) => return self.show(call, &hop, ticket).await,
            Ok(Walked::Answered(hop, response)) => (hop, response),
            Err(mut fault) => {
                let payment = self.not_shown(&ticket).await;
                // Nothing left this time, but this call's credential is out there.
                fault.money_may_have_moved = true;
                return Err(Halt {
                    fault,
                    payment: Some(Box::new(payment)),
                    credential_sent: false,
                });
            }
        };
        // The redirect that led there is gone, or the idempotency key belongs to another call.
        let payment = self.not_shown(&ticket).await;
        let fault = open_elsewhere(&payment);
        let is_error = response.status().as_u16() >= 400;
        let mut fetched = free(call, &hop, response);
        fetched.payment = Some(payment);
        if is_error {
            fetched.ending = Ending::stopped(fetched.ending.facts, fault);
        }
        Ok(fetched)
    }

    async fn buy(
        &self,
        call: &Call,
        key: &CallKey,
        deadline: Instant,
        mut asked: Asked,
    ) -> Result<Fetched, Halt> {
        let chosen = self.choose(call, &mut asked).await;
        let (challenge, quote) = match chosen {
            Ok((challenge, choice)) => match choice.best {
                Ok(quote) => (challenge, quote),
                Err(fault) => return Ok(asked.refused(fault, None)),
            },
            Err(fault) => return Ok(asked.refused(fault, None)),
        };
        let ticket = loop {
            let request = SpendRequest {
                call: key.clone(),
                agent: call.agent.clone(),
                url: origin::bare(&asked.hop.url).to_string(),
                quote: quote.clone(),
                challenge: challenge.clone(),
                max_cost: call.max_cost,
                fresh: call.fresh,
            };
            match self.purse.spend(request).await {
                Ok(Spend::Pay(ticket)) => break ticket,
                Ok(Spend::Twin(twin)) if Instant::now() >= deadline => return Err(busy(twin)),
                Ok(Spend::Twin(_)) => match self.await_twin(key, deadline).await? {
                    None => {}
                    Some(ticket) => break ticket,
                },
                Ok(Spend::Denied(denial)) => {
                    return Ok(asked.refused(choose::denied(&denial), None));
                }
                Ok(Spend::Ask { approval_id }) => {
                    return Ok(asked.refused(ask(&approval_id), Some(approval_id)));
                }
                Err(fault) => return Ok(asked.refused(fault, None)),
            }
        };
        if !walk::belongs(&ticket, &asked.hop.url) {
            let payment = self.not_shown(&ticket).await;
            let mut fetched = asked.refused(open_elsewhere(&payment), None);
            fetched.payment = Some(payment);
            return Ok(fetched);
        }
        self.show(call, &asked.hop, ticket).await
    }

    /// Reads no minds: what the challenge says, quoted by the rails, ranked.
    async fn choose(&self, call: &Call, asked: &mut Asked) -> Result<(Challenge, Choice), Fault> {
        origin::check_safe_for_credentials(&asked.hop.url)?;
        let challenge = asked.challenge.clone()?;
        let quoted = self.purse.quote(&challenge).await;
        let choice = choose::choose(quoted, &challenge, call);
        Ok((challenge, choice))
    }

    async fn plan(&self, call: &Call, mut asked: Asked) -> Result<Fetched, Halt> {
        let (offers, verdict) = match self.choose(call, &mut asked).await {
            Err(fault) => (Vec::new(), Err((fault.code, fault))),
            Ok((_, Choice { best, offers })) => {
                let verdict = match best {
                    Err(fault) => Err((fault.code, fault)),
                    Ok(quote) => self
                        .purse
                        .preview(call.agent.as_deref(), quote.terms.cost)
                        .await?
                        .map_err(|denial| (denial.rule(), choose::denied(&denial))),
                };
                (offers, verdict)
            }
        };
        let (decision, fault) = match verdict {
            Ok(()) => (Decision::Allow("within_limits"), None),
            Err((rule, fault)) => (Decision::Deny(rule), Some(fault)),
        };
        let mut fetched = match fault {
            Some(fault) => asked.refused(fault, None),
            None => asked.planned(),
        };
        fetched.plan = Some(Plan { offers, decision });
        Ok(fetched)
    }
}

impl Asked {
    fn refused(self, fault: Fault, approval_id: Option<String>) -> Fetched {
        let facts = Facts {
            status: Some(self.status.as_u16()),
            stop: approval_id.is_some().then_some(Stop::Approval),
            ..Facts::default()
        };
        let mut ending = Ending::stopped(facts, fault);
        ending.approval_id = approval_id;
        Fetched::with_head(&self.hop.url, self.status, self.headers, self.body, ending)
    }

    fn planned(self) -> Fetched {
        let ending = Ending::new(Facts {
            status: Some(self.status.as_u16()),
            is_plan: true,
            ..Facts::default()
        });
        Fetched::with_head(&self.hop.url, self.status, self.headers, self.body, ending)
    }
}

/// Reads the head of a 402 and no more of its body than a challenge can have.
async fn read_challenge(call: &Call, hop: Hop, mut response: Response) -> Asked {
    let status = response.status();
    let headers = response.headers().clone();
    let (start, is_whole) = beginning(&mut response, call).await;
    let challenge = challenge::read(all_of(&headers), &start);
    let challenge = challenge.map_err(|why| unreadable(&why.to_string()));
    let rest = (!is_whole).then_some(response);
    Asked {
        hop,
        status,
        headers,
        body: Body::after(start, rest, call.max_time),
        challenge,
    }
}

/// At most [`BODY_BYTES_MAX`] and a part; whether that was all. A broken body is found broken
/// again by whoever reads on.
async fn beginning(response: &mut Response, call: &Call) -> (Bytes, bool) {
    let mut start = BytesMut::new();
    let reading = async {
        while start.len() <= BODY_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => start.extend_from_slice(&chunk),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    let is_whole = tokio::time::timeout(call.max_time, reading).await;
    (start.freeze(), is_whole.unwrap_or(false))
}

/// An answer for which nothing was paid.
fn free(call: &Call, hop: &Hop, response: Response) -> Fetched {
    let ending = Ending::new(Facts {
        status: Some(response.status().as_u16()),
        ..Facts::default()
    });
    let head = (response.status(), response.headers().clone());
    let body = Body::of(response, call.max_time);
    let mut fetched = Fetched::with_head(&hop.url, head.0, head.1, body, ending);
    fetched.plan = call.dry_run.then(|| Plan {
        offers: Vec::new(),
        decision: Decision::Allow("free"),
    });
    fetched
}

/// All values of a header.
pub(crate) fn all_of<'a>(headers: &'a HeaderMap) -> impl Fn(&str) -> Vec<&'a [u8]> {
    |name| {
        let values = headers.get_all(name).iter();
        values.map(http::HeaderValue::as_bytes).collect()
    }
}

fn unreadable(why: &str) -> Fault {
    Fault::harmless("challenge_unreadable", Kind::Offer, Blame::Peer, why)
}

fn ask(approval_id: &str) -> Fault {
    Fault::harmless(
        "approval_required",
        Kind::Policy,
        Blame::User,
        format!("a person has to approve this payment: `farebox approvals show {approval_id}`"),
    )
}

fn busy(twin: Box<Payment>) -> Halt {
    let fault = Fault::money_at_stake(
        "twin_busy",
        Blame::User,
        format!(
            "another process is paying for the same call ({}) and has not finished; wait longer with --max-time, or buy a second time with --new",
            twin.id
        ),
    );
    Halt {
        fault,
        payment: Some(twin),
        credential_sent: false,
    }
}

fn open_elsewhere(payment: &Payment) -> Fault {
    let url = payment.buyer.as_ref().map(|side| side.url.as_str());
    Fault::money_at_stake(
        "open_payment_elsewhere",
        Blame::User,
        format!(
            "the same call has an open payment {} for {}; run `farebox payments resume {}`, use another idempotency key, or buy afresh with --new",
            payment.id,
            url.unwrap_or("another address"),
            payment.id
        ),
    )
}
