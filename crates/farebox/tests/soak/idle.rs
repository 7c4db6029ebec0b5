//! Thousands of clients that keep a connection and say nothing: what a gate holds for each is little, others are
//! served and pay beside them, and one more than there may be is told so.
//!
//! | kind | what it has done before it fell silent |
//! |---|---|
//! | nothing | connected |
//! | HTTP/1.1 | got an answer |
//! | HTTP/2 | got an answer |
//! | TLS | got an answer, of HTTP/1.1 |

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::market::Upstream;
use crate::support::{Running, User};
use crate::{alone, scale};

/// Connections per scale: ten thousand in a full run, the gate's own limit.
const CONNECTIONS: usize = 1_000;
/// Places that are left free for those who ask meanwhile.
const SPARE: usize = 10;
/// Threads that open connections: a gate keeps an idle one for half a minute, so all have to be open before.
const OPENERS: usize = 4;
/// Files that a process needs besides its connections.
const OTHER_FILES: u64 = 200;
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take until a silent connection counts as accepted: who is turned away is told at once.
const TOLD_WITHIN: Duration = Duration::from_millis(300);
/// The most that a gate may keep for one connection of each kind.
const SILENT_KIB_MAX: u64 = 8;
const HTTP_1_KIB_MAX: u64 = 32;
const HTTP_2_KIB_MAX: u64 = 48;
const TLS_KIB_MAX: u64 = 64;
/// What has nothing to do with connections: the first requests, pools, the watch.
const BESIDES_KIB_MAX: u64 = 6 * 1024;

const GET: &[u8] = b"GET /echo HTTP/1.1\r\nhost: a\r\n\r\n";
/// How the answer to it ends.
const END: &[u8] = b"x-test: -\n";
const PREFACE_AND_SETTINGS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// The same request in HPACK, without its table.
const GET_BLOCK: &[u8] = b"\x82\x86\x04\x05/echo\x41\x01a";

/// A gate with something free and something that has a price, on a chain of its own.
struct Town {
    user: User,
    gate: Running,
    /// Connections that it may have.
    places: usize,
    _net: Running,
    _upstream: Upstream,
}

impl Town {
    fn open(tls: bool) -> Self {
        let (user, upstream) = (User::new(), Upstream::start());
        let net = user.devnet();
        let places = places();
        let mut head = format!("connections = {places}\n");
        if tls {
            let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
            let signed = signed.expect("a certificate");
            user.write("net/cert.pem", &signed.cert.pem());
            user.write("net/key.pem", &signed.signing_key.serialize_pem());
            head += "tls = { cert = \"file:cert.pem\", key = \"file:key.pem\" }\n";
        }
        let url = upstream.url();
        let file = format!(
            "{head}{}\n[[route]]\nmatch = \"/echo\"\nupstream = \"{url}\"\nprice = \"0 USD\"\n\
             [[route]]\nmatch = \"/*\"\nupstream = \"{url}\"\nprice = \"0.001 USD\"\n",
            user.read("net/seller.toml")
        );
        user.write("net/gate.toml", &file);
        let listen = ["--listen", "127.0.0.1:0", "--json"];
        let gate = user.start(&[&["gate", "--config", "net/gate.toml"][..], &listen].concat());
        Self {
            user,
            gate,
            places,
            _net: net,
            _upstream: upstream,
        }
    }

    fn connect(&self) -> TcpStream {
        let listening = self.gate.text("/listening");
        let (_, address) = listening.split_once("//").expect("a URL");
        let address: SocketAddr = address.parse().expect("an address");
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        stream
    }

    /// Resident memory of the gate.
    fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.gate.pid()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let digits = line.and_then(|line| line.split_whitespace().next());
        digits
            .and_then(|digits| digits.parse().ok())
            .expect("kilobytes")
    }

    /// Opens connections with `open` until all but a few places are taken; says what one costs.
    fn fill<C: Send>(&self, kind: &str, most_kib: u64, open: impl Fn() -> C + Sync) -> Vec<C> {
        // What the first of them cost is not theirs.
        drop((0..50).map(|_| open()).collect::<Vec<_>>());
        let (before, began) = (self.memory_kib(), Instant::now());
        let each = (self.places - SPARE) / OPENERS;
        let clients: Vec<C> = std::thread::scope(|scope| {
            let opening: Vec<_> = (0..OPENERS)
                .map(|_| scope.spawn(|| (0..each).map(|_| open()).collect::<Vec<C>>()))
                .collect();
            let opened = opening
                .into_iter()
                .map(|thread| thread.join().expect("opened"));
            opened.flatten().collect()
        });
        let (grown, count) = (self.memory_kib().saturating_sub(before), clients.len());
        println!(
            "idle: {count} connections of {kind} in {} ms took {grown} KiB, {} bytes each",
            began.elapsed().as_millis(),
            grown * 1024 / count as u64
        );
        assert!(
            grown <= most_kib * count as u64 + BESIDES_KIB_MAX,
            "{grown} KiB for {count} connections of {kind}"
        );
        clients
    }

    /// Somebody new is served, and somebody pays.
    fn serves_others(&self) {
        ask(&mut self.connect());
        let url = format!("{}/ok", self.gate.text("/listening"));
        let paid = self
            .user
            .run(&["fetch", "--config", "net/buyer.toml", &url]);
        assert_eq!(
            (paid.exit, paid.stdout.as_str()),
            (0, "ok\n"),
            "{}",
            paid.stderr
        );
    }

    /// Takes the places that are left; who comes then is told so, and served when somebody has left.
    fn turns_away_one_more(&self, mut clients: Vec<TcpStream>) {
        let mut last = Vec::new();
        let told = loop {
            assert!(
                last.len() <= SPARE + OPENERS,
                "there are more than there may be"
            );
            let mut stream = self.connect();
            match refusal(&mut stream) {
                None => last.push(stream),
                Some(told) => break told,
            }
        };
        assert!(told.starts_with("HTTP/1.1 503"), "{told}");
        assert!(told.contains("too_many_connections"), "{told}");
        println!(
            "idle: with {} connections one more got 503",
            clients.len() + last.len()
        );
        assert_eq!(clients.len() + last.len(), self.places);
        clients.truncate(clients.len() - 2 * SPARE);
        let deadline = Instant::now() + PATIENCE;
        while let Some(told) = refusal(&mut self.connect()) {
            assert!(Instant::now() < deadline, "nobody is let in: {told}");
        }
        self.serves_others();
    }
}

