//! What every request shares, and the checks that cost nothing but computing.
//!
//! Used by `verify` and `settle`, so that both refuse for the same reasons in the same order: a
//! payment that verifies is one that settles (ARCHITECTURE law 8).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use farebox_core::ledger::{LedgerError, Payment};
use farebox_core::payment::Phase;
use farebox_core::rail::{CollectRail, Examined, Refusal, SignatureCheck};
use farebox_seller::buckets::BucketLimits;
use farebox_seller::counts::{Counts, NO_ROUTE, RouteCounts};
use farebox_seller::till::Till;
use farebox_wire::caip::ChainId;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{SupportedKind, SupportedResponse};
use farebox_wire::x402::v1;
use serde_json::Value;

use super::access::Access;
use super::door::Endpoint;
use super::hand_over::Unheard;
use super::health::Health;
use super::limits::Limits;
use super::memory::Memory;
use super::question::Question;
use super::settle::Keys;
use crate::request_log::RequestLog;

/// Answers whose callers have gone and that are remembered; 100 bytes each.
const UNHEARD_MAX: usize = 10_000;
/// Idempotency keys that are remembered; 100 bytes each.
const KEYS_MAX: usize = 10_000;

/// How long after its expiry a payment that was claimed is still answered for, in seconds: as long
/// as buyers date their credentials back, so that an earlier clock finds them valid.
const LATE_S: u64 = 600;

/// See the module.
pub(super) struct Desk {
    till: Arc<Till>,
    pub(super) access: Access,
    /// Which rail serves a network, and by which schemes.
    kinds: HashMap<String, (Arc<dyn CollectRail>, Vec<String>)>,
    /// The answer to `/supported`, which is the same for as long as the process lives.
    pub(super) supported: Bytes,
    pub(super) health: Health,
    pub(super) limits: Arc<Limits>,
    pub(super) unheard: Arc<Unheard>,
    pub(super) keys: Keys,
    pub(super) counts: EndpointCounts,
    pub(super) log: Option<Arc<dyn RequestLog>>,
}

/// What is counted of each endpoint.
pub(super) struct EndpointCounts {
    verify: Arc<RouteCounts>,
    settle: Arc<RouteCounts>,
    supported: Arc<RouteCounts>,
    health: Arc<RouteCounts>,
    none: Arc<RouteCounts>,
}

impl EndpointCounts {
    fn new(counts: &Counts) -> Self {
        Self {
            verify: counts.route("/verify"),
            settle: counts.route("/settle"),
            supported: counts.route("/supported"),
            health: counts.route("/health"),
            none: counts.route(NO_ROUTE),
        }
    }

    pub(super) const fn of(&self, endpoint: Option<Endpoint>) -> &Arc<RouteCounts> {
        match endpoint {
            Some(Endpoint::Verify) => &self.verify,
            Some(Endpoint::Settle) => &self.settle,
            Some(Endpoint::Supported) => &self.supported,
            Some(Endpoint::Health) => &self.health,
            None => &self.none,
        }
    }
}

/// A credential that passed every check that needs no chain.
pub(super) struct Case {
    pub(super) rail: Arc<dyn CollectRail>,
    pub(super) examined: Examined,
}

impl Desk {
    pub(super) fn new(
        till: Arc<Till>,
        access: Access,
        in_vain: Option<BucketLimits>,
        log: Option<Arc<dyn RequestLog>>,
    ) -> Arc<Self> {
        let mut supported = SupportedResponse::default();
        let mut kinds = HashMap::<String, (Arc<dyn CollectRail>, Vec<String>)>::new();
        for rail in till.rails() {
            for kind in rail.kinds() {
                let entry = kinds
                    .entry(kind.network.clone())
                    .or_insert_with(|| (Arc::clone(rail), Vec::new()));
                entry.1.push(kind.scheme.clone());
                supported.kinds.extend(listed(kind));
            }
            supported.signers.extend(rail.signers());
        }
        Arc::new(Self {
            // Our own types always have a JSON form.
            supported: serde_json::to_vec(&supported).unwrap_or_default().into(),
            health: Health::default(),
            limits: Limits::new(in_vain, Arc::clone(till.clock())),
            unheard: Arc::new(Unheard::new(UNHEARD_MAX)),
            keys: Memory::new(KEYS_MAX),
            counts: EndpointCounts::new(till.counts()),
            log,
            till,
            access,
            kinds,
        })
    }

