//! The rails of `farebox demo --all-rails` beside the first: they start together, sell the same page from the same gate, and
//! have books of their own.
//!
//! Called by `stage` and `steps`; what is done on each rail is in `by_solana` and `by_lightning`.

use farebox_wire::challenge::Offer;
use serde_json::Value;

use super::files::Part;
use super::report::Teller;
use super::stage::Stage;
use super::{by_lightning, by_solana, lightning, solana};
use crate::assemble::Lightning;
use crate::failure::Failure;

/// How many steps there are.
pub(super) const COUNT: usize = by_solana::COUNT + by_lightning::COUNT;

/// Says what is set up, as a heading.
pub(super) const TITLE: &str = "A local chain, a local Solana and a local Lightning network, an API behind a paying gate, and a buyer with a budget";

/// The networks, before anybody sells on them.
pub(super) struct Nets {
    solana: solana::Net,
    lightning: lightning::Net,
}

impl Nets {
    /// Starts them on free ports.
    ///
    /// # Errors
    /// Exit 2 where one does not start.
    pub(super) fn start() -> Result<Self, Failure> {
        Ok(Self {
            solana: solana::Net::start(0)?,
            lightning: lightning::Net::start()?,
        })
    }

    /// What of the files of a seller and a buyer is theirs.
    ///
    /// # Errors
    /// Exit 1 where a node's macaroon is none.
    pub(super) fn parts(&self) -> Result<[Part; 2], Failure> {
        Ok([self.solana.part(), self.lightning.part()?])
    }
}

/// The networks, and what had been moved on each before anything was sold.
pub(super) struct Others {
    solana: by_solana::Side,
    lightning: by_lightning::Side,
}

impl Others {
    /// Looks at the networks before the gate opens.
    ///
    /// # Errors
    /// Where a node does not answer.
    pub(super) async fn new(nets: Nets, node: &Lightning) -> Result<Self, Failure> {
        Ok(Self {
            solana: by_solana::Side::new(nets.solana)?,
            lightning: by_lightning::Side::new(nets.lightning, node).await?,
        })
    }

    /// What runs, a line for each.
    pub(super) fn about(&self) -> [(&'static str, String); 2] {
        [
            ("solana", self.solana.about()),
            ("lightning", self.lightning.about()),
        ]
    }

    /// Waits until the gate offers all of it.
    ///
    /// # Errors
    /// Where the gate does not answer.
    pub(super) async fn warm_up(stage: &Stage) -> Result<(), Failure> {
        by_lightning::warm_up(stage).await
    }

    /// What the 402 asks that is no x402.
    ///
    /// # Errors
    /// Where it lacks an offer.
    pub(super) async fn offered(
        stage: &Stage,
        offers: &[Offer],
    ) -> Result<(String, Value), Failure> {
        by_lightning::offered(stage, offers).await
    }

    /// Buys on each. Lightning comes last: it leaves a token that would be shown before anything is bought.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub(super) async fn play(&self, stage: &Stage, teller: &mut Teller) -> Result<(), Failure> {
        Box::pin(by_solana::play(stage, &self.solana, teller)).await?;
        Box::pin(by_lightning::play(stage, &self.lightning, teller)).await
    }

    /// Compares the books of each.
    ///
    /// # Errors
    /// Where stdout cannot be written.
    pub(super) async fn balance(&self, stage: &Stage, teller: &mut Teller) -> Result<(), Failure> {
        by_solana::balance(stage, &self.solana, teller).await?;
        by_lightning::balance(stage, &self.lightning, teller).await
    }

    /// Stops the networks.
    pub(super) async fn stop(self) {
        self.solana.stop().await;
        self.lightning.stop().await;
    }
}
