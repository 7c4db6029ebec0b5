//! How a payment is shown: the one object of DESIGN §4, and a row for people.
//!
//! Used by `fetch` and `payments`. It never shows a credential: whoever reads the output must not
//! be able to take the money.

use farebox_core::ledger::Payment;
use farebox_core::payment::{Delivery, Hold, Phase, Role};
use serde::Serialize;
use serde_json::Value;

/// Headings of [`row`].
pub(super) const HEADINGS: [&str; 7] = ["id", "role", "state", "amount", "network", "payee", "for"];

/// A payment in machine output. `role`, `agent`, `payer`, `url`, `route`, `delivery` and
/// `created_at` are ours on top of what DESIGN §4 names.
#[derive(Debug, Serialize)]
pub(crate) struct PaymentView {
    id: String,
    state: Phase,
    /// What is proven, or that nothing is: `settled`, `rejected`, `unknown`.
    outcome: Option<&'static str>,
    reason: Option<String>,
    /// Unix seconds until which a credential that has left may still be spent.
    reserved_until: Option<u64>,
    protocol: String,
    rail: String,
    network: String,
    amount: AmountView,
    payee: String,
    transaction: Option<String>,
    receipt: Option<Value>,
    role: Role,
    agent: Option<String>,
    payer: Option<String>,
    url: Option<String>,
    route: Option<String>,
    /// Sellers: whether what was paid for was handed over.
    delivery: Option<Delivery>,
    /// Unix seconds.
    created_at: u64,
}

#[derive(Debug, Serialize)]
struct AmountView {
    atomic: String,
    asset: String,
    decimals: u8,
    symbol: String,
}

impl PaymentView {
    /// Shows a payment.
    pub(crate) fn new(payment: &Payment) -> Self {
        let Payment { state, terms, .. } = payment;
        let is_held = state.hold == Hold::Held;
        Self {
            id: payment.id.to_string(),
            state: state.phase,
            outcome: outcome(state.phase),
            reason: state.reason.clone(),
            reserved_until: payment.valid_before_s.filter(|_| is_held),
            protocol: terms.protocol.clone(),
            rail: terms.rail.clone(),
            network: terms.network.to_string(),
            amount: AmountView {
                atomic: terms.amount.to_string(),
                asset: terms.asset.reference().to_owned(),
                decimals: terms.decimals,
                symbol: terms.symbol.clone(),
            },
            payee: terms.payee.clone(),
            transaction: state.transaction.clone().filter(|hash| !hash.is_empty()),
            receipt: payment
                .receipt
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok()),
            role: payment.role,
            agent: payment.buyer.as_ref().and_then(|side| side.agent.clone()),
            payer: terms.payer.clone(),
            url: payment.buyer.as_ref().map(|side| side.url.clone()),
            route: payment.seller.as_ref().map(|side| side.route.clone()),
            delivery: payment.seller.as_ref().map(|_| state.delivery),
            created_at: payment.created_ms / 1000,
        }
    }
}

/// One line of `farebox payments list`.
pub(super) fn row(payment: &Payment) -> Vec<String> {
    let terms = &payment.terms;
    let amount = format!(
        "{} {}",
        terms.amount.to_decimal_string(terms.decimals),
        terms.symbol
    );
    let bought = payment.buyer.as_ref().map(|side| side.url.clone());
    let sold = payment
        .seller
        .as_ref()
        .map(|side| format!("route {}", side.route));
    vec![
        payment.id.to_string(),
        word(payment.role),
        state_words(payment),
        amount,
        terms.network.to_string(),
        terms.payee.clone(),
        bought.or(sold).unwrap_or_default(),
    ]
}

/// Everything about one payment, line by line.
pub(super) fn details(payment: &Payment) -> String {
    let mut lines: Vec<(&str, String)> = HEADINGS.into_iter().zip(row(payment)).collect();
    let view = PaymentView::new(payment);
    lines.push(("cost", format!("{} USD", payment.terms.cost)));
    let more = [
        ("reason", view.reason),
        (
            "reserved until",
            view.reserved_until
                .map(|time| format!("{time} (Unix seconds)")),
        ),
        ("transaction", view.transaction),
        ("payer", view.payer),
        ("agent", view.agent),
    ];
    lines.extend(
        more.into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = lines
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The state, and for a seller whether the goods are out.
fn state_words(payment: &Payment) -> String {
    let phase = word(payment.state.phase);
    match (payment.role, payment.state.phase, payment.state.delivery) {
        (Role::Buyer, ..) => phase,
        (_, Phase::Settled, Delivery::Undelivered) => format!("{phase}, undelivered"),
        (_, _, Delivery::Aborted) => format!("{phase}, aborted"),
        _ => phase,
    }
}

/// The name of a variant as it stands in JSON.
fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}

const fn outcome(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Settled => Some("settled"),
        Phase::Rejected => Some("rejected"),
        Phase::Unknown => Some("unknown"),
        Phase::Reserved | Phase::Sent | Phase::Released | Phase::Lost => None,
    }
}
