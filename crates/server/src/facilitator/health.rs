//! `GET /health`: whether payments can be served, for load balancers and for people.
//!
//! Anybody may ask, so the chains are asked at most once a second however many do. It says
//! nothing that is not public on the chains.

use std::time::{Duration, Instant};

use axum::body::Body;
use farebox_core::ledger::PaymentId;
use farebox_core::rail::NetworkHealth;
use farebox_seller::answer::json_answer;
use farebox_seller::till::Till;
use http::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::Mutex;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);

/// The last answer.
#[derive(Default)]
pub(super) struct Health {
    last: Mutex<Option<(Instant, Told)>>,
}

#[derive(Clone)]
struct Told {
    status: StatusCode,
    body: String,
}

#[derive(Serialize)]
struct Report<'a> {
    status: &'static str,
    networks: &'a [NetworkHealth],
}

impl Health {
    /// Asks the chains, or says what they said a moment ago. Whoever comes meanwhile waits.
    pub(super) async fn answer(&self, till: &Till) -> Response<Body> {
        let mut last = self.last.lock().await;
        let told = match last.as_ref() {
            Some((at, told)) if at.elapsed() < FRESH => told.clone(),
            _ => {
                let told = ask(till).await;
                *last = Some((Instant::now(), told.clone()));
                told
            }
        };
        drop(last);
        json_answer(told.status, told.body)
    }
}

async fn ask(till: &Till) -> Told {
    let mut networks = Vec::new();
    for rail in till.rails() {
        networks.extend(rail.health().await);
    }
    let has_books = till.ledger().payment(&PaymentId(String::new())).await;
    if let Err(error) = &has_books {
        tracing::error!(%error, "the ledger cannot be read");
    }
    let (status, word) = judge(&networks, has_books.is_ok());
    let report = Report {
        status: word,
        networks: &networks,
    };
    Told {
        status,
        // Our own types always have a JSON form.
        body: serde_json::to_string(&report).unwrap_or_default(),
    }
}

/// 503 is for load balancers: nothing at all can be served here now.
fn judge(networks: &[NetworkHealth], has_books: bool) -> (StatusCode, &'static str) {
    let is_well = |network: &NetworkHealth| network.is_reachable && network.complaints.is_empty();
    if !has_books || !networks.iter().any(|network| network.is_reachable) {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded")
    } else if networks.iter().all(is_well) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::OK, "degraded")
    }
}
