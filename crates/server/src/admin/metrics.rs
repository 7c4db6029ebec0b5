//! `/metrics`: what was counted, and how chains, keys and books do now.
//!
//! Every label is a name of the configuration or of a table of ours: routes, networks, assets, gas
//! keys. docs/configuration.md lists the families; a change here is a change there.

use farebox_core::rail::NetworkHealth;
use farebox_core::trace;
use farebox_seller::counts::{Counts, MoneyCounts, States};

use super::Watched;
use super::condition::Seen;
use super::text::{Kind, Page};

/// Everything.
pub(super) fn page(watched: &Watched, seen: &Seen) -> String {
    let mut page = Page::default();
    let counts = watched.till.counts();
    process(&mut page, watched, seen);
    requests(&mut page, counts);
    let money = counts.money();
    payments(&mut page, &money);
    revenue(&mut page, &money);
    let networks = seen.networks.as_deref().unwrap_or_default();
    chains(&mut page, networks);
    gas(&mut page, networks);
    page.finish()
}

fn process(page: &mut Page, watched: &Watched, seen: &Seen) {
    let mut gauge = |name, help, value: u64| {
        page.family(name, Kind::Gauge, help);
        page.sample(name, &[], value);
    };
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    gauge(
        "farebox_connections_open",
        "Connections of clients.",
        count(watched.connections.open()),
    );
    gauge(
        "farebox_ledger_waiting",
        "Changes that wait to be written to the ledger.",
        count(watched.till.ledger().waiting()),
    );
    gauge(
        "farebox_ledger_writable",
        "1 where the ledger has just taken a write.",
        u64::from(seen.books.is_ok()),
    );
    gauge(
        "farebox_draining",
        "1 from the signal to stop.",
        u64::from(watched.course.is_draining()),
    );
    gauge(
        "farebox_payments_undecided",
        "Payments whose outcome nobody knows yet, as the watch has last seen them.",
        watched.till.counts().undecided(),
    );
    gauge(
        "farebox_invoices_open",
        "Invoices that can be paid at this moment, or are being made.",
        watched.till.counts().open_invoices(),
    );
    if let Some(tracer) = trace::tracer() {
        let name = "farebox_spans_total";
        page.family(name, Kind::Counter, "Spans of traces that have ended.");
        let spans = tracer.counts();
        page.sample(name, &[("outcome", "exported")], spans.exported);
        page.sample(name, &[("outcome", "dropped")], spans.dropped);
    }
    let name = "farebox_config_reloads_total";
    page.family(name, Kind::Counter, "Changes of the configuration file.");
    let course = &watched.course;
    page.sample(name, &[("outcome", "taken")], course.reloads.get());
    page.sample(name, &[("outcome", "refused")], course.failed_reloads.get());
}

fn requests(page: &mut Page, counts: &Counts) {
    let routes = counts.routes();
    let name = "farebox_challenges_total";
    page.family(name, Kind::Counter, "Answers 402 with offers.");
    for (route, counts) in &routes {
        for (protocol, challenges) in [
            ("x402", &counts.challenges),
            ("l402", &counts.l402_challenges),
        ] {
            let labels = [("route", route.as_ref()), ("protocol", protocol)];
            page.sample(name, &labels, challenges.get());
        }
    }
    let name = "farebox_answers_total";
    page.family(name, Kind::Counter, "Answers by the class of their status.");
    for (route, counts) in &routes {
        for (class, answers) in counts.answers() {
            let status = format!("{class}xx");
            page.sample(name, &[("route", route), ("status", &status)], answers);
        }
    }
    let name = "farebox_request_seconds";
    let help = "Time to the head of the answer; of a paid one the settlement is a part.";
    page.family(name, Kind::Histogram, help);
    for (route, counts) in &routes {
        page.histogram(name, &[("route", route)], &counts.latency.read());
    }
    let name = "farebox_shadow_requests_total";
    let help = "Answers that would have been charged, on routes in shadow mode.";
    page.family(name, Kind::Counter, help);
    for (route, counts) in &routes {
        page.sample(name, &[("route", route)], counts.shadowed.get());
    }
    let name = "farebox_shadow_usd_micros_total";
    let help = "What they would have paid, in millionths of a dollar.";
    page.family(name, Kind::Counter, help);
    for (route, counts) in &routes {
        page.sample(name, &[("route", route)], counts.shadowed_usd_micros.get());
    }
}

