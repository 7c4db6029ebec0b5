//! The long runs: kill -9 at random, and the books against the chain afterwards. Ignored unless
//! asked for: `cargo xtask soak` runs them by seed, CI a tenth of them.
//!
//! They use the binary as its users do and judge by what it prints.

mod budget;
#[allow(
    dead_code,
    reason = "shared with the tests in it/, which use all of it"
)]
#[path = "../it/channel.rs"]
mod channel;
mod facilitator;
mod flood;
mod gate;
mod idle;
#[cfg(unix)]
mod ln_flood;
#[cfg(unix)]
mod ln_kills;
mod luck;
#[allow(
    dead_code,
    reason = "shared with the tests in it/, which use all of it"
)]
#[path = "../it/market.rs"]
mod market;
#[allow(
    dead_code,
    reason = "shared with the tests in it/, which use all of it"
)]
#[path = "../it/nets/mod.rs"]
mod nets;
#[cfg(unix)]
#[path = "../it/operations/payers.rs"]
mod payers;
#[allow(
    dead_code,
    reason = "shared with the tests in it/, which use all of it"
)]
#[path = "../it/support.rs"]
mod support;
#[cfg(unix)]
mod under_load;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Processes that buy at the same time.
const WORKERS: usize = 4;

/// One job at a time: they measure processes, not each other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells others to stop when it is dropped, also by a panic: a scope waits for them.
#[cfg(unix)]
struct Stop<'a>(&'a AtomicBool);

#[cfg(unix)]
impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number in the environment"),
        Err(_) => default,
    }
}

/// Repeats a run.
fn seed() -> u64 {
    variable("FAREBOX_SOAK_SEED", 1)
}

/// 10 is the full run, 1 a tenth of it.
fn scale() -> usize {
    usize::try_from(variable("FAREBOX_SOAK_SCALE", 1)).expect("a small number")
}
