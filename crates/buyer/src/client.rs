//! The loop: look whether the call is open, ask, read the challenge, choose, spend, show the
//! credential, tell the wallet what came of it (docs/ARCHITECTURE.md, "How a buyer pays").
//!
//! Whoever drops a call midway leaves a payment whose lease runs out; the next identical call, or
//! `payments resume`, goes on from there. So nothing here undoes anything. A call buys once: what
//! makes it ask the seller anew has paid nothing.

use std::sync::Arc;

use farebox_core::fault::Fault;
use farebox_core::ledger::{CallKey, Payment};
use farebox_core::purse::{Purse, Quoted, Spend, SpendRequest, Standing, Ticket};
use farebox_core::rail::Quote;
use farebox_wire::challenge::Challenge;
use http::Method;
use http::header::AUTHORIZATION;
use reqwest::Response;
use tokio::time::Instant;

use crate::answer::{Body, FetchError, Fetched};
use crate::asked::{Asked, asks_for_payment};
use crate::call::Call;
use crate::choose::{self, Choice, Decision, Plan};
use crate::ending::{Ending, Facts};
use crate::faults;
use crate::options::{
    self, ASK_AGAIN_MAX, ASK_AGAIN_MIN, ASKS_MAX, BuyerOptions, TWIN_POLL_MAX, TWIN_POLL_MIN,
};
use crate::origin;
use crate::passes;
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

/// What one round of asking came to.
enum Round {
    /// The end of the call.
    Done(Box<Fetched>),
    /// Nothing was paid: what was offered is being paid for another call, or was, or this call was
    /// paid for by a twin meanwhile. Ask anew; the answer is the end where no time is left.
    Again(Box<Fetched>),
}

