//! `farebox wallet`: the key that pays.
//!
//! Keys are made or imported into the keystore, encrypted under a passphrase. Nothing here prints a
//! key, and nothing spends.

use clap::{Args, Subcommand};
use farebox_core::rail::Holding;
use farebox_wallet::keystore::{self, Entry};
use serde::Serialize;

use super::Globals;
use crate::assemble;
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox wallet create
  farebox wallet create --evm-key env:BUYER_KEY --passphrase file:passphrase.txt
  farebox wallet address
  farebox wallet balance --config farebox.toml";

/// Make, import and show the key that pays
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Wallet {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Create(Create),
    Show(Show),
    Address(Address),
    Balance(Balance),
}

/// Make a key, or import one, and keep it encrypted
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Create {
    /// Import this key instead of making one: env:NAME or file:PATH, 64 hex digits
    #[arg(long, value_name = "REF")]
    evm_key: Option<String>,
    /// What to call it; `keystore:NAME` in the configuration
    #[arg(long, value_name = "NAME", default_value = "default")]
    name: String,
    #[command(flatten)]
    passphrase: Passphrase,
    /// Replace a key of that name. Whatever it holds is lost with it
    #[arg(long)]
    force: bool,
}

/// Show the keys of the keystore
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Show {}

/// Print the address that pays
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Address {}

/// Ask the chains what the wallet holds
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Balance {}

/// How the keystore is opened.
#[derive(Args)]
pub(super) struct Passphrase {
    /// Passphrase of the keystore: env:NAME or file:PATH [default: FAREBOX_PASSPHRASE, else the terminal]
    #[arg(long, value_name = "REF")]
    pub(super) passphrase: Option<String>,
}

/// What `show --json` prints.
#[derive(Serialize)]
struct Keys {
    keys: Vec<Entry>,
    /// The address that signs payments: one of the keys, or one that the configuration names.
    pays: Option<String>,
}

/// What `balance --json` prints.
#[derive(Serialize)]
struct Balances {
    balances: Vec<BalanceView>,
    /// Networks that did not answer, and why.
    errors: Vec<String>,
}

#[derive(Serialize)]
struct BalanceView {
    network: String,
    asset: String,
    symbol: String,
    decimals: u8,
    address: String,
    atomic: String,
    amount: String,
}

impl Wallet {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        match self.command {
            Command::Create(create) => create.run(globals),
            Command::Show(_) => show(globals),
            Command::Address(_) => address(globals),
            Command::Balance(_) => balance(globals).await,
        }
    }
}

impl Create {
    fn run(&self, globals: &Globals) -> Result<u8, Failure> {
        let config = globals.config()?;
        let dir = assemble::keystore_dir(&globals.data_dir()?)?;
        let imported = match &self.evm_key {
            None => None,
            Some(reference) => Some(assemble::importable_key(reference)?),
        };
        let source =
            assemble::PassphraseSource::new(&config, self.passphrase.passphrase.as_deref());
        let passphrase = source.get_new()?;
        let kept = match imported {
            None => keystore::create(
                &dir,
                &self.name,
                &passphrase,
                assemble::address_of,
                self.force,
            ),
            Some((key, address)) => {
                keystore::import(&dir, &self.name, &key, &address, &passphrase, self.force)
            }
        };
        let entry = kept.map_err(|why| Failure::config("key_unwritable", why.to_string()))?;
        if globals.json {
            output::json(&entry)?;
        } else {
            output::line(&entry.address)?;
            if !globals.quiet {
                output::say(&format!(
                    "Key `{}` is in {}. Without its passphrase it is lost. Next:\n  farebox budget set --per-payment \"0.05 USD\" --per-day \"1 USD\" --total \"20 USD\"",
                    entry.name,
                    dir.display()
                ));
            }
        }
        Ok(0)
    }
}

fn show(globals: &Globals) -> Result<u8, Failure> {
    let (config, data_dir) = (globals.config()?, globals.data_dir()?);
    let dir = assemble::keystore_dir(&data_dir)?;
    let keys =
        keystore::list(&dir).map_err(|why| Failure::config("key_unreadable", why.to_string()))?;
    // A wallet may be empty, and a configured key may be missing: both are shown, not refused.
    let pays = assemble::paying_address(&config, &data_dir).ok();
    let pays = pays.map(assemble::checksummed);
    if globals.json {
        output::json(&Keys { keys, pays })?;
        return Ok(0);
    }
    let mark = |address: &str| match pays.as_deref() {
        Some(pays) if pays.eq_ignore_ascii_case(address) => "yes".to_owned(),
        _ => String::new(),
    };
    let mut rows: Vec<Vec<String>> = keys
        .into_iter()
        .map(|key| {
            let mark = mark(&key.address);
            vec![key.name, key.address, mark]
        })
        .collect();
    let is_listed = rows.iter().any(|row| row.iter().any(|cell| cell == "yes"));
    if let Some(pays) = pays.filter(|_| !is_listed) {
        let name = config.file.wallet.evm_key.unwrap_or_default();
        rows.push(vec![name, pays, "yes".to_owned()]);
    }
    if rows.is_empty() {
        output::line("No keys. Make one with `farebox wallet create`.")?;
    } else {
        output::line(&output::table(&["key", "address", "pays"], &rows))?;
    }
    Ok(0)
}

fn address(globals: &Globals) -> Result<u8, Failure> {
    let address = assemble::paying_address(&globals.config()?, &globals.data_dir()?)?;
    let address = assemble::checksummed(address);
    if globals.json {
        output::json(&serde_json::json!({"address": address}))?;
    } else {
        output::line(&address)?;
    }
    Ok(0)
}

async fn balance(globals: &Globals) -> Result<u8, Failure> {
    let mut answer = Balances {
        balances: vec![],
        errors: vec![],
    };
    for holding in assemble::holdings(&globals.config()?, &globals.data_dir()?).await? {
        match holding {
            Ok(holding) => answer.balances.push(BalanceView::new(&holding)),
            Err(why) => answer.errors.push(why.message),
        }
    }
    let exit = u8::from(answer.balances.is_empty());
    for error in &answer.errors {
        output::say(&format!("farebox: {error}"));
    }
    if globals.json {
        output::json(&answer)?;
    } else {
        let rows: Vec<Vec<String>> = answer
            .balances
            .into_iter()
            .map(|line| {
                vec![
                    line.network,
                    format!("{} {}", line.amount, line.symbol),
                    line.address,
                ]
            })
            .collect();
        output::line(&output::table(&["network", "balance", "address"], &rows))?;
    }
    Ok(exit)
}

impl BalanceView {
    fn new(holding: &Holding) -> Self {
        Self {
            network: holding.network.to_string(),
            asset: holding.asset.reference().to_owned(),
            symbol: holding.symbol.clone(),
            decimals: holding.decimals,
            address: holding.address.clone(),
            atomic: holding.amount.to_string(),
            amount: holding.amount.to_decimal_string(holding.decimals),
        }
    }
}
