//! A node that runs lnd, over its REST interface.
//!
//! Called by the payer and the collector through [`Node`]. Facts are those of lnd's own interface
//! files (lightning.proto, router.proto, invoices.proto, release 0.20). It never pays twice: lnd
//! takes each payment hash on once, and whatever is unclear after sending is asked, not sent again.
//!
//! | what happens while paying | what it becomes |
//! |---|---|
//! | no connection, TLS that fails | provably not sent |
//! | refused before lnd looks at it: macaroon, locked, starting | provably not sent |
//! | any other error of lnd | lnd is asked for the hash: unknown to it is not sent, else what it says |
//! | `ALREADY_EXISTS` (in transition, already paid) | followed; it gives the preimage |
//! | the connection breaks, an answer of somebody in front of it, no answer in time | may be under way. Only that it has succeeded is believed then: a failure may be an earlier attempt's |
//! | success without a preimage | success without a preimage |

pub(crate) mod answers;
mod http;
mod options;
mod pay;
mod settled;
pub(crate) mod stream;
mod tls;

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farebox_core::invoice::SettledInvoice;
use serde_json::json;
use tokio::sync::Mutex;

pub use self::options::{LndOptions, Macaroon, OptionsError};

use self::http::{Ask, Http, NoAnswer};
use self::settled::Following;
use crate::invoice::Bolt11;
use crate::node::{
    InvoiceFate, Liquidity, Node, NodeError, NodeErrorKind, NodeIdentity, NodeState, Order,
    PayError, PaymentFate,
};

/// A node on the same machine or network answers in milliseconds; one that is busy, in seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read: an invoice with many parts paid has tens of thousands.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// How long the invoice lives by which a node is asked who it is, in seconds. It is withdrawn at once.
const PROBE_EXPIRY_S: u64 = 60;
/// Its amount, in millisatoshis.
const PROBE_MSAT: u64 = 1_000;

/// The way to one lnd. No `Debug`: it holds a macaroon.
pub struct LndNode {
    http: Http,
    /// Whether invoices tell payers of channels that the network does not know.
    with_private_channels: bool,
    /// The stream of settled invoices, between two calls.
    following: Mutex<Option<Following>>,
}

impl LndNode {
    /// Builds the client; nothing is sent.
    ///
    /// # Errors
    /// Where the address, the certificate or the macaroon cannot be used.
    pub fn new(options: LndOptions) -> Result<Self, OptionsError> {
        let with_private_channels = options.with_private_channels;
        Ok(Self {
            http: Http::new(options)?,
            with_private_channels,
            following: Mutex::new(None),
        })
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, NoAnswer> {
        let ask = Ask::get(path, ANSWER_TIMEOUT, ANSWER_BYTES_MAX);
        self.http.ask(&ask).await
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Vec<u8>, NoAnswer> {
        let body = body.to_string();
        let ask = Ask::post(path, &body, ANSWER_TIMEOUT, ANSWER_BYTES_MAX);
        self.http.ask(&ask).await
    }

    /// Who the node is by its own signature, for macaroons that allow invoices and nothing else: a
    /// small invoice, withdrawn at once.
    async fn identity_by_invoice(&self) -> Result<NodeIdentity, NodeError> {
        let text = self
            .create_invoice(PROBE_MSAT, "who are you", PROBE_EXPIRY_S)
            .await?;
        let invoice = Bolt11::read(&text).map_err(|why| NodeError {
            kind: NodeErrorKind::Unreadable,
            message: format!("{} made an invoice that cannot be read: {why}", self.name()),
        })?;
        if let Err(why) = self.cancel(&invoice.payment_hash).await {
            tracing::debug!(%why, "an invoice for asking a node who it is was not withdrawn; it ends by itself");
        }
        Ok(NodeIdentity {
            pubkey: invoice.payee,
            network: invoice.network,
        })
    }
}

#[async_trait]
impl Node for LndNode {
    fn name(&self) -> &str {
        self.http.name()
    }

    async fn identity(&self) -> Result<NodeIdentity, NodeError> {
        match self.get("v1/getinfo").await {
            Ok(body) => answers::identity(&body).map_err(|why| self.unreadable(&why)),
            Err(why) => match self.told(why) {
                why if why.kind == NodeErrorKind::Permission => self.identity_by_invoice().await,
                why => Err(why),
            },
        }
    }

    async fn state(&self) -> Result<NodeState, NodeError> {
        let body = self.get("v1/getinfo").await.map_err(|why| self.told(why))?;
        answers::state(&body).map_err(|why| self.unreadable(&why))
    }

    async fn liquidity(&self) -> Result<Liquidity, NodeError> {
        let body = self.get("v1/balance/channels").await;
        let body = body.map_err(|why| self.told(why))?;
        answers::liquidity(&body).map_err(|why| self.unreadable(&why))
    }

    async fn create_invoice(
        &self,
        amount_msat: u64,
        description: &str,
        expiry_s: u64,
    ) -> Result<String, NodeError> {
        let body = json!({
            "value_msat": amount_msat.to_string(),
            "memo": description,
            "expiry": expiry_s.to_string(),
            "private": self.with_private_channels,
        });
        let body = self.post("v1/invoices", &body).await;
        let body = body.map_err(|why| self.told(why))?;
        answers::created(&body).map_err(|why| self.unreadable(&why))
    }

    async fn look_up(&self, payment_hash: &[u8; 32]) -> Result<InvoiceFate, NodeError> {
        let path = format!("v1/invoice/{}", hex::encode(payment_hash));
        match self.get(&path).await {
            Ok(body) => answers::invoice(&body, payment_hash).map_err(|why| self.unreadable(&why)),
            Err(NoAnswer::Refused(refusal)) if refusal.is_unknown_invoice() => {
                Ok(InvoiceFate::Unknown)
            }
            Err(why) => Err(self.told(why)),
        }
    }

    async fn cancel(&self, payment_hash: &[u8; 32]) -> Result<(), NodeError> {
        let body = json!({ "payment_hash": STANDARD.encode(payment_hash) });
        match self.post("v2/invoices/cancel", &body).await {
            Ok(_) => Ok(()),
            Err(NoAnswer::Refused(refusal)) if refusal.is_closed_invoice() => Ok(()),
            Err(why) => Err(self.told(why)),
        }
    }

    async fn pay(&self, order: &Order<'_>) -> Result<PaymentFate, PayError> {
        self.pay_once(order).await
    }

    async fn look_up_payment(&self, payment_hash: &[u8; 32]) -> Result<PaymentFate, NodeError> {
        self.track_now(payment_hash).await
    }

    async fn settlements(&self, after: u64) -> Result<Vec<SettledInvoice>, NodeError> {
        self.settled_after(after).await
    }
}

impl LndNode {
    fn unreadable(&self, why: &str) -> NodeError {
        NodeError {
            kind: NodeErrorKind::Unreadable,
            message: format!(
                "the Lightning node at {} answers what cannot be read: {why}; check that it is lnd 0.15 or later",
                self.name()
            ),
        }
    }

    /// What went wrong, with what to do.
    fn told(&self, why: NoAnswer) -> NodeError {
        why.told(self.name())
    }
}
