//! packaging/: the command lines of the units and of the image start what they say, with the files that
//! their first lines say to install.

use std::path::PathBuf;

use crate::examples::{LEAST, Trial};
use crate::support::Running;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn packaged(name: &str) -> String {
    let path = root().join("packaging").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The values of a key in a unit, in their order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let lines = unit.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value)
        .collect()
}

/// Lays out what a service finds on its machine: its configuration, its keys and its directory.
fn install(trial: &Trial, example: &str, file: &str) {
    trial.place(example, &[LEAST]);
    // The books are in the directory of the service.
    let text = trial.user.read(example);
    let kept = text.lines().filter(|line| !line.starts_with("ledger = "));
    trial.user.write(file, &kept.collect::<Vec<_>>().join("\n"));
    let key = trial.user.read("net/gas.key");
    trial.user.write("gas.key", &key);
    trial.user.write("seller.token", "a-token-of-this-test\n");
}

/// Starts a command line, as systemd or a container would, on a free port.
fn start(trial: &Trial, line: &str, places: &[(&str, &str)]) -> Running {
    let mut line = line.to_owned();
    for (theirs, ours) in places {
        assert!(line.contains(theirs), "{theirs} in {line}");
        line = line.replace(theirs, ours);
    }
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[0], "/usr/bin/farebox");
    let free = ["--listen", "127.0.0.1:0", "--json"];
    trial.user.start(&[&words[1..], &free].concat())
}

#[test]
fn the_units_start_what_they_say_with_the_keys_that_they_load() {
    for (unit, example, file) in [
        ("farebox-gate", "one-api.toml", "gate.toml"),
        (
            "farebox-facilitator",
            "facilitator.toml",
            "facilitator.toml",
        ),
    ] {
        let text = packaged(&format!("{unit}.service"));
        let trial = Trial::new();
        install(&trial, example, file);
        let [command] = values(&text, "ExecStart")[..] else {
            panic!("one ExecStart in {unit}");
        };
        let loaded = values(&text, "LoadCredential");
        for word in command.split(' ').filter_map(|word| word.split_once("%d/")) {
            let source = format!("{0}:/etc/farebox/{0}", word.1);
            assert!(loaded.contains(&source.as_str()), "{unit} loads {source}");
        }
        let (etc, state) = (format!("/etc/farebox/{file}"), format!("%S/{unit}"));
        let server = start(
            &trial,
            command,
            &[(&etc, file), (&state, "state"), ("file:%d/", "file:")],
        );
        assert!(trial.user.path("state/farebox.db").exists(), "{unit}");
        assert_eq!(values(&text, "StateDirectory"), [unit]);
        drop(server);
    }
}

/// The words of an instruction that is written as a JSON array.
fn array(containerfile: &str, instruction: &str) -> Vec<String> {
    let mut lines = containerfile.lines().filter_map(|line| {
        line.strip_prefix(instruction)
            .and_then(|rest| serde_json::from_str(rest).ok())
    });
    lines.next_back().unwrap_or_default()
}

#[test]
fn the_image_starts_what_it_says() {
    let text = packaged("Containerfile");
    let trial = Trial::new();
    install(&trial, "one-api.toml", "gate.toml");
    let gate = trial.user.read("gate.toml");
    let gate = gate.replace("env:GAS_KEY", "file:gas.key");
    trial.user.write("gate.toml", &gate);
    let line = [array(&text, "ENTRYPOINT "), array(&text, "CMD ")].concat();
    let places = [
        ("/etc/farebox/gate.toml", "gate.toml"),
        ("/var/lib/farebox", "state"),
    ];
    let server = start(&trial, &line.join(" "), &places);
    assert!(trial.user.path("state/farebox.db").exists());
    drop(server);
}

#[test]
fn the_image_is_lean_not_roots_and_made_of_what_is_in_the_repository() {
    let text = packaged("Containerfile");
    let ignored = packaged("Containerfile.dockerignore");
    let workspace = include_str!("../../../../Cargo.toml");
    let (_, version) = workspace
        .split_once("rust-version = \"")
        .expect("a version");
    let (version, _) = version.split_once('"').expect("which ends");
    assert!(text.contains(&format!("rust:{version}-")), "Rust {version}");
    assert!(text.contains("--locked --package farebox --no-default-features"));
    let user = text.lines().filter_map(|line| line.strip_prefix("USER "));
    assert_eq!(user.collect::<Vec<_>>(), ["65532:65532"]);
    let copied = text.lines().filter_map(|line| line.strip_prefix("COPY "));
    for line in copied.filter(|line| !line.starts_with("--from=build")) {
        let sources: Vec<&str> = line.split(' ').collect();
        for source in &sources[..sources.len() - 1] {
            assert!(root().join(source).exists(), "{source}");
            assert!(ignored.contains(&format!("\n!{source}\n")), "{source}");
        }
    }
    // Cargo wants every member to be there, though it builds one.
    let members = array(workspace, "members = ");
    assert!(!members.is_empty());
    for member in members {
        let folder = member.trim_end_matches("/*");
        assert!(
            text.contains(&format!("\nCOPY {folder} {folder}\n")),
            "{member}"
        );
    }
}
