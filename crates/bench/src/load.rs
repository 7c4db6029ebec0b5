//! The load generator: one thread, raw HTTP/1.1 on connections that stay open, requests that are bytes before
//! the clock starts, and answers that are read no further than needed.
//!
//! It must stay cheaper than what it measures: both run on the same cores.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Fallible, stats};

/// Bytes of an answer that are read; ours have a few hundred.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that a connection reads at once.
const READ_BYTES: usize = 16 * 1024;
/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent.
pub(crate) enum Feed {
    /// These in turn, again and again, for so long.
    InTurn(Vec<Vec<u8>>, Duration),
    /// Each of these once.
    Each(Vec<Vec<u8>>),
}

/// What counts as a success.
pub(crate) type Judge = fn(&Answer<'_>) -> bool;

/// An answer as it came.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// What came of it.
pub(crate) struct Measured {
    /// Answers that were successes.
    pub(crate) good: usize,
    /// All others.
    pub(crate) bad: usize,
    /// The first of the others.
    pub(crate) first_bad: Option<String>,
    /// From the first request to the last answer.
    pub(crate) wall: Duration,
    /// How long each success took, sorted.
    pub(crate) times: Vec<Duration>,
}

impl Measured {
    /// Successes per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.good as f64 / self.wall.as_secs_f64()
    }

    /// A percentile of the times in milliseconds.
    pub(crate) fn ms_at(&self, share: f64) -> Option<f64> {
        stats::percentile(&self.times, share).map(stats::ms)
    }
}

/// Sends the feed over so many connections, each with one request on its way at a time.
pub(crate) fn run(
    server: SocketAddr,
    connections: usize,
    feed: Feed,
    judge: Judge,
) -> Fallible<Measured> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(drive(server, connections, feed, judge))
}

async fn drive(
    server: SocketAddr,
    connections: usize,
    feed: Feed,
    judge: Judge,
) -> Fallible<Measured> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(server).await?);
    }
    let began = Instant::now();
    let shared = Arc::new(Shared {
        source: Source::new(feed, began),
        judge,
        tally: Mutex::default(),
    });
    let running: Vec<_> = open
        .into_iter()
        .map(|connection| tokio::spawn(connection.work(Arc::clone(&shared))))
        .collect();
    for task in running {
        task.await?;
    }
    let wall = began.elapsed();
    let mut tally = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
    let mut times = std::mem::take(&mut tally.times);
    times.sort_unstable();
    Ok(Measured {
        good: times.len(),
        bad: tally.bad,
        first_bad: tally.first_bad.take(),
        wall,
        times,
    })
}

struct Shared {
    source: Source,
    judge: Judge,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    times: Vec<Duration>,
    bad: usize,
    first_bad: Option<String>,
}

enum Source {
    InTurn {
        requests: Vec<Vec<u8>>,
        next: AtomicUsize,
        until: Instant,
    },
    Each {
        requests: Vec<Vec<u8>>,
        next: AtomicUsize,
    },
}

impl Source {
    fn new(feed: Feed, began: Instant) -> Self {
        match feed {
            Feed::InTurn(requests, time) => Self::InTurn {
                requests,
                next: AtomicUsize::new(0),
                until: began + time,
            },
            Feed::Each(requests) => Self::Each {
                requests,
                next: AtomicUsize::new(0),
            },
        }
    }

    fn next(&self) -> Option<&[u8]> {
        match self {
            Self::InTurn {
                requests,
                next,
                until,
            } => {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let turn = turn.checked_rem(requests.len())?;
                let request = requests.get(turn).map(Vec::as_slice);
                request.filter(|_| Instant::now() < *until)
            }
            Self::Each { requests, next } => requests
                .get(next.fetch_add(1, Ordering::Relaxed))
                .map(Vec::as_slice),
        }
    }
}

