//! The buyer's side: networks, key, desk, and the client that pays.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::ledger::Ledger;
use farebox_core::rail::{
    Authorised, Finding, Handle, Holding, NotPayable, PayRail, Quote, RailError,
};
use farebox_rail_evm::{EvmKey, EvmPayer, Network};
use farebox_wallet::{Desk, DeskOptions};
use farebox_wire::challenge::{Challenge, Offer};
use tokio::sync::OnceCell;

use super::keys::{self, PayingKey};
use super::lightning::Lightning;
use super::networks;
use super::solana::Solana;
use crate::config::{Config, DataDir};
use crate::failure::Failure;

/// The desk of a wallet that pays. A key in the keystore is opened when the first offer is quoted,
/// so that what turns out to be free asks nobody for a passphrase.
///
/// # Errors
/// Exit 2 where a network or the key is not what it should be.
pub(crate) fn desk(
    config: &Config,
    data_dir: &DataDir,
    passphrase: Option<&str>,
    ledger: Arc<dyn Ledger>,
) -> Result<Arc<Desk>, Failure> {
    let networks = networks::for_buying(config)?;
    let mut rails: Vec<Arc<dyn PayRail>> = match keys::paying_key(config, data_dir, passphrase)? {
        PayingKey::None => vec![],
        PayingKey::Read(key) => vec![Arc::new(payer(networks, key)?)],
        PayingKey::Locked(locked) => vec![Arc::new(LockedPayer {
            watcher: payer(networks.clone(), keys::throwaway()?)?,
            networks,
            locked,
            unlocked: OnceCell::new(),
        })],
    };
    rails.extend(Solana::of(config).payer()?);
    rails.extend(Lightning::of(config, data_dir).payer()?);
    build(config, rails, ledger)
}

/// A desk that asks chains what became of payments, and has no key to make any.
///
/// # Errors
/// Exit 2 where a network is not what it should be.
pub(crate) fn keyless_desk(
    config: &Config,
    data_dir: &DataDir,
    ledger: Arc<dyn Ledger>,
) -> Result<Arc<Desk>, Failure> {
    let watcher = payer(networks::for_buying(config)?, keys::throwaway()?)?;
    let mut rails: Vec<Arc<dyn PayRail>> = vec![Arc::new(watcher)];
    rails.extend(Solana::of(config).watcher()?);
    rails.extend(Lightning::of(config, data_dir).payer()?);
    build(config, rails, ledger)
}

/// What the paying account holds on each configured chain, and what each node can pay.
///
/// # Errors
/// Exit 2 where the key or the networks are missing.
pub(crate) async fn holdings(
    config: &Config,
    data_dir: &DataDir,
) -> Result<Vec<Result<Holding, RailError>>, Failure> {
    let networks = networks::configured(config)?;
    let lightning = Lightning::of(config, data_dir).payer()?;
    let has_chain = networks.iter().any(|network| !network.rpc.is_empty());
    let solana = Solana::of(config);
    if !has_chain && !solana.has_balance() && lightning.is_none() {
        return Err(Failure::config(
            "network_missing",
            format!(
                "there is no chain to ask for the balance; add [network.\"eip155:84532\"] rpc = [\"https://…\"] to {}",
                config.name()
            ),
        ));
    }
    let mut holdings = Vec::new();
    // A wallet of Lightning or Solana alone has no key of an EVM chain.
    if has_chain {
        let address = keys::paying_address(config, data_dir)?;
        let asked = farebox_rail_evm::holdings(networks, address).await;
        holdings = asked.map_err(|why| Failure::config(why.code, why.message))?;
    }
    if solana.has_balance()
        && let Some(payer) = solana.payer()?
    {
        holdings.extend(payer.balances().await);
    }
    if let Some(lightning) = lightning {
        holdings.extend(lightning.balances().await);
    }
    Ok(holdings)
}

fn build(
    config: &Config,
    rails: Vec<Arc<dyn PayRail>>,
    ledger: Arc<dyn Ledger>,
) -> Result<Arc<Desk>, Failure> {
    let mut options =
        DeskOptions::new().map_err(|why| Failure::internal("no_randomness", why.to_string()))?;
    if let Some(max_validity) = config.file.wallet.max_validity {
        options.max_validity_s = max_validity.whole_seconds().ok_or_else(|| {
            Failure::config(
                "config_invalid",
                "[wallet] max_validity is not in whole seconds; write it like \"120s\"",
            )
        })?;
    }
    Ok(Arc::new(Desk::new(ledger, rails, clock(), options)))
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn payer(networks: Vec<Network>, key: Arc<EvmKey>) -> Result<EvmPayer, Failure> {
    EvmPayer::new(networks, key, clock()).map_err(|why| Failure::config(why.code, why.message))
}

/// Pays with a key that is still in the keystore.
struct LockedPayer {
    networks: Vec<Network>,
    /// Asks the chain; needs no key for it.
    watcher: EvmPayer,
    locked: keys::LockedKey,
    /// The rail, or why it cannot be had: one passphrase is asked for once.
    unlocked: OnceCell<Result<EvmPayer, NotPayable>>,
}

impl LockedPayer {
    async fn unlocked(&self) -> Result<&EvmPayer, NotPayable> {
        let open = || async {
            let locked = self.locked.clone();
            let opened = tokio::task::spawn_blocking(move || locked.open()).await;
            let key = match opened {
                Ok(Ok(key)) => key,
                Ok(Err(failure)) => return Err(not_payable(&failure)),
                Err(why) => return Err(unreadable(why.to_string())),
            };
            payer(self.networks.clone(), Arc::new(key)).map_err(|failure| not_payable(&failure))
        };
        self.unlocked
            .get_or_init(open)
            .await
            .as_ref()
            .map_err(Clone::clone)
    }
}

#[async_trait]
impl PayRail for LockedPayer {
    fn rail(&self) -> &'static str {
        self.watcher.rail()
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        // What nobody can pay asks for no passphrase.
        self.watcher.quote(offer).await?;
        self.unlocked().await?.quote(offer).await
    }

    async fn authorise(
        &self,
        quote: &Quote,
        challenge: &Challenge,
        valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        let payer = self.unlocked().await.map_err(|why| RailError {
            code: why.code,
            message: why.why,
        })?;
        payer.authorise(quote, challenge, valid_for_s).await
    }

    async fn check(&self, handle: &Handle) -> Finding {
        self.watcher.check(handle).await
    }

    async fn balances(&self) -> Vec<Result<Holding, RailError>> {
        match self.unlocked().await {
            Ok(payer) => payer.balances().await,
            Err(why) => vec![Err(RailError {
                code: why.code,
                message: why.why,
            })],
        }
    }
}

fn not_payable(failure: &Failure) -> NotPayable {
    unreadable(
        failure
            .fault
            .as_ref()
            .map(|fault| fault.message.clone())
            .unwrap_or_default(),
    )
}

fn unreadable(why: String) -> NotPayable {
    NotPayable {
        code: "key_unreadable",
        why,
    }
}
