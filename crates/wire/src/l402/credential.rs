//! What a buyer of L402 shows: the token and the preimage of its payment, in `Authorization` or, as
//! gRPC clients do, in metadata.
//!
//! Reading is for sellers, writing for buyers. A credential is a secret: it has no `Debug`, `Clone`
//! or `Serialize`, and no error here repeats any of it (ARCHITECTURE law 15).

use crate::auth::{self, VALUES_MAX};
use crate::l402::challenge::is_sendable;
use crate::l402::macaroon::{Macaroon, MacaroonError};
use crate::l402::preimage::{Hex32Error, Preimage};
use crate::l402::{Scheme, caveat};

/// The header that carries a credential.
pub const AUTHORIZATION: &str = "authorization";
/// Metadata in which gRPC clients, and gateways to gRPC, carry one, in the order of looking.
pub const METADATA: [&str; 4] = [
    "macaroon",
    "grpc-metadata-macaroon",
    "token",
    "grpc-metadata-token",
];

/// How a credential came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// In `Authorization`, under this name.
    Authorization(Scheme),
    /// In one of [`METADATA`]: hex of a macaroon that has the preimage as a caveat.
    Metadata,
}

/// A token and the preimage that pays for it.
pub struct L402Credential {
    /// How it came, or is to be sent.
    pub carriage: Carriage,
    /// The token as it came: base64 in `Authorization`, hex in metadata.
    pub token: String,
    /// The proof.
    pub preimage: Preimage,
}

/// Why a request's credential cannot be read. Sellers answer it with these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Nothing before the colon.
    #[error("the L402 credential has no token; send `L402 <token>:<preimage>`")]
    NoToken,
    /// Nothing after the colon, or no colon.
    #[error(
        "the L402 credential has no preimage; pay the invoice and send `L402 <token>:<preimage>`"
    )]
    NoPreimage,
    /// Several tokens before the colon.
    #[error("the L402 credential has several tokens; send one")]
    SeveralTokens,
    /// Too long, or with characters that no token has.
    #[error("the token of the L402 credential cannot be read")]
    Token,
    /// Not 64 digits.
    #[error("the preimage of the L402 credential cannot be read: {0}")]
    Preimage(Hex32Error),
    /// Two that differ: nobody can know which one was meant.
    #[error("the request has two different L402 credentials; send one")]
    TwoCredentials,
    /// More than [`VALUES_MAX`] header values.
    #[error("the request has more than {VALUES_MAX} credentials")]
    TooMany,
}

impl L402Credential {
    /// What a buyer has after paying. Give it the scheme that the challenge had.
    ///
    /// # Errors
    /// [`CredentialError::Token`] and [`CredentialError::NoToken`].
    pub fn new(scheme: Scheme, token: &str, preimage: Preimage) -> Result<Self, CredentialError> {
        if token.is_empty() {
            return Err(CredentialError::NoToken);
        }
        if !is_sendable(token) {
            return Err(CredentialError::Token);
        }
        Ok(Self {
            carriage: Carriage::Authorization(scheme),
            token: token.to_owned(),
            preimage,
        })
    }

    /// The value of `Authorization`, the token as it is.
    ///
    /// # Errors
    /// Where the token came in metadata and is no macaroon.
    pub fn to_authorization(&self) -> Result<String, MacaroonError> {
        let digits = self.preimage.to_hex();
        Ok(match self.carriage {
            Carriage::Authorization(scheme) => {
                format!("{} {}:{digits}", scheme.as_str(), self.token)
            }
            Carriage::Metadata => {
                let token = self.macaroon()?.to_base64();
                format!("{} {token}:{digits}", Scheme::L402.as_str())
            }
        })
    }

    /// The value of metadata `macaroon`: hex of the token with the preimage as its last caveat.
    ///
    /// # Errors
    /// Where the token is no macaroon: only macaroons can travel so.
    pub fn to_metadata(&self) -> Result<String, MacaroonError> {
        let mut macaroon = self.macaroon()?;
        if preimage_in(&macaroon).is_none_or(|known| !known.is(&self.preimage)) {
            let caveat = format!("{}={}", caveat::PREIMAGE, self.preimage.to_hex());
            macaroon = macaroon.add_first_party_caveat(caveat.as_bytes())?;
        }
        Ok(hex::encode(macaroon.to_v2()))
    }

