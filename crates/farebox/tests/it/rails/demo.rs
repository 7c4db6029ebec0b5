//! `farebox demo --all-rails`: the same page over every rail, and all books even.

use serde_json::{Value, json};

use crate::devnet::keys;
use crate::support::User;

#[test]
fn the_same_page_is_sold_over_every_rail_and_all_books_are_even() {
    let user = User::new();
    let (exit, answer) = user.json(&["demo", "--all-rails"]);
    assert_eq!(exit, 0, "{answer}");
    assert_eq!(answer["ok"], true);
    assert_eq!(
        keys(&answer),
        ["books", "lightning", "ok", "solana", "steps", "transaction"]
    );
    let steps = answer["steps"].as_array().expect("steps");
    let names: Vec<&Value> = steps.iter().map(|step| &step["name"]).collect();
    assert_eq!(
        names,
        [
            "free_call",
            "challenge",
            "paid_call",
            "replay",
            "paid_solana",
            "solana_replay",
            "paid_lightning",
            "token",
            "token_replay",
            "over_limit",
            "books",
            "solana_books",
            "lightning_books",
        ]
    );
    assert!(steps.iter().all(|step| step["ok"] == true), "{answer}");
    let offers = steps[1]["offers"].as_array().expect("offers");
    let networks: Vec<&str> = offers
        .iter()
        .filter_map(|offer| offer["network"].as_str())
        .collect();
    assert_eq!(
        networks,
        [
            "eip155:84532",
            "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
            "lightning:regtest",
        ]
    );
    // The price, a tenth of a cent, is the same on all; the token was good for a second page.
    assert_eq!(answer["books"], json!({"ledger": "1000", "chain": "1000"}));
    let solana = &answer["solana"];
    assert_eq!(solana["books"], json!({"ledger": "1000", "chain": "1000"}));
    let signature = solana["transaction"].as_str().expect("a signature");
    assert!(matches!(signature.len(), 86..=88), "{signature}");
    assert!(steps[4]["slot"].is_u64(), "{}", steps[4]);
    assert_eq!(steps[4]["transaction"], solana["transaction"]);
    assert_eq!(steps[5]["upstream_reached"], 0);
    let lightning = &answer["lightning"];
    assert_eq!(
        lightning["books"],
        json!({"ledger": "1000", "node": "1000"})
    );
    assert_eq!(lightning["transaction"].as_str().map(str::len), Some(64));
    assert_eq!(answer["transaction"].as_str().map(str::len), Some(66));
    assert_eq!(steps[7]["reused"], true);
    assert_eq!(steps[8]["statuses"], json!([402, 401]));
    assert!(!user.path("data").exists(), "it leaves nothing behind");
}

#[test]
fn for_people_it_is_the_same_story_with_seven_steps_more() {
    let ended = User::new().run(&["demo", "--all-rails"]);
    assert_eq!(ended.exit, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("13 of 13 steps held"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stderr, "");
}

#[test]
fn without_the_flag_nothing_of_the_other_rails_is_shown() {
    let (exit, answer) = User::new().json(&["demo"]);
    assert_eq!(exit, 0, "{answer}");
    assert_eq!(keys(&answer), ["books", "ok", "steps", "transaction"]);
}
