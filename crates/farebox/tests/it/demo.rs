//! `farebox demo`: exits 0 only if all of it held, and says so to machines in one object.

use serde_json::{Value, json};

use crate::support::User;

#[test]
fn every_step_holds_and_the_books_equal_the_chain() {
    let user = User::new();
    let (exit, answer) = user.json(&["demo"]);
    assert_eq!(exit, 0, "{answer}");
    assert_eq!(answer["ok"], true);
    let keys: Vec<&String> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["books", "ok", "steps", "transaction"]);
    let steps = answer["steps"].as_array().expect("steps");
    let names: Vec<&Value> = steps.iter().map(|step| &step["name"]).collect();
    assert_eq!(
        names,
        [
            "free_call",
            "challenge",
            "paid_call",
            "replay",
            "over_limit",
            "books"
        ]
    );
    assert!(steps.iter().all(|step| step["ok"] == true));
    assert_eq!(answer["transaction"].as_str().map(str::len), Some(66));
    assert_eq!(answer["books"], json!({"ledger": "1000", "chain": "1000"}));
    assert!(!user.path("data").exists(), "it leaves nothing behind");
}

#[test]
fn for_people_it_is_a_short_story_without_colour_in_a_pipe() {
    let ended = User::new().run(&["demo"]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("6 of 6 steps held"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
    assert_eq!(ended.stderr, "");
}

#[cfg(not(feature = "all-rails"))]
#[test]
fn all_rails_in_a_build_without_them_names_the_feature() {
    let (exit, answer) = User::new().json(&["demo", "--all-rails"]);
    assert_eq!(exit, 2, "{answer}");
    assert_eq!(answer["error"]["code"], "feature_missing");
    let message = answer["error"]["message"].as_str().expect("a sentence");
    let command = "cargo build --release --features all-rails";
    assert!(message.contains(command), "{message}");
}
