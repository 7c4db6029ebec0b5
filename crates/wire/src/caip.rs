//! Chain-agnostic identifiers: CAIP-2 chains and CAIP-19 assets.
//!
//! Read from challenges and configuration. A well-formed identifier is not a known one: whether
//! a chain can be paid on is for the rails to say.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// CAIP-2 says 8, but `lightning` and `cloudflare` are in use.
const NAMESPACE_CHARS_MAX: usize = 10;

/// A CAIP-2 chain: `namespace:reference`, for instance `eip155:84532`.
///
/// A chain has one spelling: leading zeros in the number of an `eip155` chain are refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId {
    text: Box<str>,
    colon: usize,
}

/// Why a text is not a CAIP identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}, which looks like {example:?}")]
pub struct ParseCaipError {
    text: String,
    what: &'static str,
    example: &'static str,
}

impl ChainId {
    /// Builds the identifier of an EVM chain.
    #[must_use]
    pub fn eip155(chain_id: u64) -> Self {
        Self {
            text: format!("eip155:{chain_id}").into(),
            colon: 6,
        }
    }

    /// `eip155`, `solana`, `lightning` …
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text.get(..self.colon).unwrap_or_default()
    }

    /// What identifies the chain in its namespace: for `eip155` the chain id.
    #[must_use]
    pub fn reference(&self) -> &str {
        self.text.get(self.colon + 1..).unwrap_or_default()
    }

    /// The EVM chain id, where this is an `eip155` chain whose number fits.
    #[must_use]
    pub fn as_eip155(&self) -> Option<u64> {
        match self.namespace() {
            "eip155" => self.reference().parse().ok(),
            _ => None,
        }
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for ChainId {
    type Err = ParseCaipError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseCaipError {
            text: text.chars().take(80).collect(),
            what: "CAIP-2 network",
            example: "eip155:84532",
        };
        let (namespace, reference) = text.split_once(':').ok_or_else(error)?;
        let namespace_ok = (3..=NAMESPACE_CHARS_MAX).contains(&namespace.len())
            && namespace
                .bytes()
                .all(|b| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit());
        let reference_ok = (1..=32).contains(&reference.len())
            && reference
                .bytes()
                .all(|b| b == b'-' || b == b'_' || b.is_ascii_alphanumeric());
        if !namespace_ok || !reference_ok {
            return Err(error());
        }
        if namespace == "eip155" && !is_canonical_number(reference) {
            return Err(error());
        }
        Ok(Self {
            text: text.into(),
            colon: namespace.len(),
        })
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for ChainId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ChainId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, str::parse)
    }
}

/// An asset on a chain, normalised so that two spellings of one token are equal:
/// `eip155:84532/erc20:0x036c…` (CAIP-19, addresses lower case).
///
/// Token ids (a third part, for collectibles) are refused: they are no money.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId {
    chain: ChainId,
    kind: Box<str>,
    reference: Box<str>,
}

impl AssetId {
    /// An ERC-20 token.
    #[must_use]
    pub fn erc20(chain: ChainId, token: crate::evm::EvmAddress) -> Self {
        Self {
            chain,
            kind: "erc20".into(),
            reference: token.to_string().into(),
        }
    }

    /// A token of a mint on Solana.
    #[must_use]
    pub fn spl(chain: ChainId, mint: crate::svm::SvmAddress) -> Self {
        Self {
            chain,
            kind: "token".into(),
            reference: mint.to_string().into(),
        }
    }

    /// The chain that it lives on.
    #[must_use]
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// What identifies the asset in its namespace: for `erc20` the lower-case token address,
    /// for `token` on Solana the mint in base58.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }
}

impl FromStr for AssetId {
    type Err = ParseCaipError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseCaipError {
            text: text.chars().take(160).collect(),
            what: "CAIP-19 asset",
            example: "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e",
        };
        let (chain, asset) = text.split_once('/').ok_or_else(error)?;
        let (kind, reference) = asset.split_once(':').ok_or_else(error)?;
        let chain: ChainId = chain.parse().map_err(|_| error())?;
        let kind_ok = (3..=8).contains(&kind.len())
            && kind
                .bytes()
                .all(|b| b == b'-' || b.is_ascii_lowercase() || b.is_ascii_digit());
        let reference_ok = (1..=128).contains(&reference.len())
            && reference
                .bytes()
                .all(|b| matches!(b, b'-' | b'.' | b'%') || b.is_ascii_alphanumeric());
        if !kind_ok || !reference_ok {
            return Err(error());
        }
        if kind == "erc20" {
            let token = reference.parse().map_err(|_| error())?;
            return Ok(Self::erc20(chain, token));
        }
        if kind == "token" && chain.namespace() == "solana" {
            let mint = reference.parse().map_err(|_| error())?;
            return Ok(Self::spl(chain, mint));
        }
        Ok(Self {
            chain,
            kind: kind.into(),
            reference: reference.into(),
        })
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.chain, self.kind, self.reference)
    }
}

impl fmt::Debug for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AssetId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AssetId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, str::parse)
    }
}

fn is_canonical_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
#[path = "caip_tests.rs"]
mod tests;