/// What a wish to spend came to.
enum Spent {
    Ticket(Box<Ticket>),
    Refused(Fault, Option<String>),
    Again(Fault),
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
        let mut pause = ASK_AGAIN_MIN;
        for round in 1.. {
            let end = match self.round(call, &key, deadline).await? {
                Round::Done(fetched) => return Ok(*fetched),
                Round::Again(fetched) => fetched,
            };
            let again = Instant::now() + pause;
            if round >= ASKS_MAX || again >= deadline {
                return Ok(*end);
            }
            drop(end);
            tokio::time::sleep_until(again).await;
            pause = (pause * 2).min(ASK_AGAIN_MAX);
        }
        Err(faults::unreadable("the seller was asked too often").into())
    }

    async fn round(&self, call: &Call, key: &CallKey, deadline: Instant) -> Result<Round, Halt> {
        let open = match call.fresh || call.dry_run {
            true => None,
            false => self.await_twin(key, deadline).await?,
        };
        if let Some(ticket) = open {
            return self.go_on(call, ticket).await.map(done);
        }
        let arrived = self.to_answer(call, key, deadline).await?;
        let status = arrived.response.status();
        let asks = asks_for_payment(status, arrived.response.headers());
        if let Some(pass) = &arrived.pass {
            self.tell_shown(&pass.token.id, passes::news_of(status))
                .await;
            if !asks {
                return Ok(done(passes::reused(call, arrived)));
            }
        }
        if !asks {
            return Ok(done(free(call, &arrived.hop, arrived.response)));
        }
        let asked = Asked::read(call, arrived.hop, arrived.response).await;
        match call.dry_run {
            true => self.plan(call, asked).await.map(done),
            false => self.buy(call, key, deadline, asked).await,
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
            let wait_ms = options::until_ms(deadline);
            let twin = match self.purse.standing(key, wait_ms).await? {
                Standing::Nothing => return Ok(None),
                Standing::RePresent(ticket) => return Ok(Some(ticket)),
                Standing::Undecided(payment) => return Err(faults::undecided(payment)),
                Standing::Busy(twin) => twin,
            };
            let now = Instant::now();
            if now >= deadline {
                return Err(faults::busy(twin));
            }
            tokio::time::sleep_until((now + pause).min(deadline)).await;
            pause = (pause * 2).min(TWIN_POLL_MAX);
        }
    }

    /// Shows the credential of an open payment again, at the URL for which it was signed.
    async fn go_on(&self, call: &Call, ticket: Box<Ticket>) -> Result<Fetched, Halt> {
        if call.headers.contains_key(AUTHORIZATION)
            && ticket.credential.header == AUTHORIZATION.as_str()
        {
            let payment = self.not_shown(&ticket).await;
            return Err(Halt {
                fault: passes::in_the_way(),
                payment: Some(Box::new(payment)),
                credential_sent: false,
            });
        }
        let walking = walk::to_door(&self.transport, call, &ticket);
        let alive = self.while_alive(Some(&ticket.payment.id), walking);
        let (hop, response) = match alive.await {
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
        let fault = faults::open_elsewhere(&payment);
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
    ) -> Result<Round, Halt> {
        let chosen = self.choose(call, &mut asked).await;
        let (challenge, quote) = match chosen {
            Ok((challenge, choice)) => match choice.best {
                Ok(quote) => (challenge, quote),
                Err(fault) => return Ok(done(asked.refused(fault, None))),
            },
            Err(fault) => return Ok(done(asked.refused(fault, None))),
        };
        let request = || SpendRequest {
            call: key.clone(),
            agent: call.agent.clone(),
            method: asked.hop.method.to_string(),
            url: origin::bare(&asked.hop.url).to_string(),
            quote: quote.clone(),
            challenge: challenge.clone(),
            max_cost: call.max_cost,
            wait_ms: options::until_ms(deadline),
            fresh: call.fresh,
        };
        let ticket = match self.spend(key, deadline, &quote, request).await? {
            Spent::Ticket(ticket) => ticket,
            Spent::Refused(fault, approval) => return Ok(done(asked.refused(fault, approval))),
            Spent::Again(fault) => return Ok(Round::Again(Box::new(asked.refused(fault, None)))),
        };
        if !walk::belongs(&ticket, &asked.hop.url) {
            let payment = self.not_shown(&ticket).await;
            let mut fetched = asked.refused(faults::open_elsewhere(&payment), None);
            fetched.payment = Some(payment);
            return Ok(done(fetched));
        }
        self.show(call, &asked.hop, ticket).await.map(done)
    }

    /// Spends, and waits for a twin that spends at the same time.
    async fn spend(
        &self,
        key: &CallKey,
        deadline: Instant,
        quote: &Quote,
        request: impl Fn() -> SpendRequest,
    ) -> Result<Spent, Halt> {
        loop {
            return Ok(match self.purse.spend(request()).await {
                Ok(Spend::Pay(ticket)) => Spent::Ticket(ticket),
                Ok(Spend::Twin(twin)) if Instant::now() >= deadline => {
                    return Err(faults::busy(twin));
                }
                Ok(Spend::Twin(twin)) => match self.await_twin(key, deadline).await? {
                    Some(ticket) => Spent::Ticket(ticket),
                    // What it has bought may let this call in, and its invoice may be this one.
                    None if quote.terms.is_prepaid() => Spent::Again(faults::busy(twin).fault),
                    None => continue,
                },
                Ok(Spend::Taken(other)) => Spent::Again(faults::invoice_taken(&other)),
                Ok(Spend::Undecided(payment)) => return Err(faults::undecided(payment)),
                Ok(Spend::Denied(denial)) => Spent::Refused(choose::denied(&denial), None),
                Ok(Spend::Ask { approval_id }) => {
                    Spent::Refused(faults::ask(&approval_id), Some(approval_id))
                }
                Err(fault) => Spent::Refused(fault, None),
            });
        }
    }

    /// Reads no minds: what the challenge says, quoted by the rails, ranked.
    async fn choose(&self, call: &Call, asked: &mut Asked) -> Result<(Challenge, Choice), Fault> {
        origin::check_safe_for_credentials(&asked.hop.url)?;
        let challenge = asked.challenge.clone()?;
        let quoted: Vec<Quoted> = self.purse.quote(&challenge).await;
        let judged = choose::judge(quoted, &challenge, call, &asked.hop.headers);
        // One offer is not ranked, and asking chains and nodes for balances takes its time.
        let covered = match judged.payable().as_slice() {
            [] => Vec::new(),
            [_] if !call.dry_run => vec![None],
            terms => self.purse.covers(terms).await,
        };
        Ok((challenge, judged.rank(&covered, call)))
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

fn done(fetched: Fetched) -> Round {
    Round::Done(Box::new(fetched))
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
