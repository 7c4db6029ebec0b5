//! Sequences of requests by seed: a fixed number with every test run, and for minutes in
//! `cargo xtask soak --job sequences --minutes N`.

use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::sequences::choices::Choices;
use crate::sequences::{World, run};

/// Sequences with every test run.
const SEQUENCES: u64 = 60;
/// After so many a new gate is opened: the books are read whole after each.
const SEQUENCES_OF_A_GATE: u64 = 20;
/// Gates side by side in a long run: the machine is used, and their batches do not wait for each other.
const GATES: u64 = 4;
/// Minutes of a tenth of a long run.
const MINUTES_OF_A_TENTH: u64 = 1;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics within our own rooms from now on, whichever task they end.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_ours = |place: &std::panic::Location<'_>| place.file().contains("/src/");
            if panic.location().is_some_and(is_ours) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            usual(panic);
        }));
    });
}

/// Runs the sequences of `seeds`, until it is late. How many there were.
async fn run_all(seeds: impl Iterator<Item = u64>, until: Option<Instant>) -> Result<u64, String> {
    let mut world = World::open().await;
    let mut count = 0;
    let mut at_this_gate = 0;
    for seed in seeds {
        if until.is_some_and(|until| Instant::now() > until) {
            break;
        }
        if at_this_gate == SEQUENCES_OF_A_GATE {
            world = World::open().await;
            at_this_gate = 0;
        }
        count += 1;
        at_this_gate += 1;
        let outcome = run(&mut world, &mut Choices::Seed(seed)).await;
        // What a gate was shown before belongs to it.
        outcome.map_err(|why| {
            let first = seed.wrapping_sub((at_this_gate - 1) * GATES);
            format!(
                "sequence {seed}: {why}\nrepeat with FAREBOX_SEQUENCE_SEED={first} FAREBOX_SEQUENCES={at_this_gate}"
            )
        })?;
        let panics = PANICS.load(Ordering::SeqCst);
        if panics > 0 {
            return Err(format!("sequence {seed}: {panics} panics"));
        }
    }
    Ok(count)
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number in the environment"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sequence_of_requests_gets_around_a_price_or_unbalances_the_books() {
    count_panics();
    let first = variable("FAREBOX_SEQUENCE_SEED").unwrap_or(0);
    let count = variable("FAREBOX_SEQUENCES").unwrap_or(SEQUENCES);
    let seeds = (0..count).map(|number| first.wrapping_add(number * GATES));
    assert_eq!(run_all(seeds, None).await, Ok(count));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a long run; `cargo xtask soak`"]
async fn no_long_run_of_sequences_gets_around_a_price_or_unbalances_the_books() {
    count_panics();
    let tenths = variable("FAREBOX_SOAK_SCALE").unwrap_or(1);
    let minutes = variable("FAREBOX_SOAK_MINUTES").unwrap_or(tenths * MINUTES_OF_A_TENTH);
    let until = Some(Instant::now() + Duration::from_secs(60 * minutes));
    let first = variable("FAREBOX_SOAK_SEED").unwrap_or(1);
    let gates = (0..GATES).map(|gate| {
        let start = first.wrapping_mul(1 << 32) + gate;
        let seeds = (0..).map(move |number| start.wrapping_add(number * GATES));
        tokio::spawn(run_all(seeds, until))
    });
    let mut total = 0;
    for gate in gates.collect::<Vec<_>>() {
        match gate.await.expect("no panic") {
            Ok(count) => total += count,
            Err(why) => panic!("{why}"),
        }
    }
    println!("sequences: {total} in {minutes} minutes, seed {first}");
    assert!(total > 0);
}
