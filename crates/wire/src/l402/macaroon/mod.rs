//! Macaroons: tokens that anyone can narrow and only the minter can check.
//!
//! A seller mints and verifies them, anyone adds caveats, nobody else needs to read one. `v2` has
//! the binary form that we write; `v1` and `json` have the forms that others write. The layout and
//! the chain are those of libmacaroons and go-macaroon, which differ from the published text
//! (`conformance/l402/` has the bytes). A macaroon with its preimage is a secret, so none of it but
//! its shape is shown by `Debug`.

mod chain;
mod json;
mod v1;
mod v2;

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::l402::TOKEN_BYTES_MAX;
pub use chain::derive_root_key;

/// Bytes of a macaroon in any form. A paid token of ours has four hundred.
pub const MACAROON_BYTES_MAX: usize = 16 * 1024;
/// Caveats of one macaroon. Each costs a hash to check, and every owner may add some.
pub const CAVEATS_MAX: usize = 128;

const PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// Writes padding, reads with or without.
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDING);

/// A token with its caveats and the signature over them.
pub struct Macaroon {
    location: Vec<u8>,
    identifier: Vec<u8>,
    caveats: Vec<Caveat>,
    signature: [u8; 32],
}

/// One restriction.
pub(crate) struct Caveat {
    /// A condition in plain text, or what a third party knows it by.
    pub(crate) id: Vec<u8>,
    /// Who can lift it, where that is a third party.
    pub(crate) third_party: Option<ThirdParty>,
}

pub(crate) struct ThirdParty {
    pub(crate) location: Vec<u8>,
    pub(crate) verification_id: Vec<u8>,
}

/// Proof that the signature of a macaroon was made with the root key. The only way to its caveats
/// for a seller.
pub struct Verified<'a>(&'a Macaroon);

/// Why a macaroon is not what its minter made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Another key, or something was changed.
    #[error("the signature of the token is not the one of its minter")]
    Signature,
    /// It needs the word of a third party, which nothing here can take.
    #[error("the token needs the discharge of a third party, which is not taken here")]
    ThirdParty,
}

/// Why bytes are no macaroon. Never says what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacaroonError {
    /// Longer than [`MACAROON_BYTES_MAX`], or its text than [`TOKEN_BYTES_MAX`].
    #[error("the macaroon has more than {MACAROON_BYTES_MAX} bytes")]
    TooLong,
    /// Neither standard nor URL-safe base64.
    #[error("the macaroon is not base64")]
    Base64,
    /// Not hex.
    #[error("the macaroon is not hex")]
    Hex,
    /// Begins like none of the forms.
    #[error("the macaroon is of no known format")]
    Format,
    /// A length that is longer than what is left, or written too long.
    #[error("a length in the macaroon is wrong")]
    Length,
    /// A field twice, or before one that must precede it.
    #[error("the fields of the macaroon are out of order")]
    Order,
    /// A field that is missing, or of a kind that does not belong there.
    #[error("a field of the macaroon is missing or does not belong there")]
    Field,
    /// The signature does not have 32 bytes.
    #[error("the signature of the macaroon does not have 32 bytes")]
    Signature,
    /// Something follows the signature.
    #[error("something follows the macaroon")]
    Trailing,
    /// More than [`CAVEATS_MAX`].
    #[error("the macaroon has more than {CAVEATS_MAX} caveats")]
    TooManyCaveats,
    /// JSON that is broken, or of both versions at once.
    #[error("the JSON of the macaroon cannot be read")]
    Json,
}

impl Macaroon {
    /// Makes a token without restrictions.
    #[must_use]
    pub fn mint(root_key: &[u8], location: &str, identifier: &[u8]) -> Self {
        let identifier = identifier.to_vec();
        Self {
            location: location.as_bytes().to_vec(),
            signature: chain::signature(root_key, &identifier, &[]),
            identifier,
            caveats: Vec::new(),
        }
    }

    /// Narrows the token. Needs no key: whoever has a token may hand on less than it allows.
    ///
    /// # Errors
    /// [`MacaroonError::TooManyCaveats`], and [`MacaroonError::TooLong`] where nobody would read the
    /// result.
    pub fn add_first_party_caveat(mut self, condition: &[u8]) -> Result<Self, MacaroonError> {
        let caveat = Caveat {
            id: condition.to_vec(),
            third_party: None,
        };
        self.signature = chain::next(&self.signature, &caveat);
        self.push(caveat)?;
        if v2::size(&self) > MACAROON_BYTES_MAX {
            return Err(MacaroonError::TooLong);
        }
        Ok(self)
    }

