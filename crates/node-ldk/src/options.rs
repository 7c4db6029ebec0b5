//! What a node is started with. Made by `assemble.rs` from the configuration, and by `devnet-ln`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ldk_node::bitcoin;
use zeroize::{Zeroize, Zeroizing};

use crate::error::Error;
pub use crate::store::MemoryStore;

/// Bytes of a seed: what ldk-node derives all keys from.
const SEED_BYTES: usize = 64;

/// Which Bitcoin network the node lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// Real money.
    Bitcoin,
    /// Testnet 3.
    Testnet,
    /// Signet.
    Signet,
    /// A private chain.
    Regtest,
}

impl Network {
    /// The name as it stands behind `lightning:` in our network identifiers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bitcoin => "mainnet",
            Self::Testnet => "testnet",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    pub(crate) const fn to_bitcoin(self) -> bitcoin::Network {
        match self {
            Self::Bitcoin => bitcoin::Network::Bitcoin,
            Self::Testnet => bitcoin::Network::Testnet,
            Self::Signet => bitcoin::Network::Signet,
            Self::Regtest => bitcoin::Network::Regtest,
        }
    }
}

/// Where the node looks at the chain.
#[derive(Clone)]
pub enum ChainSource {
    /// An Esplora HTTP API.
    Esplora {
        /// For instance `https://blockstream.info/api`.
        url: String,
    },
    /// An Electrum server.
    Electrum {
        /// For instance `ssl://electrum.blockstream.info:60002`.
        url: String,
    },
    /// A bitcoind's JSON-RPC.
    BitcoindRpc {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// `rpcuser`.
        user: String,
        /// `rpcpassword`.
        password: Zeroizing<String>,
    },
}

impl std::fmt::Debug for ChainSource {
    /// Without what may be a secret: addresses of hosted services carry keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Esplora { .. } => "Esplora",
            Self::Electrum { .. } => "Electrum",
            Self::BitcoindRpc { .. } => "BitcoindRpc",
        })
    }
}

/// Where channels, keys' counters and payments are kept. Losing it loses the money in the channels.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In this process, for tests and devnets alone. Clones share it, so that a node can come back.
    Memory(MemoryStore),
    /// A directory of its own, created for its owner alone if it is not there; one node at a time.
    Directory(PathBuf),
}

/// The 64 bytes that all keys of a node are derived from.
pub struct Seed(Zeroizing<[u8; SEED_BYTES]>);

impl Seed {
    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: [u8; SEED_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A new one from the system's randomness.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; SEED_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|error| Error::Seed(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// Reads 128 hexadecimal digits from a file, with or without a line end.
    ///
    /// # Errors
    /// The file cannot be read or holds something else.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = |why: String| Error::Seed(format!("{}: {why}", path.display()));
        let mut raw = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let mut bytes = Zeroizing::new([0; SEED_BYTES]);
        let decoded = hex::decode_to_slice(raw.trim_ascii(), bytes.as_mut_slice());
        raw.zeroize();
        decoded.map_err(|_| failed("it must hold 128 hexadecimal digits".to_owned()))?;
        Ok(Self(bytes))
    }

    /// The 128 hexadecimal digits that [`Seed::read`] reads, for a file that only its owner can read.
    #[must_use]
    pub fn expose_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0.as_slice()))
    }

    pub(crate) fn bytes(&self) -> [u8; SEED_BYTES] {
        *self.0
    }
}

/// How a node is started.
pub struct LdkOptions {
    /// Its network.
    pub network: Network,
    /// Where it looks at the chain.
    pub chain: ChainSource,
    /// Its keys.
    pub seed: Seed,
    /// Where its state is kept.
    pub storage: Storage,
    /// Where it listens for peers; empty for a node that only connects to others. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// The name that it announces; only used while it listens.
    pub alias: Option<String>,
    /// What this process is called, for another that finds the directory taken: a program and its command, and nothing
    /// secret.
    pub holder: String,
    /// Public keys (hex) whose unconfirmed channels are taken as usable. None by default: such a peer can cheat.
    pub trusted_0conf: Vec<String>,
}

impl LdkOptions {
    /// In memory, listening nowhere, trusting nobody.
    #[must_use]
    pub fn new(network: Network, chain: ChainSource, seed: Seed) -> Self {
        Self {
            network,
            chain,
            seed,
            storage: Storage::Memory(MemoryStore::default()),
            listen: Vec::new(),
            alias: None,
            holder: "a program".to_owned(),
            trusted_0conf: Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
