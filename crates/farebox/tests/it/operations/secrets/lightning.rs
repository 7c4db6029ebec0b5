//! The secrets of L402, planted and looked for: the token and its proof, the key that mints, and what opens the nodes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farebox_devnet_ln::{ANY_METHOD, Fault};

use super::super::collector::Collector;
use super::super::{ask, payers};
use super::{QUERY, talkative};
use crate::channel::Channel;
use crate::support::Running;

/// The request log and the traces of the gate.
fn telling(collector: &Collector) -> String {
    format!(
        "[log]\nformat = \"json\"\nfile = \"gate.log\"\n\
         [telemetry]\notlp = \"{}\"\nrequests = \"all\"\n",
        collector.url()
    )
}

/// What the buyer's commands say at their most talkative, for people and for machines.
fn listen_to_buyer(channel: &Channel) -> Vec<String> {
    let token = channel.tokens()[0]["id"]
        .as_str()
        .expect("a name")
        .to_owned();
    let payment = channel.payments("buyer")[0]["id"]
        .as_str()
        .expect("a name")
        .to_owned();
    let commands: [&[&str]; 8] = [
        &["token", "list"],
        &["token", "show", &token],
        &["payments", "list"],
        &["payments", "show", &payment],
        &["payments", "resume", "--all"],
        &["budget", "show"],
        &["wallet", "balance"],
        &["doctor"],
    ];
    commands
        .into_iter()
        .flat_map(|command| said_by(channel, command, "buyer"))
        .collect()
}

/// The same of the seller's, while its gate runs.
fn listen_to_seller(channel: &Channel) -> Vec<String> {
    let commands: [&[&str]; 3] = [&["payments", "list"], &["doctor"], &["gate", "--check"]];
    commands
        .into_iter()
        .flat_map(|command| said_by(channel, command, "seller"))
        .collect()
}

fn said_by(channel: &Channel, command: &[&str], role: &str) -> [String; 2] {
    let config = format!("{role}.toml");
    [&[][..], &["--json"]].map(|how| {
        let common = ["--config", &config, "-vv"];
        let ended = channel.user.run(&[command, &common, how].concat());
        format!("{}\n{}", ended.stdout, ended.stderr)
    })
}

/// A purchase at its most talkative.
fn fetch(channel: &Channel, how: &[&str], path: &str) -> (i32, String) {
    let url = channel.url(path);
    let ended = channel.fetch(&[how, &["-vv", &url]].concat());
    (ended.exit, format!("{}\n{}", ended.stdout, ended.stderr))
}

/// The newest credential of the buyer's, as it is shown to the seller.
fn credential(channel: &Channel) -> String {
    let books = rusqlite::Connection::open(channel.user.path("buyer.db")).expect("books");
    let newest = "SELECT credential_value FROM tokens ORDER BY seq DESC LIMIT 1";
    books
        .query_row(newest, [], |row| row.get(0))
        .expect("a token")
}

/// Shows the gate a token of its own with a proof of something else, and in two ways at once.
fn show_junk(channel: &Channel, credential: &str) {
    let macaroon = token_of(credential).0;
    payers::run(async {
        let url = channel.url(&format!("/ok?key={QUERY}"));
        let wrong = format!("L402 {macaroon}:{}", "5a".repeat(32));
        let shown = payers::client().get(&url).header("authorization", wrong);
        assert_eq!(
            shown.send().await.expect("an answer").status().as_u16(),
            401
        );
        let used = payers::client()
            .get(&url)
            .header("authorization", credential);
        assert_eq!(used.send().await.expect("an answer").status().as_u16(), 402);
        let torn = payers::client()
            .get(&url)
            .header("authorization", format!("L402 {macaroon}"));
        assert_eq!(torn.send().await.expect("an answer").status().as_u16(), 401);
    });
}

/// The macaroon and the preimage of `L402 macaroon:preimage`.
fn token_of(credential: &str) -> (String, String) {
    let token = credential.split_once(' ').expect("a scheme").1;
    let (macaroon, preimage) = token.split_once(':').expect("a proof");
    (macaroon.to_owned(), preimage.to_owned())
}

