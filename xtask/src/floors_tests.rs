//! Floors on made-up metadata.

use serde_json::json;

use super::*;

/// A member called `name` that declares `(dependency, kind)`.
fn member(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
    let declared: Vec<Value> = dependencies
        .iter()
        .map(|(name, kind)| json!({"name": name, "kind": kind}))
        .collect();
    json!({"id": name, "name": name, "version": "0.1.0", "manifest_path": format!("/x/crates/{name}/Cargo.toml"), "dependencies": declared})
}

fn workspace(members: Vec<Value>) -> Value {
    let ids: Vec<Value> = members.iter().map(|member| member["id"].clone()).collect();
    json!({"packages": members, "workspace_members": ids})
}

#[test]
fn an_arrow_down_is_allowed() {
    let metadata = workspace(vec![
        member("farebox-seller", &[("farebox-core", None), ("serde", None)]),
        member("farebox-core", &[("farebox-wire", None)]),
    ]);
    assert_eq!(check_arrows(&metadata), Vec::<String>::new());
}

#[test]
fn an_arrow_up_is_refused() {
    let faults = check_arrows(&workspace(vec![member(
        "farebox-core",
        &[("farebox-ledger", None)],
    )]));
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].contains("must not depend on farebox-ledger"),
        "{faults:?}"
    );
}

#[test]
fn crates_of_one_floor_do_not_know_each_other() {
    assert_eq!(
        check_arrows(&workspace(vec![member(
            "farebox-seller",
            &[("farebox-buyer", None)]
        )]))
        .len(),
        1
    );
    assert_eq!(
        check_arrows(&workspace(vec![member(
            "farebox-wallet",
            &[("farebox-server", Some("build"))]
        )]))
        .len(),
        1
    );
}

#[test]
fn development_dependencies_and_tools_may_look_up() {
    let mut tool = member("paid-api", &[("farebox-server", None)]);
    tool["manifest_path"] = json!("/x/examples/paid-api/Cargo.toml");
    let metadata = workspace(vec![
        tool,
        member("farebox-core", &[("farebox-ledger", Some("dev"))]),
        member("farebox-bench", &[("farebox", None)]),
    ]);
    assert_eq!(check_arrows(&metadata), Vec::<String>::new());
}

#[test]
fn a_room_without_a_floor_is_refused() {
    assert_eq!(
        check_arrows(&workspace(vec![member("farebox-attic", &[])])).len(),
        1
    );
}

#[test]
fn the_tree_of_a_crate_is_read_once_for_each_package() {
    let tree = read_tree(
        b"farebox-wire v0.1.0 (/x/crates/wire)\nserde v1.0.0\nserde_derive v1.0.0 (proc-macro)\nserde v1.0.0 (*)\n\n",
    );
    let names: Vec<&str> = tree.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["farebox-wire", "serde", "serde_derive"]);
    assert_eq!(check_light("farebox-wire", &tree), Vec::<String>::new());
}

#[test]
fn a_light_crate_that_grows_is_refused() {
    let tree_of = |count: usize| {
        (0..count)
            .map(|n| (format!("p{n}"), "1.0.0".to_owned()))
            .collect()
    };
    assert_eq!(
        check_light("farebox-wire", &tree_of(LIGHT_PACKAGES)),
        Vec::<String>::new()
    );
    assert_eq!(
        check_light("farebox-wire", &tree_of(LIGHT_PACKAGES + 1)).len(),
        1
    );
    assert_eq!(check_light("farebox-wire", &tree_of(0)).len(), 1);
}

#[test]
fn two_versions_of_one_package_are_refused() {
    let tree = BTreeSet::from([
        ("syn".to_owned(), "2.0.0".to_owned()),
        ("syn".to_owned(), "3.0.0".to_owned()),
    ]);
    let faults = check_light("farebox-core", &tree);
    assert_eq!(faults, ["farebox-core pulls in syn twice: 2.0.0 and 3.0.0"]);
}

#[test]
fn the_host_is_read_from_rustc() {
    assert_eq!(
        host_platform(b"rustc 1\nhost: x86_64-unknown-linux-gnu\n"),
        Ok("x86_64-unknown-linux-gnu".to_owned())
    );
    assert!(host_platform(b"rustc 1\n").is_err());
}
