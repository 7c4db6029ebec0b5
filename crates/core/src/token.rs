//! Tokens: credentials that a buyer has paid for and may show again (L402).
//!
//! The wallet's desk keeps one for every payment that comes before its credential, in the same
//! transaction as the proof of payment, and shows it before it buys anew. [`after`] is the rule of
//! what becomes of it; stores fill in [`Tokens`]. A token is as good as money: nothing here prints
//! one.
//!
//! | state | means | is shown |
//! |---|---|---|
//! | fresh | paid for, and no answer was seen yet | yes; by its payer alone while that one lives |
//! | used | it was served, and may have uses left | yes |
//! | refused | the seller would not take it, or asked for money again at once | once more |
//! | exhausted | used up, expired, or refused a second time | never, and erased later |
//! | revoked | the seller has taken it back | never, and erased later |
//!
//! | what happens | fresh | used | refused |
//! |---|---|---|---|
//! | answered with less than 400 | used, or exhausted by its last use | the same | used |
//! | 402: money is asked for again | refused | exhausted | exhausted |
//! | 401: it is not taken | refused | refused | exhausted |
//! | any other answer, or none | stays | stays | stays |

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ledger::{LedgerError, PaymentId};
use crate::rail::Credential;

/// The name of a token in our own store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub String);

impl std::fmt::Display for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Paid for, and no answer was seen yet.
    Fresh,
    /// Served at least once.
    Used,
    /// Nothing is left of it.
    Exhausted,
    /// Not taken, which may have been a mistake: it is shown once more.
    Refused,
    /// Taken back by the seller.
    Revoked,
}

impl TokenState {
    /// Whether it may still be shown.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Fresh | Self::Used | Self::Refused)
    }
}

/// What a token is good for, as far as its owner knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Scheme, host and port as in `https://api.example.com:443`: it is shown nowhere else.
    pub origin: String,
    /// The method; `None` is any.
    pub method: Option<String>,
    /// The path, in which `*` stands for any text, slashes included.
    pub path: String,
}

impl Scope {
    /// Whether a request is inside.
    #[must_use]
    pub fn covers(&self, origin: &str, method: &str, path: &str) -> bool {
        self.origin == origin
            && self.method.as_deref().is_none_or(|own| own == method)
            && fits(&self.path, path)
    }
}

/// A token, whole. Whoever has the credential has what was paid for, so this has no `Debug`.
#[derive(Clone)]
pub struct Token {
    /// Its name in our store.
    pub id: TokenId,
    /// The payment that bought it; `None` where it was brought from elsewhere.
    pub payment: Option<PaymentId>,
    /// Where it is shown.
    pub scope: Scope,
    /// Whose it is; `None` is the owner's.
    pub agent: Option<String>,
    /// What is shown.
    pub credential: Credential,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Unix milliseconds.
    pub updated_ms: u64,
    /// When it ends, in Unix seconds, where that can be read in it.
    pub expires_s: Option<u64>,
    /// How often it can still be shown, where that can be read in it.
    pub uses_left: Option<u64>,
    /// Where it stands.
    pub state: TokenState,
}

/// What a seller's answer means for a token that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenNews {
    /// Less than 400: it was served.
    Served,
    /// 402: money is asked for again.
    AskedAgain,
    /// 401: it was not taken.
    NotTaken,
    /// The seller says that it has taken it back.
    Revoked,
}

/// What becomes of a token. Pure; see the table above.
#[must_use]
pub fn after(
    state: TokenState,
    uses_left: Option<u64>,
    news: TokenNews,
) -> (TokenState, Option<u64>) {
    if !state.is_alive() {
        return (state, uses_left);
    }
    match (news, state) {
        (TokenNews::Served, _) => {
            let left = uses_left.map(|left| left.saturating_sub(1));
            match left {
                Some(0) => (TokenState::Exhausted, left),
                _ => (TokenState::Used, left),
            }
        }
        (TokenNews::AskedAgain | TokenNews::NotTaken, TokenState::Fresh)
        | (TokenNews::NotTaken, TokenState::Used) => (TokenState::Refused, uses_left),
        (TokenNews::AskedAgain | TokenNews::NotTaken, _) => (TokenState::Exhausted, uses_left),
        (TokenNews::Revoked, _) => (TokenState::Revoked, uses_left),
    }
}

/// The tokens of a buyer; a part of [`crate::ledger::Ledger`], which keeps those that are bought
/// with their payments.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// Keeps a token that was brought from elsewhere. Returns `false` where it is there already.
    async fn keep_token(&self, token: Token) -> Result<bool, LedgerError>;

    /// One token.
    async fn token(&self, id: &TokenId) -> Result<Option<Token>, LedgerError>;

    /// The tokens of one origin, or all; the newest first.
    async fn tokens(&self, origin: Option<&str>) -> Result<Vec<Token>, LedgerError>;

    /// Takes what was learned, by [`after`]. Returns the token as it stands then; `None` where there
    /// is none of this name.
    async fn note_token(
        &self,
        id: &TokenId,
        news: TokenNews,
        now_ms: u64,
    ) -> Result<Option<Token>, LedgerError>;

    /// Erases a token, with its secret. Returns whether there was one.
    async fn remove_token(&self, id: &TokenId) -> Result<bool, LedgerError>;
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        // No star: what follows the only part must be nothing.
        return rest.is_empty();
    };
    for part in parts {
        // The earliest place leaves the most for what follows.
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
