//! Who settles: the local rail and facilitators elsewhere, in order of preference; and whom an
//! offer names where it has to name somebody.
//!
//! On Solana an offer says who pays the fee, the buyer signs over it, and nobody else can settle
//! what was signed. So an offer names the first one who is there, what was signed goes to whoever
//! has that fee payer and to no other, and when the first one is away the offers change.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use farebox_core::rail::{CollectRail, RailError, SellerOffer};
use farebox_wire::x402::types::{PaymentRequirements, SupportedKind};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::facilitator::{Facilitator, NotKnown};
use crate::options::LOCAL;
use crate::supported;

/// How often facilitators are asked again what they support.
const REFRESH: Duration = Duration::from_secs(300);
/// How often those are asked that have not said it yet, or gave no answer when last asked.
const REFRESH_UNKNOWN: Duration = Duration::from_secs(10);
/// Bytes of a facilitator's own `extra` that go into our offers: they travel in every 402.
const EXTRA_BYTES_MAX: usize = 1_024;
/// The rail whose offers name who pays the fee.
const NAMES_FEE_PAYERS: &str = "solana";

/// Who pays the fees by the offers of now, for each network where offers say so.
pub type FeePayers = BTreeMap<String, String>;

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

/// See the module.
pub(crate) struct Crew {
    stations: Vec<Station>,
    local: Arc<dyn CollectRail>,
    named: watch::Sender<FeePayers>,
}

impl Crew {
    pub(crate) fn new(stations: Vec<Station>, local: Arc<dyn CollectRail>) -> Self {
        Self {
            stations,
            local,
            named: watch::Sender::new(FeePayers::new()),
        }
    }

    /// All of them, the preferred one first.
    pub(crate) fn stations(&self) -> &[Station] {
        &self.stations
    }

    /// Those elsewhere.
    pub(crate) fn facilitators(&self) -> impl Iterator<Item = &Facilitator> {
        self.stations.iter().filter_map(|station| match station {
            Station::Local => None,
            Station::Remote(facilitator) => Some(&**facilitator),
        })
    }

    /// Tells of every change of who pays fees, which changes offers.
    pub(crate) fn named(&self) -> watch::Receiver<FeePayers> {
        self.named.subscribe()
    }

    /// Whether an offer says who pays the fee.
    pub(crate) fn names_fee_payers(&self) -> bool {
        self.local.rail() == NAMES_FEE_PAYERS
    }

    /// Who may settle an offer, the preferred one first: those who say that they can, then those
    /// who have not said. Where the offer names who pays the fee, only those who say that it is
    /// theirs: nobody else can sign.
    pub(crate) fn candidates(&self, offer: &PaymentRequirements) -> Vec<usize> {
        let (mut can, mut may) = (Vec::new(), Vec::new());
        for (place, station) in self.stations.iter().enumerate() {
            match station {
                Station::Local if self.is_local(offer) => can.push(place),
                Station::Local => {}
                Station::Remote(facilitator) => match facilitator.fits(offer) {
                    Some(true) => can.push(place),
                    None if !self.names_fee_payers() => may.push(place),
                    _ => {}
                },
            }
        }
        can.extend(may);
        can
    }

    /// Whether the local rail has the key that an offer asks for.
    fn is_local(&self, offer: &PaymentRequirements) -> bool {
        if !self.names_fee_payers() {
            return true;
        }
        let extra = offer.extra.as_ref();
        let named = extra.and_then(|extra| extra.get(supported::FEE_PAYER)?.as_str());
        let ours = self.local.signers();
        let mut ours = ours.iter().flat_map(|(_, addresses)| addresses);
        named.is_some_and(|named| ours.any(|address| address == named))
    }

