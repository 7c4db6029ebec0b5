//! The corpus of attempts to get around a price, over raw sockets: `tests/corpus/*.json`.
//!
//! Each entry has bytes, and what must come of them: the answers, and the requests that an upstream
//! may see. Besides, of every entry it holds: what is forwarded was sent byte for byte; something
//! with a price is forwarded only where the entry pays; nothing of a payment reaches an upstream;
//! every answer ends where it says, and then the connection does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farebox_seller::{Route, SettleWhen, Unmatched};
use farebox_wire::money::UsdMicros;
use http::Method;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answers::{self, Answer, find};
use crate::recorder::{Recorder, Seen};
use crate::support::{Plan, Town, Visits, route, within};

/// How long a connection may be idle: most entries say that it is to be closed, the others wait.
const IDLE_MS: u64 = 1_000;
/// What no upstream ever sees, whatever a client sends.
const NEVER_FORWARDED: [&str; 8] = [
    "payment-signature:",
    "payment-required:",
    "payment-response:",
    "x-payment:",
    "x-payment-response:",
    "farebox-",
    "x-original-url:",
    "x-http-method-override:",
];

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    #[serde(rename = "why")]
    _why: String,
    routes: Vec<Priced>,
    /// "404" or "free".
    unmatched: String,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Priced {
    r#match: String,
    usd: String,
}

/// One attempt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The rule that it guards.
    name: String,
    /// Bytes, each a character; `{paid:/path}` is a new credential for that path, `{again}` the same
    /// once more, `{a*100}` a hundred times a.
    send: String,
    /// The status of each answer, or those that are allowed; `None` is any, in any protocol.
    answers: Option<Vec<Statuses>>,
    /// The requests that the upstream must see, in this order.
    #[serde(default)]
    forwarded: Vec<String>,
    /// Requests that it may see instead of none.
    #[serde(default)]
    optional: Vec<String>,
    /// Whether the first answer has no body, because it is to HEAD.
    #[serde(default)]
    bodyless: bool,
    /// Header lines that the upstream adds to its answers.
    #[serde(default)]
    upstream_says: String,
    /// What the upstream sends instead of its answer; then it hangs up.
    upstream_sends: Option<String>,
    #[serde(default)]
    upstream_has: Vec<String>,
    #[serde(default)]
    upstream_lacks: Vec<String>,
    #[serde(default)]
    answer_has: Vec<String>,
    #[serde(default)]
    answer_lacks: Vec<String>,
    /// What the offers do not have either, decoded.
    #[serde(default)]
    decoded_lacks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Statuses {
    One(u16),
    Any(Vec<u16>),
}

impl Statuses {
    fn allow(&self, status: u16) -> bool {
        match self {
            Self::One(only) => *only == status,
            Self::Any(all) => all.contains(&status),
        }
    }
}

/// A gate as a file wants it.
struct Stage {
    town: Town,
    upstream: Recorder,
    routes: Vec<Route>,
    unmatched: Unmatched,
}

impl Stage {
    async fn set(corpus: &Corpus) -> Self {
        let upstream = Recorder::start().await;
        let routes = corpus.routes.iter().map(|priced| {
            let usd = UsdMicros::parse(&format!("{} USD", priced.usd)).expect("a price");
            route(&priced.r#match, &priced.r#match, usd.0, SettleWhen::After)
        });
        let routes: Vec<Route> = routes.collect();
        let unmatched = match corpus.unmatched.as_str() {
            "free" => Unmatched::Free,
            "404" => Unmatched::NotFound,
            other => panic!("unmatched {other:?}"),
        };
        let mut plan = Plan::in_front_of(upstream.address, Visits::default());
        plan.routes.clone_from(&routes);
        plan.unmatched = unmatched;
        plan.options.client_head_ms = IDLE_MS;
        plan.options.upstream_head_ms = 2 * IDLE_MS;
        Self {
            town: plan.open().await,
            upstream,
            routes,
            unmatched,
        }
    }

    /// Tries one entry; what is wrong, if anything is.
    async fn attempt(&self, entry: &Entry) -> Result<(), String> {
        let bytes = self.bytes(&entry.send).await;
        let sends = entry.upstream_sends.as_deref().map(latin_1);
        self.upstream.begin(&entry.upstream_says, sends);
        let raw = exchange(&self.town, &bytes).await;
        let seen = self.upstream.seen();
        let judged = self
            .judge_forwarded(entry, &bytes, &seen)
            .and_then(|()| judge_answers(entry, &raw));
        judged.map_err(|why| {
            format!(
                "{}: {why}\n  answered {:?}\n  upstream {:?}",
                entry.name,
                String::from_utf8_lossy(&raw),
                String::from_utf8_lossy(&seen.bytes)
            )
        })
    }

    /// The bytes of an entry, with what stands in braces filled in.
    async fn bytes(&self, text: &str) -> Vec<u8> {
        let (mut bytes, mut credential) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some((before, inside)) = rest.split_once('{') {
            bytes.extend(latin_1(before));
            let Some((inside, after)) = inside.split_once('}') else {
                bytes.push(b'{');
                rest = inside;
                continue;
            };
            if let Some(path) = inside.strip_prefix("paid:") {
                credential = self.town.sign(path, &self.town.payer()).await;
                bytes.extend(credential.bytes());
            } else if inside == "again" {
                bytes.extend(credential.bytes());
            } else {
                let (piece, times) = inside.split_once('*').expect("{piece*times}");
                bytes.extend(latin_1(&piece.repeat(times.parse().expect("a number"))));
            }
            rest = after;
        }
        bytes.extend(latin_1(rest));
        bytes
    }

    fn judge_forwarded(&self, entry: &Entry, sent: &[u8], seen: &Seen) -> Result<(), String> {
        let requests = seen.requests();
        let is_expected = requests == entry.forwarded
            || (!entry.optional.is_empty() && requests == entry.optional);
        ensure(is_expected, || format!("forwarded {requests:?}"))?;
        for request in &requests {
            // A fragment is no part of the target.
            let is_sent = [' ', '#']
                .iter()
                .any(|end| find(sent, &latin_1(&format!("{request}{end}"))).is_some());
            ensure(is_sent, || format!("{request:?} was never sent"))?;
            let pays = entry.send.contains("{paid:");
            let is_free = self.is_free(request);
            ensure(pays || is_free, || format!("{request:?} is not free"))?;
        }
        let text = String::from_utf8_lossy(&seen.bytes).to_ascii_lowercase();
        for never in NEVER_FORWARDED {
            ensure(!text.contains(never), || format!("{never} was forwarded"))?;
        }
        for has in &entry.upstream_has {
            ensure(text.contains(has), || format!("{has:?} was not forwarded"))?;
        }
        for lacks in &entry.upstream_lacks {
            ensure(!text.contains(lacks), || format!("{lacks:?} was forwarded"))?;
        }
        Ok(())
    }

    /// Whether the seller asks nothing for this method and target.
    fn is_free(&self, request: &str) -> bool {
        let (method, target) = request.split_once(' ').expect("method and target");
        let method: Method = method.parse().expect("a method");
        let path = target.split('?').next().unwrap_or_default();
        let mut routes = self.routes.iter();
        match routes.find(|route| route.matcher.matches(&method, path)) {
            Some(route) => route.price.0 == 0,
            None => self.unmatched == Unmatched::Free,
        }
    }
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(why()),
    }
}

