//! No output of anybody holds a secret: every planted one is looked for in all that gate, facilitator
//! and fetch say at their most talkative, in the request logs, in the metrics, and in what a collector
//! of traces gets.

mod lightning;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::collector::Collector;
use super::payers::{self, client};
use super::{SHOP, ask};
use crate::market::{Server, Upstream};
use crate::support::{Running, User};

/// In the path of the RPC address, as providers have it.
const RPC_KEY: &str = "rpc-access-key-5d1f0a";
const TOKEN: &str = "bearer-token-77c3e9";
const QUERY: &str = "query-secret-0b44d2";
/// What the collector of traces wants to see.
const COLLECTOR_KEY: &str = "collector-key-a19c42";

/// Passes calls on from a path with a key in it.
async fn pass_on(State(rpc): State<String>, body: Bytes) -> (StatusCode, Bytes) {
    let sent = client()
        .post(rpc)
        .header("content-type", "application/json");
    match sent.body(body).send().await {
        Ok(answer) => (StatusCode::OK, answer.bytes().await.unwrap_or_default()),
        Err(_) => (StatusCode::BAD_GATEWAY, Bytes::new()),
    }
}

fn talkative(user: &User, arguments: &[&str]) -> Running {
    let mut command = user.command(&[arguments, &["-vv", "--json"]].concat());
    command.env("TOKEN", TOKEN);
    command.env("HEADER", format!("Bearer {TOKEN}"));
    command.env("COLLECTOR_KEY", COLLECTOR_KEY);
    Running::of(command)
}

/// Everything that was shown to buyers or signed by them, from the buyer's own books.
fn credentials(user: &User) -> Vec<String> {
    let books = rusqlite::Connection::open(user.path("net/buyer.db")).expect("books");
    let mut rows = books
        .prepare("SELECT credential_value FROM payments WHERE credential_value IS NOT NULL")
        .expect("a query");
    let rows = rows
        .query_map([], |row| row.get::<_, String>(0))
        .expect("rows");
    let mut found = Vec::new();
    for value in rows {
        let value = value.expect("text");
        let json = STANDARD.decode(&value).expect("base64");
        let payload: Value = serde_json::from_slice(&json).expect("JSON");
        let signature = payload["payload"]["signature"]
            .as_str()
            .expect("a signature");
        found.push(signature.trim_start_matches("0x").to_owned());
        found.push(value);
    }
    found
}

/// A gate that sells through a facilitator, both at their most talkative, and a chain behind an
/// address with a key in it.
struct Scene {
    user: User,
    _net: Running,
    proxy: Server,
    _upstream: Upstream,
    settler: Running,
    gate: Running,
    collector: Collector,
}

impl Scene {
    fn open() -> Self {
        let user = User::new();
        let net = user.devnet();
        let proxy = Router::new().route(&format!("/v2/{RPC_KEY}"), post(pass_on));
        let proxy = Server::start(proxy.with_state(net.text("/evm/rpc")));
        let rpc = format!("{}/v2/{RPC_KEY}", proxy.url());
        let upstream = Upstream::start();
        let head = user
            .read("net/seller.toml")
            .replace(&net.text("/evm/rpc"), &rpc);
        assert!(head.contains(RPC_KEY), "{head}");
        let collector = Collector::start();
        let telemetry = format!(
            "[telemetry]\notlp = \"{}\"\nrequests = \"all\"\nheaders = {{ x-key = \"env:COLLECTOR_KEY\" }}\n",
            collector.url()
        );
        let log =
            |name: &str| format!("[log]\nformat = \"json\"\nfile = \"{name}.log\"\n{telemetry}");
        let file = head.replace("seller.db", "settler.db");
        user.write("net/settler.toml", &format!("{file}\n{}", log("settler")));
        let listen = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let settler = [
            "facilitator",
            "--config",
            "net/settler.toml",
            "--token",
            "env:TOKEN",
        ];
        let settler = talkative(&user, &[&settler[..], &listen].concat());
        let facilitator = format!(
            "[facilitator]\nurls = [\"{}\"]\nheaders = {{ Authorization = \"env:HEADER\" }}",
            settler.text("/listening"),
        );
        let file = head.replace("[facilitator]\nurls = [\"local\"]", &facilitator);
        assert!(file.contains("env:HEADER"), "{file}");
        let routes = SHOP.replace("{upstream}", &upstream.url());
        user.write(
            "net/shop.toml",
            &format!("{file}\n{}\n{routes}", log("gate")),
        );
        let gate = ["gate", "--config", "net/shop.toml"];
        let gate = talkative(&user, &[&gate[..], &listen].concat());
        Self {
            user,
            _net: net,
            proxy,
            _upstream: upstream,
            settler,
            gate,
            collector,
        }
    }

