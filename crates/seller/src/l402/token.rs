//! Mints tokens, and finds out what one that comes back still allows (law 7): everything that needs
//! no books.
//!
//! The key of a token is derived from the master key and its identifier, so a token that was never
//! paid for has left nothing behind.

use std::sync::{Arc, Mutex, PoisonError};

use farebox_wire::l402::caveat::Service;
use farebox_wire::l402::conditions::{self, Grant, Mode, Refusal, Request};
use farebox_wire::l402::credential::L402Credential;
use farebox_wire::l402::identifier::{Identifier, TokenId};
use farebox_wire::l402::macaroon::{Macaroon, derive_root_key};
use farebox_wire::l402::mint::{self, MintError};
use farebox_wire::l402::preimage::PaymentHash;
use sha2::{Digest as _, Sha256};

use super::offer::Product;
use super::{MasterKey, SERVICE, Uses};

/// What memory takes of a token besides its text, and of each of its restrictions.
const PROVEN_BYTES: usize = 512;
const CAVEAT_BYTES: usize = 128;

/// A token of ours that pays, and what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Good {
    pub(crate) payment_hash: PaymentHash,
    /// By the narrowest of its caveats.
    pub(crate) uses: Uses,
    /// What was paid, in millisatoshi.
    pub(crate) price_msat: u64,
}

/// Why a token is not good here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Bad {
    /// Not in the form of a token of ours.
    #[error("the token cannot be read: {0}")]
    Unreadable(String),
    /// The preimage is of another payment.
    #[error("the preimage does not prove the payment of this token; send the one of its invoice")]
    Preimage,
    /// Not made by this key, or changed since.
    #[error("the token was not minted here, or was changed")]
    Forged,
    /// Its restrictions do not allow this request, or contradict each other.
    #[error("{0}")]
    NotAllowed(Refusal),
    /// It lacks what every token of ours has.
    #[error("the token lacks the restriction {0}")]
    Lacks(&'static str),
    /// Of a lower tier.
    #[error("the token is of tier {has}, and this costs tier {needs}")]
    Tier {
        /// The token's.
        has: u8,
        /// The route's.
        needs: u8,
    },
    /// Over.
    #[error("the token was valid until {at_s} (Unix seconds); buy another one")]
    Expired {
        /// When it ended.
        at_s: u64,
    },
}

/// What a token is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) now_s: u64,
    pub(crate) route: &'a str,
    pub(crate) origin: &'a str,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
}

/// Mints a token for a payment, as text.
pub(crate) fn mint(
    key: &MasterKey,
    origin: &str,
    product: &Product,
    paid_by: &Paying,
    token_id: [u8; 32],
) -> Result<String, MintError> {
    let identifier = Identifier {
        payment_hash: paid_by.payment_hash,
        token_id: TokenId(token_id),
    };
    let root_key = derive_root_key(&key.0, &identifier.to_bytes());
    let terms = mint::Terms {
        origin,
        route: &product.route,
        tenant: None,
        service: Service {
            name: SERVICE.to_owned(),
            tier: product.terms.tier,
        },
        capabilities: match product.terms.capabilities.as_slice() {
            [] => None,
            some => Some(some),
        },
        valid_until_s: Some(paid_by.valid_until_s),
        uses: match product.terms.uses {
            Uses::Times(times) => conditions::Uses::Times(times),
            Uses::Unlimited => conditions::Uses::Unlimited,
        },
        price_msat: paid_by.price_msat,
        constraints: &[],
    };
    Ok(mint::mint(&root_key, &identifier, &terms)?.to_base64())
}

/// The payment that a token is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paying {
    pub(crate) payment_hash: PaymentHash,
    /// In millisatoshi.
    pub(crate) price_msat: u64,
    /// When its tokens end, in Unix seconds.
    pub(crate) valid_until_s: u64,
}

/// A token of ours whose payment is proven: nothing that it rests on can change.
pub(crate) struct Proven {
    macaroon: Macaroon,
    /// What it was last found good for.
    granted: Mutex<Option<Granted>>,
    payment_hash: PaymentHash,
    digest: [u8; 32],
    bytes: usize,
}