/// As many as asked for, or as the system lets one process have.
fn places() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all).expect("what is allowed");
    let allowed = limit
        .maximum
        .unwrap_or(u64::MAX)
        .saturating_sub(OTHER_FILES);
    let wanted = CONNECTIONS * scale();
    let places = usize::try_from(allowed).unwrap_or(usize::MAX).min(wanted);
    if places < wanted {
        println!("idle: only {places} of {wanted} connections, for want of open files");
    }
    places
}

/// What a client is told that has said nothing yet.
fn refusal(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(TOLD_WITHIN)).expect("a time");
    let mut told = [0; 1024];
    let read = stream.read(&mut told);
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    match read {
        Ok(read) => Some(String::from_utf8_lossy(&told[..read]).into_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("a connection broke: {error}"),
    }
}

/// Asks, and reads the answer to its end.
fn ask(stream: &mut (impl Read + Write)) {
    stream.write_all(GET).expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(END) {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).expect("an answer");
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

/// The same in HTTP/2, on a stream of this number.
fn ask_in_http_2(stream: &mut TcpStream, number: u8) {
    let length = u8::try_from(GET_BLOCK.len()).expect("short");
    let head = [0, 0, length, 1, 5, 0, 0, 0, number];
    stream
        .write_all(&[&head, GET_BLOCK].concat())
        .expect("written");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("short")];
        stream.read_exact(&mut payload).expect("a payload");
        match (head[3], head[4], head[8]) {
            // 200, as HPACK knows it without a table.
            (1, _, of) if of == number => assert_eq!(payload[0], 0x88),
            (0, flags, of) if of == number && flags & 1 == 1 => return,
            (3 | 7, ..) => panic!("refused: {payload:?}"),
            _ => {}
        }
    }
}

#[test]
#[ignore = "a long run; `cargo xtask soak`"]
fn silent_connections_cost_little_and_keep_nobody_out() {
    let _alone = alone();
    let town = Town::open(false);
    let opened = AtomicUsize::new(0);
    let mut clients = town.fill("nothing", SILENT_KIB_MAX, || {
        // Who waits for an answer comes after all that were there before: more than the system queues would have
        // to try again.
        if opened.fetch_add(1, Ordering::Relaxed).is_multiple_of(50) {
            ask(&mut town.connect());
        }
        town.connect()
    });
    town.serves_others();
    ask(&mut clients[0]);
    town.turns_away_one_more(clients);
}

#[test]
#[ignore = "a long run; `cargo xtask soak`"]
fn idle_connections_of_http_1_cost_little_and_keep_nobody_out() {
    let _alone = alone();
    let town = Town::open(false);
    let mut clients = town.fill("HTTP/1.1", HTTP_1_KIB_MAX, || {
        let mut stream = town.connect();
        ask(&mut stream);
        stream
    });
    town.serves_others();
    ask(&mut clients[0]);
    town.turns_away_one_more(clients);
}

#[test]
#[ignore = "a long run; `cargo xtask soak`"]
fn idle_connections_of_http_2_cost_little_and_keep_nobody_out() {
    let _alone = alone();
    let town = Town::open(false);
    let mut clients = town.fill("HTTP/2", HTTP_2_KIB_MAX, || {
        let mut stream = town.connect();
        stream.write_all(PREFACE_AND_SETTINGS).expect("written");
        ask_in_http_2(&mut stream, 1);
        stream
    });
    town.serves_others();
    ask_in_http_2(&mut clients[0], 3);
    town.turns_away_one_more(clients);
}

/// Who is one too many is cut off without a word: a handshake would be the dearest way to say so.
#[test]
#[ignore = "a long run; `cargo xtask soak`"]
fn idle_connections_of_tls_cost_little() {
    let _alone = alone();
    let town = Town::open(true);
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(town.user.path("net/cert.pem"));
    roots.add(root.expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let open = || {
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::clone(&config), name).expect("a client");
        let mut stream = StreamOwned::new(client, town.connect());
        ask(&mut stream);
        stream
    };
    let mut clients = town.fill("TLS", TLS_KIB_MAX, open);
    ask(&mut open());
    let last = clients.last_mut().expect("thousands");
    ask(last);
}
