//! In the place of `embedded.rs` in a build without an embedded Lightning node.

use std::path::Path;
use std::sync::Arc;

use farebox_rail_lightning::Node;
use farebox_wire::caip::ChainId;

use super::own_node::OwnNode;
use crate::config::NodeSection;
use crate::failure::Failure;

/// Refuses, with the name of the feature.
pub(super) fn node(
    _: &NodeSection,
    _: &ChainId,
    _: &Path,
    _: &Path,
    key: &str,
) -> Result<Arc<dyn Node>, Failure> {
    Err(Failure::config(
        "feature_missing",
        format!(
            "{key} node: this build has no embedded Lightning node; build it with the feature `embedded-node`, or name an lnd with kind = \"lnd\""
        ),
    ))
}

/// Refuses, with the name of the feature.
pub(super) fn own(
    _: &NodeSection,
    _: &ChainId,
    _: &Path,
    _: &Path,
    _: &str,
) -> Result<Arc<dyn OwnNode>, Failure> {
    Err(refusal())
}

/// Refuses what is about embedded nodes alone.
pub(super) fn refuse() -> Result<(), Failure> {
    Err(refusal())
}

fn refusal() -> Failure {
    Failure::config(
        "feature_missing",
        "this build has no embedded Lightning node; build it with the feature `embedded-node`",
    )
}

/// There is none to start.
pub(crate) async fn a_node_runs() {
    std::future::pending().await
}

/// There is none to stop.
pub(crate) async fn stop_nodes() {}
