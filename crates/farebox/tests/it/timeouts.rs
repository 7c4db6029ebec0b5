//! How long a gate waits for upstreams: for all, and for the routes that say otherwise.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::sync::Semaphore;

use crate::market::Server;
use crate::support::User;

#[test]
fn a_route_waits_as_long_as_it_says_and_others_as_long_as_all() {
    // It answers nobody before it may.
    let may_answer = Arc::new(Semaphore::new(0));
    let asked = Arc::clone(&may_answer);
    let answer = get(async move || {
        asked.acquire().await.expect("open").forget();
        "here\n"
    });
    let upstream = Server::start(Router::new().fallback_service(answer));
    let user = User::new();
    let _net = user.devnet();
    let url = upstream.url();
    let file = format!(
        "{}\n[timeouts]\nhead = \"60s\"\n[[route]]\nmatch = \"/short\"\nupstream = \"{url}\"\n\
         price = \"0 USD\"\ntimeouts = {{ head = \"100ms\" }}\n[[route]]\nmatch = \"/*\"\n\
         upstream = \"{url}\"\nprice = \"0 USD\"\n",
        user.read("net/seller.toml")
    );
    user.write("net/shop.toml", &file);
    let listen = ["--listen", "127.0.0.1:0", "--json"];
    let gate = user.start(&[&["gate", "--config", "net/shop.toml"][..], &listen].concat());
    let gate = gate.text("/listening");
    let fetch = |path: &str| user.run(&["fetch", &format!("{gate}{path}")]);
    std::thread::scope(|scope| {
        let long = scope.spawn(|| fetch("/long"));
        let short = fetch("/short");
        assert_eq!(short.exit, 22, "{}", short.stderr);
        assert!(
            short.stdout.contains("upstream_timeout"),
            "{}",
            short.stdout
        );
        // Two, in case the first goes to the one that nobody waits for any more.
        may_answer.add_permits(2);
        let long = long.join().expect("it ends");
        assert_eq!(
            (long.exit, long.stdout.as_str()),
            (0, "here\n"),
            "{}",
            long.stderr
        );
    });
}

#[test]
fn a_route_that_waits_for_no_time_is_refused_at_the_start() {
    let user = User::new();
    let _net = user.devnet();
    for (timeouts, says) in [
        ("timeouts = { idle = \"0s\" }", "idle"),
        ("timeouts = { head = \"soon\" }", "soon"),
        ("timeouts = { body = \"5s\" }", "body"),
    ] {
        let file = format!(
            "{}\n[[route]]\nmatch = \"/*\"\nupstream = \"http://127.0.0.1:3000\"\n\
             price = \"0.001 USD\"\n{timeouts}\n",
            user.read("net/seller.toml")
        );
        user.write("net/shop.toml", &file);
        for check in [&["--check"][..], &[]] {
            let gate = [
                "gate",
                "--config",
                "net/shop.toml",
                "--listen",
                "127.0.0.1:0",
            ];
            let (exit, answer) = user.json(&[&gate[..], check].concat());
            assert_eq!(exit, 2, "{answer}");
            let message = answer["error"]["message"].as_str().expect("a text");
            assert!(message.contains(says), "{message}");
        }
    }
}
