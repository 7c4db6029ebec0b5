//! How `farebox payments` shows a payment: the one object of docs/command-line.md with what the ledger knows
//! besides, and a row for people.
//!
//! It never shows a credential: whoever reads the output must not be able to take the money.

use std::time::{Duration, UNIX_EPOCH};

use farebox_buyer::PaymentView;
use farebox_core::ledger::Payment;
use farebox_core::payment::{Delivery, Phase, Role};
use serde::Serialize;
use serde_json::Value;

/// Headings of [`row`].
pub(super) const HEADINGS: [&str; 7] = ["id", "role", "state", "amount", "network", "payee", "for"];

/// A payment as `fetch --json` shows it, and whose it is.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    #[serde(flatten)]
    payment: PaymentView,
    role: Role,
    /// Unix seconds.
    created_at: u64,
    payer: Option<String>,
    /// Buyers: who spent; `null` is the owner.
    agent: Option<String>,
    /// Buyers: what was asked for.
    url: Option<String>,
    /// Sellers: what was sold.
    route: Option<String>,
    /// Sellers: whether it was handed over.
    delivery: Option<Delivery>,
}

impl Entry {
    /// Shows a payment.
    pub(super) fn new(payment: &Payment) -> Self {
        let buyer = payment.buyer.as_ref();
        let seller = payment.seller.as_ref();
        Self {
            payment: PaymentView::from(payment),
            role: payment.role,
            created_at: payment.created_ms / 1000,
            payer: payment.terms.payer.clone(),
            agent: buyer.and_then(|side| side.agent.clone()),
            url: buyer.map(|side| side.url.clone()),
            route: seller.map(|side| side.route.clone()),
            delivery: seller.map(|_| payment.state.delivery),
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
    let view = PaymentView::from(payment);
    lines.push(("cost", format!("{} USD", payment.terms.cost)));
    lines.push(("created", date(payment.created_ms / 1000)));
    let more = [
        ("reason", view.reason),
        ("reserved until", view.reserved_until.map(date)),
        ("transaction", view.transaction),
        ("payer", payment.terms.payer.clone()),
        (
            "agent",
            payment.buyer.as_ref().and_then(|side| side.agent.clone()),
        ),
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

/// A moment, given in Unix seconds, as people read it.
pub(super) fn date(unix_s: u64) -> String {
    // Later than the calendar goes means never.
    let last = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_s.min(last)))
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
pub(super) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        _ => String::new(),
    }
}
