//! What farebox is told: one TOML file, read strictly, with every path in it relative to the file.
//!
//! Called by the commands before they assemble anything. It never reads a key: secrets stay
//! references here. Unknown keys and keys of later releases are refused (ARCHITECTURE law 14).

mod data_dir;
mod file;
mod later;
mod lightning;
mod rates;
mod route;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use data_dir::{DataDir, create_private};
pub(crate) use file::{
    AcmeChallenge, AcmeSection, AssetSection, FacilitatorLimits, FacilitatorSection, Final,
    LogFormat, NetworkSection, Program, SolanaCommitment, TelemetrySection, TimeoutsSection,
    TlsSection, TracedRequests, Unmatched,
};
pub(crate) use later::GAS_RATE;
#[cfg(feature = "embedded-node")]
pub(crate) use lightning::ChainSourceSection;
pub(crate) use lightning::{MaxFee, NodeKind, NodeSection};
pub(crate) use rates::RateSection;
pub(crate) use route::{RouteSection, Settle};
pub(crate) use values::{Listen, Price, Timespan, TokenUses, Usd};

use farebox_core::cidr::Cidr;
use farebox_core::policy::Limits;
use farebox_seller::Cors;
use farebox_seller::buckets::BucketLimits;
use farebox_seller::l402::InvoiceLimits;

use crate::failure::Failure;
use file::File;

/// The prefix of the only store there is.
const SQLITE: &str = "sqlite:";
/// Keys that a running gate takes over when its file changes.
const RELOADED: [&str; 5] = ["route", "unmatched", "limits", "cors", "shadow"];

/// How a gate or facilitator is looked after.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operation {
    /// Where the admin server listens; `None` is nowhere.
    pub(crate) admin: Option<SocketAddr>,
    /// Whether that may be beyond loopback.
    pub(crate) admin_open: bool,
    /// How long what was begun may go on after the stop.
    pub(crate) stop_timeout: Option<Duration>,
    /// Where a line for each request goes, if anywhere.
    pub(crate) log: Option<RequestLogPlan>,
}

/// The request log.
#[derive(Clone, Debug)]
pub(crate) struct RequestLogPlan {
    /// How a line is written.
    pub(crate) format: LogFormat,
    /// The file that it is added to; `None` is stderr.
    pub(crate) file: Option<PathBuf>,
}

/// A configuration file and where it lies; without `--config`, an empty one in the current folder.
pub(crate) struct Config {
    /// What stood in the file.
    pub(crate) file: File,
    /// Where the file is; `None` without one.
    pub(crate) path: Option<PathBuf>,
    /// What relative paths are relative to.
    pub(crate) base: PathBuf,
    /// What stood in the file and needs a restart to change.
    pub(crate) fixed: toml::Table,
}

