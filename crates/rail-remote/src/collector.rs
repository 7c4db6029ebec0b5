//! The rail that sellers see: local where no chain is needed, facilitators where one is.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::rail::{
    Asked, CollectRail, Examined, Finding, Funds, Handle, Journal, NetworkHealth, Outcome, Price,
    RailError, Refusal, SellerOffer,
};
use farebox_wire::caip::ChainId;
use farebox_wire::x402;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequirements, SupportedKind};
use tokio::sync::watch;

use crate::crew::{self, Crew, FeePayers, Station};
use crate::facilitator::Facilitator;
use crate::lent::Lent;
use crate::options::{Place, RemoteOptions};
use crate::settle::Settling;
use crate::verified::Verified;
use crate::{answer, supported};

/// Collects through facilitators. See the crate for what happens when they fail or lie.
pub struct RemoteCollector {
    pub(crate) inner: Arc<dyn CollectRail>,
    pub(crate) crew: Arc<Crew>,
    /// The chains that the local rail can ask.
    chains: Vec<ChainId>,
    pub(crate) verified: Verified,
    clock: Arc<dyn Clock>,
}

impl RemoteCollector {
    /// Puts facilitators in front of a local rail.
    ///
    /// # Errors
    /// No facilitator, too many, or one named twice.
    pub fn new(
        inner: Arc<dyn CollectRail>,
        options: RemoteOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RailError> {
        options.check()?;
        let stations = options.places.into_iter().map(|place| {
            Ok(match place {
                Place::Local => Station::Local,
                Place::Remote { url, headers } => {
                    Station::Remote(Box::new(Facilitator::new(url, headers)?))
                }
            })
        });
        let stations = stations.collect::<Result<_, RailError>>()?;
        Ok(Self {
            crew: Arc::new(Crew::new(stations, Arc::clone(&inner))),
            inner,
            chains: options.chains,
            verified: Verified::default(),
            clock,
        })
    }

    /// Asks the facilitators what they support, and goes on asking for as long as this lives.
    /// Collect nothing before.
    ///
    /// # Errors
    /// A facilitator that does not want us or is none; a network of ours that none of them
    /// supports. Facilitators that are away are asked again later.
    pub async fn start(&self) -> Result<(), RailError> {
        self.crew.get_to_know().await?;
        let named = self.crew.rename();
        for kind in self.inner.kinds() {
            if kind.x402_version == x402::VERSION {
                self.supports(&kind)?;
                if self.crew.names_fee_payers() && !named.contains_key(&kind.network) {
                    return Err(self.nobody_pays(&kind.network));
                }
            }
        }
        tokio::spawn(crew::refresh(Arc::downgrade(&self.crew)));
        Ok(())
    }

    /// Tells of every change of who pays fees where offers say so: offers that were asked for
    /// before are out of date then.
    #[must_use]
    pub fn fee_payers(&self) -> watch::Receiver<FeePayers> {
        self.crew.named()
    }

    /// Makes sure that somebody settles what we offer, or may, for all that is known.
    fn supports(&self, ours: &SupportedKind) -> Result<(), RailError> {
        let is_possible = self.crew.stations().iter().any(|station| match station {
            Station::Local => true,
            Station::Remote(facilitator) => facilitator.kinds().is_none_or(|kinds| {
                kinds
                    .iter()
                    .any(|kind| supported::covers(kind, &ours.scheme, &ours.network))
            }),
        });
        if is_possible {
            return Ok(());
        }
        Err(RailError {
            code: "facilitator_unsupported",
            message: format!(
                "no facilitator settles {} on {} (asked: {}); name another with --facilitator or `urls` in [facilitator], or remove the network",
                ours.scheme,
                ours.network,
                self.asked()
            ),
        })
    }

    fn nobody_pays(&self, network: &str) -> RailError {
        RailError {
            code: "facilitator_unreachable",
            message: format!(
                "no facilitator says who pays the fees on {network}, which every offer there has to (asked: {}); start again when one answers, or name another with --facilitator or `urls` in [facilitator]",
                self.asked()
            ),
        }
    }

    /// Everybody, for messages.
    fn asked(&self) -> String {
        let asked: Vec<String> = self.crew.stations().iter().map(Station::label).collect();
        asked.join(", ")
    }

    /// Whether the local rail can ask this chain.
    pub(crate) fn asks(&self, network: &ChainId) -> bool {
        self.chains.contains(network)
    }

    /// Asks facilitators in their order, the next one where one gives no verdict.
    async fn ask_around(&self, lent: &Lent) -> Result<(), Refusal> {
        let mut silent = Vec::new();
        for place in self.crew.candidates(&lent.requirements()?) {
            let Some(station) = self.crew.stations().get(place) else {
                continue;
            };
            let Station::Remote(facilitator) = station else {
                // The chain is asked beside this, whoever settles.
                self.verified.note(&lent.identity, place);
                return Ok(());
            };
            let verdict = verdict(facilitator, lent).await;
            self.crew.note(facilitator, verdict.is_ok());
            match verdict {
                Ok(verdict) => {
                    self.verified.note(&lent.identity, place);
                    return verdict;
                }
                Err(why) => {
                    tracing::warn!(facilitator = facilitator.host(), why, "no verdict");
                    silent.push(format!("{}: {why}", facilitator.host()));
                }
            }
        }
        Err(Refusal {
            reason: Reason::UnexpectedVerify,
            message: match silent.is_empty() {
                true => "no facilitator settles this offer".to_owned(),
                false => format!("no facilitator gave a verdict ({})", silent.join("; ")),
            },
            is_ours: true,
        })
    }
}

/// A facilitator's verdict; an error is none.
async fn verdict(facilitator: &Facilitator, lent: &Lent) -> Result<Result<(), Refusal>, String> {
    let verdict = facilitator.verify(lent).await?;
    if verdict.is_valid {
        return Ok(Ok(()));
    }
    let code = answer::code(verdict.invalid_reason.as_deref());
    let reason = Reason::from_code(&code);
    if matches!(
        reason,
        Some(Reason::UnexpectedVerify | Reason::UnexpectedSettle)
    ) {
        return Err(format!("it says {code}"));
    }
    let said = answer::plain(verdict.invalid_message.as_deref().unwrap_or_default());
    Ok(Err(Refusal {
        // A code that we do not know travels in the message.
        reason: reason.unwrap_or(Reason::SimulationFailed),
        message: format!("the facilitator refuses the payment: {code} {said}")
            .trim_end()
            .to_owned(),
        is_ours: false,
    }))
}

#[async_trait]
impl CollectRail for RemoteCollector {
    fn rail(&self) -> &'static str {
        self.inner.rail()
    }

