//! The desk: core's `Purse` over a ledger and rails, and THE function that spends.
//!
//! Called by the buyer's loop and, for resolving, by the command line. The order in `Desk::pay`
//! is the law: reserve (on disk), sign, `Sent` with the credential (on disk), and only then is
//! the credential handed out. Whatever fails before the last step leaves nothing that can move
//! money.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::ledger::{
    Applied, Attach, BuyerSide, CallKey, Lease, Ledger, LedgerError, NewSpend, Payment, PaymentId,
    Reserved,
};
use farebox_core::payment::Event;
use farebox_core::policy::{Denial, Level};
use farebox_core::purse::{
    LEASE_MS, PassRequest, Passes, Purse, Quoted, Spend, SpendRequest, Standing, Ticket,
};
use farebox_core::rail::{Authorised, Credential, NotPayable, PayRail, Quote, Terms};
use farebox_core::token::{TokenId, TokenNews};
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::money::UsdMicros;

use crate::budget;
use crate::funds::Funds;
use crate::prepaid;
use crate::random::{self, NoRandomness};
use crate::resolve::{self, ResolveReport};
use crate::standing;
use crate::tokens;

/// How long a credential of ours may live, unless configured otherwise: long enough for a slow
/// seller, short enough that a lost one is soon worth nothing.
pub const MAX_VALIDITY_S_DEFAULT: u64 = 120;

/// How a desk behaves.
#[derive(Clone, Debug)]
pub struct DeskOptions {
    /// The longest that a credential may live, in seconds.
    pub max_validity_s: u64,
    /// Names this process in leases; random, never reused.
    pub owner: String,
}

impl DeskOptions {
    /// The defaults, with an owner of its own.
    ///
    /// # Errors
    /// Where the operating system gives no random bytes.
    pub fn new() -> Result<Self, NoRandomness> {
        Ok(Self {
            max_validity_s: MAX_VALIDITY_S_DEFAULT,
            owner: random::name("desk_")?,
        })
    }
}

/// Holds the rails, and with them the keys.
pub struct Desk {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) rails: Vec<Arc<dyn PayRail>>,
    pub(crate) clock: Arc<dyn Clock>,
    options: DeskOptions,
    funds: Funds,
}

