//! The buyer's half: quotes L402 offers by their invoices, pays them at a node of ours, and gives
//! the credential that the preimage makes.
//!
//! Only the desk of a wallet holds one, because it reaches a node that can spend. It pays nothing but
//! what it has quoted and the desk has reserved. Amount, payee and hash are the invoice's, never the
//! seller's words (ARCHITECTURE law 11).
//!
//! | state | crash | no answer | called again | twin | lying node |
//! |---|---|---|---|---|---|
//! | quoted, authorised | nothing has left | – | – | – | – |
//! | told to the node | the node goes on; [`PayRail::check`] and the next call ask it by hash | unknown: only the node can tell, later | waits for the same payment, never sends a second | the node takes one hash on once | – |
//! | paid | the next call gives the credential again | – | the same credential | the same | no preimage, or one that does not fit: unknown, and an alert; the money may be gone |
//! | failed | `check` says so, if the node took it on after we authorised it | unknown until the invoice has ended and the node does not have it | – | – | – |

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::rail::{
    Authorised, Credential, Finding, Handle, Holding, NotPayable, Paid, PayRail, Quote, RailError,
};
use farebox_core::rates::Rates;
use farebox_wire::caip::ChainId;
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::identity::Identity;
use farebox_wire::l402::credential::{AUTHORIZATION, L402Credential};
use farebox_wire::l402::preimage::Preimage;
use farebox_wire::money::Amount;
use tokio::sync::OnceCell;

use crate::handle::LightningHandle;
use crate::invoice::{Bolt11, EXPIRY_MARGIN_S};
use crate::network::{Chain, DECIMALS, SYMBOL};
use crate::node::{Node, NodeErrorKind, NodeIdentity, Order, PayError, PaymentFate};
use crate::quote;

/// Payments that were authorised and not begun, which are remembered; a desk has a handful.
const FRESH_MAX: usize = 10_000;
/// How long past an invoice's end a node is believed that it does not have its payment.
const AFTERWARDS_S: u64 = 60;

/// The most that carrying a payment may cost: the larger of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeCap {
    /// Millisatoshis, however small the payment is.
    pub at_least_msat: u64,
    /// Millionths of the amount.
    pub parts_per_million: u32,
}

impl Default for FeeCap {
    /// 10 satoshis or one per cent: small payments cross a few nodes at a satoshi each, and large
    /// ones pay by the size.
    fn default() -> Self {
        Self {
            at_least_msat: 10_000,
            parts_per_million: 10_000,
        }
    }
}

impl FeeCap {
    /// In millisatoshis, for an amount in millisatoshis.
    #[must_use]
    pub fn of(self, amount_msat: u64) -> u64 {
        let part = u128::from(amount_msat) * u128::from(self.parts_per_million) / 1_000_000;
        u64::try_from(part)
            .unwrap_or(u64::MAX)
            .max(self.at_least_msat)
    }
}

/// A network that may be paid on.
pub struct PayPlace {
    /// `lightning:regtest`.
    pub network: ChainId,
    /// Who pays there.
    pub node: Arc<dyn Node>,
    /// The most for carrying.
    pub fee_cap: FeeCap,
}

/// The same, looked at.
pub(crate) struct Place {
    pub(crate) chain: Chain,
    pub(crate) node: Arc<dyn Node>,
    pub(crate) fee_cap: FeeCap,
    /// Who the node is, once it has said so.
    identity: OnceCell<NodeIdentity>,
}

impl Place {
    /// Who the node is; `None` where it does not let us know. Another network's is refused.
    pub(crate) async fn identity(&self) -> Result<Option<&NodeIdentity>, RailError> {
        let asked = self.identity.get_or_try_init(|| self.node.identity()).await;
        let known = match asked {
            Ok(known) => known,
            Err(why) if why.kind == NodeErrorKind::Permission => return Ok(None),
            Err(why) => return Err(why.into()),
        };
        check_network(known, &self.chain, self.node.name())?;
        Ok(Some(known))
    }
}

/// Refuses a node of another network.
pub(crate) fn check_network(
    known: &NodeIdentity,
    chain: &Chain,
    name: &str,
) -> Result<(), RailError> {
    if known.network == chain.network {
        return Ok(());
    }
    Err(RailError {
        code: "node_wrong_network",
        message: format!(
            "the Lightning node at {name} is on {}, not on {}; correct [network.\"{}\"]",
            known.network.name(),
            chain.network.name(),
            chain.id
        ),
    })
}

/// Pays over Lightning.
pub struct LightningPayer {
    places: Vec<Place>,
    rates: Arc<dyn Rates>,
    clock: Arc<dyn Clock>,
    /// What was authorised here and not begun: of these alone is it known that nobody else has.
    fresh: Mutex<HashSet<[u8; 32]>>,
}