    /// Checks that `root_key` signed it, in constant time.
    ///
    /// # Errors
    /// See [`VerifyError`]. The signature is checked first.
    pub fn verify(&self, root_key: &[u8]) -> Result<Verified<'_>, VerifyError> {
        if !chain::is_signed(root_key, &self.identifier, &self.caveats, &self.signature) {
            return Err(VerifyError::Signature);
        }
        if self
            .caveats
            .iter()
            .any(|caveat| caveat.third_party.is_some())
        {
            return Err(VerifyError::ThirdParty);
        }
        Ok(Verified(self))
    }

    /// Reads any form from its bytes.
    ///
    /// # Errors
    /// See [`MacaroonError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MacaroonError> {
        if bytes.len() > MACAROON_BYTES_MAX {
            return Err(MacaroonError::TooLong);
        }
        match bytes.first() {
            Some(2) => v2::read(bytes),
            Some(b'0'..=b'9' | b'a'..=b'f') => v1::read(bytes),
            Some(b'{') => json::read(bytes),
            _ => Err(MacaroonError::Format),
        }
    }

    /// Reads any form from base64, standard or URL-safe, with or without padding.
    ///
    /// # Errors
    /// See [`MacaroonError`].
    pub fn from_base64(text: &str) -> Result<Self, MacaroonError> {
        Self::from_bytes(&decode_base64(text)?)
    }

    /// Reads any form from hex.
    ///
    /// # Errors
    /// See [`MacaroonError`].
    pub fn from_hex(text: &str) -> Result<Self, MacaroonError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(MacaroonError::TooLong);
        }
        Self::from_bytes(&hex::decode(text).map_err(|_| MacaroonError::Hex)?)
    }

    /// The binary form of version 2.
    #[must_use]
    pub fn to_v2(&self) -> Vec<u8> {
        v2::write(self)
    }

    /// [`Self::to_v2`] in standard base64 with padding, as the dialect asks.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.to_v2())
    }

    /// Where its minter says that it is good. No part of what is signed.
    #[must_use]
    pub fn location(&self) -> &[u8] {
        &self.location
    }

    /// What its minter knows it by.
    #[must_use]
    pub fn identifier(&self) -> &[u8] {
        &self.identifier
    }

    /// The signature, which is all that is needed to narrow the token.
    #[must_use]
    pub const fn signature(&self) -> &[u8; 32] {
        &self.signature
    }

    /// The conditions that stand in plain text, unverified.
    pub fn first_party_caveats(&self) -> impl Iterator<Item = &[u8]> {
        let plain = |caveat: &&Caveat| caveat.third_party.is_none();
        self.caveats
            .iter()
            .filter(plain)
            .map(|caveat| caveat.id.as_slice())
    }

    /// Where the third parties are that must lift a caveat.
    pub fn third_parties(&self) -> impl Iterator<Item = &[u8]> {
        let parties = self.caveats.iter().filter_map(|c| c.third_party.as_ref());
        parties.map(|party| party.location.as_slice())
    }

    fn push(&mut self, caveat: Caveat) -> Result<(), MacaroonError> {
        if self.caveats.len() >= CAVEATS_MAX {
            return Err(MacaroonError::TooManyCaveats);
        }
        self.caveats.push(caveat);
        Ok(())
    }
}

impl Caveat {
    /// A caveat without verification id is a condition in plain text, and has no location.
    fn new(
        id: Vec<u8>,
        verification_id: Vec<u8>,
        location: Vec<u8>,
    ) -> Result<Self, MacaroonError> {
        let third_party = match (verification_id.is_empty(), location.is_empty()) {
            (true, true) => None,
            (true, false) => return Err(MacaroonError::Field),
            (false, _) => Some(ThirdParty {
                location,
                verification_id,
            }),
        };
        Ok(Self { id, third_party })
    }
}

impl<'a> Verified<'a> {
    /// What its minter knows it by.
    #[must_use]
    pub fn identifier(&self) -> &'a [u8] {
        &self.0.identifier
    }

    /// All conditions, in their order.
    pub fn caveats(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.0.first_party_caveats()
    }
}

impl fmt::Debug for Macaroon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Macaroon")
            .field("caveats", &self.caveats.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

pub(crate) fn decode_base64(text: &str) -> Result<Vec<u8>, MacaroonError> {
    if text.len() > TOKEN_BYTES_MAX {
        return Err(MacaroonError::TooLong);
    }
    let engine = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    engine.decode(text).map_err(|_| MacaroonError::Base64)
}

#[cfg(test)]
#[path = "macaroon_tests.rs"]
mod tests;
