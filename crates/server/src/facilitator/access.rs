//! Who may have payments settled here: callers by their token, payees by their address, and
//! payments by their worth.
//!
//! Asked before anything that costs: the token before the body is read, the payee and the amount
//! before a signature is recovered (ARCHITECTURE laws 8 and 10). A token is kept as its digest.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use farebox_core::rail::{Refusal, Terms};
use farebox_wire::caip::ChainId;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::reason::Reason;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::FacilitatorError;

/// The digest of an access token. It names the caller in limits and idempotency keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccessToken([u8; 32]);

impl AccessToken {
    /// Takes the token itself, and forgets it.
    #[must_use]
    pub fn new(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    pub(super) const fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The rules. The default lets everybody in and starts on loopback only.
#[derive(Default)]
pub struct Access {
    /// Normalised addresses; empty is everybody.
    pub payees: HashSet<String>,
    /// One of them has to be shown; empty asks for none.
    pub tokens: Vec<AccessToken>,
    /// Whether everybody may come although others can reach it.
    pub open: bool,
    /// The least that a payment must be worth.
    pub min_amount: UsdMicros,
    /// What it must be worth besides, where the rate of gas moves.
    pub gas_cover: Option<Arc<dyn GasCover>>,
}

/// What a payment must be worth now, so that settling it is no loss.
pub trait GasCover: Send + Sync {
    /// The least on a network. Answers from memory.
    ///
    /// # Errors
    /// One sentence that says why nobody can tell now; new payments then wait.
    fn least(&self, network: &ChainId) -> Result<UsdMicros, String>;
}

/// The caller showed no token that is known here.
pub(super) struct Stranger;

impl Access {
    /// Whether these rules are enough for that address.
    ///
    /// # Errors
    /// Says what to set where strangers could spend the gas.
    pub fn permits(&self, address: SocketAddr) -> Result<(), FacilitatorError> {
        let is_limited = !self.payees.is_empty() || !self.tokens.is_empty();
        match address.ip().is_loopback() || is_limited || self.open {
            true => Ok(()),
            false => Err(FacilitatorError::OpenToEverybody(address)),
        }
    }

    /// Whose token a request shows; `None` where none is asked for.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Option<AccessToken>, Stranger> {
        if self.tokens.is_empty() {
            return Ok(None);
        }
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let (Some(first), None) = (shown.next(), shown.next()) else {
            return Err(Stranger);
        };
        let shown = AccessToken::new(bearer(first).ok_or(Stranger)?);
        // All are compared, each in constant time, so that the answer's time tells nothing.
        let mut is_known = subtle::Choice::from(0);
        for token in &self.tokens {
            is_known |= token.0.ct_eq(&shown.0);
        }
        bool::from(is_known).then_some(Some(shown)).ok_or(Stranger)
    }

    /// Whether payments on these terms are served.
    pub(super) fn admit(&self, terms: &Terms) -> Result<(), Refusal> {
        let refused = |message: String| Refusal {
            reason: Reason::InvalidPaymentRequirements,
            message,
            is_ours: false,
        };
        if !self.payees.is_empty() && !self.payees.contains(&terms.payee) {
            return Err(refused(format!(
                "payments to {} are not served here; ask the operator to add it to `payees`",
                terms.payee
            )));
        }
        if terms.cost < self.min_amount {
            return Err(refused(format!(
                "a payment must be worth at least {} USD here",
                self.min_amount
            )));
        }
        Ok(())
    }

    /// Whether a payment on these terms, of which nothing is on record yet, is worth its gas now.
    /// What was begun is not asked about: it is owed its end.
    pub(super) fn covers(&self, terms: &Terms) -> Result<(), Refusal> {
        let Some(cover) = &self.gas_cover else {
            return Ok(());
        };
        let least = cover.least(&terms.network).map_err(|why| Refusal {
            reason: Reason::UnexpectedVerify,
            message: format!("{why}; nothing was sent, try again later"),
            is_ours: true,
        })?;
        match terms.cost < least {
            false => Ok(()),
            true => Err(Refusal {
                reason: Reason::InvalidPaymentRequirements,
                message: format!(
                    "a payment must be worth at least {least} USD here now, so that it pays for its gas"
                ),
                is_ours: false,
            }),
        }
    }
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750); the scheme's case does not matter.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}
