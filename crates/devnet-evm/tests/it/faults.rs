//! Faults do what they say, as often as they say, and nothing else.

use std::time::Duration;

use farebox_devnet_evm::{ANY_METHOD, Fault};
use serde_json::{Value, json};

use crate::client::*;
use crate::socket::Socket;

const CHAIN_ID: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;

#[tokio::test]
async fn a_lost_reply_leaves_the_transaction_on_the_chain() {
    let (devnet, client) = quiet();
    let account = &devnet.accounts()[0];
    let raw = client.transaction(account, 0, account.address, Vec::new());
    devnet
        .faults()
        .set_times("eth_sendRawTransaction", Fault::LoseReply, 1);
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw]});
    client
        .post(request.to_string())
        .await
        .expect_err("there is no reply");
    assert_eq!(
        (devnet.nonce(account.address), devnet.block_number()),
        (1, 1)
    );
    let again = client.send_raw(&raw).await.expect_err("it is on the chain");
    assert_eq!(again.message, "already known");
}

#[tokio::test]
async fn a_refusal_leaves_nothing_behind() {
    let (devnet, client) = quiet();
    let account = &devnet.accounts()[0];
    let raw = client.transaction(account, 0, account.address, Vec::new());
    let fault = Fault::Refuse {
        code: -32000,
        message: "txpool is full".to_owned(),
    };
    devnet.faults().set("eth_sendRawTransaction", fault);
    for _ in 0..2 {
        assert_eq!(
            client
                .send_raw(&raw)
                .await
                .expect_err("it is refused")
                .message,
            "txpool is full"
        );
    }
    devnet.faults().clear();
    assert_eq!(devnet.nonce(account.address), 0);
    client.send_raw(&raw).await.expect("it is taken");
    assert_eq!(devnet.faults().calls("eth_sendRawTransaction"), 3);
}

#[tokio::test]
async fn garbage_statuses_and_hang_ups_last_as_long_as_asked() {
    let (devnet, client) = quiet();
    devnet.faults().set_times("eth_chainId", Fault::Garbage, 1);
    devnet
        .faults()
        .set_times(ANY_METHOD, Fault::HttpStatus(500), 1);
    devnet
        .faults()
        .set_times("eth_chainId", Fault::Disconnect, 1);
    let (status, body) = client.post(CHAIN_ID).await.expect("a reply");
    assert!(status == 200 && serde_json::from_slice::<Value>(&body).is_err());
    assert_eq!(client.post(CHAIN_ID).await.expect("a reply").0, 500);
    client.post(CHAIN_ID).await.expect_err("a hang-up");
    assert_eq!(client.number("eth_chainId", json!([])).await, 84532);
    assert_eq!(
        (
            devnet.faults().calls("eth_chainId"),
            devnet.faults().total_calls()
        ),
        (4, 4)
    );
}

#[tokio::test]
async fn a_hanging_method_never_answers_while_others_do() {
    let (devnet, client) = quiet();
    devnet.faults().set("eth_gasPrice", Fault::Hang);
    let hanging = client.rpc("eth_gasPrice", json!([]));
    let others = async {
        // At least one call after the hanging one has come in.
        while devnet.faults().calls("eth_gasPrice") == 0 {
            client.ok("eth_chainId", json!([])).await;
        }
        client.ok("eth_chainId", json!([])).await;
    };
    tokio::select! {
        biased;
        _ = hanging => panic!("it answered"),
        () = others => {}
    }
    assert_eq!(devnet.faults().calls("eth_gasPrice"), 1);
    devnet.shutdown().await;
}

#[tokio::test]
async fn a_delay_lets_later_calls_overtake() {
    let (devnet, client) = quiet();
    devnet.faults().set_times(
        "eth_blockNumber",
        Fault::Delay(Duration::from_millis(1500)),
        1,
    );
    let slow = async {
        let number = client.number("eth_blockNumber", json!([])).await;
        (number, devnet.block_number())
    };
    let fast = async {
        // Only once the slow call has met its fault.
        while devnet.faults().calls("eth_blockNumber") == 0 {
            client.ok("eth_chainId", json!([])).await;
        }
        devnet.mine();
    };
    let (slow, ()) = tokio::join!(slow, fast);
    assert_eq!(
        slow,
        (1, 1),
        "the delayed call saw the block that was mined meanwhile"
    );
}

#[tokio::test]
async fn held_mining_takes_transactions_and_mines_them_when_released() {
    let (devnet, client) = quiet();
    devnet.hold_mining();
    let account = &devnet.accounts()[0];
    let mut heads = crate::socket::Heads::of(&devnet).await;
    let hash = client
        .send_raw(&client.transaction(account, 0, account.address, Vec::new()))
        .await
        .expect("it is taken");
    assert_eq!(
        (client.receipt(hash).await, devnet.waiting_transactions()),
        (Value::Null, 1)
    );
    devnet.release_mining();
    heads.next().await;
    assert!(succeeded(&client.receipt(hash).await));
}

#[tokio::test]
async fn faults_reach_sockets_too() {
    let (devnet, _) = quiet();
    let mut socket = Socket::open(&devnet).await;
    devnet.faults().set_times(
        "eth_chainId",
        Fault::Refuse {
            code: -1,
            message: "no".to_owned(),
        },
        1,
    );
    assert_eq!(
        socket.call("eth_chainId", json!([])).await["error"]["message"],
        json!("no")
    );
    devnet
        .faults()
        .set_times("eth_chainId", Fault::Disconnect, 1);
    socket.send(CHAIN_ID).await;
    assert_eq!(socket.receive().await, None);
}
