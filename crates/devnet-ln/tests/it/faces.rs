//! What a client of LND sees when nothing goes wrong, or when it asks for what cannot be.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use farebox_devnet_ln::Moved;
use farebox_node_ldk::Preimage;
use serde_json::{Value, json};

use super::client::{Client, SHARED};

fn clients() -> [Client; 2] {
    [
        Client::new(&SHARED.nodes()[0]),
        Client::new(&SHARED.nodes()[1]),
    ]
}

fn preimage(hex_digits: &Value) -> Preimage {
    let bytes = hex::decode(hex_digits.as_str().unwrap()).unwrap();
    Preimage::new(bytes.try_into().unwrap())
}

#[tokio::test]
async fn payments_go_both_ways_and_their_preimages_open_their_hashes() {
    let [seller, buyer] = clients();
    for (at, payee, payer) in [(0, &seller, &buyer), (1, &buyer, &seller)] {
        let (bolt11, hash) = payee.invoice(21_000).await;
        let (_, open) = payee.get(&format!("/v1/invoice/{hash}")).await;
        assert_eq!(
            (&open["state"], &open["value"]),
            (&json!("OPEN"), &json!("21"))
        );
        let body = json!({"payment_request": bolt11, "timeout_seconds": 30});
        let mut answer = payer
            .open("POST", "/v2/router/send", Some(body))
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
        let first = answer.next().await.unwrap();
        assert_eq!(first["result"]["status"], "IN_FLIGHT");
        let last = answer.next().await.unwrap();
        let paid = &last["result"];
        assert_eq!(
            (&paid["status"], &paid["value_msat"]),
            (&json!("SUCCEEDED"), &json!("21000"))
        );
        assert_eq!(paid["failure_reason"], "FAILURE_REASON_NONE");
        assert_eq!(
            preimage(&paid["payment_preimage"])
                .payment_hash()
                .to_string(),
            hash
        );
        assert!(answer.next().await.is_none());

        // The payer may know before the payee has recorded it.
        while payee.state(&hash).await != "SETTLED" {
            tokio::task::yield_now().await;
        }
        let moved = Moved {
            payment_hash: hash.clone(),
            msat: 21_000,
            fee_msat: 0,
        };
        assert!(SHARED.received(at).unwrap().contains(&moved));
        assert!(SHARED.paid(1 - at).unwrap().contains(&moved));
        let (_, settled) = payee.get(&format!("/v1/invoice/{hash}")).await;
        assert_eq!(settled["settled"], true);
        assert_eq!(settled["amt_paid_msat"], "21000");
        assert_ne!(settled["settle_index"], "0");
        let proof = STANDARD
            .decode(settled["r_preimage"].as_str().unwrap())
            .unwrap();
        assert_eq!(
            hex::encode(proof),
            paid["payment_preimage"].as_str().unwrap()
        );

        let track = URL_SAFE.encode(hex::decode(&hash).unwrap());
        let path = format!("/v2/router/track/{track}?no_inflight_updates=true");
        let (status, tracked) = payer.get(&path).await;
        assert_eq!(
            (status, &tracked["result"]["status"]),
            (200, &json!("SUCCEEDED"))
        );
        let mut again = payer.send(&bolt11).await;
        assert_eq!(again.status, 409);
        let error = again.next().await.unwrap();
        assert_eq!(error["error"]["code"], 6);
        assert_eq!(error["error"]["message"], "invoice is already paid");
    }
}

#[tokio::test]
async fn a_node_says_who_it_is_and_what_it_has() {
    let [seller, _] = clients();
    let (status, info) = seller.get("/v1/getinfo").await;
    assert_eq!(status, 200);
    assert_eq!(info["identity_pubkey"], json!(SHARED.nodes()[0].pubkey));
    assert_eq!(
        info["chains"][0],
        json!({"chain": "bitcoin", "network": "regtest"})
    );
    assert_eq!(info["num_active_channels"], 1);
    let (_, balance) = seller.get("/v1/balance/channels").await;
    for side in ["local_balance", "remote_balance"] {
        let sats: u64 = balance[side]["sat"].as_str().unwrap().parse().unwrap();
        assert!(sats > 7_000_000, "{side}: {sats}");
    }
    let (bolt11, hash) = seller.invoice(5_000).await;
    let (_, decoded) = seller.get(&format!("/v1/payreq/{bolt11}")).await;
    assert_eq!(decoded["payment_hash"], json!(hash));
    assert_eq!(
        (&decoded["num_msat"], &decoded["description"]),
        (&json!("5000"), &json!("a test"))
    );
    assert_eq!(decoded["destination"], info["identity_pubkey"]);
    assert_eq!(decoded["expiry"], "600");
}

