//! What a node is and has.

use axum::response::Response;
use farebox_node_ldk::decode;
use serde_json::{Value, json};

use super::{Face, Status, base64, code, ok};

impl Face {
    pub(super) async fn get_info(&self) -> Result<Response, Status> {
        let node = self.side.node().await?;
        let channels = node.channels().await?;
        let usable = channels.iter().filter(|channel| channel.usable).count();
        let (height, hash) = self.chain.tip();
        Ok(ok(&json!({
            "version": "0.0.0-farebox-devnet",
            "identity_pubkey": *self.pubkey,
            "alias": self.side.alias(),
            "num_pending_channels": 0,
            "num_active_channels": usable,
            "num_inactive_channels": channels.len().saturating_sub(usable),
            "num_peers": usize::from(usable > 0),
            "block_height": height,
            "block_hash": hash,
            "synced_to_chain": true,
            "synced_to_graph": true,
            "testnet": false,
            "chains": [{"chain": "bitcoin", "network": "regtest"}],
            "uris": [format!("{}@{}", self.pubkey, self.side.listen())],
        })))
    }

    pub(super) async fn channel_balance(&self) -> Result<Response, Status> {
        let balances = self.side.node().await?.balances().await?;
        let amount =
            |msat: u64| json!({"sat": (msat / 1000).to_string(), "msat": msat.to_string()});
        Ok(ok(&json!({
            "balance": (balances.outbound_msat / 1000).to_string(),
            "pending_open_balance": "0",
            "local_balance": amount(balances.outbound_msat),
            "remote_balance": amount(balances.inbound_msat),
            "unsettled_local_balance": amount(0),
            "unsettled_remote_balance": amount(0),
            "pending_open_local_balance": amount(0),
            "pending_open_remote_balance": amount(0),
        })))
    }

    pub(super) async fn decode_pay_req(&self, bolt11: &str) -> Result<Response, Status> {
        // A node that is away decodes nothing.
        self.side.node().await?;
        let invoice =
            decode(bolt11).map_err(|error| Status::new(code::UNKNOWN, error.to_string()))?;
        let msat = invoice.amount_msat.unwrap_or_default();
        let described = invoice.description_hash.map(hex::encode);
        let answer: Value = json!({
            "destination": invoice.payee,
            "payment_hash": invoice.payment_hash.to_string(),
            "num_satoshis": (msat / 1000).to_string(),
            "timestamp": invoice.created_unix_s.to_string(),
            "expiry": invoice.expiry_s.to_string(),
            "description": invoice.description,
            "description_hash": described.unwrap_or_default(),
            "fallback_addr": "",
            "cltv_expiry": invoice.min_final_cltv_expiry.to_string(),
            "route_hints": [],
            "payment_addr": base64(&invoice.payment_secret),
            "num_msat": msat.to_string(),
            "features": {},
        });
        Ok(ok(&answer))
    }
}
