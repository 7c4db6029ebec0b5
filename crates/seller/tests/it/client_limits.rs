//! How much a stranger can make a seller do in vain (law 8).

use std::net::IpAddr;

use axum::body::Body;
use farebox_seller::{ClientAddress, SellerConfig};
use http::header::RETRY_AFTER;
use http::{Request, StatusCode};
use serde_json::json;

use crate::support::{Seen, World, get, with_credential};

const STRANGER: &str = "192.0.2.1";
const NEIGHBOUR: &str = "192.0.2.2";
/// What the default limits let through at once.
const BAD_SIGNATURES: usize = 50;
const FIRST_SIGHTS: usize = 5;

fn from(client: &str, mut request: Request<Body>) -> Request<Body> {
    let address: IpAddr = client.parse().expect("an address");
    request.extensions_mut().insert(ClientAddress(address));
    request
}

async fn signed(world: &World, client: &str, signature: &str, nonce: &str) -> Seen {
    let mut credential = world.credential("/weather/x", nonce);
    credential.payload["signature"] = json!(signature);
    let request = with_credential(get("/weather/x"), &credential);
    world.send(from(client, request)).await
}

fn assert_too_many(seen: &Seen) {
    assert_eq!(seen.status, StatusCode::TOO_MANY_REQUESTS, "{seen:?}");
    assert_eq!(seen.code(), "too_many_bad_payments");
    assert_eq!(seen.headers[RETRY_AFTER], "1");
}

#[tokio::test]
async fn bad_signatures_of_one_client_are_limited_and_its_neighbour_is_unharmed() {
    let world = World::new();
    for n in 0..BAD_SIGNATURES {
        let seen = signed(&world, STRANGER, "bad", &n.to_string()).await;
        seen.assert_challenged("invalid_exact_evm_signature");
    }
    assert_too_many(&signed(&world, STRANGER, "bad", "x").await);
    assert_too_many(&signed(&world, STRANGER, "good", "good-1").await);
    signed(&world, NEIGHBOUR, "good", "good-2")
        .await
        .assert_served();
    world
        .send(from(STRANGER, get("/weather/x")))
        .await
        .assert_challenged("Payment required");
    world.clock.advance_s(1);
    signed(&world, STRANGER, "good", "good-1")
        .await
        .assert_served();
}

#[tokio::test]
async fn payers_without_money_are_looked_up_a_few_times_a_second() {
    let world = World::new();
    world.rail.set_balance(0);
    for n in 0..FIRST_SIGHTS {
        let seen = signed(&world, STRANGER, "good", &n.to_string()).await;
        seen.assert_challenged("invalid_exact_evm_insufficient_balance");
    }
    assert_eq!(world.rail.verifications(), FIRST_SIGHTS);
    assert_too_many(&signed(&world, STRANGER, "good", "x").await);
    assert_eq!(world.rail.verifications(), FIRST_SIGHTS);
    assert!(world.payments().await.is_empty());
}

#[tokio::test]
async fn signatures_that_only_the_chain_can_judge_are_limited_whatever_comes_of_them() {
    let world = World::new();
    signed(&world, STRANGER, "of a contract", "1")
        .await
        .assert_served();
    // Once, before anything was kept for it: its claim rests on the same answer.
    assert_eq!(world.rail.verifications(), 1);
    assert_too_many(&signed(&world, STRANGER, "of a contract", "2").await);
    assert_eq!(world.rail.verifications(), 1);
    signed(&world, NEIGHBOUR, "of a contract", "3")
        .await
        .assert_served();
}

#[tokio::test]
async fn a_wallets_repeat_costs_nothing_because_the_books_know_it() {
    let world = World::new();
    signed(&world, STRANGER, "of a contract", "1")
        .await
        .assert_served();
    for _ in 0..3 {
        let again = signed(&world, STRANGER, "of a contract", "1").await;
        assert_eq!(again.status, StatusCode::CONFLICT);
        assert_eq!(again.code(), "payment_already_used");
    }
    assert_eq!(world.rail.verifications(), 1);
    // They were not charged: a second later the next wallet is asked about.
    world.clock.advance_s(1);
    signed(&world, STRANGER, "of a contract", "2")
        .await
        .assert_served();
}

#[tokio::test]
async fn good_payments_are_never_charged() {
    let world = World::new();
    for n in 0..3 * BAD_SIGNATURES {
        signed(&world, STRANGER, "good", &n.to_string())
            .await
            .assert_served();
    }
}

#[tokio::test]
async fn clients_on_this_machine_are_limited_only_where_it_is_configured() {
    for even_loopback in [false, true] {
        let change = |config: &mut SellerConfig| config.client_limits.even_loopback = even_loopback;
        let world = World::with(change);
        for n in 0..BAD_SIGNATURES {
            signed(&world, "127.0.0.1", "bad", &n.to_string()).await;
        }
        let seen = signed(&world, "127.0.0.1", "bad", "x").await;
        match even_loopback {
            true => assert_too_many(&seen),
            false => seen.assert_challenged("invalid_exact_evm_signature"),
        }
    }
}