/// A secret in every spelling in which it could come out.
fn spellings(hex_digits: &str) -> [String; 2] {
    let bytes = hex::decode(hex_digits).expect("hex");
    [hex_digits.to_owned(), STANDARD.encode(bytes)]
}

fn start(channel: &mut Channel) {
    drop(channel.gate.take());
    let listen = channel.url("");
    let listen = listen.trim_start_matches("http://");
    let gate = ["gate", "--config", "seller.toml", "--listen", listen];
    let admin = ["--admin", "127.0.0.1:0"];
    channel.gate = Some(talkative(&channel.user, &[&gate[..], &admin].concat()));
}

/// Everything that the gate has said, at its end.
fn close(gate: Running, channel: &Channel, collector: &Collector) -> Vec<String> {
    let mut said = vec![gate.ready.to_string()];
    for path in ["metrics", "readyz"] {
        said.push(ask(&format!("{}/{path}", gate.text("/admin"))).1);
    }
    gate.signal("TERM");
    let (_, stderr) = gate.wait();
    assert!(stderr.lines().count() > 3, "talkative: {stderr}");
    said.push(stderr);
    assert!(collector.spans().len() > 5, "talkative as well");
    // Texts stand in protobuf as they are.
    let bodies = collector.bodies().into_iter();
    said.extend(bodies.map(|(_, body)| String::from_utf8_lossy(&body).into_owned()));
    let log = channel.user.read("gate.log");
    assert!(log.contains("\"credential\":\""), "{log}");
    said.push(log);
    said
}

/// Who asks for it is told: what is looked for is what would be printed.
fn assert_revealed(channel: &Channel, macaroon: &str, preimage: &str) {
    let token = channel.tokens()[0]["id"]
        .as_str()
        .expect("a name")
        .to_owned();
    let show = [
        "token",
        "show",
        &token,
        "--reveal",
        "--config",
        "buyer.toml",
    ];
    let shown = channel.user.run(&show).stdout;
    assert!(
        shown.contains(macaroon) && shown.contains(preimage),
        "{shown}"
    );
}

#[test]
fn no_output_holds_a_secret_of_lightning() {
    let collector = Collector::start();
    let mut channel = Channel::with(&telling(&collector), "");
    start(&mut channel);
    let mut said = Vec::new();
    for (how, path) in [(&[][..], "/ok"), (&["--json"], "/echo")] {
        let (exit, text) = fetch(&channel, how, path);
        assert_eq!(exit, 0, "{text}");
        said.push(text);
    }
    let paid = credential(&channel);
    show_junk(&channel, &paid);
    said.extend(listen_to_buyer(&channel));
    said.extend(listen_to_seller(&channel));
    // Errors tell of whom was asked, and how: let both nodes fail.
    for node in [0, 1] {
        let message =
            "verification failed: signature mismatch after caveat verification".to_owned();
        let fault = Fault::Refuse { code: 2, message };
        channel.net.devnet().faults(node).set(ANY_METHOD, fault);
    }
    let (exit, text) = fetch(&channel, &[], "/bytes");
    assert_ne!(exit, 0, "{text}");
    said.push(text);
    said.extend(listen_to_buyer(&channel));
    said.extend(listen_to_seller(&channel));
    let gate = channel.gate.take().expect("it runs");
    said.extend(close(gate, &channel, &collector));
    let (macaroon, preimage) = token_of(&paid);
    assert_revealed(&channel, &macaroon, &preimage);
    let mut secrets = vec![macaroon, QUERY.to_owned()];
    secrets.extend(spellings(&preimage));
    secrets.extend(spellings(channel.user.read("l402.key").trim()));
    for node in channel.net.devnet().nodes() {
        secrets.extend(spellings(&node.macaroon));
    }
    for secret in &secrets {
        assert!(secret.len() >= 16, "{secret}");
        for text in &said {
            assert!(!text.contains(secret.as_str()), "{secret} in:\n{text}");
        }
    }
}