impl Config {
    /// Reads `path`, or nothing at all.
    ///
    /// # Errors
    /// Exit 2, naming the key and its line.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self {
                file: File::default(),
                path: None,
                base: PathBuf::new(),
                fixed: toml::Table::new(),
            });
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::config(
                "config_unreadable",
                format!("cannot read the configuration {}: {error}", path.display()),
            )
        })?;
        let file = parse(&text).map_err(|fault| fault.in_file(path))?;
        let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Self {
            file,
            path: Some(path.to_path_buf()),
            base,
            fixed: fixed_part(&text),
        })
    }

    /// Where the ledger is: the file's `ledger`, else in the data directory.
    ///
    /// # Errors
    /// Exit 2 where `ledger` is not `sqlite:PATH`.
    pub(crate) fn ledger_path(&self, data_dir: &DataDir) -> Result<PathBuf, Failure> {
        if self.file.ledger.is_none() {
            data_dir.created()?;
        }
        self.ledger_place(data_dir)
    }

    /// The same for those who only look: nothing is made.
    ///
    /// # Errors
    /// As [`Config::ledger_path`].
    pub(crate) fn ledger_place(&self, data_dir: &DataDir) -> Result<PathBuf, Failure> {
        let Some(ledger) = &self.file.ledger else {
            return Ok(data_dir.path().join("farebox.db"));
        };
        match ledger.strip_prefix(SQLITE) {
            Some(path) if !path.is_empty() => Ok(self.base.join(path)),
            _ => Err(Failure::config(
                "config_invalid",
                format!("ledger = {ledger:?} is no store; write \"sqlite:farebox.db\""),
            )),
        }
    }

    /// The limits of `[budget]`, if it names any.
    pub(crate) fn limits(&self) -> Option<Limits> {
        let section = self.file.budget.as_ref()?;
        let limits = Limits {
            per_payment: section.per_payment.map(|usd| usd.0),
            per_day: section.per_day.map(|usd| usd.0),
            total: section.total.map(|usd| usd.0),
        };
        (limits != Limits::default()).then_some(limits)
    }

    /// What strangers may make a server do in vain; `None` where the file says nothing about it.
    pub(crate) fn in_vain(&self) -> Option<BucketLimits> {
        let section = self.file.limits?;
        if !section.limits_work() {
            return None;
        }
        let usual = BucketLimits::default();
        let or = |set: Option<u32>, usual| set.unwrap_or(usual);
        Some(BucketLimits {
            bad_signatures_per_s: or(section.bad_signatures_per_s, usual.bad_signatures_per_s),
            first_sight_per_s: or(section.first_sight_per_s, usual.first_sight_per_s),
            simulations_per_s: or(section.simulations_per_s, usual.simulations_per_s),
        })
    }

    /// How many invoices of L402 may be open.
    pub(crate) fn invoice_limits(&self) -> InvoiceLimits {
        let usual = InvoiceLimits::default();
        let section = self.file.limits.unwrap_or_default();
        InvoiceLimits {
            per_prefix: section.open_invoices_per_prefix.unwrap_or(usual.per_prefix),
            total: section.open_invoices.unwrap_or(usual.total),
        }
    }

    /// Which pages in browsers may pay at the gate.
    ///
    /// # Errors
    /// Exit 2 where an origin is none, or cookies would be for everybody.
    pub(crate) fn cors(&self) -> Result<Cors, Failure> {
        let section = &self.file.cors;
        let invalid = |why: String| Failure::config("config_invalid", format!("[cors] {why}"));
        let any = |origins: &Vec<String>| matches!(origins.as_slice(), [star] if star == "*");
        match &section.origins {
            Some(origins) if !any(origins) => Cors::listed(origins, section.credentials)
                .map_err(|why| invalid(format!("origins: {why}"))),
            _ if section.credentials => Err(invalid(
                "credentials = true needs origins: a list of the pages that may send cookies"
                    .to_owned(),
            )),
            _ => Ok(Cors::AnyOrigin),
        }
    }

    /// What is said of the coin that pays for gas.
    pub(crate) fn gas_rate(&self) -> Option<RateSection> {
        self.file.rates.get(GAS_RATE).cloned()
    }

    /// How a gate or facilitator is looked after; a flag outranks the file.
    pub(crate) fn operation(&self, admin: Option<Listen>) -> Operation {
        Operation {
            admin: admin.or(self.file.admin).map(|listen| listen.0),
            admin_open: self.file.admin_open,
            stop_timeout: self.file.stop_timeout.map(|span| span.0),
            log: self.file.log.as_ref().map(|log| RequestLogPlan {
                format: log.format,
                file: log.file.as_ref().map(|file| self.base.join(file)),
            }),
        }
    }

    /// Private networks that agents may reach.
    ///
    /// # Errors
    /// Exit 2 where one is not in CIDR form.
    pub(crate) fn allow_private(&self) -> Result<Vec<Cidr>, Failure> {
        let parsed = self.file.policy.allow_private.iter().map(|text| {
            text.parse::<Cidr>().map_err(|why| {
                Failure::config("config_invalid", format!("[policy] allow_private: {why}"))
            })
        });
        parsed.collect()
    }

    /// How messages call the place where a missing key belongs.
    pub(crate) fn name(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => "a file given with --config".to_owned(),
        }
    }
}

/// What is wrong with the text of a configuration, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigFault {
    /// `config_invalid` or `config_not_yet`.
    code: &'static str,
    /// Line, from 1, where one can be named.
    line: Option<usize>,
    message: String,
}

impl ConfigFault {
    fn in_file(self, path: &Path) -> Failure {
        let place = match self.line {
            Some(line) => format!("{} line {line}", path.display()),
            None => path.display().to_string(),
        };
        Failure::config(self.code, format!("{place}: {}", self.message))
    }
}

/// The part of a file, which has been read before, that a running server does not take over.
fn fixed_part(text: &str) -> toml::Table {
    let mut table: toml::Table = toml::from_str(text).unwrap_or_default();
    table.retain(|key, _| !RELOADED.contains(&key));
    table
}

/// Reads the text of a configuration file.
fn parse(text: &str) -> Result<File, ConfigFault> {
    later::refuse(text)?;
    let file: File = toml::from_str(text).map_err(|error| ConfigFault {
        code: "config_invalid",
        line: error.span().map(|span| line_of(text, span.start)),
        // The snippet that the crate would draw needs several lines; its sentence is enough.
        message: error.message().trim().to_owned(),
    })?;
    match file.tls.as_ref().and_then(file::TlsSection::fault) {
        None => Ok(file),
        Some(why) => Err(ConfigFault {
            code: "config_invalid",
            line: later::offset_of(text, "tls").map(|offset| line_of(text, offset)),
            message: why.to_owned(),
        }),
    }
}

/// The line, from 1, of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
