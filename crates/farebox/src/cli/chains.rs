//! The flags that name chains, which gate and facilitator share: `--network` and `--rpc`.

use std::collections::BTreeMap;

use farebox_wire::caip::ChainId;

use crate::config::NetworkSection;
use crate::failure::Failure;

/// The chains to collect on: those of the file, or those of --network alone; --rpc replaces the
/// addresses of its chain.
pub(super) fn networks(
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
pub(super) fn chain_and_url(text: &str) -> Result<(ChainId, String), String> {
    let (chain, url) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not of the form eip155:84532=URL"))?;
    let chain = chain.parse::<ChainId>().map_err(|why| why.to_string())?;
    Ok((chain, url.to_owned()))
}
