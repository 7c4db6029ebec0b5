//! A payment as machines read it: the same object in `fetch --json` and `payments list --json`
//! (docs/command-line.md).

use farebox_core::ledger::Payment;
use farebox_core::payment::{Hold, Phase};
use farebox_wire::money::Amount;
use serde::Serialize;
use serde_json::Value;

/// The `payment` object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaymentView {
    /// Its name in our books.
    pub id: String,
    /// `reserved`, `sent`, `settled`, `rejected`, `unknown`, `released` or `lost`.
    pub state: Phase,
    /// `settled`, `rejected` or `unknown`; `null` while it is on its way, and where the hold was
    /// given back.
    pub outcome: Option<&'static str>,
    /// Machine code of what went wrong last.
    pub reason: Option<String>,
    /// Until when the amount stays reserved at least, in Unix seconds; `null` where it is not
    /// reserved, or not signed yet.
    pub reserved_until: Option<u64>,
    /// `x402` …
    pub protocol: String,
    /// `evm` …
    pub rail: String,
    /// CAIP-2 chain.
    pub network: String,
    /// How much of what.
    pub amount: AmountView,
    /// What carrying it has cost besides, of the same asset: routing fees. Left out where nothing was
    /// held for it, or nobody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee: Option<AmountView>,
    /// Who is paid.
    pub payee: String,
    /// Hash of the transaction that settled it.
    pub transaction: Option<String>,
    /// The receipt as it was received or given.
    pub receipt: Option<Value>,
}

/// The `amount` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AmountView {
    /// Atomic units, digits in a string.
    pub atomic: Amount,
    /// CAIP-19 asset.
    pub asset: String,
    /// Decimals of the asset.
    pub decimals: u8,
    /// Symbol of the asset.
    pub symbol: String,
}

impl From<&Payment> for PaymentView {
    fn from(payment: &Payment) -> Self {
        let state = &payment.state;
        let terms = &payment.terms;
        let amount_of = |atomic: Amount| AmountView {
            atomic,
            asset: terms.asset.to_string(),
            decimals: terms.decimals,
            symbol: terms.symbol.clone(),
        };
        let actual = payment.buyer.as_ref().and_then(|side| side.actual);
        Self {
            id: payment.id.to_string(),
            state: state.phase,
            outcome: outcome(state.phase),
            reason: state.reason.clone(),
            reserved_until: payment.valid_before_s.filter(|_| state.hold == Hold::Held),
            protocol: terms.protocol.clone(),
            rail: terms.rail.clone(),
            network: terms.network.to_string(),
            amount: amount_of(terms.amount),
            fee: actual.map(|actual| amount_of(actual.fee)),
            payee: terms.payee.clone(),
            transaction: state.transaction.clone().filter(|hash| !hash.is_empty()),
            // What is stored was JSON when it was stored.
            receipt: payment
                .receipt
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

const fn outcome(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Settled => Some("settled"),
        Phase::Rejected | Phase::Lost => Some("rejected"),
        Phase::Unknown => Some("unknown"),
        Phase::Reserved | Phase::Sent | Phase::Released => None,
    }
}
