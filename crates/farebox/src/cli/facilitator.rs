//! `farebox facilitator`: verifies and settles x402 payments for sellers.
//!
//! Flags win over the file; everything that is missing is named at once. It serves until Ctrl-C
//! or SIGTERM and then lets what has begun come to its end.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::chains::Chains;
use super::{Globals, Listening, doctor, signal};
use crate::assemble::{self, Entrance, GasKeys, GasRate, OpenFacilitator, Service, SolanaSide};
use crate::config::{Config, Listen};
use crate::doctor::Patient;
use crate::failure::Failure;
use crate::output;
use crate::telemetry::Plan;

const EXAMPLES: &str = "\
Examples:
  farebox facilitator --config seller.toml
  farebox facilitator --config seller.toml --check
  farebox facilitator --config net/seller.toml --listen 127.0.0.1:8404
  farebox facilitator --listen 0.0.0.0:8404 --token env:TOKEN \\
    --network eip155:84532 --rpc eip155:84532=https://sepolia.base.org --gas-key env:GAS_KEY";

const DEPLOY_EXAMPLES: &str = "\
Examples:
  farebox facilitator deploy-settler --config seller.toml
  farebox facilitator deploy-settler --gas-key env:GAS_KEY \\
    --network eip155:84532 --rpc eip155:84532=https://sepolia.base.org";

/// How collectors of traces call a facilitator.
const SERVICE: &str = "farebox-facilitator";

/// Verify and settle x402 payments for sellers
#[derive(Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Facilitator {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    chains: Chains,
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
    /// Where to answer /healthz, /readyz and /metrics; nowhere by default
    #[arg(
        long,
        value_name = "ADDR",
        env = "FAREBOX_ADMIN",
        hide_env_values = true
    )]
    admin: Option<Listen>,
    /// Collector that takes traces by OTLP over HTTP, for instance http://127.0.0.1:4318
    #[arg(long, value_name = "URL", env = "FAREBOX_OTLP", hide_env_values = true)]
    otlp: Option<String>,
    /// Look whether the facilitator could start and settle, and start nothing
    #[arg(long)]
    check: bool,
}

/// What else there is to do for a facilitator.
#[derive(Subcommand)]
enum Other {
    DeploySettler(DeploySettler),
}

/// Put the contract on the chains that carries many payments in one transaction
#[derive(Args)]
#[command(after_help = DEPLOY_EXAMPLES)]
struct DeploySettler {
    #[command(flatten)]
    chains: Chains,
}

impl DeploySettler {
    async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let Config { file, base, .. } = globals.config()?;
        let references = file.facilitator.signer.evm.0;
        let (networks, gas_keys) =
            self.chains
                .over(assemble::chains(&file.network), references, base)?;
        let deployed = assemble::deploy_settler(&networks, &gas_keys, &globals.data_dir()?).await?;
        if globals.json {
            output::json(&json!({"deployed": deployed}))?;
            return Ok(0);
        }
        for one in deployed {
            let how = match one.transaction {
                Some(transaction) => format!("deployed by {transaction}"),
                None => "was there already".to_owned(),
            };
            output::line(&format!("{} {} {how}", one.network, one.settler))?;
        }
        Ok(0)
    }
}

impl Facilitator {
    /// Whether nothing is to be started.
    pub(super) const fn is_checking(&self) -> bool {
        self.check
    }

    /// Where traces go.
    pub(super) fn traces(&self, globals: &Globals) -> Result<Option<Plan>, Failure> {
        match self.other {
            Some(_) => Ok(None),
            None => Plan::of(&globals.config()?, self.otlp.as_deref(), SERVICE),
        }
    }

    pub(super) async fn run(mut self, globals: &Globals) -> Result<u8, Failure> {
        match self.other.take() {
            Some(Other::DeploySettler(deploy)) => {
                deploy.run(globals).await.map_err(Failure::at_start)
            }
            None if self.check => self.examine(globals).await,
            None => self.serve(globals).await,
        }
    }

    async fn serve(self, globals: &Globals) -> Result<u8, Failure> {
        let stop = signal::stop()?;
        let changes = signal::changes(globals.config.as_deref())?;
        let facilitator = self.start(globals).await.map_err(Failure::at_start)?;
        let address = facilitator.origin.clone();
        if globals.json {
            output::json(&Listening::new(&address, facilitator.admin_address()))?;
        } else if !globals.quiet {
            output::say(&format!(
                "farebox: the facilitator is open at {address}; Ctrl-C closes it"
            ));
        }
        facilitator.serve(stop, changes).await?;
        Ok(0)
    }

    async fn start(self, globals: &Globals) -> Result<OpenFacilitator, Failure> {
        let data_dir = globals.data_dir()?;
        let config = globals.config()?;
        let ledger = config.ledger_path(&data_dir)?;
        let service = self.service(config, ledger)?;
        assemble::facilitator(service, &data_dir).await
    }

    /// Says what would keep the facilitator from starting, or from settling.
    async fn examine(self, globals: &Globals) -> Result<u8, Failure> {
        let data_dir = globals.data_dir()?;
        let config = globals.config()?;
        let (file, ledger) = (config.path.clone(), config.ledger_place(&data_dir)?);
        let traces = self.traces(globals);
        let service = self.service(config, ledger)?;
        service.check(&data_dir)?;
        traces?;
        doctor::check(Patient::of_service(service, file, &data_dir), globals).await
    }

    /// The file with the flags over it.
    fn service(self, config: Config, ledger: PathBuf) -> Result<Service, Failure> {
        let (in_vain, gas_rate) = (config.in_vain(), config.gas_rate());
        let entrance = Entrance::of(&config);
        let operation = config.operation(self.admin);
        let Config { file, base, .. } = config;
        let written = file.facilitator;
        let references = written.signer.evm.0;
        let fee_payers = GasKeys {
            references: written.signer.solana.0,
            base: base.clone(),
        };
        let (all, gas_keys) = self.chains.over(file.network, references, base.clone())?;
        let solana = SolanaSide::facilitator(&all, fee_payers);
        let networks = assemble::chains(&all);
        // A path in a flag is relative to the current folder, one in the file to the file.
        let tokens = match self.token.is_empty() {
            true => (written.tokens, base),
            false => (self.token, PathBuf::new()),
        };
        Ok(Service {
            listen: self.listen.or(file.listen),
            entrance,
            public_url: file.public_url,
            networks,
            gas_keys,
            solana,
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
            gas_rate: GasRate(gas_rate),
            operation,
            ledger,
        })
    }
}
