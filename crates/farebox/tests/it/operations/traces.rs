//! Traces of real requests through real processes, as a collector gets them.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::get;
use tokio::sync::Barrier;

use super::collector::{Collector, Seen, edges};
use super::payers::{self, Payer, client};
use super::{SHOP, ask, sample};
use crate::market::{Server, Upstream};
use crate::support::{Running, User};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const TOKEN: &str = "a-token-of-the-gate";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// Payers who come together, so that some of them share a transaction.
const TOGETHER: usize = 40;

/// A gate for `shop`, at its own collector, with an admin server.
fn gate(user: &User, shop: &str) -> Running {
    user.write("net/shop.toml", shop);
    let listen = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let gate = ["gate", "--config", "net/shop.toml", "--json"];
    let mut command = user.command(&[&gate[..], &listen].concat());
    command.env("BEARER", format!("Bearer {TOKEN}"));
    Running::of(command)
}

fn stop(running: Running) {
    running.signal("TERM");
    let (exit, stderr) = running.wait();
    assert_eq!((exit, stderr.as_str()), (0, ""));
}

/// A shop that settles by itself, with this section of traces.
fn shop(user: &User, upstream: &str, telemetry: &str) -> String {
    let head = user.read("net/seller.toml");
    let routes = SHOP.replace("{upstream}", upstream);
    format!("{head}\n[telemetry]\n{telemetry}\n{routes}")
}

fn otlp(url: &str) -> String {
    format!("otlp = \"{url}\"")
}

fn bought(user: &User, gate: &Running, path: &str) {
    let url = format!("{}{path}", gate.text("/listening"));
    let ended = user.run(&["fetch", "--config", "net/buyer.toml", &url]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
}

fn one<'a>(spans: &'a [Seen], service: &str, name: &str) -> &'a Seen {
    let found = |seen: &&Seen| seen.service == service && seen.span.name == name;
    let mut found = spans.iter().filter(found);
    match (found.next(), found.next()) {
        (Some(seen), None) => seen,
        _ => panic!("one {name} of {service} in {:#?}", edges(spans)),
    }
}

#[test]
fn a_payment_is_one_trace_through_gate_facilitator_and_chain() {
    let user = User::new();
    let _net = user.devnet();
    let (upstream, collector) = (Upstream::start(), Collector::start());
    let head = user.read("net/seller.toml");
    let telemetry = format!("[telemetry]\n{}", otlp(&collector.url()));
    let file = head.replace("seller.db", "settler.db");
    user.write("net/settler.toml", &format!("{file}\n{telemetry}"));
    let settler = ["facilitator", "--config", "net/settler.toml", "--json"];
    let listen = ["--listen", "127.0.0.1:0", "--token", "env:TOKEN"];
    let mut settler = user.command(&[&settler[..], &listen].concat());
    settler.env("TOKEN", TOKEN);
    let settler = Running::of(settler);
    let facilitator = format!(
        "[facilitator]\nurls = [\"{}\"]\nheaders = {{ Authorization = \"env:BEARER\" }}",
        settler.text("/listening"),
    );
    let file = head.replace("[facilitator]\nurls = [\"local\"]", &facilitator);
    let routes = SHOP.replace("{upstream}", &upstream.url());
    let gate = gate(&user, &format!("{file}\n{telemetry}\n{routes}"));
    bought(&user, &gate, "/ok?secret=1");
    stop(gate);
    stop(settler);

    let spans = collector.spans();
    let traces: BTreeSet<&[u8]> = spans.iter().map(|s| s.span.trace_id.as_slice()).collect();
    assert_eq!(traces.len(), 1, "{:#?}", edges(&spans));
    let edges = edges(&spans);
    for edge in [
        "farebox-gate: GET /*",
        "farebox-gate: verify < farebox-gate: GET /*",
        "farebox-gate: facilitator verify < farebox-gate: verify",
        "farebox-gate: claim < farebox-gate: GET /*",
        "farebox-gate: upstream < farebox-gate: GET /*",
        "farebox-gate: settle < farebox-gate: GET /*",
        "farebox-gate: facilitator settle < farebox-gate: settle",
        "farebox-facilitator: POST /verify < farebox-gate: facilitator verify",
        "farebox-facilitator: verify < farebox-facilitator: POST /verify",
        "farebox-facilitator: POST /settle < farebox-gate: facilitator settle",
        "farebox-facilitator: verify < farebox-facilitator: POST /settle",
        "farebox-facilitator: eth_call < farebox-facilitator: verify",
        "farebox-facilitator: claim < farebox-facilitator: POST /settle",
        "farebox-facilitator: settle < farebox-facilitator: POST /settle",
        "farebox-facilitator: send < farebox-facilitator: settle",
        "farebox-facilitator: eth_sendRawTransaction < farebox-facilitator: send",
    ] {
        assert!(edges.iter().any(|it| it == edge), "{edge} in {edges:#?}");
    }
    let asked = one(&spans, "farebox-gate", "GET /*");
    assert_eq!(asked.attribute("url.path").as_deref(), Some("/ok"));
    assert_eq!(
        asked.attribute("http.response.status_code").as_deref(),
        Some("200")
    );
    let digest = asked.attribute("farebox.credential").expect("a digest");
    assert_eq!(digest.len(), 64);
    let settled = one(&spans, "farebox-facilitator", "settle");
    let sent = one(&spans, "farebox-facilitator", "send");
    let transaction = settled.attribute("farebox.transaction");
    assert!(transaction.is_some());
    assert_eq!(transaction, sent.attribute("farebox.transaction"));
    assert_eq!(
        settled.attribute("farebox.outcome").as_deref(),
        Some("settled")
    );
}

