//! Takes over a changed configuration while the gate sells: routes, prices and limits.
//!
//! The file is looked at each second, and at once on SIGHUP. What cannot be read or sold leaves
//! everything as it was. What needs a restart is named and keeps its value. Requests that are under
//! way end by the configuration that they began with, and credentials for a price that was changed
//! are taken for as long as its offer said (`farebox_seller::Seller::succeeded_by`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use farebox_rail_remote::FeePayers;
use farebox_seller::Seller;
use farebox_server::{Course, Reloader};
use tokio::sync::watch;

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
    /// Whether anything had a price at the start, so that there are keys and chains.
    pub(super) is_priced: bool,
    pub(super) files: Files,
    /// Who is told to pay fees by the offers of now, where others settle.
    pub(super) fee_payers: Option<watch::Receiver<FeePayers>>,
}

/// Why what is sold is made anew.
enum Why {
    /// The file is another one.
    File,
    /// Somebody else pays fees, and offers have to name whoever does.
    FeePayers,
}

impl Reloaded {
    /// Follows the file for as long as it is polled.
    pub(super) async fn follow(mut self, mut reload: Reload) {
        loop {
            let why = self.next(&mut *reload.changes).await;
            let taken = (reload.read)().and_then(|sale| self.take(&sale));
            match (taken, why) {
                (Ok(routes), Why::File) => {
                    self.course.reloads.up();
                    tracing::info!(routes, "the configuration was taken over");
                }
                (Ok(routes), Why::FeePayers) => {
                    tracing::warn!(
                        routes,
                        "another facilitator settles from now on, and offers name its fee payer"
                    );
                }
                (Err(failure), _) => {
                    self.course.failed_reloads.up();
                    let why = failure.fault.map(|fault| fault.message).unwrap_or_default();
                    tracing::error!(
                        "the configuration was not taken over, the one before stays: {why}"
                    );
                }
            }
        }
    }

    /// Waits for a reason.
    async fn next(&mut self, changes: &mut dyn Changes) -> Why {
        let named = async {
            let changed = match &mut self.fee_payers {
                Some(fee_payers) => fee_payers.changed().await,
                None => std::future::pending().await,
            };
            if changed.is_err() {
                // Nobody is left who could tell.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = changes.next() => {}
            () = named => return Why::FeePayers,
        }
        self.files.again().await;
        Why::File
    }

    /// How many routes are sold now.
    fn take(&mut self, sale: &Sale) -> Result<usize, Failure> {
        self.refuse_torn(sale)?;
        let routes = sale.sold()?;
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

    /// A file that was cut off while it was written would close the shop, or sell what it no longer
    /// names at the price of something else.
    fn refuse_torn(&self, sale: &Sale) -> Result<(), Failure> {
        if sale.routes.is_empty() || (sale.fixed.is_empty() && !self.fixed.is_empty()) {
            return Err(selling::invalid(format!(
                "{} is empty or was cut off; write it anew, or stop the gate to sell nothing",
                sale.file
            )));
        }
        if sale.is_priced() && !self.is_priced {
            return Err(selling::invalid(
                "nothing had a price when the gate was started, so it has opened no gas key and no chain; restart it to charge"
                    .to_owned(),
            ));
        }
        Ok(())
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
