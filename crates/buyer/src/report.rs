//! The one object of `fetch --json` (docs/command-line.md).

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use farebox_core::fault::Fault;
use farebox_core::ledger::Payment;
use farebox_core::payment::Hold;
use farebox_wire::money::UsdMicros;
use http::HeaderMap;
use serde::Serialize;

use crate::answer::{FetchError, Fetched};
use crate::choose::{Decision, OfferView};
use crate::ending::{Ending, Exit};
use crate::view::PaymentView;

/// Where the body of an answer went.
pub enum Shown {
    /// Into the object, as text where it is UTF-8, else as base64.
    Inline(Bytes),
    /// Into a file.
    File(PathBuf),
    /// Nowhere: it broke off, or there was none.
    Nothing,
}

/// The object.
#[derive(Debug, Serialize)]
pub struct Report {
    ok: bool,
    exit: u8,
    url: String,
    status: Option<u16>,
    headers: BTreeMap<String, Vec<String>>,
    #[serde(flatten)]
    body: BodyView,
    payment: Option<PaymentView>,
    cost: Option<Cost>,
    error: Option<ErrorView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offers: Option<Vec<OfferView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum BodyView {
    Body(Option<String>),
    BodyBase64(String),
    Output(PathBuf),
}

/// A sum of dollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Decimal.
    pub amount: String,
    /// Always `USD`.
    pub currency: &'static str,
}

/// The `error` object.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorView {
    #[serde(flatten)]
    fault: Fault,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_id: Option<String>,
}

impl Cost {
    /// Shows US dollars.
    #[must_use]
    pub fn usd(cost: UsdMicros) -> Self {
        Self {
            amount: cost.to_string(),
            currency: "USD",
        }
    }
}

impl ErrorView {
    /// The error of an ending; `None` where it ended well.
    #[must_use]
    pub fn of(ending: &Ending) -> Option<Self> {
        ending.fault().map(|fault| Self {
            fault,
            approval_id: ending.approval_id.clone(),
        })
    }
}

impl Report {
    /// Reports a reply. `shown` says where its body, read to the end, has gone.
    #[must_use]
    pub fn of(fetched: &Fetched, shown: Shown) -> Self {
        let mut report = Self::without_reply(
            fetched.url.to_string(),
            &fetched.ending,
            fetched.payment.as_ref(),
        );
        report.status = Some(fetched.status.as_u16());
        report.headers = headers_of(&fetched.headers);
        report.body = BodyView::of(shown);
        if fetched.is_reused {
            report.cost = Some(Cost::usd(UsdMicros(0)));
        }
        if let Some(plan) = &fetched.plan {
            report.offers = Some(plan.offers.clone());
            report.decision = Some(plan.decision.clone());
        }
        report
    }

    /// Reports a call without a reply.
    #[must_use]
    pub fn failed(error: &FetchError) -> Self {
        Self::without_reply(error.url.clone(), &error.ending, error.payment.as_deref())
    }

    fn without_reply(url: String, ending: &Ending, payment: Option<&Payment>) -> Self {
        let exit = ending.exit();
        Self {
            ok: exit == Exit::Done,
            exit: exit.code(),
            url,
            status: ending.facts.status,
            headers: BTreeMap::new(),
            body: BodyView::Body(None),
            payment: payment.map(PaymentView::from),
            cost: payment.and_then(cost_of),
            error: ErrorView::of(ending),
            offers: None,
            decision: None,
        }
    }
}

impl BodyView {
    fn of(shown: Shown) -> Self {
        match shown {
            Shown::Inline(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => Self::Body(Some(text.to_owned())),
                Err(_) => Self::BodyBase64(base64(&bytes)),
            },
            Shown::File(path) => Self::Output(path),
            Shown::Nothing => Self::Body(None),
        }
    }
}

/// What a payment costs for all that is known: nothing once its hold was given back.
fn cost_of(payment: &Payment) -> Option<Cost> {
    match payment.state.hold {
        Hold::Held => Some(Cost::usd(payment.terms.cost)),
        Hold::Spent => {
            let actual = payment.buyer.as_ref().and_then(|side| side.actual);
            let cost = actual.map_or(payment.terms.cost, |actual| actual.cost);
            Some(Cost::usd(cost))
        }
        Hold::Returned => None,
    }
}

/// Names are lower case already; values that are not UTF-8 are shown with replacement characters.
fn headers_of(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        shown.entry(name.to_string()).or_default().push(value);
    }
    shown
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
