//! What a seller of L402 asks: a token to keep and an invoice to pay.
//!
//! Reading is for buyers and believes nothing; the token is opaque and the invoice is read by the
//! rail. Writing is for our gate, in the order that clients with a regular expression for a parser
//! understand.

use crate::auth::{self, AuthChallenge, AuthError};
use crate::l402::{INVOICE_BYTES_MAX, Scheme, TOKEN_BYTES_MAX};
use crate::text::brief;

/// The only version of the dialect, as `version="0"` says; a challenge without it is of this one.
pub const VERSION: &str = "0";

/// What one challenge asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L402Challenge {
    /// The name that the seller gave the dialect, which its credential mirrors.
    pub scheme: Scheme,
    /// The token, as it came. To be sent back as it is.
    pub token: String,
    /// A BOLT 11 invoice, as it came.
    pub invoice: String,
    /// Whether the seller said `version="0"`.
    pub is_versioned: bool,
}

/// Why a challenge of this dialect cannot be paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L402ChallengeError {
    /// The header is damaged.
    #[error(transparent)]
    Header(#[from] AuthError),
    /// Not [`VERSION`].
    #[error("the challenge is of L402 version {0}, not {VERSION}")]
    Version(String),
    /// Neither `token` nor `macaroon`, or an empty one.
    #[error("the challenge has no token")]
    NoToken,
    /// `token` and `macaroon` differ: two readers would take two tokens.
    #[error("the challenge has two different tokens")]
    TwoTokens,
    /// A token that cannot stand in a credential, or is longer than [`TOKEN_BYTES_MAX`].
    #[error("the token of the challenge cannot be sent back in a header")]
    Token,
    /// No invoice.
    #[error("the challenge has no invoice")]
    NoInvoice,
    /// Not letters and digits, or longer than [`INVOICE_BYTES_MAX`].
    #[error("the invoice of the challenge is not letters and digits")]
    Invoice,
}

/// What the challenges of a 402 say in this dialect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct L402Challenges {
    /// The readable ones in the seller's order; a challenge that is said as LSAT and as L402 once,
    /// as L402.
    pub challenges: Vec<L402Challenge>,
    /// Why the others cannot be read.
    pub unreadable: Vec<L402ChallengeError>,
    /// Whether the seller asks in MPP too, whose scheme is `Payment`.
    pub has_mpp: bool,
}

impl L402Challenge {
    /// Reads a challenge of this dialect; `None` where it is of another.
    ///
    /// # Errors
    /// See [`L402ChallengeError`].
    pub fn of(challenge: &AuthChallenge) -> Option<Result<Self, L402ChallengeError>> {
        let scheme = Scheme::from_name(&challenge.scheme)?;
        Some(Self::read(scheme, challenge))
    }

    fn read(scheme: Scheme, challenge: &AuthChallenge) -> Result<Self, L402ChallengeError> {
        let version = challenge.param("version")?;
        if let Some(other) = version.filter(|said| *said != VERSION) {
            return Err(L402ChallengeError::Version(brief(other, 20)));
        }
        let token = match (challenge.param("token")?, challenge.param("macaroon")?) {
            (Some(token), Some(macaroon)) if token != macaroon => {
                return Err(L402ChallengeError::TwoTokens);
            }
            (token, macaroon) => token.or(macaroon).unwrap_or_default(),
        };
        let invoice = challenge.param("invoice")?.unwrap_or_default();
        check(token, invoice)?;
        Ok(Self {
            scheme,
            token: token.to_owned(),
            invoice: invoice.to_owned(),
            is_versioned: version.is_some(),
        })
    }
}

/// Reads all values of `WWW-Authenticate`.
pub fn read<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> L402Challenges {
    let said = auth::challenges(values);
    let mut read = L402Challenges::default();
    for challenge in &said.challenges {
        read.has_mpp |= challenge.is("Payment");
        match L402Challenge::of(challenge) {
            Some(Ok(challenge)) => keep(&mut read.challenges, challenge),
            Some(Err(why)) => read.unreadable.push(why),
            None => {}
        }
    }
    for broken in said.unreadable {
        let scheme = broken.scheme.unwrap_or_default();
        read.has_mpp |= scheme.eq_ignore_ascii_case("Payment");
        let is_limit = matches!(
            broken.why,
            AuthError::TooLong { .. } | AuthError::TooManyValues | AuthError::TooManyChallenges
        );
        // What was not looked at may have been ours.
        if is_limit || Scheme::from_name(&scheme).is_some() {
            read.unreadable.push(broken.why.into());
        }
    }
    read
}

/// The two `WWW-Authenticate` values of a challenge, to be sent in this order: the first for those
/// who know L402 by either spelling of its parameters, the second for those who know LSAT.
///
/// `macaroon` is directly followed by `invoice`, because lnget and aperture look for just that.
///
/// # Errors
/// A token or invoice that is no challenge's.
pub fn write(token: &str, invoice: &str) -> Result<[String; 2], L402ChallengeError> {
    check(token, invoice)?;
    Ok([
        format!(
            r#"L402 macaroon="{token}", invoice="{invoice}", version="{VERSION}", token="{token}""#
        ),
        format!(r#"LSAT macaroon="{token}", invoice="{invoice}""#),
    ])
}

/// Whether a token can stand before the last colon of a credential.
pub(crate) fn is_sendable(token: &str) -> bool {
    token.len() <= TOKEN_BYTES_MAX && auth::is_plain(token) && !token.contains(',')
}

fn check(token: &str, invoice: &str) -> Result<(), L402ChallengeError> {
    if token.is_empty() {
        return Err(L402ChallengeError::NoToken);
    }
    if !is_sendable(token) {
        return Err(L402ChallengeError::Token);
    }
    if invoice.is_empty() {
        return Err(L402ChallengeError::NoInvoice);
    }
    if invoice.len() > INVOICE_BYTES_MAX || !invoice.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(L402ChallengeError::Invoice);
    }
    Ok(())
}

/// One payment that is offered under both names is one offer.
fn keep(kept: &mut Vec<L402Challenge>, new: L402Challenge) {
    let same = |old: &&mut L402Challenge| old.token == new.token && old.invoice == new.invoice;
    match kept.iter_mut().find(same) {
        Some(old) if new.scheme == Scheme::L402 && old.scheme == Scheme::Lsat => *old = new,
        Some(old) => old.is_versioned |= new.is_versioned,
        None => kept.push(new),
    }
}

#[cfg(test)]
#[path = "challenge_tests.rs"]
mod tests;