impl Desk {
    /// Sets up a desk. Rails are asked in the given order.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        rails: Vec<Arc<dyn PayRail>>,
        clock: Arc<dyn Clock>,
        options: DeskOptions,
    ) -> Self {
        Self {
            ledger,
            rails,
            clock,
            options,
            funds: Funds::default(),
        }
    }

    /// Asks the rails about every open payment of this ledger's buyer, and gives back what dead
    /// processes had reserved without sending (`payments resume --all`).
    ///
    /// # Errors
    /// Where the ledger cannot be used; what was resolved before stays so.
    pub async fn resolve_all(&self) -> Result<ResolveReport, Fault> {
        resolve::all(self).await
    }

    /// THE spend function.
    async fn pay(&self, request: &SpendRequest) -> Result<Spend, Fault> {
        let quote = self
            .quote_one(&request.quote.offer)
            .await
            .map_err(not_payable)?;
        if let Some(max) = request.max_cost.filter(|max| quote.terms.cost > *max) {
            return Err(Fault::over_max_cost(quote.terms.cost, max));
        }
        let mut reserved = self.reserve(request, &quote).await?;
        if is_used_up(&reserved) && resolve::release_dead(self).await? {
            reserved = self.reserve(request, &quote).await?;
        }
        let held = match reserved {
            Reserved::First(held) => held,
            Reserved::Twin(twin) => return Ok(Spend::Twin(twin)),
            Reserved::Denied(denial) => return Ok(Spend::Denied(denial)),
        };
        // Of what comes first nothing is out there that could be spent later.
        let valid_for_s = match quote.terms.is_prepaid() {
            true => quote.max_timeout_s,
            false => quote.max_timeout_s.min(self.options.max_validity_s),
        };
        let signed = match self.rail_of(&quote.terms.rail) {
            Some(rail) => rail
                .authorise(&quote, &request.challenge, valid_for_s)
                .await
                .map_err(|why| (why.code, why.message)),
            // The quote came from one of our rails, so this does not happen.
            None => Err(("rail_missing", "the rail of this quote is gone".to_owned())),
        };
        match signed {
            Ok(mut signed) => match signed.credential.take() {
                Some(credential) => {
                    let armed = self.arm(&held.id, signed, credential).await;
                    armed.map(Spend::Pay)
                }
                None => prepaid::begin(self, &held.id, signed, request.wait_ms).await,
            },
            Err((code, message)) => {
                self.abandon(&held.id, code).await?;
                Err(Fault::harmless(code, Kind::Payment, Blame::Rail, message))
            }
        }
    }

    async fn reserve(&self, request: &SpendRequest, quote: &Quote) -> Result<Reserved, Fault> {
        let now_ms = self.clock.now_ms();
        let id = random::name("pay_").map_err(no_randomness)?;
        self.ledger
            .reserve(NewSpend {
                id: PaymentId(id),
                call: request.call.clone(),
                agent: request.agent.clone(),
                method: Some(request.method.clone()),
                url: request.url.clone(),
                terms: quote.terms.clone(),
                lease: self.lease_from(now_ms),
                fresh: request.fresh,
                now_ms,
            })
            .await
            .map_err(ledger_fault)
    }

    /// Writes that a credential is about to leave; only then gives it out.
    async fn arm(
        &self,
        id: &PaymentId,
        signed: Authorised,
        credential: Credential,
    ) -> Result<Box<Ticket>, Fault> {
        let now_ms = self.clock.now_ms();
        let attach = Attach {
            credential: Some(credential.clone()),
            identity: Some(signed.identity),
            handle: Some(signed.handle),
            valid_before_s: Some(signed.valid_before_s),
            lease: Some(self.lease_from(now_ms)),
            ..Attach::default()
        };
        let sending = Event::Sending { transaction: None };
        match self.ledger.apply(id, sending, attach, now_ms).await {
            Ok(Applied { payment, .. }) => Ok(Box::new(Ticket {
                payment,
                credential,
                token: None,
            })),
            // Signing took longer than the lease, and somebody gave the money back. What was
            // signed is dropped here and has never left.
            Err(LedgerError::Illegal(_)) => Err(lease_lost()),
            Err(other) => Err(ledger_fault(other)),
        }
    }

    /// Gives back what was held for a payment of which nothing has left.
    pub(crate) async fn abandon(&self, id: &PaymentId, reason: &str) -> Result<(), Fault> {
        let event = Event::Abandoned {
            reason: reason.to_owned(),
        };
        // `None`: somebody took the stale lease over and did the same, or more.
        self.note(id, event).await.map(|_| ())
    }

    /// What an offer costs by our own tables; the first rail that understands it.
    async fn quote_one(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        let mut refusal = None;
        for rail in &self.rails {
            match rail.quote(offer).await {
                Ok(quote) => return Ok(quote),
                // Of the rails that know the offer, the first says why.
                Err(why) if refusal.is_none() || is_of_another_rail(refusal.as_ref()) => {
                    refusal = Some(why);
                }
                Err(_) => {}
            }
        }
        Err(refusal.unwrap_or_else(|| NotPayable {
            code: "no_key",
            why: "this wallet has no key; make one with `farebox wallet create`".to_owned(),
        }))
    }

    /// Writes an event down; `None` where the payment has moved on and does not allow it any
    /// more.
    pub(crate) async fn note(
        &self,
        id: &PaymentId,
        event: Event,
    ) -> Result<Option<Payment>, Fault> {
        let now_ms = self.clock.now_ms();
        let applied = self.ledger.apply(id, event, Attach::default(), now_ms);
        match applied.await {
            Ok(applied) => Ok(Some(applied.payment)),
            Err(LedgerError::Illegal(_)) => Ok(None),
            Err(other) => Err(ledger_fault(other)),
        }
    }

    pub(crate) fn rail_of(&self, name: &str) -> Option<&Arc<dyn PayRail>> {
        self.rails.iter().find(|rail| rail.rail() == name)
    }

    pub(crate) fn lease_from(&self, now_ms: u64) -> Lease {
        Lease {
            owner: self.options.owner.clone(),
            until_ms: now_ms.saturating_add(LEASE_MS),
        }
    }

    /// Lets a twin act at once instead of after [`LEASE_MS`].
    pub(crate) async fn let_go(&self, id: &PaymentId) -> Result<(), Fault> {
        let ended = Lease {
            owner: self.options.owner.clone(),
            until_ms: 0,
        };
        // `false`: it is somebody else's by now, who keeps it.
        self.ledger
            .renew_lease(id, ended)
            .await
            .map(|_| ())
            .map_err(ledger_fault)
    }
}

#[async_trait]
impl Purse for Desk {
    async fn quote(&self, challenge: &Challenge) -> Vec<Quoted> {
        let mut quoted = Vec::with_capacity(challenge.offers.len());
        for offer in &challenge.offers {
            quoted.push(Quoted {
                offer: offer.clone(),
                quote: self.quote_one(offer).await,
            });
        }
        quoted
    }