    /// The token, where it is a macaroon.
    ///
    /// # Errors
    /// See [`MacaroonError`].
    pub fn macaroon(&self) -> Result<Macaroon, MacaroonError> {
        match self.carriage {
            Carriage::Authorization(_) => Macaroon::from_base64(&self.token),
            Carriage::Metadata => Macaroon::from_hex(&self.token),
        }
    }

    fn is(&self, other: &Self) -> bool {
        self.token == other.token && self.preimage.is(&other.preimage)
    }
}

/// Looks for the credential of a request.
///
/// `header` gives all values of a header by its lower-case name. Other schemes beside it are
/// ignored, and so is metadata that is no macaroon with a preimage, which may be meant for somebody
/// behind the gate. `Ok(None)` where there is none.
///
/// # Errors
/// Where there is one that cannot be read, even beside one that can, or two that differ.
pub fn read<'a, I>(header: impl Fn(&str) -> I) -> Result<Option<L402Credential>, CredentialError>
where
    I: IntoIterator<Item = &'a [u8]>,
{
    let mut found = None;
    for (count, value) in header(AUTHORIZATION).into_iter().enumerate() {
        if count >= VALUES_MAX {
            return Err(CredentialError::TooMany);
        }
        read_authorization(value, &mut found)?;
    }
    if found.is_some() {
        return Ok(found);
    }
    for name in METADATA {
        for (count, value) in header(name).into_iter().enumerate() {
            if count >= VALUES_MAX {
                return Err(CredentialError::TooMany);
            }
            if let Some(credential) = read_metadata(value) {
                keep(&mut found, credential)?;
            }
        }
    }
    Ok(found)
}

/// Reads one line, into which a proxy may have folded several.
fn read_authorization(
    value: &[u8],
    found: &mut Option<L402Credential>,
) -> Result<(), CredentialError> {
    let Some(line) = auth::authorization(value) else {
        return Ok(());
    };
    let Some(first) = Scheme::from_name(line.scheme) else {
        return Ok(());
    };
    let mut pieces = line.rest.split(',').map(str::trim).peekable();
    let mut scheme = Some(first);
    let mut text = pieces.next().unwrap_or_default();
    loop {
        let next = pieces.next();
        // A scheme, a blank and more is a folded line; what has no blank would be one more token.
        let folded = next.and_then(|piece| piece.split_once(' '));
        match (scheme, next, folded) {
            (Some(_), Some(_), None) => return Err(CredentialError::SeveralTokens),
            (Some(scheme), _, _) => keep(found, read_pair(scheme, text)?)?,
            (None, _, _) => {}
        }
        match (next, folded) {
            (None, _) => return Ok(()),
            (Some(_), Some((name, rest))) => {
                scheme = Scheme::from_name(name);
                text = rest.trim();
            }
            // The rest of a foreign scheme.
            (Some(_), None) => {}
        }
    }
}

/// `<token>:<preimage>`, split at the last colon.
fn read_pair(scheme: Scheme, text: &str) -> Result<L402Credential, CredentialError> {
    if text.is_empty() {
        return Err(CredentialError::NoToken);
    }
    let (token, digits) = text.rsplit_once(':').ok_or(CredentialError::NoPreimage)?;
    if digits.is_empty() {
        return Err(CredentialError::NoPreimage);
    }
    let preimage = Preimage::from_hex(digits).map_err(CredentialError::Preimage)?;
    L402Credential::new(scheme, token, preimage)
}

fn read_metadata(value: &[u8]) -> Option<L402Credential> {
    let token = str::from_utf8(value).ok()?.trim();
    let macaroon = Macaroon::from_hex(token).ok()?;
    Some(L402Credential {
        carriage: Carriage::Metadata,
        token: token.to_owned(),
        preimage: preimage_in(&macaroon)?,
    })
}

/// The preimage that a macaroon carries; of several the last.
fn preimage_in(macaroon: &Macaroon) -> Option<Preimage> {
    let pairs = macaroon.first_party_caveats().filter_map(caveat::split);
    let digits = pairs.filter(|(condition, _)| *condition == caveat::PREIMAGE);
    Preimage::from_hex(digits.last()?.1).ok()
}

fn keep(found: &mut Option<L402Credential>, new: L402Credential) -> Result<(), CredentialError> {
    match found {
        Some(old) if !old.is(&new) => Err(CredentialError::TwoCredentials),
        Some(_) => Ok(()),
        None => {
            *found = Some(new);
            Ok(())
        }
    }
}

#[cfg(test)]
#[path = "credential_tests.rs"]
mod tests;
