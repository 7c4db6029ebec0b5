//! A Lightning node in this process: its folder, its seed and where it looks at the chain.
//!
//! The seed is made where there is none, because nobody has to choose it. Whoever has it has the
//! node's money, and without it the money is lost; its file belongs into the backup.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use farebox_rail_lightning::embedded::{
    ChainSource, EmbeddedNode, LdkOptions, Seed, Stage, StartError, Storage, network_of,
};
use farebox_rail_lightning::{Network, Node};
use farebox_wire::caip::ChainId;
use tokio::sync::Notify;

use super::keys;
use super::operating::Operated;
use super::own_node::{OwnNode, this_process};
use crate::config::{ChainSourceSection, NodeSection, create_private};
use crate::failure::Failure;
use crate::output;

/// The seed's file in the node's folder.
const SEED: &str = "seed";

/// The nodes of this process by their folders: one folder has one, and who ends stops them all.
static NODES: Mutex<BTreeMap<PathBuf, Arc<EmbeddedNode>>> = Mutex::new(BTreeMap::new());
/// Told when the first one starts.
static STARTED: Notify = Notify::const_new();
/// Held while they are stopped, so that whoever comes second waits for it as well.
static STOPPING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Waits until a node of this process starts.
pub(crate) async fn a_node_runs() {
    STARTED.notified().await;
}

/// Stops the nodes of this process. LDK closes a channel whose last change it had no time to write.
pub(crate) async fn stop_nodes() {
    let _turn = STOPPING.lock().await;
    let nodes = std::mem::take(&mut *NODES.lock().unwrap_or_else(PoisonError::into_inner));
    for (dir, node) in nodes {
        if let Err(why) = node.stop().await {
            tracing::error!(dir = %dir.display(), %why, "the Lightning node was not stopped in order");
        }
    }
}

/// The node; it is started when it is first asked.
pub(super) fn node(
    section: &NodeSection,
    network: &ChainId,
    base: &Path,
    data_dir: &Path,
    key: &str,
) -> Result<Arc<dyn Node>, Failure> {
    let (node, _) = made(section, network, base, data_dir, key)?;
    Ok(node)
}

/// The same as its operator uses it.
pub(super) fn own(
    section: &NodeSection,
    network: &ChainId,
    base: &Path,
    data_dir: &Path,
    key: &str,
) -> Result<Arc<dyn OwnNode>, Failure> {
    let (node, listen) = made(section, network, base, data_dir, key)?;
    Ok(Arc::new(Operated::new(node, network.clone(), listen)))
}

fn made(
    section: &NodeSection,
    network: &ChainId,
    base: &Path,
    data_dir: &Path,
    key: &str,
) -> Result<(Arc<EmbeddedNode>, Vec<SocketAddr>), Failure> {
    let is_lnds = section.url.is_some()
        || section.macaroon.is_some()
        || section.cert.is_some()
        || section.private_channels;
    if is_lnds {
        return Err(invalid(format!(
            "{key} node: url, macaroon, cert and private_channels are for kind = \"lnd\"; remove them"
        )));
    }
    let id = network;
    let network =
        Network::of(id).ok_or_else(|| invalid(format!("{key} is no network of Lightning")))?;
    let chain = chain(section.chain.as_ref(), base, key)?;
    let dir = match &section.dir {
        Some(dir) => base.join(dir),
        None => data_dir.join(format!("lightning-{}", network.name())),
    };
    let listen: Vec<SocketAddr> = section.listen.iter().map(|listen| listen.0).collect();
    let mut nodes = NODES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(node) = nodes.get(&dir) {
        return Ok((Arc::clone(node), listen));
    }
    let (place, addresses) = (dir.clone(), listen.clone());
    let make = move || {
        STARTED.notify_one();
        Ok(LdkOptions {
            storage: Storage::Directory(place.clone()),
            listen: addresses.clone(),
            holder: this_process(),
            ..LdkOptions::new(network_of(network), chain.clone(), seed(&place)?)
        })
    };
    let name = id.clone();
    let node = EmbeddedNode::new(network, make).telling(move |stage| tell(&name, stage));
    let node = Arc::new(node);
    nodes.insert(dir, Arc::clone(&node));
    Ok((node, listen))
}

/// People who wait want to know for what.
fn tell(network: &ChainId, stage: Stage) {
    let what = match stage {
        Stage::Starting => "starts",
        Stage::CatchingUp => "reads the newest blocks",
        Stage::Connecting => "waits for the peers of its channels",
    };
    output::progress(&format!("the node of {network} {what} …"));
}

fn chain(
    section: Option<&ChainSourceSection>,
    base: &Path,
    key: &str,
) -> Result<ChainSource, Failure> {
    let one = || {
        invalid(format!(
            "{key} node: kind = \"embedded\" needs one chain; write chain = {{ esplora = \"https://…\" }}, {{ electrum = \"ssl://…\" }} or {{ bitcoind = {{ host = \"127.0.0.1\", port = 8332, user = \"…\", password = \"env:NAME\" }} }}"
        ))
    };
    let section = section.ok_or_else(one)?;
    match (&section.esplora, &section.electrum, &section.bitcoind) {
        (Some(url), None, None) => Ok(ChainSource::Esplora { url: url.clone() }),
        (None, Some(url), None) => Ok(ChainSource::Electrum { url: url.clone() }),
        (None, None, Some(rpc)) => {
            let at = format!("{key} node.chain.bitcoind.password");
            let secret = keys::load_secret(&rpc.password, base, &at)?;
            let password = secret.expose_str();
            let password = password.map_err(|why| invalid(format!("{at}: {why}")))?;
            Ok(ChainSource::BitcoindRpc {
                host: rpc.host.clone(),
                port: rpc.port,
                user: rpc.user.clone(),
                password: zeroize::Zeroizing::new(password.trim().to_owned()),
            })
        }
        _ => Err(one()),
    }
}

/// The seed of a folder, made where there is none.
fn seed(dir: &Path) -> Result<Seed, StartError> {
    let cannot = |path: PathBuf, why: std::io::Error| StartError::Directory {
        path,
        why: why.to_string(),
    };
    create_private(dir).map_err(|why| cannot(dir.to_path_buf(), why))?;
    let path = dir.join(SEED);
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(&path) {
        Err(why) if why.kind() == ErrorKind::AlreadyExists => Seed::read(&path),
        Err(why) => Err(cannot(path, why)),
        Ok(mut file) => {
            let seed = Seed::generate()?;
            let written = file
                .write_all(seed.expose_hex().as_bytes())
                .and_then(|()| file.write_all(b"\n"))
                .and_then(|()| file.sync_all());
            written.map_err(|why| cannot(path, why))?;
            Ok(seed)
        }
    }
}

fn invalid(message: String) -> Failure {
    Failure::config("config_invalid", message)
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