/// An upstream that lets those who come to `/together` go when all of them are there.
fn meeting() -> Server {
    let all = Arc::new(Barrier::new(TOGETHER));
    let together = move || {
        let all = Arc::clone(&all);
        async move {
            all.wait().await;
        }
    };
    let router = Router::new().route("/together", get(together));
    Server::start(router.route("/first", get(async || ())))
}

#[test]
fn payments_that_share_a_transaction_are_linked_with_it_both_ways() {
    let user = User::new();
    let net = user.devnet();
    let (upstream, collector) = (meeting(), Collector::start());
    let gate = gate(
        &user,
        &shop(&user, &upstream.url(), &otlp(&collector.url())),
    );
    let url = format!("{}/together", gate.text("/listening"));
    let payers: Vec<Payer> = (0..TOGETHER)
        .map(|n| {
            let key = net.text(&format!("/evm/accounts/{}/key", 1 + n % 8));
            Payer::new(&key, &net.text("/evm/rpc"))
        })
        .collect();
    payers::run(async {
        // What the first costs is known to the next.
        let first = format!("{}/first", gate.text("/listening"));
        let signed = payers[0].sign(&first).await;
        assert_eq!(payers[0].pay(&first, &signed).await.status, 200);
        let paying = payers.iter().map(|payer| async {
            let signed = payer.sign(&url).await;
            payer.pay(&url, &signed).await.status
        });
        let statuses = futures_util::future::join_all(paying).await;
        assert_eq!(statuses, [200; TOGETHER]);
    });
    stop(gate);

    let spans = collector.spans();
    let shared = spans.iter().find(|seen| {
        let payments = seen.attribute("payments").unwrap_or_default();
        seen.span.name == "send" && !["", "1"].contains(&payments.as_str())
    });
    let shared = shared.expect("a shared transaction");
    assert!(shared.span.parent_span_id.is_empty(), "a trace of its own");
    let payments = shared.attribute("payments").expect("a number");
    assert_eq!(shared.span.links.len().to_string(), payments);
    for link in &shared.span.links {
        let paid = spans.iter().find(|seen| seen.span.span_id == link.span_id);
        let paid = paid.expect("the payment of a link");
        assert_eq!(paid.span.name, "settle");
        assert_eq!(paid.span.trace_id, link.trace_id);
        assert_ne!(paid.span.trace_id, shared.span.trace_id);
        let mut back = paid.span.links.iter();
        assert!(back.any(|back| back.span_id == shared.span.span_id));
        assert_eq!(
            paid.attribute("farebox.transaction"),
            shared.attribute("farebox.transaction")
        );
    }
}

#[test]
fn nothing_is_traced_of_a_sample_of_zero() {
    let user = User::new();
    let _net = user.devnet();
    let (upstream, collector) = (Upstream::start(), Collector::start());
    let telemetry = format!("{}\nsample = 0.0", otlp(&collector.url()));
    let gate = gate(&user, &shop(&user, &upstream.url(), &telemetry));
    bought(&user, &gate, "/ok");
    let (_, metrics) = ask(&format!("{}/metrics", gate.text("/admin")));
    for outcome in ["exported", "dropped"] {
        let name = format!("farebox_spans_total{{outcome=\"{outcome}\"}}");
        assert_eq!(sample(&metrics, &name), 0);
    }
    stop(gate);
    assert_eq!(collector.bodies().len(), 0);
}

#[test]
fn a_collector_that_is_away_or_silent_costs_spans_and_no_payment() {
    let user = User::new();
    let _net = user.devnet();
    let upstream = Upstream::start();
    // Takes connections into its backlog and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let away = TcpListener::bind("127.0.0.1:0").expect("a port");
    for (collector, is_away) in [(silent, false), (away, true)] {
        let url = format!("http://{}", collector.local_addr().expect("an address"));
        let kept = (!is_away).then_some(collector);
        let gate = gate(&user, &shop(&user, &upstream.url(), &otlp(&url)));
        bought(&user, &gate, "/ok");
        // Request, verify, claim, upstream, settle.
        payers::eventually(|| {
            let (_, metrics) = ask(&format!("{}/metrics", gate.text("/admin")));
            let count = |outcome: &str| {
                sample(
                    &metrics,
                    &format!("farebox_spans_total{{outcome=\"{outcome}\"}}"),
                )
            };
            assert_eq!(count("exported"), 0);
            (count("dropped") >= 5).then_some(())
        });
        bought(&user, &gate, "/ok");
        gate.signal("TERM");
        let (exit, stderr) = gate.wait();
        assert_eq!(exit, 0, "{stderr}");
        assert_eq!(
            stderr.matches("spans are lost").count(),
            1,
            "one line: {stderr}"
        );
        drop(kept);
    }
}

