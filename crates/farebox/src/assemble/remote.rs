//! Facilitators elsewhere, in front of the gate's own rail.
//!
//! Called where the gate is assembled. Tokens go to the facilitators that the file names beside
//! them, and to nobody who was named by a flag.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use farebox_core::clock::SystemClock;
use farebox_core::rail::CollectRail;
use farebox_rail_remote::{Place, RemoteCollector, RemoteOptions};
use farebox_wire::caip::ChainId;

use super::collecting::rail_failure;
use super::keys;
use crate::config::{FacilitatorSection, NetworkSection};
use crate::failure::Failure;

/// This process itself.
const LOCAL: &str = "local";

/// Who settles for a gate, in order of preference.
#[derive(Clone, Default)]
pub(crate) struct Facilitators {
    urls: Vec<String>,
    /// What the file's facilitators want to see, as references to secrets.
    headers: BTreeMap<String, String>,
    /// The facilitators that the file names.
    of_file: Vec<String>,
    /// What paths in the file are relative to.
    base: PathBuf,
}

impl Facilitators {
    /// Those of the flags, or of the file where there is no flag.
    pub(crate) fn new(flagged: Vec<String>, section: &FacilitatorSection, base: PathBuf) -> Self {
        Self {
            urls: match flagged.is_empty() {
                true => section.urls.clone(),
                false => flagged,
            },
            headers: section.headers.clone(),
            of_file: section.urls.clone(),
            base,
        }
    }

    /// Whether this process settles, alone or among others.
    pub(crate) fn is_local(&self) -> bool {
        self.urls.is_empty() || self.urls.iter().any(|url| url == LOCAL)
    }

    /// Whether somebody else does.
    pub(super) fn is_remote(&self) -> bool {
        self.urls.iter().any(|url| url != LOCAL)
    }

    /// References to the secrets that their headers hold, and what paths in them are relative to.
    pub(crate) fn secrets(&self) -> (impl Iterator<Item = &String>, &Path) {
        (self.headers.values(), &self.base)
    }

    /// Puts the facilitators in front of the rail, and asks them what they support.
    pub(super) async fn in_front_of(
        &self,
        rail: Arc<dyn CollectRail>,
        networks: &BTreeMap<ChainId, NetworkSection>,
    ) -> Result<RemoteCollector, Failure> {
        let (asked, blind): (Vec<_>, Vec<_>) = networks
            .iter()
            .partition(|(_, section)| !section.rpc.is_empty());
        if !blind.is_empty() {
            let names: Vec<&str> = blind.iter().map(|(chain, _)| chain.as_str()).collect();
            tracing::warn!(
                "no RPC address of {}: whether a payment was settled is the facilitator's word alone, and each payer has one payment open at a time; name one with --rpc",
                names.join(", ")
            );
        }
        let options = RemoteOptions {
            places: self.places()?,
            chains: asked.into_iter().map(|(chain, _)| chain.clone()).collect(),
        };
        let collector = RemoteCollector::new(rail, options, Arc::new(SystemClock));
        let collector = collector.map_err(rail_failure)?;
        collector.start().await.map_err(rail_failure)?;
        Ok(collector)
    }

    /// Every one of them, with the headers that go there.
    pub(super) fn places(&self) -> Result<Vec<Place>, Failure> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, reference) in &self.headers {
            let key = format!("[facilitator] headers.{name}");
            let secret = keys::load_secret(reference, &self.base, &key)?;
            let text = secret
                .expose_str()
                .map_err(|why| Failure::config("key_unreadable", format!("{key}: {why}")))?;
            // A file ends with a line break, which is no part of the secret.
            headers.push((name.clone(), text.trim().to_owned()));
        }
        let places = self.urls.iter().map(|url| {
            if url == LOCAL {
                return Ok(Place::Local);
            }
            let headers = match self.of_file.contains(url) {
                true => headers.as_slice(),
                false => &[],
            };
            Place::remote(url, headers).map_err(rail_failure)
        });
        places.collect()
    }
}
