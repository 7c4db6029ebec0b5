//! The flags that gate and facilitator share: which chains (`--network`, `--rpc`), and who pays for
//! gas there (`--gas-key`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use farebox_wire::caip::ChainId;

use crate::assemble::GasKeys;
use crate::config::NetworkSection;
use crate::failure::Failure;

/// Which chains, and who pays for gas.
#[derive(Args, Clone)]
pub(super) struct Chains {
    /// Take payments on this chain, for instance eip155:84532; may be repeated
    #[arg(
        long,
        value_name = "CHAIN",
        value_delimiter = ',',
        env = "FAREBOX_NETWORK",
        hide_env_values = true
    )]
    network: Vec<ChainId>,
    /// JSON-RPC address of a chain; may be repeated
    #[arg(long, value_name = "CHAIN=URL", value_parser = chain_and_url, env = "FAREBOX_RPC", hide_env_values = true)]
    rpc: Vec<(ChainId, String)>,
    /// Key that pays for gas: env:NAME or file:PATH
    #[arg(long, value_name = "REF")]
    gas_key: Option<String>,
}

impl Chains {
    /// The file with the flags over it.
    pub(super) fn over(
        self,
        written: BTreeMap<ChainId, NetworkSection>,
        references: Vec<String>,
        base: PathBuf,
    ) -> Result<(BTreeMap<ChainId, NetworkSection>, GasKeys), Failure> {
        let networks = networks(written, &self.network, self.rpc)?;
        let gas_keys = self.gas_key.map(GasKeys::flagged);
        Ok((networks, gas_keys.unwrap_or(GasKeys { references, base })))
    }
}

/// The chains to collect on: those of the file, or those of --network alone; --rpc replaces the
/// addresses of its chain.
fn networks(
    mut networks: BTreeMap<ChainId, NetworkSection>,
    named: &[ChainId],
    rpc: Vec<(ChainId, String)>,
) -> Result<BTreeMap<ChainId, NetworkSection>, Failure> {
    if !named.is_empty() {
        networks.retain(|chain, _| named.contains(chain));
        for chain in named {
            networks.entry(chain.clone()).or_default();
        }
    }
    let mut replaced = BTreeMap::<ChainId, Vec<String>>::new();
    for (chain, url) in rpc {
        if !named.is_empty() && !named.contains(&chain) {
            let message = format!("--rpc {chain}=… names a chain that --network does not");
            return Err(Failure::config("usage", message));
        }
        replaced.entry(chain).or_default().push(url);
    }
    for (chain, urls) in replaced {
        networks.entry(chain).or_default().rpc = urls;
    }
    Ok(networks)
}

/// Reads `eip155:84532=http://…`.
fn chain_and_url(text: &str) -> Result<(ChainId, String), String> {
    let (chain, url) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not of the form eip155:84532=URL"))?;
    let chain = chain.parse::<ChainId>().map_err(|why| why.to_string())?;
    Ok((chain, url.to_owned()))
}