/// An upstream that says which trace reached it.
fn traced_upstream() -> Server {
    let said = |headers: HeaderMap| async move {
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        [header("traceparent"), header("tracestate")]
            .map(|value| value.unwrap_or("-").to_owned())
            .join(" ")
    };
    Server::start(Router::new().route("/status/200", get(said)))
}

/// What reached the upstream of a request with this trace.
fn carried(gate: &Running, parent: &str) -> String {
    payers::run(async {
        let url = format!("{}/status/200", gate.text("/listening"));
        let asked = client().get(url).header("traceparent", parent);
        let asked = asked.header("tracestate", "vendor=1").send().await;
        asked.expect("an answer").text().await.expect("a body")
    })
}

#[test]
fn a_trusted_proxys_trace_is_continued_and_a_strangers_is_only_linked() {
    let user = User::new();
    let upstream = traced_upstream();
    for is_trusted in [false, true] {
        let collector = Collector::start();
        let trusted = match is_trusted {
            true => "trusted_proxies = [\"127.0.0.1/32\"]",
            false => "",
        };
        let routes = "[[route]]\nmatch = \"/status/*\"\nprice = \"0 USD\"\nupstream = ";
        let telemetry = format!("{}\nrequests = \"all\"", otlp(&collector.url()));
        std::fs::create_dir_all(user.path("net")).expect("a folder");
        let file = format!(
            "{trusted}\n[telemetry]\n{telemetry}\n{routes}\"{}\"\n",
            upstream.url()
        );
        let gate = gate(&user, &file);
        let sampled = carried(&gate, PARENT);
        let unsampled = carried(&gate, UNSAMPLED);
        stop(gate);
        let spans = collector.spans();
        let asked = &spans
            .iter()
            .find(|seen| seen.span.name == "GET /status/*")
            .expect("the request")
            .span;
        let called = &one_named(&spans, "upstream", &asked.span_id).span;
        let next = format!("00-{}-{}-01", hex(&asked.trace_id), hex(&called.span_id));
        if is_trusted {
            assert_eq!(hex(&asked.trace_id), TRACE);
            assert_eq!(hex(&asked.parent_span_id), "b7ad6b7169203331");
            assert_eq!(sampled, format!("{next} vendor=1"));
            // Whoever decided before us has decided.
            assert_eq!(unsampled, format!("{UNSAMPLED} vendor=1"));
            assert_eq!(spans.len(), 2, "{:#?}", edges(&spans));
        } else {
            assert_ne!(hex(&asked.trace_id), TRACE);
            assert!(asked.parent_span_id.is_empty());
            assert_eq!(hex(&asked.links[0].trace_id), TRACE);
            assert_eq!(sampled, format!("{next} -"));
            assert!(!unsampled.contains(TRACE), "{unsampled}");
            assert_eq!(spans.len(), 4, "{:#?}", edges(&spans));
        }
    }
}

fn one_named<'a>(spans: &'a [Seen], name: &str, parent: &[u8]) -> &'a Seen {
    let mut found = spans.iter();
    found
        .find(|seen| seen.span.name == name && seen.span.parent_span_id == parent)
        .expect("a span")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_variables_of_opentelemetry_name_a_collector_where_nobody_else_does() {
    let user = User::new();
    let upstream = traced_upstream();
    let (named, other) = (Collector::start(), Collector::start());
    let routes = "[[route]]\nmatch = \"/status/*\"\nprice = \"0 USD\"\nupstream = ";
    let telemetry = "[telemetry]\nrequests = \"all\"";
    let routes = format!("{telemetry}\n{routes}\"{}\"\n", upstream.url());
    user.write("shop.toml", &routes);
    let started = |flags: &[&str]| {
        let gate = ["gate", "--config", "shop.toml", "--listen", "127.0.0.1:0"];
        let mut command = user.command(&[&gate[..], &["--json"], flags].concat());
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", named.url());
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b");
        command.env("OTEL_SERVICE_NAME", "till");
        Running::of(command)
    };
    let gate = started(&[]);
    carried(&gate, PARENT);
    stop(gate);
    assert_eq!(named.spans()[0].service, "till");
    assert_eq!(named.bodies()[0].0["x-key"], "a b");
    let before = named.bodies().len();
    let gate = started(&["--otlp", &other.url()]);
    carried(&gate, PARENT);
    stop(gate);
    assert_eq!(named.bodies().len(), before);
    assert_eq!(other.spans()[0].service, "till");
    assert!(!other.bodies()[0].0.contains_key("x-key"));
}
