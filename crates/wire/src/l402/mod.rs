//! The L402 dialect: a Lightning invoice and a token in a challenge, the token and the preimage of
//! the payment in a credential (L402 specification of March 2026, and what aperture, lnget and
//! others write in its place, LSAT among it).
//!
//! `challenge` holds what a seller asks, `credential` what a buyer shows, over HTTP or gRPC. For a
//! buyer a token is opaque. A seller of ours mints `macaroon`s with an `identifier`, restricted by
//! `caveat`s; `conditions` decides what they still allow. `describe` is for people alone.

pub mod at_rest;
pub mod caveat;
pub mod challenge;
pub mod conditions;
pub mod credential;
pub mod describe;
pub mod identifier;
pub mod macaroon;
pub mod mint;
pub mod preimage;

/// Bytes of a token's text: base64 of [`macaroon::MACAROON_BYTES_MAX`], and hex for the most part
/// of it.
pub const TOKEN_BYTES_MAX: usize = 24 * 1024;
/// Bytes of an invoice's text. One with many route hints has a thousand.
pub const INVOICE_BYTES_MAX: usize = 8 * 1024;

/// The name that the dialect goes by in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// The name since 2023.
    L402,
    /// The name before.
    Lsat,
}

impl Scheme {
    /// As we write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L402 => "L402",
            Self::Lsat => "LSAT",
        }
    }

    /// The scheme of this name, whatever the case of its letters.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::L402, Self::Lsat]
            .into_iter()
            .find(|scheme| name.eq_ignore_ascii_case(scheme.as_str()))
    }
}
