//! In place of `certificates` where the feature `acme` was left out: obtaining one is refused, and
//! nothing is known about the others.

use std::path::{Path, PathBuf};

use farebox_server::Obtained;

use super::entrance::Order;
use super::examining::{OrderFacts, Span};
use crate::config::DataDir;
use crate::failure::Failure;

pub(super) fn obtained(_: Order<'_>, _: &DataDir) -> Result<Obtained, Failure> {
    Err(missing())
}

pub(super) async fn facts(_: &Order<'_>, _: &DataDir) -> Result<OrderFacts, Failure> {
    Err(missing())
}

pub(super) fn secrets(_: &Order<'_>, _: &DataDir) -> Vec<PathBuf> {
    Vec::new()
}

pub(super) fn span(_: &Path) -> Option<Span> {
    None
}

fn missing() -> Failure {
    Failure::config(
        "feature_missing",
        "this build obtains no certificates: tls.acme needs the feature `acme`; write cert and key in its place",
    )
}
