//! What every error tells its reader: whose fault, is a retry safe, may money have moved.
//!
//! docs/errors.md has a row for each code and the test that provokes it (ARCHITECTURE law 17).

use std::fmt;

use farebox_wire::money::UsdMicros;
use serde::Serialize;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// A defect or a limit of this program.
    Us,
    /// The other side of the HTTP connection.
    Peer,
    /// The chain, its RPC, or a node.
    Rail,
    /// Configuration, flags, policy, funds.
    User,
}

/// The family of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Flags, configuration, files.
    Config,
    /// A budget, a limit, a policy rule.
    Policy,
    /// Sockets, TLS, timeouts.
    Network,
    /// A challenge, credential or receipt that breaks its protocol.
    Protocol,
    /// No offer that can be paid.
    Offer,
    /// The payment itself.
    Payment,
    /// The ledger or another local store.
    Store,
    /// Keys and keystores.
    Key,
    /// The seller's answer, not the payment.
    Http,
    /// Everything that should not happen.
    Internal,
}

/// An error as its reader needs it.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// Stable machine code, snake case.
    pub code: &'static str,
    /// Its family.
    pub kind: Kind,
    /// Whose fault.
    pub blame: Blame,
    /// One sentence that says what to do next.
    pub message: String,
    /// Whether the same call may be repeated without risk of paying twice.
    pub retry_safe: bool,
    /// Whether money may have moved.
    pub money_may_have_moved: bool,
}

impl Fault {
    /// An error before any money was at stake: a retry is safe.
    #[must_use]
    pub fn harmless(
        code: &'static str,
        kind: Kind,
        blame: Blame,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            kind,
            blame,
            message: message.into(),
            retry_safe: true,
            money_may_have_moved: false,
        }
    }

    /// A cost over the caller's own limit for one call.
    #[must_use]
    pub fn over_max_cost(cost: UsdMicros, max: UsdMicros) -> Self {
        Self::harmless(
            "over_max_cost",
            Kind::Policy,
            Blame::User,
            format!(
                "it costs {cost} USD, more than --max-cost \"{max} USD\"; raise --max-cost to pay it"
            ),
        )
    }

    /// An error after something that can move money has left.
    ///
    /// A retry of the same logical call is safe all the same: it re-presents the same credential.
    #[must_use]
    pub fn money_at_stake(code: &'static str, blame: Blame, message: impl Into<String>) -> Self {
        Self {
            code,
            kind: Kind::Payment,
            blame,
            message: message.into(),
            retry_safe: true,
            money_may_have_moved: true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