    pub(super) const fn till(&self) -> &Arc<Till> {
        &self.till
    }

    /// Scheme, network, asset, payee, worth, value, time and signature, cheapest first. What has
    /// expired passes where it was claimed in time: it may have been paid, and its caller is owed
    /// an answer.
    pub(super) async fn examine(&self, question: &Question) -> Result<Case, Refusal> {
        let now_s = self.till.clock().now_s();
        let refusal = match self.examine_at(question, now_s) {
            Err(refusal) if refusal.reason == Reason::ValidBefore => refusal,
            examined => return examined,
        };
        let late = self.examine_at(question, now_s.saturating_sub(LATE_S));
        let case = late.map_err(|_| refusal.clone())?;
        match self.earlier(&case).await {
            Ok(Some(payment)) if case.is_of(&payment) => Ok(case),
            _ => Err(refusal),
        }
    }

    fn examine_at(&self, question: &Question, now_s: u64) -> Result<Case, Refusal> {
        let requirements = &question.requirements;
        let rail = self.rail(requirements.network.as_str(), &requirements.scheme)?;
        let offer = rail.offer_of(requirements)?;
        self.access.admit(&offer.terms)?;
        let examined = rail.examine(&question.payload, &offer, now_s)?;
        Ok(Case {
            rail: Arc::clone(rail),
            examined,
        })
    }

    fn rail(&self, network: &str, scheme: &str) -> Result<&Arc<dyn CollectRail>, Refusal> {
        let refused = |reason, message| Refusal {
            reason,
            message,
            is_ours: false,
        };
        let (rail, schemes) = self.kinds.get(network).ok_or_else(|| {
            let message = "this network is not served here; /supported lists those that are";
            refused(Reason::InvalidNetwork, message.to_owned())
        })?;
        match schemes.iter().any(|known| known == scheme) {
            true => Ok(rail),
            false => Err(refused(
                Reason::UnsupportedScheme,
                "this scheme is not served here; /supported lists those that are".to_owned(),
            )),
        }
    }

    /// The payment that has claimed the identity and holds on to it.
    pub(super) async fn earlier(&self, case: &Case) -> Result<Option<Payment>, LedgerError> {
        let earlier = self.till.earlier(&case.examined.identity).await?;
        Ok(earlier.filter(|payment| payment.state.phase != Phase::Released))
    }
}

/// A kind, and the same in version 1 where that has a name for the network.
fn listed(kind: SupportedKind) -> Vec<Value> {
    let chain = kind.network.parse::<ChainId>().ok();
    let name = chain.as_ref().and_then(v1::name_of);
    let old = name.map(|name| SupportedKind {
        x402_version: v1::VERSION,
        network: name.to_owned(),
        ..kind.clone()
    });
    let kinds = [Some(kind), old].into_iter().flatten();
    kinds
        .filter_map(|kind| serde_json::to_value(kind).ok())
        .collect()
}

impl Case {
    /// Whether an earlier payment was made by these very bytes.
    pub(super) fn is_of(&self, payment: &Payment) -> bool {
        let digest = payment.seller.as_ref().map(|side| side.payload_digest);
        digest == Some(self.examined.payload_digest)
    }

    /// Whether only the chain can tell if the signature is good.
    pub(super) fn is_unsigned_yet(&self) -> bool {
        self.examined.signature == SignatureCheck::AskChain
    }
}
