//! Where rows are measured: the chain, funded payers, and the product's servers as a user would start them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::load::{self, Feed, Judge, Measured};
use crate::node::{self, Node, PAYEE};
use crate::process::Process;
use crate::product::{self, Server};
use crate::report::Sample;
use crate::sign::{CHAIN_ID, Cashier, Key, USDC};
use crate::{Fallible, NodeKind, Options};

/// Payers that are known to the servers: many, and few enough to stay warm.
const WARM_PAYERS: usize = 100;
/// What one payment moves: a tenth of a cent.
pub(crate) const VALUE: u64 = 1_000;
pub(crate) const PRICE: &str = "0.001 USD";
/// How long credentials stay valid: the whole run.
const VALID_FOR: Duration = Duration::from_secs(3600);

/// The stage.
pub(crate) struct Stage {
    pub(crate) binary: PathBuf,
    pub(crate) node: Node,
    pub(crate) payers: Vec<Key>,
    pub(crate) cashier: Cashier,
    pub(crate) quick: bool,
    kind: NodeKind,
    folder: TempDir,
    servers: usize,
}

impl Stage {
    /// Builds it.
    pub(crate) fn build(options: &Options) -> Fallible<Self> {
        let binary = product::binary(&[])?;
        // On the disk of the build: temporary folders may be memory, where a durable write costs nothing.
        let disk = binary.parent().ok_or("the binary lies nowhere")?;
        let folder = TempDir::with_prefix_in("bench-", disk)?;
        let mut node = Node::start(options.node, &binary, folder.path())?;
        let payers = (0..WARM_PAYERS)
            .map(Key::payer)
            .collect::<Fallible<Vec<_>>>()?;
        node.fund(&payers)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let valid_before = (now + VALID_FOR).as_secs();
        Ok(Self {
            binary,
            node,
            payers,
            cashier: Cashier::new(PAYEE, VALUE, valid_before)?,
            quick: options.quick,
            kind: options.node,
            folder,
            servers: 0,
        })
    }

    /// Another chain, with nothing on it but the funds of the payers. What the product has running
    /// goes on with the old one, which ends.
    pub(crate) fn renew_chain(&mut self) -> Fallible<()> {
        self.node = Node::start(self.kind, &self.binary, self.folder.path())?;
        self.node.fund(&self.payers)
    }

    /// Runs of a row: all of them, or one.
    pub(crate) fn runs(&self, all: usize) -> usize {
        if self.quick { 1 } else { all }
    }

    /// Payments of a run: all of them, or a few.
    pub(crate) fn payments(&self, all: usize) -> usize {
        if self.quick { all / 10 } else { all }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts `farebox COMMAND` with a ledger and a configuration of its own.
    pub(crate) fn serve(&mut self, what: &Serve<'_>) -> Fallible<Server> {
        self.servers += 1;
        let folder = self
            .folder
            .path()
            .join(format!("{}-{}", what.command, self.servers));
        fs::create_dir(&folder)?;
        let ledger = match what.ledger {
            Some(ledger) => ledger.to_owned(),
            None => folder.join("ledger.db"),
        };
        fs::write(folder.join("gas.key"), what.gas_key)?;
        let file = folder.join("farebox.toml");
        let rpc = what.rpc.unwrap_or(self.node.address);
        fs::write(&file, configuration(&ledger, rpc, what.routes))?;
        let mut command = Command::new(&self.binary);
        command.arg(what.command).arg("--config").arg(&file).args([
            "--listen",
            "127.0.0.1:0",
            "--json",
        ]);
        // A gate key is locked by data directory, and somebody else may use the development keys.
        command.arg("--data-dir").arg(&folder);
        Server::start(what.command, &mut command, &folder)
    }

    /// Starts this program as the other end of a comparison.
    pub(crate) fn bare(&self, kind: &'static str, arguments: &[String]) -> Fallible<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", kind]).args(arguments);
        Server::start(kind, &mut command, self.folder())
    }

    /// Credentials for an offer, each of another payment, by all payers in turn.
    pub(crate) fn credentials(
        &mut self,
        count: usize,
        resource: &Value,
        offer: &Value,
    ) -> Vec<Value> {
        let payers = self.payers.iter().cycle().take(count);
        payers
            .map(|payer| self.cashier.sign(payer).credential(resource, offer))
            .collect()
    }

    /// What the payee has got since `before` must be what was reported as paid.
    pub(crate) fn check_books(&mut self, before: u128, paid: usize) -> Fallible<()> {
        let has = self.node.balance(PAYEE)?.saturating_sub(before);
        let wants = u128::from(VALUE) * paid as u128;
        if has == wants {
            return Ok(());
        }
        Err(format!("{wants} was reported as paid, and the payee got {has}").into())
    }
}

/// How a server of the product is started.
pub(crate) struct Serve<'a> {
    pub(crate) command: &'static str,
    pub(crate) gas_key: &'a str,
    /// Another way to the node.
    pub(crate) rpc: Option<SocketAddr>,
    pub(crate) routes: &'a str,
    /// A ledger that goes on.
    pub(crate) ledger: Option<&'a Path>,
}