/// What a token allows of one product: all but time, method and path is settled.
struct Granted {
    product: Arc<Product>,
    origin: Box<str>,
    grant: Grant,
    good: Good,
}

impl Granted {
    fn allows(&self, asked: &Asked<'_>, product: &Arc<Product>) -> bool {
        // The product as it is now: with a reload comes another one. It names the route.
        Arc::ptr_eq(&self.product, product)
            && *self.product.route == *asked.route
            && *self.origin == *asked.origin
            && self
                .grant
                .still_allows(asked.now_s, asked.method, asked.path)
    }
}

/// Finds out whether a token is ours and was paid, cheapest first: form, preimage, signature.
pub(crate) fn prove(key: &MasterKey, credential: &L402Credential) -> Result<Proven, Bad> {
    let macaroon = credential.macaroon();
    let macaroon = macaroon.map_err(|why| Bad::Unreadable(why.to_string()))?;
    let identifier = Identifier::read(macaroon.identifier());
    let identifier = identifier.map_err(|why| Bad::Unreadable(why.to_string()))?;
    if credential.preimage.payment_hash() != identifier.payment_hash {
        return Err(Bad::Preimage);
    }
    let root_key = derive_root_key(&key.0, macaroon.identifier());
    let verified = macaroon.verify(&root_key).map_err(|_| Bad::Forged)?;
    let caveats = verified.caveats().count().saturating_mul(CAVEAT_BYTES);
    Ok(Proven {
        payment_hash: identifier.payment_hash,
        digest: Sha256::digest(&credential.token).into(),
        bytes: caveats.saturating_add(credential.token.len().saturating_add(PROVEN_BYTES)),
        macaroon,
        granted: Mutex::default(),
    })
}

impl Proven {
    /// The SHA-256 of its text.
    pub(crate) const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// What remembering it takes, at most about.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether its restrictions allow what it is asked for now. They are walked once for a product,
    /// and again wherever the answer may be another one.
    pub(crate) fn allows(&self, asked: &Asked<'_>, product: &Arc<Product>) -> Result<Good, Bad> {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(granted) = granted.as_ref().filter(|it| it.allows(asked, product)) {
            return Ok(granted.good);
        }
        let (grant, good) = self.examine(asked, product)?;
        *granted = Some(Granted {
            product: Arc::clone(product),
            origin: asked.origin.into(),
            grant,
            good,
        });
        Ok(good)
    }

    fn examine(&self, asked: &Asked<'_>, product: &Product) -> Result<(Grant, Good), Bad> {
        let check = |capability| {
            let request = Request {
                now_s: asked.now_s,
                service: SERVICE,
                capability,
                payment_hash: self.payment_hash,
                route: asked.route,
                origin: asked.origin,
                tenant: None,
                method: asked.method,
                path: asked.path,
                constraints: &[],
            };
            let caveats = self.macaroon.first_party_caveats();
            conditions::check(caveats, &request, Mode::Strict).map_err(Bad::of)
        };
        let grant = check(None)?;
        for capability in &product.terms.capabilities {
            check(Some(capability))?;
        }
        let good = good(self.payment_hash, &grant, product)?;
        Ok((grant, good))
    }
}

impl Bad {
    fn of(why: Refusal) -> Self {
        match why {
            Refusal::Expired { at_s } => Self::Expired { at_s },
            why => Self::NotAllowed(why),
        }
    }
}

/// Strict to the end: every token of ours says all of this.
fn good(payment_hash: PaymentHash, grant: &Grant, product: &Product) -> Result<Good, Bad> {
    let has = grant.tier.ok_or(Bad::Lacks("services"))?;
    grant.valid_until_s.ok_or(Bad::Lacks("valid_until"))?;
    let needs = product.terms.tier;
    if has < needs {
        return Err(Bad::Tier { has, needs });
    }
    Ok(Good {
        payment_hash,
        uses: match grant.uses.ok_or(Bad::Lacks(conditions::USES))? {
            conditions::Uses::Times(times) => Uses::Times(times),
            conditions::Uses::Unlimited => Uses::Unlimited,
        },
        price_msat: grant.price_msat.ok_or(Bad::Lacks(conditions::PRICE))?,
    })
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