impl LightningPayer {
    /// Takes the networks that may be paid on; asks nobody.
    ///
    /// # Errors
    /// A network that is none of Lightning, or stands there twice.
    pub fn new(
        places: Vec<PayPlace>,
        rates: Arc<dyn Rates>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RailError> {
        let mut known: Vec<Place> = Vec::with_capacity(places.len());
        for place in places {
            let chain = Chain::of(&place.network).ok_or_else(|| no_network(&place.network))?;
            if known.iter().any(|known| known.chain.id == chain.id) {
                return Err(no_network(&chain.id));
            }
            known.push(Place {
                chain,
                node: place.node,
                fee_cap: place.fee_cap,
                identity: OnceCell::new(),
            });
        }
        Ok(Self {
            places: known,
            rates,
            clock,
            fresh: Mutex::default(),
        })
    }

    fn place(&self, network: &ChainId) -> Option<&Place> {
        self.places.iter().find(|place| place.chain.id == *network)
    }

    fn fresh(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pays, where there is time to begin; else asks.
    async fn paid(&self, place: &Place, note: &LightningHandle, wait_ms: u64) -> Paid {
        let hash = &note.payment_hash.0;
        let is_first = self.fresh().remove(hash);
        let invoice = Bolt11::read(&note.invoice).ok().filter(|invoice| {
            invoice.payment_hash == *hash && u128::from(invoice.amount_msat) == note.amount.atomic()
        });
        let max_fee_msat = u64::try_from(note.fee_max.atomic());
        let (Some(invoice), Ok(max_fee_msat)) = (invoice, max_fee_msat) else {
            return unknown("handle_unreadable");
        };
        if !invoice.can_begin(self.clock.now_s()) {
            match self.found(place, note).await {
                Ok(PaymentFate::InFlight) => {}
                Ok(fate) => return self.ended(note, fate),
                Err(why) => return unknown(why.code),
            }
        }
        let order = Order {
            bolt11: &note.invoice,
            payment_hash: hash,
            max_fee_msat,
            wait: Duration::from_millis(wait_ms),
        };
        match place.node.pay(&order).await {
            Ok(fate) => self.ended(note, fate),
            // Whoever called before may have sent it: only the node can tell, and it has.
            Err(PayError::NotSent(why)) if is_first || why.kind == NodeErrorKind::Refused => {
                Paid::Failed {
                    reason: why.code().to_owned(),
                    message: why.message,
                }
            }
            Err(PayError::NotSent(why) | PayError::MaybeSent(why)) => {
                tracing::warn!(payment = %note.payment_hash, %why, "whether a Lightning payment is under way is not known; its node has to tell");
                unknown(why.code())
            }
        }
    }

    fn ended(&self, note: &LightningHandle, fate: PaymentFate) -> Paid {
        match fate {
            PaymentFate::Succeeded { preimage, fee_msat } => settled(note, preimage, fee_msat),
            PaymentFate::InFlight => unknown("payment_in_flight"),
            PaymentFate::Failed { reason, .. } => Paid::Failed {
                reason: reason.code().to_owned(),
                message: reason.message().to_owned(),
            },
            PaymentFate::Unknown if self.is_over(note) => Paid::Failed {
                reason: "invoice_expired".to_owned(),
                message: "the invoice has expired and its node never had the payment; ask the seller for a new one".to_owned(),
            },
            PaymentFate::Unknown => unknown("invoice_expiring"),
        }
    }

    /// What the node says of a payment of ours: a failure from before we authorised it is another's.
    async fn found(&self, place: &Place, note: &LightningHandle) -> Result<PaymentFate, RailError> {
        let fate = place.node.look_up_payment(&note.payment_hash.0).await?;
        Ok(match fate {
            PaymentFate::Failed {
                begun_s: Some(begun_s),
                ..
            } if begun_s < note.begun_s => PaymentFate::Unknown,
            fate => fate,
        })
    }

    /// Whether no node takes the payment on any more.
    fn is_over(&self, note: &LightningHandle) -> bool {
        let over = EXPIRY_MARGIN_S.saturating_add(AFTERWARDS_S);
        self.clock.now_s() > note.expires_s.saturating_add(over)
    }

    async fn holding(place: &Place) -> Result<Holding, RailError> {
        // What cannot be used now is not there; the sum says so.
        if let Err(why) = place.node.ready().await {
            tracing::info!(%why, "a Lightning node can pay less than it has");
        }
        let liquidity = place.node.liquidity().await?;
        let known = place.identity().await?;
        Ok(Holding {
            network: place.chain.id.clone(),
            asset: place.chain.asset.clone(),
            symbol: SYMBOL.to_owned(),
            decimals: DECIMALS,
            address: known.map_or_else(
                || place.node.name().to_owned(),
                |known| known.pubkey.clone(),
            ),
            amount: Amount::from_atomic(liquidity.outbound_msat.into()),
        })
    }
}

#[async_trait]
impl PayRail for LightningPayer {
    fn rail(&self) -> &'static str {
        crate::RAIL
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        let now_s = self.clock.now_s();
        quote::quote(&self.places, &*self.rates, offer, now_s).await
    }

    async fn authorise(
        &self,
        quote: &Quote,
        _: &Challenge,
        valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        let now_s = self.clock.now_s();
        let handle = Arc::new(quote::handle(quote, now_s)?);
        let mut fresh = self.fresh();
        if fresh.len() >= FRESH_MAX {
            fresh.clear();
        }
        fresh.insert(handle.payment_hash.0);
        drop(fresh);
        Ok(Authorised {
            credential: None,
            identity: Identity::l402(&handle.payment_hash),
            valid_before_s: handle.expires_s.min(now_s.saturating_add(valid_for_s)),
            handle: handle.write()?,
        })
    }

    async fn pay(&self, handle: &Handle, wait_ms: u64) -> Paid {
        let note = match LightningHandle::read(handle) {
            Ok(note) => note,
            Err(why) => return unknown(why.code),
        };
        match self.place(&note.network) {
            Some(place) => self.paid(place, &note, wait_ms).await,
            None => unknown("network_missing"),
        }
    }

    async fn check(&self, handle: &Handle) -> Finding {
        let note = match LightningHandle::read(handle) {
            Ok(note) => note,
            Err(why) => return Finding::CannotTell { why: why.message },
        };
        let Some(place) = self.place(&note.network) else {
            let why = format!(
                "there is no node to ask on {}; add one to [network.\"{}\"]",
                note.network, note.network
            );
            return Finding::CannotTell { why };
        };
        match self.found(place, &note).await {
            Ok(PaymentFate::Succeeded { preimage, .. }) => match fits(&note, preimage) {
                Ok(_) => Finding::Settled {
                    transaction: note.payment_hash.to_string(),
                    is_final: true,
                },
                Err(reason) => Finding::Unanswered {
                    why: format!(
                        "{reason}: the node says that it has paid, and shows no proof of it"
                    ),
                },
            },
            Ok(PaymentFate::Failed { .. }) => Finding::NeverWill,
            Ok(PaymentFate::Unknown) if self.is_over(&note) => Finding::NeverWill,
            Ok(PaymentFate::InFlight | PaymentFate::Unknown) => Finding::Open,
            Err(why) => Finding::Unanswered { why: why.message },
        }
    }

    async fn balances(&self) -> Vec<Result<Holding, RailError>> {
        let mut holdings = Vec::with_capacity(self.places.len());
        for place in &self.places {
            holdings.push(Self::holding(place).await);
        }
        holdings
    }
}

/// The end of a payment that has moved the money, if it can be proven.
fn settled(note: &LightningHandle, preimage: Option<Preimage>, fee_msat: u64) -> Paid {
    let preimage = match fits(note, preimage) {
        Ok(preimage) => preimage,
        Err(reason) => return unknown(reason),
    };
    let mut fee = Amount::from_atomic(fee_msat.into());
    if fee > note.fee_max {
        tracing::error!(payment = %note.payment_hash, fee_msat, "the Lightning node has paid more for the way than it was allowed; see its log");
        fee = note.fee_max;
    }
    let credential = L402Credential::new(note.scheme(), &note.token, preimage)
        .map_err(|why| why.to_string())
        .and_then(|credential| credential.to_authorization().map_err(|why| why.to_string()));
    match credential {
        Ok(value) => Paid::Settled {
            credential: Credential {
                header: AUTHORIZATION.to_owned(),
                value,
            },
            transaction: note.payment_hash.to_string(),
            fee,
            cost: note.cost_with(fee),
        },
        Err(why) => {
            tracing::error!(payment = %note.payment_hash, %why, "a payment was made for a token that cannot be shown");
            unknown("token_unwritable")
        }
    }
}

/// The preimage, if it is one of this payment.
fn fits(note: &LightningHandle, preimage: Option<Preimage>) -> Result<Preimage, &'static str> {
    match preimage {
        None => {
            tracing::error!(payment = %note.payment_hash, "the Lightning node says that it has paid and gives no preimage; the seller cannot be shown a proof. See the node's log, then run `farebox payments resume`");
            Err("preimage_unavailable")
        }
        Some(preimage) if preimage.payment_hash() == note.payment_hash => Ok(preimage),
        Some(_) => {
            tracing::error!(payment = %note.payment_hash, "the Lightning node gives a preimage that is not of this payment; do not trust it with money until it is known why");
            Err("preimage_wrong")
        }
    }
}

fn unknown(reason: &str) -> Paid {
    Paid::Unknown {
        reason: reason.to_owned(),
    }
}

fn no_network(network: &ChainId) -> RailError {
    RailError {
        code: "invalid_network",
        message: format!(
            "{network} is no network of Lightning, or stands there twice; write it like [network.\"lightning:regtest\"]"
        ),
    }
}
