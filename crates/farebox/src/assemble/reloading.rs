//! Takes over a changed configuration while the gate sells: routes, prices and limits.
//!
//! The file is looked at each second, and at once on SIGHUP. What cannot be read or sold leaves
//! everything as it was. What needs a restart is named and keeps its value. Requests that are under
//! way end by the configuration that they began with, and credentials for a price that was changed
//! are taken for as long as its offer said (`farebox_seller::Seller::succeeded_by`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use farebox_seller::Seller;
use farebox_server::{Course, Reloader};

use super::overseeing::Files;
use super::selling::{self, Sale};
use crate::failure::Failure;

/// Each item is a reason to look at the file again.
pub(crate) trait Changes: Send {
    /// Waits for the next one.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// When to read again, and how.
pub(crate) struct Reload {
    /// When.
    pub(crate) changes: Box<dyn Changes>,
    /// How: the file as it is then, with the flags over it.
    pub(crate) read: Box<dyn Fn() -> Result<Sale, Failure> + Send>,
}

/// What follows the file.
pub(super) struct Reloaded {
    pub(super) seller: Seller,
    /// As at the start.
    pub(super) public_url: String,
    pub(super) reloader: Reloader,
    pub(super) course: Arc<Course>,
    /// What stood in the file at the start and needs a restart.
    pub(super) fixed: toml::Table,
    pub(super) files: Files,
}

impl Reloaded {
    /// Follows the file for as long as it is polled.
    pub(super) async fn follow(mut self, mut reload: Reload) {
        loop {
            reload.changes.next().await;
            self.files.again().await;
            let taken = (reload.read)().and_then(|sale| self.take(&sale));
            match taken {
                Ok(routes) => {
                    self.course.reloads.up();
                    tracing::info!(routes, "the configuration was taken over");
                }
                Err(failure) => {
                    self.course.failed_reloads.up();
                    let why = failure.fault.map(|fault| fault.message).unwrap_or_default();
                    tracing::error!(
                        "the configuration was not taken over, the one before stays: {why}"
                    );
                }
            }
        }
    }

    /// How many routes are sold now.
    fn take(&mut self, sale: &Sale) -> Result<usize, Failure> {
        let routes = selling::routes(&sale.routes)?;
        let upstreams = sale.forwarding.upstreams(&sale.routes, sale.unmatched)?;
        let count = routes.len();
        let config = selling::seller_config(sale, self.public_url.clone(), routes);
        let seller = self.seller.succeeded_by(config);
        let seller = seller.map_err(|why| selling::invalid(why.to_string()))?;
        let reloaded = self.reloader.reload(&seller, upstreams);
        reloaded.map_err(|why| selling::invalid(why.to_string()))?;
        self.seller = seller;
        self.warn_of_the_rest(sale);
        Ok(count)
    }

    fn warn_of_the_rest(&self, sale: &Sale) {
        let names = self.fixed.keys().chain(sale.fixed.keys());
        let mut changed: Vec<&str> = names
            .filter(|name| self.fixed.get(*name) != sale.fixed.get(*name))
            .map(String::as_str)
            .collect();
        changed.sort_unstable();
        changed.dedup();
        if !changed.is_empty() {
            tracing::warn!(
                "changed in {} and kept as they were until a restart: {}",
                sale.file,
                changed.join(", ")
            );
        }
    }
}