    /// What the offers of a scheme and network have to say, by whoever settles them now.
    fn wanted(&self, scheme: &str, network: &str) -> Option<SupportedKind> {
        if !self.names_fee_payers() {
            let mut facilitators = self.facilitators();
            return facilitators.find_map(|facilitator| facilitator.kind_of(scheme, network));
        }
        let mut away = None;
        for station in &self.stations {
            let (kind, is_away) = match station {
                Station::Local => {
                    let mut kinds = self.local.kinds().into_iter();
                    let kind = kinds.find(|kind| supported::covers(kind, scheme, network));
                    (kind, false)
                }
                Station::Remote(facilitator) => {
                    (facilitator.kind_of(scheme, network), facilitator.is_away())
                }
            };
            let Some(kind) = kind.filter(|kind| supported::fee_payer(kind).is_some()) else {
                continue;
            };
            if !is_away {
                return Some(kind);
            }
            away.get_or_insert(kind);
        }
        // Better one that is away than none: it may be back when somebody pays.
        away
    }

    /// Puts into an offer what whoever settles it wants to see there, without touching what is
    /// ours; `None` where it must name somebody and nobody is known.
    pub(crate) fn completed(&self, mut offer: SellerOffer) -> Option<SellerOffer> {
        let ours = &offer.requirements;
        let wanted = self.wanted(&ours.scheme, ours.network.as_str());
        if wanted.is_none() && self.names_fee_payers() {
            return None;
        }
        let Some(wanted) = wanted.and_then(|kind| kind.extra) else {
            return Some(offer);
        };
        let is_short = Value::Object(wanted.clone()).to_string().len() <= EXTRA_BYTES_MAX;
        let extra = offer.requirements.extra.get_or_insert_with(Map::new);
        for (key, value) in wanted {
            let is_needed = self.names_fee_payers() && key == supported::FEE_PAYER;
            if (is_short || is_needed) && !value.is_null() && key != "assetTransferMethod" {
                extra.entry(key).or_insert(value);
            }
        }
        if let Ok(raw) = serde_json::to_value(&offer.requirements) {
            offer.raw = raw;
        }
        Some(offer)
    }

    /// Notes whether a facilitator did what it was asked.
    pub(crate) fn note(&self, facilitator: &Facilitator, has_answered: bool) {
        facilitator.note(has_answered);
        self.rename();
    }

    /// Looks who pays fees now, and tells where that is somebody else.
    pub(crate) fn rename(&self) -> FeePayers {
        if !self.names_fee_payers() {
            return FeePayers::new();
        }
        let kinds = self.local.kinds().into_iter();
        let now: FeePayers = kinds
            .filter_map(|ours| {
                let kind = self.wanted(&ours.scheme, &ours.network)?;
                Some((ours.network, supported::fee_payer(&kind)?.to_string()))
            })
            .collect();
        self.named.send_if_modified(|named| {
            let has_changed = *named != now;
            named.clone_from(&now);
            has_changed
        });
        now
    }

    /// Asks every facilitator what it supports.
    ///
    /// # Errors
    /// One that does not want us, or is none.
    pub(crate) async fn get_to_know(&self) -> Result<(), RailError> {
        for facilitator in self.facilitators() {
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
        Ok(())
    }
}

/// Keeps asking what facilitators support, until nobody needs it any more.
pub(crate) async fn refresh(crew: Weak<Crew>) {
    let mut since_all = Duration::ZERO;
    loop {
        tokio::time::sleep(REFRESH_UNKNOWN).await;
        since_all = since_all.saturating_add(REFRESH_UNKNOWN);
        let is_time = since_all >= REFRESH;
        let Some(crew) = crew.upgrade() else {
            return;
        };
        for facilitator in crew.facilitators() {
            if !is_time && facilitator.is_known() && !facilitator.is_away() {
                continue;
            }
            // What it said before stands until it says otherwise.
            if let Err(NotKnown::Away(why) | NotKnown::Wrong(RailError { message: why, .. })) =
                facilitator.get_to_know().await
            {
                tracing::warn!(facilitator = facilitator.host(), why, "still not known");
            }
        }
        crew.rename();
        if is_time {
            since_all = Duration::ZERO;
        }
    }
}