    /// What a purchase says at its most talkative.
    fn fetch(&self, path: &str) -> (i32, String) {
        let url = format!("{}{path}", self.gate.text("/listening"));
        let fetch = ["fetch", "--config", "net/buyer.toml", "-vv", &url];
        let ended = self.user.run(&fetch);
        (ended.exit, format!("{}\n{}", ended.stdout, ended.stderr))
    }

    /// Shows junk with a secret in it to both.
    fn show(&self, junk: &str) {
        payers::run(async {
            let url = format!("{}/ok?key={QUERY}", self.gate.text("/listening"));
            let shown = client().get(&url).header("payment-signature", junk);
            assert_eq!(
                shown.send().await.expect("an answer").status().as_u16(),
                402
            );
            let url = format!("{}/settle", self.settler.text("/listening"));
            let asked = client().post(&url).bearer_auth(TOKEN).body(junk.to_owned());
            assert_eq!(
                asked.send().await.expect("an answer").status().as_u16(),
                400
            );
        });
    }

    /// Everything that both have said at the end.
    fn close(self) -> (User, Vec<String>) {
        let mut said = Vec::new();
        for running in [self.gate, self.settler] {
            for path in ["metrics", "readyz"] {
                said.push(ask(&format!("{}/{path}", running.text("/admin"))).1);
            }
            said.push(running.ready.to_string());
            running.signal("TERM");
            let (_, stderr) = running.wait();
            assert!(stderr.lines().count() > 3, "talkative: {stderr}");
            said.push(stderr);
        }
        let traces = self.collector.bodies();
        assert!(self.collector.spans().len() > 10, "talkative as well");
        for (headers, body) in traces {
            assert_eq!(headers["x-key"], COLLECTOR_KEY);
            // Texts stand in protobuf as they are.
            said.push(String::from_utf8_lossy(&body).into_owned());
        }
        for log in ["net/gate.log", "net/settler.log"] {
            let log = self.user.read(log);
            assert!(log.contains("\"credential\":\""), "{log}");
            said.push(log);
        }
        (self.user, said)
    }
}

#[test]
fn no_output_holds_a_planted_secret() {
    let mut scene = Scene::open();
    let mut said = Vec::new();
    let (exit, text) = scene.fetch("/ok");
    assert_eq!(exit, 0, "{text}");
    said.push(text);
    let junk = STANDARD.encode(format!("{{\"x402Version\":2,\"secret\":\"{TOKEN}\"}}"));
    scene.show(&junk);
    // Errors name addresses: take the chain away.
    scene.proxy = Server::start(Router::new());
    let (exit, text) = scene.fetch("/echo");
    assert_ne!(exit, 0, "{text}");
    said.push(text);
    let (user, more) = scene.close();
    said.extend(more);
    let key = |name: &str| user.read(name).trim().trim_start_matches("0x").to_owned();
    let mut secrets = vec![key("net/gas.key"), key("net/buyer.key"), junk];
    secrets.extend([RPC_KEY, TOKEN, QUERY, COLLECTOR_KEY].map(str::to_owned));
    let signed = credentials(&user);
    assert!(signed.len() >= 2, "something was signed");
    secrets.extend(signed);
    for secret in &secrets {
        assert!(secret.len() >= 16, "{secret}");
        for text in &said {
            assert!(!text.contains(secret.as_str()), "{secret} in:\n{text}");
        }
    }
}
