//! The commands of README.md, as they stand there, on free ports.

use crate::market::{PAYEE, Upstream};
use crate::support::{Ended, Running, User};

/// The commands of the README's shell blocks, one string each, all as of the installed binary. The tests
/// themselves are the one that is left out.
fn commands() -> Vec<String> {
    let readme = include_str!("../../../../README.md");
    let mut commands = Vec::new();
    let mut in_shell = false;
    for line in readme.replace("\\\n", " ").lines() {
        match line.trim() {
            "```sh" => in_shell = true,
            "```" => in_shell = false,
            command if in_shell && !["", "cargo test --workspace"].contains(&command) => {
                commands.push(command.replace("cargo run --release -- ", "farebox "))
            }
            _ => {}
        }
    }
    commands
}

/// Splits as a shell does, as far as the README needs it.
fn words(command: &str) -> Vec<String> {
    let quoted = command
        .split('"')
        .enumerate()
        .flat_map(|(place, part)| match place % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
    quoted.skip(1).collect()
}

/// What differs on the machine of a test.
struct Places {
    upstream: String,
    rpc: String,
    gate: String,
}

impl Places {
    fn fill(&self, command: &str) -> Vec<String> {
        let filled = command
            .replace("http://127.0.0.1:3000", &self.upstream)
            .replace("http://127.0.0.1:8545", &self.rpc)
            .replace("http://127.0.0.1:8402", &self.gate)
            .replace("--listen 127.0.0.1:8402", "--listen 127.0.0.1:0 --json")
            .replace("--listen 127.0.0.1:8404", "--listen 127.0.0.1:0 --json")
            .replace("--only evm", "--only evm --evm-port 0 --json")
            .replace("0x…", PAYEE)
            .replace("/weather", "/ok");
        words(&filled)
    }
}

#[test]
fn every_command_of_the_readme_works() {
    let user = User::new();
    let upstream = Upstream::start();
    let mut places = Places {
        upstream: upstream.url(),
        rpc: String::new(),
        gate: String::new(),
    };
    let mut net = None;
    let mut seller: Option<Running> = None;
    let commands = commands();
    assert!(
        commands.len() >= 9,
        "the README shows how to sell and to buy: {commands:?}"
    );
    for text in &commands {
        assert!(text.starts_with("farebox "), "what is this? {text}");
        let words = places.fill(text);
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = user.command(&arguments);
        command.env("FAREBOX_PASSPHRASE", "correct horse");
        match arguments[0] {
            "devnet" => {
                let running = Running::of(command);
                places.rpc = running.text("/evm/rpc");
                net = Some(running);
            }
            "gate" | "facilitator" => {
                // One gas key and one ledger have one owner at a time.
                drop(seller.take());
                let key = std::fs::read_to_string(user.path("devnet/gas.key"));
                command.env("GAS_KEY", key.expect("the devnet has left it"));
                let running = Running::of(command);
                places.gate = running.text("/listening");
                seller = Some(running);
            }
            _ => {
                let ended = Ended::of(command.output().expect("farebox starts"));
                assert_eq!(ended.exit, 0, "{text}: {}", ended.stderr);
            }
        }
    }
    assert_eq!(upstream.calls(), 1, "the fetch of the README was served");
    assert!(net.is_some() && seller.is_some());
}
