//! Sequences of requests against a whole gate: the generator of `crates/server/tests/sequences`, driven by
//! the fuzzer's bytes.
#![no_main]

use std::sync::{Mutex, OnceLock, PoisonError};

use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

use crate::sequences::choices::Choices;
use crate::sequences::{World, run};

#[path = "../../crates/server/tests/it/answers.rs"]
mod answers;
#[allow(dead_code, reason = "shared with the tests of the seller, which use all of it")]
#[path = "../../crates/seller/tests/it/support/fake_rail.rs"]
mod fake_rail;
#[allow(dead_code, reason = "shared with the tests of the server, which use all of it")]
#[path = "../../crates/server/tests/it/recorder.rs"]
mod recorder;
#[path = "../../crates/server/tests/sequences/mod.rs"]
mod sequences;

/// After so many a new gate is opened: the books are read whole after each.
const SEQUENCES_OF_A_GATE: usize = 50;

/// What runs everything, the gate of the moment, and for how many sequences it has been open.
struct Stage {
    runtime: Runtime,
    gate: Mutex<(Option<World>, usize)>,
}

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| Stage {
        runtime: Runtime::new().expect("a runtime"),
        gate: Mutex::default(),
    })
}

fuzz_target!(|data: &[u8]| {
    let stage = stage();
    let mut gate = stage.gate.lock().unwrap_or_else(PoisonError::into_inner);
    let (world, sequences) = &mut *gate;
    stage.runtime.block_on(async {
        if sequences.is_multiple_of(SEQUENCES_OF_A_GATE) {
            *world = Some(World::open().await);
        }
        *sequences += 1;
        let world = world.as_mut().expect("a gate");
        if let Err(why) = run(world, &mut Choices::Bytes(data)).await {
            panic!("{why}");
        }
    });
});
