//! Sequences of requests against a whole gate: valid and spoiled, free, paid, repeated, in a row on one
//! connection, side by side on several, and cut off. After each batch and each sequence [`judge`] says
//! what always holds.
//!
//! Run by `it/sequence_runs.rs` from seeds, and by `fuzz/fuzz_targets/sequences.rs` from a fuzzer's
//! bytes. The rail is made up and does as it is told; gate, seller, ledger and sockets are the real
//! ones.

pub(crate) mod choices;
mod judge;
mod requests;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::choices::Choices;
use self::requests::{Body, Draft, Kind, Made};
pub(crate) use self::world::World;
use crate::fake_rail::Plan;

/// Batches of a sequence, connections of a batch, requests of a connection: at most.
const BATCHES_MAX: usize = 6;
const CONNECTIONS_MAX: usize = 3;
const REQUESTS_MAX: usize = 4;
/// Only a gate that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Spoiled requests may never end; then nobody waits for an answer for longer.
const SILENCE: Duration = Duration::from_millis(120);

/// What goes wrong behind the gate while a batch runs.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) upstream: Upstream,
    pub(crate) plan: Plan,
}

/// How the upstream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    Good,
    /// 500.
    Fails,
    /// It hangs up before its head.
    HangsUp,
    /// It hangs up within its body.
    BreaksOff,
}

/// What the client does once it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// It sends everything and reads everything.
    Good,
    /// The same with bytes that are spoiled.
    Spoiled,
    /// It sends so many bytes, and is gone.
    Cuts(usize),
}

/// A connection of a batch, and what came back on it.
pub(crate) struct Talk {
    pub(crate) manners: Manners,
    pub(crate) made: Vec<Made>,
    pub(crate) sent: Vec<u8>,
    pub(crate) received: Vec<u8>,
    /// Whether the gate has closed it.
    pub(crate) is_closed: bool,
}