/// One connection and what was read of it.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> Fallible<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(READ_BYTES),
        })
    }

    async fn work(mut self, shared: Arc<Shared>) {
        let mut own = Tally::default();
        while let Some(request) = shared.source.next() {
            let began = Instant::now();
            let failed = match self.ask(request).await {
                Ok(answer) if (shared.judge)(&answer) => {
                    own.times.push(began.elapsed());
                    continue;
                }
                Ok(answer) => {
                    let body = String::from_utf8_lossy(answer.body);
                    own.note(format!("{} {body}", answer.status));
                    continue;
                }
                Err(error) => error.to_string(),
            };
            own.note(failed);
            // The rest of the feed is for the others; a server that has gone fails them all.
            match Self::open_again(&self).await {
                Ok(again) => self = again,
                Err(_) => break,
            }
        }
        let mut all = shared.tally.lock().unwrap_or_else(PoisonError::into_inner);
        all.times.append(&mut own.times);
        all.bad += own.bad;
        if all.first_bad.is_none() {
            all.first_bad = own.first_bad;
        }
    }

    async fn open_again(&self) -> Fallible<Self> {
        Self::open(self.stream.peer_addr()?).await
    }

    /// Sends one request and waits for its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Fallible<Answer<'_>> {
        let exchanged = self.exchange(request);
        let (end_of_head, end) = tokio::time::timeout(PATIENCE, exchanged).await??;
        let whole = self.buffer.get(..end).unwrap_or_default();
        let (head, body) = whole.split_at(end_of_head);
        let status = status_of(head).ok_or("an answer without a status")?;
        Ok(Answer { status, head, body })
    }

    async fn exchange(&mut self, request: &[u8]) -> Fallible<(usize, usize)> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server has closed the connection".into());
            }
            if let Some(lengths) = lengths_of(&self.buffer)? {
                let (head, body) = lengths;
                let end = head.saturating_add(body);
                if end > ANSWER_BYTES_MAX {
                    return Err("an answer that is too long".into());
                }
                while self.buffer.len() < end {
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        return Err("an answer that breaks off".into());
                    }
                }
                return Ok((head, end));
            }
        }
    }
}

impl Tally {
    fn note(&mut self, what: String) {
        self.bad += 1;
        if self.first_bad.is_none() {
            self.first_bad = Some(what);
        }
    }
}

/// Bytes of the head and of the body, once the head is there.
fn lengths_of(bytes: &[u8]) -> Fallible<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = bytes.get(..end).unwrap_or_default();
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value.get(1..).unwrap_or_default())?;
            return Ok(Some((end + 4, digits.trim().parse()?)));
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err("an answer in chunks, which this load generator does not read".into());
        }
    }
    Ok(Some((end + 4, 0)))
}

fn status_of(head: &[u8]) -> Option<u16> {
    std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()
}

/// A request as bytes.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
    if let Some(body) = body {
        head.push_str("content-type: application/json\r\n");
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn an_answer_has_the_length_that_it_says() {
        let bytes = b"HTTP/1.1 402 Payment Required\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(lengths_of(bytes).expect("readable"), Some((52, 5)));
        assert_eq!(status_of(bytes), Some(402));
        assert_eq!(
            lengths_of(b"HTTP/1.1 200 OK\r\n").expect("unfinished"),
            None
        );
        assert_eq!(
            lengths_of(b"HTTP/1.1 204 No Content\r\n\r\n").expect("readable"),
            Some((27, 0))
        );
        assert!(lengths_of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(lengths_of(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n").is_err());
    }

    #[test]
    fn requests_in_turn_begin_again_until_the_time_is_over() {
        let feed = |time| {
            let requests = vec![b"a".to_vec(), b"b".to_vec()];
            Source::new(Feed::InTurn(requests, time), Instant::now())
        };
        let source = feed(Duration::from_secs(3600));
        let sent: Vec<&[u8]> = (0..5).filter_map(|_| source.next()).collect();
        assert_eq!(sent, [b"a", b"b", b"a", b"b", b"a"]);
        assert_eq!(feed(Duration::ZERO).next(), None);
    }

    /// Answers each connection's requests with 200 and 500 in turn.
    fn server() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                std::thread::spawn(move || {
                    let mut buffer = [0; 1024];
                    let mut is_good = false;
                    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                        is_good = !is_good;
                        let status = if is_good { "200 OK" } else { "500 No" };
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nhi");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    #[test]
    fn each_request_is_sent_once_and_failures_are_counted_apart() {
        let feed = Feed::Each(vec![request("GET", "/", &[], None); 20]);
        let measured = run(server(), 2, feed, |answer| answer.status == 200).expect("measured");
        assert_eq!(measured.good + measured.bad, 20);
        assert!(
            measured.good >= 10 && measured.bad >= 9,
            "{}",
            measured.good
        );
        assert_eq!(measured.first_bad.as_deref(), Some("500 hi"));
        assert_eq!(measured.times.len(), measured.good);
    }
}
