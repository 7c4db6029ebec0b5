//! `farebox facilitator`: verifies and settles x402 payments for sellers.
//!
//! Flags win over the file; everything that is missing is named at once. It serves until Ctrl-C
//! or SIGTERM and then lets what has begun come to its end.

use std::path::PathBuf;

use clap::Args;
use farebox_wire::caip::ChainId;
use serde_json::json;

use super::chains::{chain_and_url, networks};
use super::{Globals, signal};
use crate::assemble::{self, GasKeys, OpenFacilitator, Service};
use crate::config::{Config, Listen};
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox facilitator --config seller.toml
  farebox facilitator --config net/seller.toml --listen 127.0.0.1:8404
  farebox facilitator --listen 0.0.0.0:8404 --token env:TOKEN \\
    --network eip155:84532 --rpc eip155:84532=https://sepolia.base.org --gas-key env:GAS_KEY";

/// Verify and settle x402 payments for sellers
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Facilitator {
    /// Settle on this chain, for instance eip155:84532; may be repeated
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
    /// Settle payments to this address only; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    payee: Vec<String>,
    /// Ask callers for this token: env:NAME or file:PATH; may be repeated
    #[arg(long, value_name = "REF")]
    token: Vec<String>,
    /// Serve everybody, also beyond loopback
    #[arg(long)]
    open: bool,
    /// Where to listen [default: 127.0.0.1:8404]; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        env = "FAREBOX_LISTEN",
        hide_env_values = true
    )]
    listen: Option<Listen>,
}

impl Facilitator {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let stop = signal::stop()?;
        let facilitator = self.start(globals).await.map_err(Failure::at_start)?;
        let address = format!("http://{}", facilitator.address());
        if globals.json {
            output::json(&json!({"listening": address}))?;
        } else if !globals.quiet {
            output::say(&format!(
                "farebox: the facilitator is open at {address}; Ctrl-C closes it"
            ));
        }
        facilitator.serve(stop).await?;
        Ok(0)
    }

    async fn start(self, globals: &Globals) -> Result<OpenFacilitator, Failure> {
        let data_dir = globals.data_dir()?;
        let config = globals.config()?;
        let ledger = config.ledger_path(&data_dir)?;
        let service = self.service(config, ledger)?;
        assemble::facilitator(service, &data_dir).await
    }

    /// The file with the flags over it.
    fn service(self, config: Config, ledger: PathBuf) -> Result<Service, Failure> {
        let (in_vain, gas_rate) = (config.in_vain(), config.gas_rate());
        let Config { file, base, .. } = config;
        let networks = networks(file.network, &self.network, self.rpc)?;
        let written = file.facilitator;
        // A path in a flag is relative to the current folder, one in the file to the file.
        let tokens = match self.token.is_empty() {
            true => (written.tokens, base.clone()),
            false => (self.token, PathBuf::new()),
        };
        Ok(Service {
            listen: self.listen.or(file.listen),
            networks,
            gas_keys: self.gas_key.map(GasKeys::flagged).unwrap_or(GasKeys {
                references: written.signer.evm.0,
                base,
            }),
            payees: match self.payee.is_empty() {
                true => written.payees,
                false => self.payee,
            },
            tokens: tokens
                .0
                .into_iter()
                .map(|reference| (reference, tokens.1.clone()))
                .collect(),
            open: self.open || written.open,
            factories: written.erc6492_factories,
            limits: written.limits,
            in_vain,
            gas_rate,
            ledger,
        })
    }
}