/// Every character is a byte.
fn latin_1(text: &str) -> Vec<u8> {
    let bytes = text.chars().map(|c| u8::try_from(u32::from(c)));
    bytes.collect::<Result<_, _>>().expect("bytes")
}

/// Sends bytes, and reads until the gate hangs up.
async fn exchange(town: &Town, bytes: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(town.gate).await.expect("connected");
    let (mut reading, mut writing) = stream.into_split();
    let writing = async {
        // The gate may refuse and hang up before it has read everything.
        let _ = writing.write_all(bytes).await;
        writing
    };
    let mut answer = Vec::new();
    let reading = async { while let Ok(1..) = reading.read_buf(&mut answer).await {} };
    within(async { tokio::join!(writing, reading) }).await;
    answer
}

fn judge_answers(entry: &Entry, raw: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(raw).to_ascii_lowercase();
    for has in &entry.answer_has {
        ensure(text.contains(has), || format!("no {has:?} in the answer"))?;
    }
    for lacks in &entry.answer_lacks {
        ensure(!text.contains(lacks), || format!("{lacks:?} in the answer"))?;
    }
    let Some(wanted) = &entry.answers else {
        return Ok(());
    };
    let mut left = raw.to_vec();
    let mut got: Vec<Answer> = Vec::new();
    while let Some(answer) = answers::take(&mut left, entry.bodyless && got.is_empty(), true)? {
        got.push(answer);
    }
    ensure(left.is_empty(), || {
        "something follows the last answer".to_owned()
    })?;
    let statuses: Vec<u16> = got.iter().map(|answer| answer.status).collect();
    let mut pairs = wanted.iter().zip(&statuses);
    let is_expected = wanted.len() == got.len() && pairs.all(|(wanted, got)| wanted.allow(*got));
    ensure(is_expected, || format!("answers {statuses:?}"))?;
    for answer in &got {
        let Some(offers) = answer.header("payment-required") else {
            continue;
        };
        let offers = STANDARD.decode(offers).map_err(|error| error.to_string())?;
        let offers = [offers, answer.body.clone()].concat();
        let offers = String::from_utf8_lossy(&offers);
        for lacks in &entry.decoded_lacks {
            ensure(!offers.contains(lacks.as_str()), || {
                format!("{lacks:?} in the offers")
            })?;
        }
    }
    Ok(())
}

/// Tries all entries of a file and tells of all that fail.
async fn try_all(file: &str) {
    let corpus: Corpus = serde_json::from_str(file).expect("a corpus");
    let stage = Stage::set(&corpus).await;
    let mut wrong = Vec::new();
    for entry in &corpus.entries {
        wrong.extend(stage.attempt(entry).await.err());
    }
    assert!(!corpus.entries.is_empty());
    let (failed, all) = (wrong.len(), corpus.entries.len());
    assert!(wrong.is_empty(), "{failed} of {all}:\n{}", wrong.join("\n"));
    stage.town.audit().await;
}

#[tokio::test]
async fn no_spelling_of_a_path_gets_around_its_price() {
    try_all(include_str!("../corpus/paths.json")).await;
}

#[tokio::test]
async fn no_form_of_a_request_line_gets_around_a_price() {
    try_all(include_str!("../corpus/targets.json")).await;
}

#[tokio::test]
async fn no_framing_hides_a_request() {
    try_all(include_str!("../corpus/framing.json")).await;
}

#[tokio::test]
async fn no_header_gets_around_a_price_or_speaks_for_the_seller() {
    try_all(include_str!("../corpus/headers.json")).await;
}

#[tokio::test]
async fn no_method_and_no_neighbour_on_a_connection_gets_around_a_price() {
    try_all(include_str!("../corpus/connections.json")).await;
}