#[tokio::test]
async fn nobody_is_let_in_without_the_macaroon() {
    let node = &SHARED.nodes()[0];
    for (macaroon, why) in [
        ("", "expected 1 macaroon, got 0"),
        ("0201", "verification failed"),
    ] {
        let client = Client::new(node).with_macaroon(macaroon);
        let (status, error) = client.get("/v1/getinfo").await;
        assert_eq!((status, &error["code"]), (500, &json!(2)));
        assert!(
            error["message"].as_str().unwrap().starts_with(why),
            "{error}"
        );
        let (status, error) = client.get("/v1/invoices/subscribe").await;
        assert_eq!((status, &error["error"]["code"]), (500, &json!(2)));
    }
    let upper = Client::new(node).with_macaroon(&node.macaroon.to_uppercase());
    assert_eq!(upper.get("/v1/getinfo").await.0, 200);
    let other = Client::new(node).with_macaroon(&SHARED.nodes()[1].macaroon);
    assert_eq!(other.get("/v1/getinfo").await.0, 500);
}

#[tokio::test]
async fn what_cannot_be_is_refused_as_lnd_refuses_it() {
    let [seller, buyer] = clients();
    let nowhere = "00".repeat(32);
    let track = URL_SAFE.encode([0; 32]);
    let lookups = [
        (format!("/v1/invoice/{nowhere}"), 404, 5),
        ("/v1/invoice/00".to_owned(), 400, 3),
        ("/v1/payreq/lnbcrt1junk".to_owned(), 500, 2),
        ("/v1/nothing".to_owned(), 404, 5),
    ];
    for (path, status, code) in lookups {
        let answer = seller.get(&path).await;
        assert_eq!(
            (answer.0, &answer.1["code"]),
            (status, &json!(code)),
            "{path}"
        );
    }
    let (status, unknown) = seller.get(&format!("/v2/router/track/{track}")).await;
    assert_eq!((status, &unknown["error"]["code"]), (404, &json!(5)));
    assert_eq!(unknown["error"]["message"], "payment isn't initiated");

    let sends = [
        json!({"payment_request": "junk", "timeout_seconds": 5}),
        json!({"payment_request": seller.invoice(1_000).await.0}),
        json!({"payment_request": "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql", "timeout_seconds": 5}),
    ];
    for body in sends {
        let (status, error) = buyer.post("/v2/router/send", body.clone()).await;
        assert_eq!(
            (status, &error["error"]["code"]),
            (500, &json!(2)),
            "{body}: {error}"
        );
    }
    let invoices = [
        json!({}),
        json!({"value": "1", "value_msat": "1"}),
        json!({"value": "1", "expiry": "999999"}),
        json!({"value": "1", "memo": "x".repeat(640)}),
    ];
    for body in invoices {
        let (status, error) = seller.post("/v1/invoices", body.clone()).await;
        assert_eq!((status, &error["code"]), (500, &json!(2)), "{body}");
    }
    let (status, error) = seller.post("/v1/invoices", json!({"value": "x"})).await;
    assert_eq!((status, &error["code"]), (400, &json!(3)));
}

#[tokio::test]
async fn a_cancelled_invoice_takes_no_payment() {
    let [seller, buyer] = clients();
    let (bolt11, hash) = seller.invoice(7_000).await;
    let body = json!({"payment_hash": STANDARD.encode(hex::decode(&hash).unwrap())});
    assert_eq!(
        seller.post("/v2/invoices/cancel", body.clone()).await,
        (200, json!({}))
    );
    assert_eq!(seller.state(&hash).await, "CANCELED");
    let paid = buyer.send(&bolt11).await.next().await.unwrap();
    assert_eq!(paid["result"]["status"], "FAILED", "{paid}");
    assert_eq!(paid["result"]["payment_preimage"], json!("00".repeat(32)));
    assert_eq!(seller.state(&hash).await, "CANCELED");
    let unknown = json!({"payment_hash": STANDARD.encode([9; 32])});
    assert_eq!(seller.post("/v2/invoices/cancel", unknown).await.0, 404);
}

#[tokio::test]
async fn a_subscriber_hears_what_it_missed_and_then_what_comes() {
    let [seller, buyer] = clients();
    let mut live = seller
        .open("GET", "/v1/invoices/subscribe", None)
        .await
        .unwrap();
    let (bolt11, hash) = seller.invoice(9_000).await;
    let mine = |update: &Value| update["result"]["payment_request"] == json!(bolt11);
    let added = loop {
        let update = live.next().await.unwrap();
        if mine(&update) {
            break update;
        }
    };
    assert_eq!(added["result"]["state"], "OPEN");
    buyer.send(&bolt11).await.next().await.unwrap();
    let settled = loop {
        let update = live.next().await.unwrap();
        if mine(&update) && update["result"]["state"] == "SETTLED" {
            break update;
        }
    };
    let index: u64 = settled["result"]["settle_index"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(index > 1, "the warm-up was first");
    let path = format!("/v1/invoices/subscribe?settle_index={}", index - 1);
    let mut late = seller.open("GET", &path, None).await.unwrap();
    let told = late.next().await.unwrap();
    assert_eq!(told["result"]["settle_index"], json!(index.to_string()));
    assert_eq!(
        told["result"]["r_hash"],
        json!(STANDARD.encode(hex::decode(&hash).unwrap()))
    );
}