fn payments(page: &mut Page, money: &MoneyCounts) {
    let name = "farebox_payments_total";
    let help = "Payments that have come to a state since the start.";
    page.family(name, Kind::Counter, help);
    for line in &money.payments {
        for (state, payments) in named(line.states) {
            let labels = [
                ("state", state),
                ("route", line.route.as_str()),
                ("rail", &line.rail),
                ("network", line.network.as_str()),
            ];
            page.sample(name, &labels, payments);
        }
    }
    let name = "farebox_settlement_seconds";
    page.family(name, Kind::Histogram, "Time that a settlement took.");
    for line in &money.settlements {
        let labels = [
            ("rail", line.rail.as_str()),
            ("network", line.network.as_str()),
        ];
        page.histogram(name, &labels, &line.took);
    }
}

fn named(states: States) -> [(&'static str, u64); 7] {
    [
        ("claimed", states.claimed),
        ("settled", states.settled),
        ("unproven", states.unproven),
        ("rejected", states.rejected),
        ("released", states.released),
        ("unknown", states.unknown),
        ("undone", states.undone),
    ]
}

fn revenue(page: &mut Page, money: &MoneyCounts) {
    let lines: Vec<_> = money
        .revenue
        .iter()
        .map(|line| (line.asset.to_string(), line))
        .collect();
    let mut family = |name, help, value: fn(&farebox_seller::counts::RevenueLine) -> u128| {
        page.family(name, Kind::Counter, help);
        for (asset, line) in &lines {
            let labels = [("asset", asset.as_str()), ("symbol", &line.symbol)];
            page.sample(name, &labels, value(line));
        }
    };
    family(
        "farebox_revenue_atomic_total",
        "What was settled, in atomic units of the asset.",
        |line| line.settled,
    );
    family(
        "farebox_revenue_undone_atomic_total",
        "What of it the chain has undone, in atomic units of the asset.",
        |line| line.undone,
    );
    family(
        "farebox_revenue_usd_micros_total",
        "What was settled, in millionths of a dollar.",
        |line| line.settled_usd_micros,
    );
    family(
        "farebox_revenue_undone_usd_micros_total",
        "What of it the chain has undone, in millionths of a dollar.",
        |line| line.undone_usd_micros,
    );
}

fn chains(page: &mut Page, networks: &[NetworkHealth]) {
    let name = "farebox_network_reachable";
    page.family(name, Kind::Gauge, "1 where a node has just answered.");
    for network in networks {
        let labels = [("network", network.network.as_str())];
        page.sample(name, &labels, u64::from(network.is_reachable));
    }
    let name = "farebox_network_head";
    page.family(name, Kind::Gauge, "The newest block.");
    for network in networks {
        if let Some(head) = network.head {
            page.sample(name, &[("network", network.network.as_str())], head);
        }
    }
}

fn gas(page: &mut Page, networks: &[NetworkHealth]) {
    type Value = fn(&farebox_core::rail::SignerHealth) -> Option<u128>;
    let families: [(&str, &str, Value); 4] = [
        (
            "farebox_gas_balance_wei",
            "What a gas key has, in the smallest units of the chain's coin.",
            |key| key.gas_money.map(|money| money.atomic()),
        ),
        (
            "farebox_gas_spent_today_wei",
            "What its transactions have cost since midnight UTC.",
            |key| Some(key.gas_spent_today.atomic()),
        ),
        (
            "farebox_gas_settlements_left",
            "About how many settlements it pays for.",
            |key| key.settlements_left.map(u128::from),
        ),
        (
            "farebox_gas_in_flight",
            "Its transactions that are in no block yet.",
            |key| Some(u128::from(key.in_flight)),
        ),
    ];
    for (name, help, value) in families {
        page.family(name, Kind::Gauge, help);
        for network in networks {
            for key in &network.signers {
                let labels = [
                    ("network", network.network.as_str()),
                    ("address", &key.address),
                ];
                if let Some(value) = value(key) {
                    page.sample(name, &labels, value);
                }
            }
        }
    }
}
