//! Whether a gate or facilitator could start as configured, as far as nobody has to be asked.
//!
//! Called by `gate --check` and `facilitator --check`. The same refusals with the same words as at
//! the start, and nothing is listened on, locked or written.

use std::sync::Arc;

use farebox_core::clock::SystemClock;
use farebox_core::rail::CollectRail;
use farebox_rail_evm::EvmCollector;
use farebox_seller::{Protocol, Seller, SellerConfig};

use super::collecting::rail_failure;
use super::facilitating::Service;
use super::l402::TokenKey;
use super::networks::{self, FACTORIES_KEY};
use super::overseeing::Oversight;
use super::selling::{Sale, asking_only, invalid};
use crate::config::DataDir;
use crate::failure::Failure;

impl Sale {
    /// Refuses what the gate would refuse at its start.
    ///
    /// # Errors
    /// Exit 2, as at the start.
    pub(crate) async fn check(&self, data_dir: &DataDir) -> Result<(), Failure> {
        self.refuse_missing()?;
        Oversight::check(&self.operation)?;
        let routes = self.sold()?;
        self.forwarding.upstreams(&self.routes, self.unmatched)?;
        networks::addresses(&self.factories, FACTORIES_KEY)?;
        let mut rails: Vec<Arc<dyn CollectRail>> = Vec::new();
        if self.accepts(Protocol::X402)? && self.collects_on_evm() {
            let pay_to = self.pay_to.as_deref().unwrap_or_default();
            let pay_to = networks::address(pay_to, "pay_to")?;
            let networks = networks::with_endpoints(&networks::chains(&self.networks))?;
            let rail = EvmCollector::new(networks, asking_only(pay_to), Arc::new(SystemClock));
            rails.push(Arc::new(rail.map_err(rail_failure)?));
        }
        if self.accepts(Protocol::X402)? {
            rails.extend(self.solana.checked()?);
        }
        let public_url = self.public_url.clone();
        let public_url = public_url.unwrap_or_else(|| self.entrance.origin(self.listen()));
        self.entrance.front(data_dir)?;
        self.entrance.check_redirect(&public_url)?;
        let l402 = match self.invoicing(data_dir, TokenKey::look).await {
            // The gate that runs by this file has the node. What it says of itself is left out.
            Err(why) if why.code() == Some("node_in_use") => return Ok(()),
            l402 => l402?,
        };
        Seller::check(SellerConfig::new(public_url, routes), &rails, l402)
            .map_err(|why| invalid(why.to_string()))
    }
}

impl Service {
    /// Refuses what the facilitator would refuse at its start.
    ///
    /// # Errors
    /// Exit 2, as at the start.
    pub(crate) fn check(&self, data_dir: &DataDir) -> Result<(), Failure> {
        let (_, wanted) = self.permitted()?;
        Oversight::check(&self.operation)?;
        self.entrance.front(data_dir)?;
        let public_url = self.public_url.clone();
        let public_url = public_url.unwrap_or_else(|| self.entrance.origin(wanted));
        self.entrance.check_redirect(&public_url)?;
        networks::with_endpoints(&self.networks)?;
        self.solana.checked()?;
        self.gas_rate.check()?;
        networks::addresses(&self.factories, FACTORIES_KEY).map(|_| ())
    }
}
