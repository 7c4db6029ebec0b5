//! `cargo xtask soak`: the long runs, as child processes. CI runs a tenth of each (`--tenth`), people run all of it.
//! A job is a test target whose tests are ignored otherwise; it reads its seed and its scale from the environment.
//! Nothing here judges a run: a job fails by its own exit status.

use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::repo;

/// One long job: its name, and which tests of which target it is.
struct Job {
    name: &'static str,
    target: &'static str,
    tests: &'static [&'static str],
}

/// All jobs, in the order in which they run.
const JOBS: [Job; 5] = [
    // Random kill -9 of fetches that share a budget, of the gate and of the facilitator under load, on an EVM chain and
    // on Solana by the same code, also while money moves between two Lightning nodes; the books against the chain and
    // the nodes afterwards.
    Job {
        name: "kills",
        target: "soak",
        tests: &["budget::", "gate::", "facilitator::", "ln_kills::"],
    },
    // Forged signatures at every door: no line in the books, no call to a node, and the neighbours are served. Strangers
    // from everywhere who never pay their invoices: a bounded number of these, and somebody honest is sold to.
    Job {
        name: "flood",
        target: "soak",
        tests: &["flood::", "ln_flood::"],
    },
    // Reloads and a drain of a gate while hundreds pay and stream: no broken stream, no lost payment.
    Job {
        name: "operations",
        target: "soak",
        tests: &["under_load::"],
    },
    // Thousands of connections that say nothing: what a gate keeps for each, whom it serves beside them, and who is one
    // too many.
    Job {
        name: "idle",
        target: "soak",
        tests: &["idle::"],
    },
    // Random sequences of requests against a whole gate: nothing unpaid, nothing twice, and even books after each.
    Job {
        name: "sequences",
        target: "it",
        tests: &["sequence_runs::"],
    },
];
/// Scale of a full run; `--tenth` is 1.
const FULL_SCALE: u8 = 10;

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    seed: Option<u64>,
    scale: u8,
    job: Option<String>,
    /// For jobs that run for a time instead of a number of times.
    minutes: Option<u64>,
}

/// Runs the jobs; the first that fails ends the run and says how to repeat it.
pub(crate) fn run(arguments: &[String]) -> Result<String, String> {
    let request = parse(arguments)?;
    let seed = request.seed.unwrap_or_else(clock_seed);
    let chosen: Vec<&Job> = JOBS
        .iter()
        .filter(|job| request.job.as_deref().is_none_or(|name| name == job.name))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = JOBS.iter().map(|job| job.name).collect();
        return Err(format!("no such job; there are: {}", names.join(", ")));
    }
    for job in &chosen {
        let started = Instant::now();
        println!(
            "soak: {} with --seed {seed}, scale {} of {FULL_SCALE}",
            job.name, request.scale
        );
        run_job(job, seed, &request)?;
        println!(
            "soak: {} held for {} s",
            job.name,
            started.elapsed().as_secs()
        );
    }
    let held: Vec<&str> = chosen.iter().map(|job| job.name).collect();
    Ok(format!("soak: held: {}", held.join(", ")))
}

fn run_job(job: &Job, seed: u64, request: &Request) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    if let Some(minutes) = request.minutes {
        command.env("FAREBOX_SOAK_MINUTES", minutes.to_string());
    }
    let status = command
        .args([
            "test",
            // With the features of `cargo test --workspace`, so that nothing is built a second time.
            "--workspace",
            "--test",
            job.target,
            "--",
            "--ignored",
            "--nocapture",
        ])
        .args(job.tests)
        .env("FAREBOX_SOAK_SEED", seed.to_string())
        .env("FAREBOX_SOAK_SCALE", request.scale.to_string())
        .current_dir(repo::root())
        .status()
        .map_err(|error| format!("cannot start {}: {error}", job.name))?;
    if status.success() {
        return Ok(());
    }
    let tenth = if request.scale == FULL_SCALE {
        ""
    } else {
        " --tenth"
    };
    Err(format!(
        "soak: {} failed ({status}); repeat with `cargo xtask soak --job {} --seed {seed}{tenth}`",
        job.name, job.name
    ))
}

fn parse(arguments: &[String]) -> Result<Request, String> {
    let mut request = Request {
        seed: None,
        scale: FULL_SCALE,
        job: None,
        minutes: None,
    };
    let mut rest = arguments.iter();
    while let Some(flag) = rest.next() {
        match flag.as_str() {
            "--tenth" => request.scale = 1,
            "--job" => request.job = Some(value_of(flag, rest.next())?),
            "--seed" => request.seed = Some(number_of(flag, rest.next())?),
            "--minutes" => request.minutes = Some(number_of(flag, rest.next())?),
            other => {
                return Err(format!(
                    "soak does not know `{other}`: it takes --seed N, --tenth, --minutes N and --job NAME"
                ));
            }
        }
    }
    Ok(request)
}

fn value_of(flag: &str, value: Option<&String>) -> Result<String, String> {
    value
        .cloned()
        .ok_or_else(|| format!("{flag} needs a value"))
}

fn number_of(flag: &str, value: Option<&String>) -> Result<u64, String> {
    let text = value_of(flag, value)?;
    text.parse()
        .map_err(|_| format!("{flag} takes a number, not `{text}`"))
}

/// A new seed for each run by hand; it is printed, so that the run can be repeated.
fn clock_seed() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |age| age.as_secs())
}

#[cfg(test)]
#[path = "soak_tests.rs"]
mod tests;