    async fn preview(
        &self,
        agent: Option<&str>,
        cost: UsdMicros,
    ) -> Result<Result<(), Denial>, Fault> {
        let lines = self.ledger.budgets(self.clock.now_ms()).await;
        Ok(budget::preview(&lines.map_err(ledger_fault)?, agent, cost))
    }

    async fn standing(&self, call: &CallKey, wait_ms: u64) -> Result<Standing, Fault> {
        standing::look(self, call, wait_ms).await
    }

    async fn pass(&self, request: &PassRequest) -> Result<Passes, Fault> {
        tokens::pass(self, request).await
    }

    async fn shown(&self, token: &TokenId, news: Option<TokenNews>) -> Result<(), Fault> {
        tokens::shown(self, token, news).await
    }

    async fn covers(&self, terms: &[&Terms]) -> Vec<Option<bool>> {
        self.funds.cover(&self.rails, &*self.clock, terms).await
    }

    async fn spend(&self, request: SpendRequest) -> Result<Spend, Fault> {
        self.pay(&request).await
    }

    async fn keep_alive(&self, id: &PaymentId) -> Result<(), Fault> {
        let lease = self.lease_from(self.clock.now_ms());
        let ours = self.ledger.renew_lease(id, lease).await;
        if !ours.map_err(ledger_fault)? {
            // The same credential is being shown by somebody else; ours is still a valid try.
            tracing::debug!(payment = %id, "another process has taken this payment over");
        }
        Ok(())
    }

    async fn report(
        &self,
        id: &PaymentId,
        event: Event,
        receipt: Option<String>,
    ) -> Result<Payment, Fault> {
        let attach = Attach {
            receipt,
            ..Attach::default()
        };
        let now_ms = self.clock.now_ms();
        let applied = self.ledger.apply(id, event, attach, now_ms).await;
        let payment = applied.map_err(ledger_fault)?.payment;
        // What was paid first is settled before it is shown; its lease says that it is being shown.
        if payment.state.is_open() || payment.terms.is_prepaid() {
            self.let_go(id).await?;
        }
        Ok(payment)
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, Fault> {
        self.ledger.payment(id).await.map_err(ledger_fault)
    }

    async fn resolve(&self, id: &PaymentId) -> Result<Payment, Fault> {
        resolve::one(self, id).await
    }
}

/// A lease of a clock that has since been set back would never end; one cannot be longer than
/// this.
const LEASE_MS_MAX: u64 = 2 * LEASE_MS;

/// Whether somebody is working on a buyer's payment.
pub(crate) fn is_alive(side: &BuyerSide, now_ms: u64) -> bool {
    side.lease
        .until_ms
        .checked_sub(now_ms)
        .is_some_and(|left| left > 0 && left <= LEASE_MS_MAX)
}

/// Whether a budget said no because of what others hold, as opposed to the price itself.
fn is_used_up(reserved: &Reserved) -> bool {
    matches!(
        reserved,
        Reserved::Denied(Denial::OverLimit {
            level: Level::Day | Level::Total,
            ..
        })
    )
}

/// Whether a rail has only said that an offer is none of its kind.
fn is_of_another_rail(refusal: Option<&NotPayable>) -> bool {
    refusal.is_some_and(|why| matches!(why.code, "other_rail" | "not_this_rail"))
}

fn not_payable(why: NotPayable) -> Fault {
    Fault::harmless(why.code, Kind::Offer, Blame::Peer, why.why)
}

fn no_randomness(why: NoRandomness) -> Fault {
    Fault::harmless("no_randomness", Kind::Internal, Blame::Us, why.to_string())
}

/// The desk was so slow that another process gave back what it had held.
pub(crate) fn lease_lost() -> Fault {
    Fault::harmless(
        "lease_lost",
        Kind::Payment,
        Blame::Us,
        "signing took so long that another process took the payment over; nothing was sent, try again",
    )
}

/// What a failed ledger means to a buyer before anything has left; the loop adds what it knows.
pub(crate) fn ledger_fault(why: LedgerError) -> Fault {
    let (code, kind, blame) = match &why {
        LedgerError::NotFound(_) => ("payment_not_found", Kind::Payment, Blame::User),
        LedgerError::Illegal(_) => ("payment_race", Kind::Internal, Blame::Us),
        LedgerError::Taken(_) => ("invoice_taken", Kind::Payment, Blame::Peer),
        LedgerError::Overflow => ("amount_too_large", Kind::Policy, Blame::User),
        LedgerError::Damaged(_) => ("ledger_damaged", Kind::Store, Blame::Us),
        LedgerError::Busy(_) => ("ledger_busy", Kind::Store, Blame::User),
        LedgerError::Store(_) => ("ledger_unusable", Kind::Store, Blame::Us),
    };
    Fault::harmless(code, kind, blame, why.to_string())
}
