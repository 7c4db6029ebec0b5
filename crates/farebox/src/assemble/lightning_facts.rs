//! What a Lightning node says of itself, for the doctor and for `--check`. Facts alone.

use std::time::Duration;

use farebox_core::rail::RailError;
use farebox_rail_lightning::{Liquidity, Network, Node, NodeErrorKind, NodeIdentity, NodeState};
use farebox_wire::caip::ChainId;

use crate::failure::Failure;

/// How long a node is waited for that has just started.
const READY: Duration = Duration::from_secs(5);

/// What there is to know about one node.
pub(crate) struct NodeFacts {
    /// The network that it is configured for.
    pub(crate) network: ChainId,
    /// Host and port.
    pub(crate) node: String,
    /// Who it is, or why that is not known.
    pub(crate) identity: Result<NodeIdentity, RailError>,
    /// How it does; `None` where the macaroon does not allow to ask.
    pub(crate) state: Option<NodeState>,
    /// What it can pay and receive; `None` where the macaroon does not allow to ask.
    pub(crate) liquidity: Option<Liquidity>,
    /// Whether it may be asked what became of a payment, without which none is made.
    pub(crate) may_pay: bool,
}

impl NodeFacts {
    /// Asks a node; nothing is paid.
    pub(super) async fn ask(network: &ChainId, node: &dyn Node) -> Self {
        // What is not ready in this time is seen in what it says then.
        let _ = tokio::time::timeout(READY, node.ready()).await;
        let (state, liquidity) = tokio::join!(node.state(), node.liquidity());
        // No payment has this hash.
        let payments = node.look_up_payment(&[0; 32]).await;
        Self {
            network: network.clone(),
            node: node.name().to_owned(),
            identity: node.identity().await.map_err(Into::into),
            state: state.ok(),
            liquidity: liquidity.ok(),
            may_pay: !payments.is_err_and(|why| why.kind == NodeErrorKind::Permission),
        }
    }

    /// A node that cannot be asked as it is configured.
    pub(super) fn unbuilt(network: &ChainId, why: Failure) -> Self {
        let message = why.fault.map(|fault| fault.message).unwrap_or_default();
        Self {
            network: network.clone(),
            node: String::new(),
            identity: Err(RailError {
                code: "node_invalid",
                message,
            }),
            state: None,
            liquidity: None,
            may_pay: false,
        }
    }

    /// Whether it is on the network that it is configured for.
    pub(crate) fn is_on(&self, identity: &NodeIdentity) -> bool {
        Network::of(&self.network) == Some(identity.network)
    }
}