/// Runs one sequence. An error says what did not hold, and after which requests.
pub(crate) async fn run(world: &mut World, choices: &mut Choices<'_>) -> Result<(), String> {
    world.log.clear();
    let mut outcome = Ok(());
    for _ in 0..=choices.below(BATCHES_MAX) {
        outcome = batch(world, choices).await;
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_ok() {
        outcome = judge::books(world).await;
    }
    outcome.map_err(|why| format!("{why}\nafter:\n{}", world.log.join("\n")))
}

async fn batch(world: &mut World, choices: &mut Choices<'_>) -> Result<(), String> {
    let weather = Weather {
        upstream: match choices.below(10) {
            7 => Upstream::Fails,
            8 => Upstream::HangsUp,
            9 => Upstream::BreaksOff,
            _ => Upstream::Good,
        },
        plan: match choices.below(12) {
            8 => Plan::Reject,
            9 => Plan::Unreachable,
            10 => Plan::Revert,
            11 => Plan::GoSilent,
            _ => Plan::Settle,
        },
    };
    world.log.push(format!("{weather:?}"));
    world.set(&weather);
    let mut talks = Vec::new();
    for _ in 0..=choices.below(CONNECTIONS_MAX) {
        talks.push(talk(world, choices, &weather));
    }
    let talking = talks.iter_mut().map(|talk| exchange(world.gate, talk));
    for outcome in futures_util::future::join_all(talking).await {
        outcome?;
    }
    world.seller.finish().await;
    judge::batch(world, &weather, &talks)
}

/// Makes what one connection carries.
fn talk(world: &mut World, choices: &mut Choices<'_>, weather: &Weather) -> Talk {
    let count = 1 + choices.below(REQUESTS_MAX);
    let made: Vec<Made> = (1..=count)
        .map(|number| make(world, choices, number == count))
        .collect();
    let mut sent: Vec<u8> = made.iter().flat_map(|made| made.bytes.clone()).collect();
    let manners = match choices.below(8) {
        5 | 6 => Manners::Spoiled,
        7 => Manners::Cuts(choices.below(sent.len() + 1)),
        _ => Manners::Good,
    };
    if manners == Manners::Spoiled {
        requests::spoil(&mut sent, choices);
    }
    let is_fair = manners == Manners::Good && world::is_fair(weather);
    let tickets: BTreeSet<usize> = made.iter().filter_map(|made| made.ticket).collect();
    for ticket in tickets {
        world.present(ticket, &sent, is_fair);
    }
    let kinds: Vec<_> = made.iter().map(|made| (made.kind, made.ticket)).collect();
    world.log.push(format!(
        "  {manners:?} {kinds:?}\n    {}",
        String::from_utf8_lossy(&sent[..sent.len().min(3_000)]).escape_debug()
    ));
    Talk {
        manners,
        made,
        sent,
        received: Vec::new(),
        is_closed: false,
    }
}

fn make(world: &mut World, choices: &mut Choices<'_>, is_last: bool) -> Made {
    let kind = choices.one_of(&[
        Kind::New,
        Kind::Free,
        Kind::Unpaid,
        Kind::New,
        Kind::Repeat,
        Kind::Elsewhere,
        Kind::Forged,
        Kind::Two,
        Kind::Refused,
        Kind::Preflight,
    ]);
    let mut draft = Draft {
        method: choices.one_of(&["GET", "POST", "HEAD"]),
        path: world.new_path(choices.one_of(&["/paid", "/dear", "/paid"])),
        headers: Vec::new(),
        body: Body::any(choices),
    };
    let (mut ticket, mut closes) = (None, false);
    match kind {
        Kind::Free => draft.path = world.new_path("/free"),
        Kind::Unpaid => {}
        Kind::New => ticket = Some(world.new_ticket(&mut draft)),
        Kind::Repeat => ticket = world.repeat(&mut draft, choices, true),
        Kind::Elsewhere => ticket = world.repeat(&mut draft, choices, false),
        Kind::Forged => draft.headers = vec![world.forged(&draft.path, choices)],
        Kind::Two => {
            let line = world.forged(&draft.path, choices);
            draft.headers = vec![line, "x-payment: e30=".to_owned()];
        }
        Kind::Refused => {
            (draft.path, draft.headers, closes) = requests::refused(choices);
            draft.body = Body::None;
        }
        Kind::Preflight => {
            draft.method = "OPTIONS";
            draft.body = Body::None;
            draft.headers = vec![
                "origin: https://app.example".to_owned(),
                "access-control-request-method: GET".to_owned(),
            ];
        }
    }
    // There is nothing to repeat yet.
    let is_first = matches!(kind, Kind::Repeat | Kind::Elsewhere) && ticket.is_none();
    Made {
        kind: if is_first { Kind::Unpaid } else { kind },
        ticket,
        is_head: draft.method == "HEAD",
        bytes: draft.bytes(is_last),
        closes: closes || is_last,
    }
}

/// Says and reads what belongs to one connection.
async fn exchange(gate: std::net::SocketAddr, talk: &mut Talk) -> Result<(), String> {
    let stream = TcpStream::connect(gate).await.map_err(|e| e.to_string())?;
    let (mut reading, mut writing) = stream.into_split();
    if let Manners::Cuts(at) = talk.manners {
        let _ = writing.write_all(&talk.sent[..at]).await;
        return Ok(());
    }
    let patience = match talk.manners {
        Manners::Spoiled => SILENCE,
        _ => PATIENCE,
    };
    let writing = async {
        // The gate may refuse and hang up before it has read everything.
        let _ = writing.write_all(&talk.sent).await;
        writing
    };
    let reading = async {
        loop {
            let more = reading.read_buf(&mut talk.received);
            match tokio::time::timeout(patience, more).await {
                Err(_) => break,
                Ok(Ok(1..)) => {}
                Ok(_) => {
                    talk.is_closed = true;
                    break;
                }
            }
        }
    };
    let both = async { tokio::join!(writing, reading) };
    let ended = tokio::time::timeout(2 * PATIENCE, both).await;
    match ended.is_ok() && (talk.is_closed || talk.manners == Manners::Spoiled) {
        true => Ok(()),
        false => Err("the gate neither answers nor hangs up".to_owned()),
    }
}
