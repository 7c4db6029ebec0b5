//! `farebox gate`: a reverse proxy that charges for what is behind it.
//!
//! Flags win over the file; everything that is missing is named at once. It serves until Ctrl-C or
//! SIGTERM and then lets what has begun come to its end.

use std::path::PathBuf;

use clap::Args;

use super::chains::Chains;
use super::{Globals, Listening, doctor, signal};
use crate::assemble::{
    self, Entrance, Facilitators, Forwarding, GasKeys, Lightning, Reload, Sale, SolanaSide,
    TokenKey,
};
use crate::config::{Config, DataDir, Listen, Price, RouteSection, Settle, TimeoutsSection};
use crate::doctor::Patient;
use crate::failure::Failure;
use crate::output;
use crate::telemetry::Plan;

const EXAMPLES: &str = "\
Examples:
  farebox gate --config seller.toml
  farebox gate --config seller.toml --check
  farebox gate --config net/seller.toml --listen 127.0.0.1:8402 \\
    --upstream http://127.0.0.1:3000 --price \"0.001 USD\"
  farebox gate --listen 127.0.0.1:8402 \\
    --upstream http://127.0.0.1:3000 --price \"0.001 USD\" \\
    --network eip155:84532 --rpc eip155:84532=https://sepolia.base.org \\
    --pay-to 0xa0Ee7A142d267C1f36714E4a8F75612F20a79720 --gas-key env:GAS_KEY
  farebox gate --listen 127.0.0.1:8402 \\
    --upstream http://127.0.0.1:3000 --price \"0.001 USD\" \\
    --network eip155:84532 --facilitator https://x402.org/facilitator \\
    --pay-to 0xa0Ee7A142d267C1f36714E4a8F75612F20a79720";

/// How collectors of traces call a gate.
const SERVICE: &str = "farebox-gate";
/// The path of the route that --upstream and --price append.
const EVERYTHING: &str = "/*";

/// Charge for what is behind this reverse proxy
#[derive(Args, Clone)]
#[command(after_help = EXAMPLES)]
pub(super) struct Gate {
    /// Sell everything at this server, after the routes of the file
    #[arg(
        long,
        value_name = "URL",
        requires = "price",
        env = "FAREBOX_UPSTREAM",
        hide_env_values = true
    )]
    upstream: Option<String>,
    /// What one request costs, for instance "0.001 USD"
    #[arg(
        long,
        value_name = "USD",
        requires = "upstream",
        env = "FAREBOX_PRICE",
        hide_env_values = true
    )]
    price: Option<Price>,
    #[command(flatten)]
    chains: Chains,
    /// Address that is paid
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "FAREBOX_PAY_TO",
        hide_env_values = true
    )]
    pay_to: Option<String>,
    /// Facilitator that settles, https://… or "local"; may be repeated, the preferred one first.
    /// Without "local" no gas key is needed
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        env = "FAREBOX_FACILITATOR",
        hide_env_values = true
    )]
    facilitator: Vec<String>,
    /// Origin in offers and receipts; needed beyond loopback
    #[arg(
        long,
        value_name = "URL",
        env = "FAREBOX_PUBLIC_URL",
        hide_env_values = true
    )]
    public_url: Option<String>,
    /// Where to listen [default: 127.0.0.1:8402]; port 0 takes a free one
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
    /// Look whether the gate could open and be paid, and open nothing
    #[arg(long)]
    check: bool,
}

impl Gate {
    /// Whether nothing is to be opened.
    pub(super) const fn is_checking(&self) -> bool {
        self.check
    }