    fn offers(&self, price: &Price) -> Result<Vec<SellerOffer>, RailError> {
        let offers = self.inner.offers(price)?;
        let offers = offers.into_iter();
        Ok(offers.filter_map(|o| self.crew.completed(o)).collect())
    }

    fn offer_of(&self, requirements: &PaymentRequirements) -> Result<SellerOffer, Refusal> {
        self.inner.offer_of(requirements)
    }

    fn kinds(&self) -> Vec<SupportedKind> {
        self.inner.kinds()
    }

    fn signers(&self) -> Vec<(String, Vec<String>)> {
        self.inner.signers()
    }

    async fn health(&self) -> Vec<NetworkHealth> {
        let mut healths = self.inner.health().await;
        // A chain that nobody meant to ask is no complaint; facilitators answer for it.
        for health in healths.iter_mut().filter(|h| !self.asks(&h.network)) {
            health.complaints.clear();
            for facilitator in self.crew.facilitators() {
                match facilitator.knock().await {
                    Ok(()) => health.is_reachable = true,
                    Err(why) => health
                        .complaints
                        .push(format!("the facilitator at {}: {why}", facilitator.host())),
                }
            }
        }
        healths
    }

    fn examine(
        &self,
        payload: &PaymentPayload,
        offer: &SellerOffer,
        now_s: u64,
    ) -> Result<Examined, Refusal> {
        let examined = self.inner.examine(payload, offer, now_s)?;
        let lent = Lent::new(payload, offer, &examined)?;
        Ok(Examined {
            handle: lent.write(&examined.handle)?,
            ..examined
        })
    }

    async fn verify(&self, examined: &Examined) -> Result<Funds, Refusal> {
        let Some(lent) = Lent::read(&examined.handle) else {
            return self.inner.verify(examined).await;
        };
        if !self.asks(&examined.terms.network) {
            self.ask_around(&lent).await?;
            return Ok(Funds::EnoughForOne);
        }
        // The chain's no outranks a facilitator's yes, and the other way round: both must agree.
        let (funds, word) = tokio::join!(self.inner.verify(examined), self.ask_around(&lent));
        let funds = funds?;
        word?;
        Ok(funds)
    }

    async fn settle(&self, handle: &Handle, journal: Arc<dyn Journal>, wait_ms: u64) -> Outcome {
        let Some(lent) = Lent::read(handle) else {
            // Begun before facilitators were named: ours to end.
            return self.inner.settle(handle, journal, wait_ms).await;
        };
        Settling::new(self, handle, lent, journal, wait_ms)
            .run()
            .await
    }

    fn can_be(&self, handle: &Handle, transaction: &str) -> bool {
        self.inner.can_be(handle, transaction)
    }

    async fn check(&self, handle: &Handle) -> Finding {
        match Lent::read(handle).filter(|lent| !self.asks(&lent.terms.network)) {
            None => self.inner.check(handle).await,
            // The facilitator is asked by settling again, which it answers as before.
            Some(lent) if self.clock.now_s() < lent.valid_before_s => Finding::Open,
            Some(lent) => Finding::CannotTell {
                why: format!(
                    "there is no `rpc` of {} to ask, and the facilitator's word is all there is",
                    lent.terms.network
                ),
            },
        }
    }

    async fn check_all(&self, asked: &[Asked<'_>]) -> Vec<Finding> {
        let is_asked: Vec<bool> = asked
            .iter()
            .map(|asked| Lent::read(asked.handle).is_none_or(|lent| self.asks(&lent.terms.network)))
            .collect();
        let of_chains: Vec<Asked<'_>> = asked
            .iter()
            .zip(&is_asked)
            .filter(|(_, is_asked)| **is_asked)
            .map(|(asked, _)| *asked)
            .collect();
        let mut found = self.inner.check_all(&of_chains).await.into_iter();
        let mut findings = Vec::with_capacity(asked.len());
        for (asked, is_asked) in asked.iter().zip(is_asked) {
            let finding = match is_asked {
                true => found.next(),
                false => None,
            };
            findings.push(match finding {
                Some(finding) => finding,
                None => self.check(asked.handle).await,
            });
        }
        findings
    }
}
