//! `cargo xtask floors`: arrows between our crates go down only, and the two lowest floors stay light.
//! It reads `cargo metadata` and `cargo tree`; the table below is the one of docs/ARCHITECTURE.md.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::repo;

/// Every room and its floor. Crates of one floor do not know each other.
const FLOORS: [(&str, u8); 18] = [
    ("farebox", 5),
    ("farebox-wallet", 4),
    ("farebox-server", 4),
    ("farebox-buyer", 3),
    ("farebox-seller", 3),
    ("farebox-acme", 2),
    ("farebox-ledger", 2),
    ("farebox-rail-evm", 2),
    ("farebox-rail-remote", 2),
    ("farebox-rail-solana", 2),
    ("farebox-rail-lightning", 2),
    ("farebox-devnet-evm", 2),
    ("farebox-devnet-svm", 2),
    ("farebox-devnet-ln", 2),
    ("farebox-core", 1),
    ("farebox-node-ldk", 1),
    ("farebox-wire", 0),
    ("farebox-bench", EXEMPT),
];
/// Tools that may look into every room.
const EXEMPT: u8 = u8::MAX;
/// Crates that strangers embed, or that every other crate pays for.
const LIGHT: [&str; 2] = ["farebox-wire", "farebox-core"];
/// More packages than this below a light crate and it is no floor any more. Its own name counts.
const LIGHT_PACKAGES: usize = 35;

/// Checks the workspace.
pub(crate) fn run() -> Result<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let host = host_platform(&repo::output_of("rustc", &["-vV"])?)?;
    let json = repo::output_of(
        &cargo,
        &[
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            &host,
        ],
    )?;
    let metadata: Value = serde_json::from_slice(&json)
        .map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    let mut faults = check_arrows(&metadata);
    let mut sizes = Vec::new();
    for name in LIGHT {
        // By itself: next to all other rooms cargo would add what those turn on.
        let of_it = ["--package", name, "--edges", "normal", "--target", &host];
        let plain = ["tree", "--locked", "--prefix", "none", "--format", "{p}"];
        let tree = read_tree(&repo::output_of(&cargo, &[&plain[..], &of_it].concat())?);
        sizes.push(format!("{name} {} packages", tree.len()));
        faults.extend(check_light(name, &tree));
    }
    if faults.is_empty() {
        return Ok(format!(
            "floors: arrows go down only; {} (at most {LIGHT_PACKAGES})",
            sizes.join(", ")
        ));
    }
    Err(faults.join("\n"))
}

fn host_platform(version: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(version);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn floor_of(name: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(room, _)| *room == name)
        .map(|(_, floor)| *floor)
}

/// Every arrow that does not go down, and every room without a floor.
fn check_arrows(metadata: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for package in workspace_packages(metadata) {
        let name = text(package, "name");
        if is_tool(package) {
            continue;
        }
        let Some(floor) = floor_of(name) else {
            faults.push(format!("{name} has no floor: add it to the table in xtask/src/floors.rs and to docs/ARCHITECTURE.md"));
            continue;
        };
        for dependency in list(package, "dependencies") {
            let below = text(dependency, "name");
            let is_dev = dependency.get("kind").and_then(Value::as_str) == Some("dev");
            match floor_of(below) {
                Some(lower) if !is_dev && lower >= floor && floor != EXEMPT => {
                    faults.push(format!("{name} (floor {floor}) must not depend on {below} (floor {lower}): arrows go down only"));
                }
                _ => {}
            }
        }
    }
    faults
}

/// Packages that are no rooms: chores, examples, interop, fuzzing.
fn is_tool(package: &Value) -> bool {
    let manifest = text(package, "manifest_path");
    ["/xtask/", "/examples/", "/interop/", "/fuzz/"]
        .iter()
        .any(|folder| manifest.contains(folder))
}

fn workspace_packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    let members: BTreeSet<&str> = list(metadata, "workspace_members")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    list(metadata, "packages")
        .iter()
        .filter(move |package| members.contains(text(package, "id")))
}

/// Name and version of everything that a crate pulls in to run, itself included: lines like
/// `serde v1.0.0 (proc-macro)`, many of them more than once.
fn read_tree(listed: &[u8]) -> BTreeSet<(String, String)> {
    let listed = String::from_utf8_lossy(listed);
    let packages = listed.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        Some((name.to_owned(), version.trim_start_matches('v').to_owned()))
    });
    packages.collect()
}

/// What makes a light crate heavy.
fn check_light(name: &str, tree: &BTreeSet<(String, String)>) -> Vec<String> {
    let mut faults = Vec::new();
    if tree.is_empty() {
        faults.push(format!("{name} is not in the workspace"));
    }
    if tree.len() > LIGHT_PACKAGES {
        let names: Vec<&str> = tree.iter().map(|(package, _)| package.as_str()).collect();
        faults.push(format!(
            "{name} pulls in {} packages, at most {LIGHT_PACKAGES}: {}",
            tree.len(),
            names.join(" ")
        ));
    }
    let mut previous: Option<&(String, String)> = None;
    for package in tree {
        if let Some((_, version)) = previous.filter(|(before, _)| *before == package.0) {
            faults.push(format!(
                "{name} pulls in {} twice: {version} and {}",
                package.0, package.1
            ));
        }
        previous = Some(package);
    }
    faults
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
#[path = "floors_tests.rs"]
mod tests;
