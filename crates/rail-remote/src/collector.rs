//! The rail that sellers see: local where no chain is needed, facilitators where one is.

use std::sync::{Arc, Weak};
use std::time::Duration;

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
use serde_json::{Map, Value};

use crate::facilitator::{Facilitator, NotKnown};
use crate::lent::Lent;
use crate::options::{LOCAL, Place, RemoteOptions};
use crate::settle::Settling;
use crate::verified::Verified;
use crate::{answer, supported};

/// How often facilitators are asked again what they support.
const REFRESH: Duration = Duration::from_secs(300);
/// How often those are asked that have not said it yet.
const REFRESH_UNKNOWN: Duration = Duration::from_secs(10);
/// Bytes of a facilitator's own `extra` that go into our offers: they travel in every 402.
const EXTRA_BYTES_MAX: usize = 1_024;

/// Collects through facilitators. See the crate for what happens when they fail or lie.
pub struct RemoteCollector {
    pub(crate) inner: Arc<dyn CollectRail>,
    pub(crate) stations: Arc<[Station]>,
    /// The chains that the local rail can ask.
    chains: Vec<ChainId>,
    pub(crate) verified: Verified,
    clock: Arc<dyn Clock>,
}

/// Somebody who settles.
pub(crate) enum Station {
    Local,
    Remote(Box<Facilitator>),
}

impl Station {
    /// As it stands in handles.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Local => LOCAL,
            Self::Remote(facilitator) => facilitator.url(),
        }
    }

    /// As it is called in messages.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Local => LOCAL.to_owned(),
            Self::Remote(facilitator) => facilitator.host(),
        }
    }
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
        Ok(Self {
            inner,
            stations: stations.collect::<Result<_, RailError>>()?,
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
        for station in self.stations.iter() {
            let Station::Remote(facilitator) = station else {
                continue;
            };
            match facilitator.get_to_know().await {
                Ok(()) => {}
                Err(NotKnown::Wrong(why)) => return Err(why),
                Err(NotKnown::Away(why)) => tracing::warn!(
                    facilitator = facilitator.host(),
                    why,
                    "a facilitator does not say what it supports; asked again later"
                ),
            }
        }
        for kind in self.inner.kinds() {
            if kind.x402_version == x402::VERSION {
                self.supports(&kind)?;
            }
        }
        tokio::spawn(refresh(Arc::downgrade(&self.stations)));
        Ok(())
    }

    /// Makes sure that somebody settles what we offer, or may, for all that is known.
    fn supports(&self, ours: &SupportedKind) -> Result<(), RailError> {
        let is_possible = self.stations.iter().any(|station| match station {
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
        let asked: Vec<String> = self.stations.iter().map(Station::label).collect();
        Err(RailError {
            code: "facilitator_unsupported",
            message: format!(
                "no facilitator settles {} on {} (asked: {}); name another with --facilitator or `urls` in [facilitator], or remove the network",
                ours.scheme,
                ours.network,
                asked.join(", ")
            ),
        })
    }

    /// Whether the local rail can ask this chain.
    pub(crate) fn asks(&self, network: &ChainId) -> bool {
        self.chains.contains(network)
    }

    /// Who may settle an offer, the preferred one first: those who say that they can, then those
    /// who have not said.
    pub(crate) fn candidates(&self, offer: &PaymentRequirements) -> Vec<usize> {
        let (mut can, mut may) = (Vec::new(), Vec::new());
        for (place, station) in self.stations.iter().enumerate() {
            match station {
                Station::Local => can.push(place),
                Station::Remote(facilitator) => match facilitator.fits(offer) {
                    Some(true) => can.push(place),
                    None => may.push(place),
                    Some(false) => {}
                },
            }
        }
        can.extend(may);
        can
    }

    /// Asks facilitators in their order, the next one where one gives no verdict.
    async fn ask_around(&self, lent: &Lent) -> Result<(), Refusal> {
        let mut silent = Vec::new();
        for place in self.candidates(&lent.requirements()?) {
            let Some(station) = self.stations.get(place) else {
                continue;
            };
            let Station::Remote(facilitator) = station else {
                // The chain is asked beside this, whoever settles.
                self.verified.note(&lent.identity, place);
                return Ok(());
            };
            match verdict(facilitator, lent).await {
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

    /// What a facilitator wants to see in our offers, without touching what is ours.
    fn completed(&self, mut offer: SellerOffer) -> SellerOffer {
        let wanted = self.stations.iter().find_map(|station| match station {
            Station::Local => None,
            Station::Remote(facilitator) => facilitator.kinds()?.into_iter().find(|kind| {
                let network = offer.requirements.network.as_str();
                supported::covers(kind, &offer.requirements.scheme, network)
            }),
        });
        let Some(wanted) = wanted.and_then(|kind| kind.extra) else {
            return offer;
        };
        if Value::Object(wanted.clone()).to_string().len() > EXTRA_BYTES_MAX {
            return offer;
        }
        let extra = offer.requirements.extra.get_or_insert_with(Map::new);
        for (key, value) in wanted {
            if !value.is_null() && key != "assetTransferMethod" {
                extra.entry(key).or_insert(value);
            }
        }
        if let Ok(raw) = serde_json::to_value(&offer.requirements) {
            offer.raw = raw;
        }
        offer
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

/// Keeps asking what facilitators support, until nobody needs it any more.
async fn refresh(stations: Weak<[Station]>) {
    let mut since_all = Duration::ZERO;
    loop {
        tokio::time::sleep(REFRESH_UNKNOWN).await;
        since_all = since_all.saturating_add(REFRESH_UNKNOWN);
        let is_time = since_all >= REFRESH;
        let Some(stations) = stations.upgrade() else {
            return;
        };
        for station in stations.iter() {
            let Station::Remote(facilitator) = station else {
                continue;
            };
            if !is_time && facilitator.kinds().is_some() {
                continue;
            }
            // What it said before stands until it says otherwise.
            if let Err(NotKnown::Away(why) | NotKnown::Wrong(RailError { message: why, .. })) =
                facilitator.get_to_know().await
            {
                tracing::warn!(facilitator = facilitator.host(), why, "still not known");
            }
        }
        if is_time {
            since_all = Duration::ZERO;
        }
    }
}

#[async_trait]
impl CollectRail for RemoteCollector {
    fn rail(&self) -> &'static str {
        self.inner.rail()
    }

    fn offers(&self, price: &Price) -> Result<Vec<SellerOffer>, RailError> {
        let offers = self.inner.offers(price)?;
        Ok(offers.into_iter().map(|o| self.completed(o)).collect())
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
            for station in self.stations.iter() {
                let Station::Remote(facilitator) = station else {
                    continue;
                };
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
