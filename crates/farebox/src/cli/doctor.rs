//! `farebox doctor`: finds and explains the usual mistakes of buyers and sellers; and the same for
//! one configuration as `--check` of gate and facilitator.
//!
//! One line for each finding, the worst first. It looks and never mends: what to do is said.

use clap::Args;
use serde::Serialize;

use super::Globals;
use crate::doctor::{self, Finding, Patient, Severity};
use crate::failure::{EXIT_FAILED, Failure};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox doctor --config seller.toml
  farebox doctor --config buyer.toml --json
  farebox doctor --config seller.toml --full";

/// Find and explain what is wrong with configuration, chains, keys and books
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Doctor {
    /// Check all books, and look up every settled payment that is not final
    #[arg(long)]
    full: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Diagnosis<'a> {
    /// Whether nothing is an error.
    ok: bool,
    findings: &'a [Finding],
}

impl Doctor {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let config = globals.config()?;
        let data_dir = globals.data_dir()?;
        say_asking(globals, self.full);
        let commands = same_place(globals);
        let findings = doctor::examine_all(&config, &data_dir, &commands, self.full).await?;
        tell(&findings, globals)
    }
}

/// The check before a start: looks at `patient` and says what it found.
pub(super) async fn check(patient: Patient, globals: &Globals) -> Result<u8, Failure> {
    say_asking(globals, false);
    let findings = doctor::examine(&patient).await?;
    tell(&findings, globals)
}

/// People who wait want to know for what.
fn say_asking(globals: &Globals, full: bool) {
    if globals.json || globals.quiet || !output::is_watched() {
        return;
    }
    output::say(match full {
        true => "farebox: asking chains and reading all books; this may take a while …",
        false => "farebox: asking chains …",
    });
}

/// The flags with which another command means the same configuration.
fn same_place(globals: &Globals) -> String {
    let flag = |name: &str, path: &Option<std::path::PathBuf>| {
        let path = path.as_ref()?.display().to_string();
        let quote = if path.contains(char::is_whitespace) {
            "'"
        } else {
            ""
        };
        Some(format!(" {name} {quote}{path}{quote}"))
    };
    let config = flag("--config", &globals.config).unwrap_or_default();
    let data_dir = flag("--data-dir", &globals.data_dir).unwrap_or_default();
    format!("{config}{data_dir}")
}

fn tell(findings: &[Finding], globals: &Globals) -> Result<u8, Failure> {
    let ok = doctor::is_well(findings);
    if globals.json {
        output::json(&Diagnosis { ok, findings })?;
    } else {
        for finding in findings {
            output::line(&line(finding))?;
        }
        output::line(&summary(findings))?;
    }
    Ok(if ok { 0 } else { EXIT_FAILED })
}

fn line(finding: &Finding) -> String {
    let Finding {
        id,
        subject,
        message,
        ..
    } = finding;
    let severity = match finding.severity {
        Severity::Ok => "ok     ",
        Severity::Warning => "warning",
        Severity::Error => "error  ",
    };
    let advice = finding.advice.as_ref();
    let advice = advice.map_or_else(String::new, |advice| format!("; {advice}"));
    let line = format!("{severity} {id}: {subject}: {message}{advice}");
    // Nodes and contracts have their say in it: nothing of theirs may move a terminal's cursor.
    line.replace(char::is_control, " ")
}

fn summary(findings: &[Finding]) -> String {
    let count = |severity, what: &str| {
        let count = findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count();
        match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        }
    };
    let errors = count(Severity::Error, "error");
    format!("{errors}, {}", count(Severity::Warning, "warning"))
}
