//! How the chains, the gas keys and the books do, and whether that is enough to serve.
//!
//! Asked by probes and collectors every few seconds, so the chains are asked, and the books written
//! to, at most once a second however many ask, and nobody waits longer than some seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use farebox_core::rail::NetworkHealth;
use farebox_seller::answer::{json_answer, with_retry};
use farebox_seller::till::Till;
use futures_util::future::join;
use http::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::Mutex;

/// How old a look may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long chains and books may take to answer; probes of orchestrators are often more impatient.
const PATIENCE: Duration = Duration::from_secs(3);
/// Settlements that every gas key of a chain falls short of before the server counts as not ready.
/// The log and `/readyz` warn much earlier.
const SETTLEMENTS_LEFT_MIN: u64 = 20;

/// The last look.
#[derive(Default)]
pub(super) struct Condition {
    last: Mutex<Option<(Instant, Arc<Seen>)>>,
}

/// What was seen.
pub(super) struct Seen {
    /// `None` where they did not tell in time.
    pub(super) networks: Option<Vec<NetworkHealth>>,
    /// Why the books cannot be written to.
    pub(super) books: Result<(), String>,
}

impl Condition {
    /// Looks, or tells what was seen a moment ago. Whoever comes meanwhile waits.
    pub(super) async fn look(&self, till: &Till) -> Arc<Seen> {
        let mut last = self.last.lock().await;
        if let Some((at, seen)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return Arc::clone(seen);
        }
        let seen = Arc::new(look(till).await);
        *last = Some((Instant::now(), Arc::clone(&seen)));
        seen
    }
}

async fn look(till: &Till) -> Seen {
    let chains = async {
        let mut networks = Vec::new();
        for rail in till.rails() {
            networks.extend(rail.health().await);
        }
        networks
    };
    let chains = tokio::time::timeout(PATIENCE, chains);
    let books = tokio::time::timeout(PATIENCE, till.ledger().probe());
    let (networks, books) = join(chains, books).await;
    Seen {
        networks: networks.ok(),
        books: match books {
            Ok(written) => written.map_err(|error| error.to_string()),
            Err(_) => Err("the ledger did not take a write in time".to_owned()),
        },
    }
}

/// One thing that is not as it should be.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Reason {
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Told {
    ready: bool,
    reasons: Vec<Reason>,
    /// What a person should look at though requests are served.
    warnings: Vec<String>,
}

/// 200, or 503 with what is missing.
pub(super) fn answer(seen: &Seen, is_draining: bool) -> Response<Body> {
    let reasons = reasons(seen, is_draining);
    let status = match reasons.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let networks = seen.networks.iter().flatten();
    let told = Told {
        ready: reasons.is_empty(),
        reasons,
        warnings: networks
            .flat_map(|network| network.complaints.iter().cloned())
            .collect(),
    };
    // Our own types always have a JSON form.
    let body = serde_json::to_string(&told).unwrap_or_default();
    with_retry(json_answer(status, body))
}

fn reasons(seen: &Seen, is_draining: bool) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut say = |code, message: String| reasons.push(Reason { code, message });
    if is_draining {
        say("draining", "it was told to stop".to_owned());
    }
    if let Err(why) = &seen.books {
        say("ledger_unwritable", why.clone());
    }
    let Some(networks) = &seen.networks else {
        say(
            "rpc_unreachable",
            "the chains did not answer in time".to_owned(),
        );
        return reasons;
    };
    // One chain that answers is enough to sell; the others are among the warnings.
    if !networks.is_empty() && !networks.iter().any(|network| network.is_reachable) {
        let names: Vec<&str> = networks.iter().map(|n| n.network.as_str()).collect();
        say(
            "rpc_unreachable",
            format!("no node of {} answers", names.join(", ")),
        );
    }
    if !networks.is_empty() && networks.iter().all(is_out_of_gas) {
        say(
            "gas_low",
            format!("no gas key pays for {SETTLEMENTS_LEFT_MIN} more settlements"),
        );
    }
    reasons
}

/// Whether every key is known to be nearly empty. A chain on which somebody else settles has none.
fn is_out_of_gas(network: &NetworkHealth) -> bool {
    let is_empty = |left: Option<u64>| left.is_some_and(|left| left < SETTLEMENTS_LEFT_MIN);
    let mut keys = network.signers.iter();
    !network.signers.is_empty() && keys.all(|key| is_empty(key.settlements_left))
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
