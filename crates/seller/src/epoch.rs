//! The offers of one route over time: those of now, and those that a change of the price has replaced
//! a moment ago (ARCHITECTURE law 7).
//!
//! A buyer who was shown a price may pay it for as long as the offer let its credential live; from
//! then on only the price of now counts. Asked by `credential` for every credential; it looks at
//! nothing but what was offered.

use std::sync::Arc;

use farebox_core::rail::{CollectRail, SellerOffer};
use farebox_wire::x402::matching;
use farebox_wire::x402::v1::PaymentPayloadV1;
use serde_json::Value;

use crate::config::SettleWhen;
use crate::quote;

/// Replaced prices of one route that are remembered: more changes within one lifetime of an offer
/// are no change of prices but an accident.
const EARLIER_MAX: usize = 32;

/// An offer and who collects what is paid for it.
#[derive(Clone)]
pub(crate) struct MadeOffer {
    pub(crate) rail: Arc<dyn CollectRail>,
    pub(crate) offer: SellerOffer,
}

/// What is offered at one price.
#[derive(Clone)]
pub(crate) struct Epoch {
    pub(crate) offers: Vec<MadeOffer>,
    /// When what was paid for these offers is settled: as they say.
    pub(crate) settle: SettleWhen,
    /// How long the offers let a credential live, in seconds.
    pub(crate) max_timeout_s: u64,
}

/// See the module.
pub(crate) struct Epochs {
    now: Epoch,
    /// The last one first.
    earlier: Vec<Ended>,
}

#[derive(Clone)]
struct Ended {
    epoch: Epoch,
    /// Unix milliseconds.
    until_ms: u64,
}

/// An offer that a credential may answer.
#[derive(Clone, Copy)]
pub(crate) struct Answerable<'a> {
    pub(crate) made: &'a MadeOffer,
    pub(crate) settle: SettleWhen,
}

impl Epochs {
    pub(crate) const fn new(now: Epoch) -> Self {
        Self {
            now,
            earlier: Vec::new(),
        }
    }

    /// Comes after what the same route has offered until `now_ms`.
    pub(crate) fn follow(&mut self, before: Option<&Self>, now_ms: u64) {
        let Some(before) = before else {
            return;
        };
        let is_alive = |ended: &&Ended| ended.until_ms > now_ms;
        self.earlier = before.earlier.iter().filter(is_alive).cloned().collect();
        if !self.now.is_same(&before.now) {
            let lives_ms = before.now.max_timeout_s.saturating_mul(1_000);
            let ended = Ended {
                epoch: before.now.clone(),
                until_ms: now_ms.saturating_add(lives_ms),
            };
            self.earlier.insert(0, ended);
        }
        self.earlier.truncate(EARLIER_MAX);
    }

    /// The offer that `accepted` answers at this time.
    pub(crate) fn offer_for(&self, accepted: &Value, now_ms: u64) -> Option<Answerable<'_>> {
        self.answerable(now_ms)
            .find(|open| matching::accepts(&open.made.offer.raw, accepted))
    }

    /// The offers that a credential of version 1 may answer at this time: it names no price.
    pub(crate) fn offers_in_version_1<'a>(
        &'a self,
        payload: &'a PaymentPayloadV1,
        now_ms: u64,
    ) -> impl Iterator<Item = Answerable<'a>> {
        self.answerable(now_ms).filter(|open| {
            let offer = &open.made.offer;
            quote::has_words_in_version_1(offer) && payload.answers(&offer.requirements)
        })
    }

    /// Those of now first.
    fn answerable(&self, now_ms: u64) -> impl Iterator<Item = Answerable<'_>> {
        let is_alive = move |ended: &&Ended| ended.until_ms > now_ms;
        let earlier = self.earlier.iter().filter(is_alive);
        let epochs = std::iter::once(&self.now).chain(earlier.map(|ended| &ended.epoch));
        epochs.flat_map(|epoch| {
            epoch.offers.iter().map(|made| Answerable {
                made,
                settle: epoch.settle,
            })
        })
    }
}

impl Epoch {
    /// Whether a buyer could not tell the two apart.
    fn is_same(&self, other: &Self) -> bool {
        let raws = |epoch: &Self| -> Vec<Value> {
            let offers = epoch.offers.iter();
            offers.map(|made| made.offer.raw.clone()).collect()
        };
        self.settle == other.settle && raws(self) == raws(other)
    }
}