    /// Where traces go.
    pub(super) fn traces(&self, globals: &Globals) -> Result<Option<Plan>, Failure> {
        Plan::of(&globals.config()?, self.otlp.as_deref(), SERVICE)
    }

    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        if self.check {
            return self.examine(globals).await;
        }
        let stop = signal::stop()?;
        // Before it is read, so that no change is missed.
        let changes = signal::changes(globals.config.as_deref())?;
        let again = self.clone();
        let gate = self.open(globals).await.map_err(Failure::at_start)?;
        let address = gate.origin.clone();
        if globals.json {
            output::json(&Listening::new(&address, gate.admin_address()))?;
        } else if !globals.quiet {
            output::say(&format!(
                "farebox: the gate is open at {address}; Ctrl-C closes it"
            ));
        }
        let globals = globals.clone();
        let reload = Reload {
            changes,
            read: Box::new(move || again.clone().sale_of(&globals)),
        };
        gate.serve(stop, Some(reload)).await?;
        Ok(0)
    }

    async fn open(self, globals: &Globals) -> Result<assemble::Gate, Failure> {
        let data_dir = globals.data_dir()?;
        let sale = self.sale_of(globals)?;
        assemble::gate(sale, &data_dir).await
    }

    /// What is sold, by the file as it is now.
    fn sale_of(self, globals: &Globals) -> Result<Sale, Failure> {
        let config = globals.config()?;
        let data_dir = globals.data_dir()?;
        let ledger = config.ledger_path(&data_dir)?;
        self.sale(config, ledger, &data_dir)
    }

    /// Says what would keep the gate from opening, or from being paid.
    async fn examine(self, globals: &Globals) -> Result<u8, Failure> {
        let data_dir = globals.data_dir()?;
        let config = globals.config()?;
        let (file, ledger) = (config.path.clone(), config.ledger_place(&data_dir)?);
        let traces = self.traces(globals);
        let sale = self.sale(config, ledger, &data_dir)?;
        sale.check(&data_dir).await?;
        traces?;
        doctor::check(Patient::of_sale(sale, file, &data_dir), globals).await
    }

    /// The file with the flags over it.
    fn sale(self, config: Config, ledger: PathBuf, data_dir: &DataDir) -> Result<Sale, Failure> {
        let file = config.name();
        let (in_vain, cors) = (config.in_vain(), config.cors()?);
        let invoice_limits = config.invoice_limits();
        let entrance = Entrance::of(&config);
        let lightning = Lightning::of(&config, data_dir);
        let operation = config.operation(self.admin);
        let Config {
            file: written,
            base,
            fixed,
            ..
        } = config;
        let facilitators = Facilitators::new(self.facilitator, &written.facilitator, base.clone());
        let references = written.facilitator.signer.evm.0;
        let fee_payers = GasKeys {
            references: written.facilitator.signer.solana.0,
            base: base.clone(),
        };
        let forwarding = Forwarding {
            base: base.clone(),
            timeouts: written.timeouts,
        };
        let l402 = TokenKey {
            reference: written.l402.and_then(|section| section.master_key),
            base: base.clone(),
        };
        let (networks, gas_keys) = self.chains.over(written.network, references, base)?;
        let solana = SolanaSide::seller(
            &networks,
            written.pay_to.solana,
            fee_payers,
            facilitators.clone(),
        );
        let mut routes = written.route;
        if let (Some(upstream), Some(price)) = (self.upstream, self.price) {
            routes.push(catch_all(upstream, price));
        }
        for route in &mut routes {
            route.shadow |= written.shadow;
        }
        Ok(Sale {
            listen: self.listen.or(written.listen),
            entrance,
            public_url: self.public_url.or(written.public_url),
            networks,
            pay_to: self.pay_to.or(written.pay_to.evm),
            gas_keys,
            solana,
            facilitators,
            gas: written.facilitator.limits,
            factories: written.facilitator.erc6492_factories,
            in_vain,
            invoice_limits,
            lightning,
            l402,
            cors,
            routes,
            unmatched: written.unmatched,
            forwarding,
            operation,
            ledger,
            file,
            fixed,
        })
    }
}

fn catch_all(upstream: String, price: Price) -> RouteSection {
    RouteSection {
        matcher: EVERYTHING.to_owned(),
        upstream,
        upstream_ca: None,
        timeouts: TimeoutsSection::default(),
        price,
        accept: None,
        settle: Settle::default(),
        max_timeout: None,
        uses: None,
        valid_for: None,
        tier: 0,
        capabilities: Vec::new(),
        description: None,
        mime_type: None,
        shadow: false,
    }
}