impl Serve<'_> {
    pub(crate) const FACILITATOR: Self = Self {
        command: "facilitator",
        gas_key: node::FACILITATOR_KEY,
        rpc: None,
        routes: "",
        ledger: None,
    };
}

fn configuration(ledger: &Path, rpc: SocketAddr, routes: &str) -> String {
    let ledger = ledger.display();
    format!(
        "ledger = \"sqlite:{ledger}\"\n\n\
         [network.\"eip155:{CHAIN_ID}\"]\nrpc = [\"http://{rpc}\"]\nconfirmations = 1\nfinal = 0\n\n\
         [pay_to]\nevm = \"{PAYEE}\"\n\n\
         [facilitator]\nurls = [\"local\"]\nsigner = {{ evm = \"file:gas.key\" }}\n\n{routes}"
    )
}

/// The offer that facilitators are asked about.
pub(crate) fn offer() -> Value {
    json!({
        "scheme": "exact",
        "network": format!("eip155:{CHAIN_ID}"),
        "amount": VALUE.to_string(),
        "asset": USDC,
        "payTo": PAYEE,
        "maxTimeoutSeconds": VALID_FOR.as_secs(),
        "extra": {"name": "USDC", "version": "2"},
    })
}

/// Measures one run, with the processor time that `process` spends on it.
pub(crate) fn timed(
    process: &Process,
    server: SocketAddr,
    connections: usize,
    feed: Feed,
    judge: Judge,
) -> Fallible<(Sample, Measured)> {
    let before = process.cpu()?;
    let measured = load::run(server, connections, feed, judge)?;
    let spent = process.cpu()?.saturating_sub(before);
    let sample = Sample {
        ops: measured.per_second(),
        limit: None,
        cpu_us: Some(spent.as_secs_f64() * 1e6 / measured.good.max(1) as f64),
        p50_ms: measured.ms_at(0.5),
        p99_ms: measured.ms_at(0.99),
    };
    Ok((sample, measured))
}

/// The sample in the middle.
pub(crate) fn median(mut samples: Vec<Sample>) -> Fallible<Sample> {
    samples.sort_by(|a, b| a.rank().total_cmp(&b.rank()));
    let middle = samples.len().saturating_sub(1) / 2;
    samples
        .get(middle)
        .copied()
        .ok_or_else(|| "nothing was measured".into())
}

/// Every request must have succeeded.
pub(crate) fn all_good(measured: &Measured) -> Fallible<()> {
    match &measured.first_bad {
        None => Ok(()),
        Some(first) => Err(format!(
            "{} of {} requests failed, the first with {first}",
            measured.bad,
            measured.bad + measured.good
        )
        .into()),
    }
}
