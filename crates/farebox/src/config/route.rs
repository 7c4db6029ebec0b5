//! What is sold, and the tokens that buy it: the keys of `[[route]]` and `[l402]`.
//!
//! Read by `config` as the rest of the file. Types here refuse what cannot mean anything; whether a
//! route can be sold as it says is for the seller to say.

use serde::Deserialize;

use super::file::TimeoutsSection;
use super::values::{Price, Timespan, TokenUses};

/// Tokens of L402.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct L402Section {
    /// Reference to the secret that tokens are signed with, `file:PATH` or `env:NAME`: 64 hex digits. A file that is
    /// not there is made at the first start, readable by its owner alone. By default `l402.key` in the data directory.
    pub(crate) master_key: Option<String>,
}

/// Something that is sold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteSection {
    /// `[METHOD ]path`; no method is any, GET covers HEAD, `*` crosses slashes.
    #[serde(rename = "match")]
    pub(crate) matcher: String,
    /// Who answers: `http://HOST:PORT`, `https://HOST`, or `h2c://HOST:PORT` for HTTP/2 without TLS.
    pub(crate) upstream: String,
    /// Whom the certificate of an `https` upstream has to lead to, in PEM: `file:PATH`; else those whom this machine trusts.
    #[serde(default)]
    pub(crate) upstream_ca: Option<String>,
    /// How long the gate waits for it, where that differs from `[timeouts]`: `{ head = "10m", idle = "1h" }`.
    #[serde(default)]
    pub(crate) timeouts: TimeoutsSection,
    /// What one request costs, or over L402 one token: `"0.001 USD"`, or `"10 sat"`, `"1500 msat"`; `"0 USD"` is free.
    pub(crate) price: Price,
    /// Protocols to accept, `x402` and `l402`; by default those that a network is configured for.
    #[serde(default)]
    pub(crate) accept: Option<Vec<String>>,
    /// When the money moves: `after` (default) or `before` the upstream answers.
    #[serde(default)]
    pub(crate) settle: Settle,
    /// How long a credential may live, at most; by default `60s`, in whole seconds.
    #[serde(default)]
    pub(crate) max_timeout: Option<Timespan>,
    /// How many requests a token of L402 buys: a number (default 1), or `"unlimited"`, which needs `valid_for`.
    #[serde(default)]
    pub(crate) uses: Option<TokenUses>,
    /// How long a token of L402 is good, in whole seconds; by default `30d`.
    #[serde(default)]
    pub(crate) valid_for: Option<Timespan>,
    /// The tier that tokens of L402 are sold with; those of a lower one are refused (default 0).
    #[serde(default)]
    pub(crate) tier: u8,
    /// What tokens of L402 have to allow; they are sold with all of it.
    #[serde(default)]
    pub(crate) capabilities: Vec<String>,
    /// What is sold, for people and catalogues.
    #[serde(default)]
    pub(crate) description: Option<String>,
    /// Media type of the answer.
    #[serde(default)]
    pub(crate) mime_type: Option<String>,
    /// Whether the price is only counted and logged, and nobody is asked to pay.
    #[serde(default)]
    pub(crate) shadow: bool,
}

/// When the money moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Settle {
    /// Before the upstream is called.
    Before,
    /// When the upstream's head has come.
    #[default]
    After,
}
