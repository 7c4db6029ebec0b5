//! What is fatal at start, what is waited for, and what is found out later.

use farebox_core::rail::{CollectRail, Price};
use farebox_wire::money::UsdMicros;
use serde_json::json;

use crate::support::{Peer, Say, Town, nobody};

async fn refused(say: Say) -> (&'static str, String) {
    let (town, peer) = (Town::new(), Peer::puppet().await);
    peer.say("/supported", say);
    let collector = town.collector_of(false, &[&peer.url()]);
    let why = collector.start().await.expect_err("it must not start");
    (why.code, why.message)
}

fn kinds(network: &str, extra: &serde_json::Value) -> String {
    json!({"kinds": [{"x402Version": 2, "scheme": "exact", "network": network, "extra": extra}]})
        .to_string()
}

#[tokio::test]
async fn a_facilitator_that_cannot_settle_our_networks_or_is_none_is_fatal_at_start() {
    let elsewhere = kinds("eip155:1", &json!(null));
    let (code, message) = refused(Say::Words(200, elsewhere)).await;
    assert_eq!(code, "facilitator_unsupported");
    assert!(message.contains("eip155:84532"), "{message}");
    for (status, text, expected) in [
        (200, "<html>", "facilitator_invalid"),
        (404, "", "facilitator_invalid"),
        (401, "", "facilitator_refuses"),
        (403, "{}", "facilitator_refuses"),
    ] {
        let (code, message) = refused(Say::Words(status, text.to_owned())).await;
        assert_eq!(code, expected, "{message}");
        assert!(!message.contains("token"), "{message}");
    }
}

#[tokio::test]
async fn a_facilitator_that_is_away_at_start_is_found_out_about_later() {
    let town = Town::new();
    let peer = town.facilitator().await;
    peer.say("/supported", Say::Words(503, String::new()));
    let collector = town.collector(false, &[&nobody().await, &peer.url()]).await;
    let examined = town.signed(&collector).await;
    collector
        .verify(&examined)
        .await
        .expect("it is asked all the same");
}

#[tokio::test]
async fn a_busy_facilitator_is_asked_again_when_it_says() {
    let (town, peer) = (Town::new(), Peer::puppet().await);
    for _ in 0..2 {
        peer.say(
            "/supported",
            Say::Header(429, "retry-after", "0".to_owned(), String::new()),
        );
    }
    town.collector(false, &[&peer.url()]).await;
    assert_eq!(peer.came("/supported").len(), 3);
}

#[tokio::test]
async fn a_permanent_redirect_to_the_same_origin_is_followed() {
    let (town, peer) = (Town::new(), Peer::puppet().await);
    let moved = Say::Header(
        308,
        "location",
        "/moved/supported".to_owned(),
        String::new(),
    );
    peer.say("/supported", moved);
    town.collector(false, &[&peer.url()]).await;
    let came = peer.came("/moved/supported");
    assert_eq!(came[0].headers["authorization"], "Bearer token");
}

#[tokio::test]
async fn what_a_facilitator_wants_in_offers_is_put_there_and_what_is_ours_stays() {
    let (town, peer) = (Town::new(), Peer::puppet().await);
    let extra = json!({"feePayer": "0xabc", "name": "Evil", "assetTransferMethod": "eip3009"});
    peer.say("/supported", Say::Words(200, kinds("eip155:84532", &extra)));
    let collector = town.collector(false, &[&peer.url()]).await;
    let price = Price {
        usd: UsdMicros(1_000),
        max_timeout_s: 60,
        upfront: false,
    };
    let offer = collector.offers(&price).expect("offers").remove(0);
    assert_eq!(offer.raw["extra"]["feePayer"], "0xabc");
    assert_eq!(offer.raw["extra"]["name"], "USDC");
    assert!(offer.raw["extra"].get("assetTransferMethod").is_none());
}
