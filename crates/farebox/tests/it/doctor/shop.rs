//! A seller's and a buyer's files on a chain in this process, whose faults a test can switch on;
//! and a node that changes what another one says.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use farebox_devnet_evm::{Devnet, DevnetOptions};
use serde_json::{Value, json};

use super::Diagnosis;
use crate::market::{PAYEE, Server};
use crate::support::User;

pub(crate) struct Shop {
    pub(crate) user: User,
    pub(crate) net: Devnet,
}

impl Shop {
    pub(crate) fn open() -> Self {
        let shop = Self {
            user: User::new(),
            net: Devnet::start(DevnetOptions::default()).expect("a chain"),
        };
        let key = shop.net.accounts()[0].key_hex();
        shop.user.write("gas.key", &key);
        shop.close_to_others("gas.key");
        shop.write(&[&shop.net.rpc_url()], "");
        shop
    }

    /// Writes `seller.toml` with these nodes, and this behind the network's own keys.
    pub(crate) fn write(&self, nodes: &[&str], network: &str) {
        self.user
            .write("seller.toml", &seller("eip155:84532", nodes, network));
    }

    /// The doctor's word on `seller.toml`.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        Diagnosis::on(&self.user, "seller.toml")
    }

    pub(crate) fn close_to_others(&self, file: &str) {
        self.set_mode(file, 0o600);
    }

    pub(crate) fn set_mode(&self, file: &str, mode: u32) {
        let file = self.user.path(file);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file, mode).expect("the mode is set");
        }
        #[cfg(not(unix))]
        let _ = (file, mode);
    }
}

/// A seller's file.
pub(crate) fn seller(network: &str, nodes: &[&str], more: &str) -> String {
    format!(
        "ledger = \"sqlite:seller.db\"\n\
         [network.\"{network}\"]\nrpc = {nodes:?}\nfinal = 0\n{more}\n\
         [pay_to]\nevm = \"{PAYEE}\"\n\
         [facilitator]\nsigner = {{ evm = \"file:gas.key\" }}\n"
    )
}

/// Asks nodes of this machine.
pub(crate) fn client() -> reqwest::Client {
    // An error means that another test has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("a client")
}

/// Changes the answer to one call.
type Change = fn(&Value, &mut Value);

#[derive(Clone)]
struct Behind {
    url: String,
    change: Change,
    http: reqwest::Client,
}

/// A node that asks another one, and hands on what `change` makes of each answer to a call.
pub(crate) fn node_behind(url: &str, change: Change) -> Server {
    let behind = Behind {
        url: url.to_owned(),
        change,
        http: client(),
    };
    Server::start(Router::new().fallback(relay).with_state(behind))
}

async fn relay(State(behind): State<Behind>, body: Bytes) -> String {
    let calls: Value = serde_json::from_slice(&body).expect("JSON");
    let asked = behind
        .http
        .post(&behind.url)
        .header("content-type", "application/json");
    let answer = asked.body(body).send().await.expect("the chain answers");
    let mut answer: Value =
        serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
    match (&calls, &mut answer) {
        (Value::Array(calls), Value::Array(answers)) => {
            for answer in answers {
                let call = calls.iter().find(|call| call["id"] == answer["id"]);
                (behind.change)(call.expect("its call"), answer);
            }
        }
        (call, answer) => (behind.change)(call, answer),
    }
    json!(answer).to_string()
}
