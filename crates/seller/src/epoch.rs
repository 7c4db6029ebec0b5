//! The offers of one route over time: those of now, and those that a change of the price has replaced
//! a moment ago (ARCHITECTURE law 7).
//!
//! A buyer who was shown a price may pay it for as long as the offer let its credential live; from
//! then on only the price of now counts, and who has paid before is still known. Asked by `credential` for every credential; it looks at
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
/// How long a settlement may take beyond the life of what it settles, in seconds.
const SETTLED_WITHIN_S: u64 = 60;

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
    /// Until when what was paid in time may come back: undelivered, or still pending.
    known_until_ms: u64,
}

/// An offer that a credential may answer.
#[derive(Clone, Copy)]
pub(crate) struct Answerable<'a> {
    pub(crate) made: &'a MadeOffer,
    pub(crate) settle: SettleWhen,
    /// Whether it is for payments that were made in time, and for nothing new.
    pub(crate) is_over: bool,
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
        let is_known = |ended: &&Ended| ended.known_until_ms > now_ms;
        self.earlier = before.earlier.iter().filter(is_known).cloned().collect();
        if !self.now.is_same(&before.now) {
            let lives_ms = before.now.max_timeout_s.saturating_mul(1_000);
            let until_ms = now_ms.saturating_add(lives_ms);
            let settling_ms = lives_ms.saturating_add(SETTLED_WITHIN_S * 1_000);
            let ended = Ended {
                epoch: before.now.clone(),
                until_ms,
                known_until_ms: until_ms.saturating_add(settling_ms),
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
        let is_known = move |ended: &&Ended| ended.known_until_ms > now_ms;
        let earlier = self.earlier.iter().filter(is_known);
        let earlier = earlier.map(move |ended| (&ended.epoch, ended.until_ms <= now_ms));
        let epochs = std::iter::once((&self.now, false)).chain(earlier);
        epochs.flat_map(|(epoch, is_over)| {
            epoch.offers.iter().map(move |made| Answerable {
                made,
                settle: epoch.settle,
                is_over,
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
