//! Everything that can be switched on to go wrong, each with what a client sees and what the nodes did.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use farebox_devnet_ln::{Devnet, Fault};
use serde_json::json;

use super::client::{Client, own};

/// One devnet, one fault after another: each leaves the node as it was.
#[tokio::test]
async fn each_fault_of_a_call_is_what_it_says_and_no_more() {
    let devnet = own();
    let (seller, buyer) = (
        Client::new(&devnet.nodes()[0]),
        Client::new(&devnet.nodes()[1]),
    );
    let (faults, before) = (devnet.faults(0), devnet.faults(0).calls("getinfo"));

    faults.set_times("getinfo", Fault::HttpStatus(503), 1);
    assert_eq!(seller.get("/v1/getinfo").await, (503, json!(null)));
    assert_eq!(seller.get("/v1/getinfo").await.0, 200, "once is once");

    let refuse = Fault::Refuse {
        code: 14,
        message: "starting up".to_owned(),
    };
    faults.set("getinfo", refuse);
    for _ in 0..2 {
        let (status, error) = seller.get("/v1/getinfo").await;
        assert_eq!((status, &error["message"]), (503, &json!("starting up")));
    }
    faults.clear();
    assert_eq!(faults.calls("getinfo") - before, 4);

    faults.set_times("*", Fault::Disconnect, 1);
    assert!(
        seller
            .open("POST", "/v1/invoices", Some(json!({"value": "1"})))
            .await
            .is_err()
    );
    let (_, invoice) = seller.post("/v1/invoices", json!({"value": "1"})).await;
    assert_eq!(invoice["add_index"], "1", "the first call did nothing");
    faults.set_times("addinvoice", Fault::LoseReply, 1);
    assert!(
        seller
            .open("POST", "/v1/invoices", Some(json!({"value": "1"})))
            .await
            .is_err()
    );
    let (_, invoice) = seller.post("/v1/invoices", json!({"value": "1"})).await;
    assert_eq!(invoice["add_index"], "3", "the second call was done");

    faults.set_times("getinfo", Fault::Garbage, 1);
    let mut garbage = seller.open("GET", "/v1/getinfo", None).await.unwrap();
    assert_eq!((garbage.status, garbage.next().await), (200, None));
    faults.set_times("getinfo", Fault::Delay(Duration::from_millis(1)), 1);
    assert_eq!(seller.get("/v1/getinfo").await.0, 200);
    faults.set_times("getinfo", Fault::Hang, 1);
    let hanging = tokio::time::timeout(Duration::from_millis(200), seller.get("/v1/getinfo"));
    assert!(hanging.await.is_err());

    payments_with_faults(&devnet, &seller, &buyer).await;
    devnet.shutdown().await;
}

async fn payments_with_faults(devnet: &Devnet, seller: &Client, buyer: &Client) {
    // A payment whose reply is lost goes on, and the node says what became of it.
    let (bolt11, hash) = seller.invoice(4_000).await;
    devnet
        .faults(1)
        .set_times("sendpayment", Fault::LoseReply, 1);
    let body = json!({"payment_request": bolt11, "timeout_seconds": 30});
    assert!(
        buyer
            .open("POST", "/v2/router/send", Some(body))
            .await
            .is_err()
    );
    let track = URL_SAFE.encode(hex::decode(&hash).unwrap());
    let path = format!("/v2/router/track/{track}?no_inflight_updates=true");
    assert_eq!(buyer.get(&path).await.1["result"]["status"], "SUCCEEDED");

    // One that is refused before anything was done is not known.
    let (bolt11, hash) = seller.invoice(4_000).await;
    devnet
        .faults(1)
        .set_times("sendpayment", Fault::Disconnect, 1);
    let body = json!({"payment_request": bolt11, "timeout_seconds": 30});
    assert!(
        buyer
            .open("POST", "/v2/router/send", Some(body))
            .await
            .is_err()
    );
    let track = URL_SAFE.encode(hex::decode(&hash).unwrap());
    assert_eq!(buyer.get(&format!("/v2/router/track/{track}")).await.0, 404);

    devnet
        .faults(1)
        .set_times("sendpayment", Fault::NoPreimage, 1);
    let paid = buyer.send(&bolt11).await.next().await.unwrap();
    assert_eq!(paid["result"]["status"], "SUCCEEDED");
    assert_eq!(paid["result"]["payment_preimage"], json!("00".repeat(32)));
}

/// Both daemons go away and come back.
async fn restart(devnet: Devnet, while_away: impl AsyncFnOnce()) -> Devnet {
    let stopping = tokio::task::spawn_blocking(move || {
        for node in [0, 1] {
            devnet.stop_node(node).unwrap();
        }
        devnet
    });
    let devnet = stopping.await.unwrap();
    while_away().await;
    let starting = tokio::task::spawn_blocking(move || {
        for node in [0, 1] {
            devnet.start_node(node).unwrap();
        }
        devnet
    });
    starting.await.unwrap()
}

#[tokio::test]
async fn a_held_payment_is_in_flight_until_it_is_released_and_no_twin_goes_out() {
    let devnet = own();
    let (seller, buyer) = (
        Client::new(&devnet.nodes()[0]),
        Client::new(&devnet.nodes()[1]),
    );
    devnet.faults(0).hold_payments();
    let mut updates = seller
        .open("GET", "/v1/invoices/subscribe", None)
        .await
        .unwrap();
    let (bolt11, hash) = seller.invoice(11_000).await;
    let body = json!({"payment_request": bolt11, "timeout_seconds": 1});
    let mut answer = buyer
        .open("POST", "/v2/router/send", Some(body))
        .await
        .unwrap();
    assert_eq!(
        answer.next().await.unwrap()["result"]["status"],
        "IN_FLIGHT"
    );
    let mut twin = buyer.send(&bolt11).await;
    assert_eq!(twin.status, 409);
    let error = twin.next().await.unwrap();
    assert_eq!(error["error"]["message"], "payment is in transition");
    let track = URL_SAFE.encode(hex::decode(&hash).unwrap());
    let (_, tracked) = buyer.get(&format!("/v2/router/track/{track}")).await;
    assert_eq!(tracked["result"]["status"], "IN_FLIGHT");
    while seller.state(&hash).await != "ACCEPTED" {
        tokio::task::yield_now().await;
    }

    // The payment is still there after that, and still only one.
    let devnet = restart(devnet, async || {
        assert!(
            answer.next().await.is_none(),
            "no end is told where none is known"
        );
        assert_eq!(buyer.get("/v1/getinfo").await.0, 503);
    })
    .await;
    let mut twin = buyer.send(&bolt11).await;
    assert_eq!(
        (twin.status, &twin.next().await.unwrap()["error"]["code"]),
        (409, &json!(6))
    );
    devnet.faults(0).release_payments();
    let path = format!("/v2/router/track/{track}?no_inflight_updates=true");
    let (_, paid) = buyer.get(&path).await;
    assert_eq!(paid["result"]["status"], "SUCCEEDED", "{paid}");
    let told = loop {
        let update = updates.next().await.unwrap();
        if update["result"]["state"] == "SETTLED" {
            break update;
        }
    };
    assert_eq!(told["result"]["payment_request"], json!(bolt11));
    assert_eq!(seller.state(&hash).await, "SETTLED");
    let balances = devnet.balances(0).unwrap();
    assert!(balances.inbound_msat > 0 && balances.outbound_msat > 0);
    let address = devnet.nodes()[0].p2p;
    drop(devnet);
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "nothing is left of it"
    );
}
