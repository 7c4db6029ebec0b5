//! Faults do what they say, as often as they say, and nothing else.

use std::time::Duration;

use farebox_devnet_svm::{ANY_METHOD, Fault};
use serde_json::{Value, json};

use crate::client::*;
use crate::socket::Socket;

const HEALTH: &str = r#"{"jsonrpc":"2.0","id":1,"method":"getHealth"}"#;

#[tokio::test]
async fn a_lost_reply_leaves_the_payment_on_the_chain() {
    let (devnet, client) = quick();
    let tx = client.payment(&devnet, 1000).await;
    devnet
        .faults()
        .set_times("sendTransaction", Fault::LoseReply, 1);
    let params = json!([base64(&tx), {"encoding": "base64"}]);
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": params});
    client
        .post(request.to_string())
        .await
        .expect_err("there is no reply");
    assert_eq!(client.status(&tx).await["err"], Value::Null);
    assert_eq!(devnet.landed_transactions(), 1);
    assert_eq!(devnet.faults().calls("sendTransaction"), 1);
}

#[tokio::test]
async fn a_dropped_payment_is_answered_and_never_seen_again() {
    let (devnet, client) = quick();
    let tx = client.payment(&devnet, 1000).await;
    devnet.faults().set_times("sendTransaction", Fault::Drop, 1);
    let answer = client.send(&tx).await.expect("it is answered");
    assert_eq!(answer, json!(name(&tx)));
    assert_eq!(devnet.landed_transactions(), 0);
    client.send(&tx).await.expect("and may be sent again");
    assert_eq!(devnet.landed_transactions(), 1);
}

#[tokio::test]
async fn refusals_lies_garbage_statuses_and_hang_ups_last_as_long_as_asked() {
    let (devnet, client) = quick();
    let faults = devnet.faults();
    let refusal = Fault::Refuse {
        code: -32005,
        message: "Node is behind by 42 slots".to_owned(),
    };
    faults.set_times("getHealth", refusal, 1);
    faults.set_times("getHealth", Fault::Lie(json!("never better")), 1);
    faults.set_times("getHealth", Fault::Garbage, 1);
    faults.set_times(ANY_METHOD, Fault::HttpStatus(500), 1);
    faults.set_times("getHealth", Fault::Disconnect, 1);
    assert_eq!(client.refused("getHealth", json!([])).await.code, -32005);
    assert_eq!(
        client.ok("getHealth", json!([])).await,
        json!("never better")
    );
    let (status, body) = client.post(HEALTH).await.expect("a reply");
    assert!(status == 200 && serde_json::from_slice::<Value>(&body).is_err());
    assert_eq!(client.post(HEALTH).await.expect("a reply").0, 500);
    client.post(HEALTH).await.expect_err("a hang-up");
    assert_eq!(client.ok("getHealth", json!([])).await, json!("ok"));
    assert_eq!((faults.calls("getHealth"), faults.total_calls()), (6, 6));
}

#[tokio::test]
async fn a_node_that_is_cut_off_answers_nothing_until_it_is_back() {
    let (devnet, client) = quick();
    let faults = devnet.faults();
    faults.set_times("getHealth", Fault::Garbage, 1);
    faults.cut_off(true);
    for _ in 0..2 {
        client.post(HEALTH).await.expect_err("nobody answers");
    }
    faults.cut_off(false);
    let (_, body) = client.post(HEALTH).await.expect("a reply");
    assert!(
        serde_json::from_slice::<Value>(&body).is_err(),
        "the fault was not used up"
    );
    assert_eq!(client.ok("getHealth", json!([])).await, json!("ok"));
    faults.cut_off(true);
    faults.clear();
    assert_eq!(client.ok("getHealth", json!([])).await, json!("ok"));
    assert_eq!(faults.calls("getHealth"), 5);
}

#[tokio::test]
async fn a_hanging_method_never_answers_while_others_do() {
    let (devnet, client) = quick();
    devnet.faults().set("getSlot", Fault::Hang);
    let hanging = client.rpc("getSlot", json!([]));
    let others = async {
        // At least one call after the hanging one has come in.
        while devnet.faults().calls("getSlot") == 0 {
            client.ok("getHealth", json!([])).await;
        }
        client.ok("getHealth", json!([])).await;
    };
    tokio::select! {
        biased;
        _ = hanging => panic!("it answered"),
        () = others => {}
    }
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_delay_lets_later_calls_overtake() {
    let (devnet, client) = quiet();
    let first = devnet.slot();
    let delay = Fault::Delay(Duration::from_millis(1500));
    devnet.faults().set_times("getSlot", delay, 1);
    let slow = client.ok("getSlot", json!([{"commitment": "processed"}]));
    let fast = async {
        // Only once the slow call has met its fault.
        while devnet.faults().calls("getSlot") == 0 {
            client.ok("getHealth", json!([])).await;
        }
        devnet.advance(1);
    };
    let (slow, ()) = tokio::join!(slow, fast);
    assert_eq!(
        slow,
        json!(first + 1),
        "it saw the slot that came meanwhile"
    );
}

#[tokio::test]
async fn held_blocks_take_payments_and_land_them_when_released() {
    let (devnet, client) = quick();
    let tx = client.payment(&devnet, 1000).await;
    devnet.hold_blocks();
    client.send(&tx).await.expect("it is taken");
    client.send(&tx).await.expect("and taken again");
    assert_eq!(client.status(&tx).await, Value::Null);
    assert_eq!(devnet.waiting_transactions(), 2);
    devnet.release_blocks();
    assert_eq!(client.status(&tx).await["err"], Value::Null);
    assert_eq!(devnet.landed_transactions(), 1);
}

#[tokio::test]
async fn what_waits_may_be_forgotten_or_be_too_late() {
    let (devnet, client) = quick();
    devnet.hold_blocks();
    let forgotten = client.payment(&devnet, 1000).await;
    client.send(&forgotten).await.expect("it is taken");
    assert_eq!(devnet.drop_waiting(), 1);
    let late = client.payment(&devnet, 2000).await;
    devnet.advance(151);
    client
        .send_with(&late, json!({"skipPreflight": true}))
        .await
        .expect("it is taken");
    devnet.release_blocks();
    assert_eq!(devnet.landed_transactions(), 0);
}

#[tokio::test]
async fn a_fault_of_one_call_spoils_its_batch() {
    let (devnet, client) = quick();
    devnet
        .faults()
        .set_times("getSlot", Fault::HttpStatus(429), 1);
    let call = |id: u64, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method});
    let batch = json!([call(1, "getHealth"), call(2, "getSlot")]).to_string();
    assert_eq!(client.post(batch).await.expect("a reply").0, 429);
}

#[tokio::test]
async fn faults_reach_sockets_too() {
    let (devnet, _) = quick();
    let mut socket = Socket::open(&devnet).await;
    let refusal = Fault::Refuse {
        code: -1,
        message: "no".to_owned(),
    };
    for method in ["getHealth", "slotSubscribe"] {
        devnet.faults().set_times(method, refusal.clone(), 1);
        let answer = socket.call(method, json!([])).await;
        assert_eq!(answer["error"]["message"], json!("no"));
    }
    devnet.faults().set_times("getHealth", Fault::Disconnect, 1);
    socket.send(HEALTH).await;
    assert_eq!(socket.receive().await, None);
}
