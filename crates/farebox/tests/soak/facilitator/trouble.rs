//! A node and a chain that misbehave, by seed: lost and refused transactions, silence, fee spikes, reorganisations.
//!
//! Every disturbance ends by itself or at the next one, so that a facilitator that does right gets through.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use farebox_devnet_evm::{ANY_METHOD, Devnet, Fault};

use crate::luck::Luck;

/// The longest time between two disturbances.
const CALM: Duration = Duration::from_millis(500);
/// How long fees stay high, or blocks stay away.
const SPELL: Duration = Duration::from_millis(1500);
/// The base fee of a quiet chain and of a busy one: what was sent in quiet times waits in busy ones.
const QUIET_WEI: u64 = 1_000_000_000;
const BUSY_WEI: u64 = 20_000_000_000;
/// How long a slow node thinks.
const SLOW: Duration = Duration::from_millis(400);

/// What is done to the chain, one thing after the other, until told to stop. Returns how often each was done.
pub(crate) fn make(
    net: &Devnet,
    mut luck: Luck,
    stop: &AtomicBool,
) -> BTreeMap<&'static str, usize> {
    let mut made = BTreeMap::new();
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(luck.below(CALM));
        if let Some(what) = one(net, &mut luck) {
            *made.entry(what).or_default() += 1;
        }
    }
    net.faults().clear();
    net.set_base_fee(QUIET_WEI);
    net.release_mining();
    made
}

fn one(net: &Devnet, luck: &mut Luck) -> Option<&'static str> {
    let (faults, send) = (net.faults(), "eth_sendRawTransaction");
    let times = 1 + u32::try_from(luck.index(4)).expect("a few");
    match luck.index(10) {
        0..=2 => drop_some(net, luck),
        3 => {
            let (code, message) = (-32000, "txpool is full".to_owned());
            faults.set_times(send, Fault::Refuse { code, message }, times);
            Some("refused to take transactions")
        }
        4 => {
            faults.set_times(send, Fault::LoseReply, times);
            Some("took transactions and lost the reply")
        }
        5 => {
            let fault = [Fault::HttpStatus(503), Fault::Disconnect, Fault::Garbage];
            let fault = fault[luck.index(3)].clone();
            faults.set_times(ANY_METHOD, fault, times);
            Some("answered nothing of use")
        }
        6 => {
            faults.set_times(ANY_METHOD, Fault::Delay(SLOW), times);
            Some("was slow")
        }
        7 => {
            net.set_base_fee(BUSY_WEI);
            std::thread::sleep(luck.below(SPELL));
            net.set_base_fee(QUIET_WEI);
            Some("asked for high fees")
        }
        8 => {
            net.hold_mining();
            std::thread::sleep(luck.below(SPELL));
            net.release_mining();
            Some("made no blocks")
        }
        _ => reorganise(net, luck),
    }
}

/// Forgets one or all of the waiting transactions.
fn drop_some(net: &Devnet, luck: &mut Luck) -> Option<&'static str> {
    let waiting = net.waiting_hashes();
    let all = luck.once_in(4);
    let chosen = waiting.get(luck.index(waiting.len().max(1)))?;
    let dropped = waiting
        .iter()
        .filter(|hash| all || *hash == chosen)
        .filter(|hash| net.drop_transaction(**hash))
        .count();
    (dropped > 0).then_some("dropped transactions")
}

/// Undoes one or two blocks, and forgets or keeps what was in them.
fn reorganise(net: &Devnet, luck: &mut Luck) -> Option<&'static str> {
    let keeps = luck.once_in(2);
    let depth = 1 + u64::try_from(luck.index(2)).expect("a few");
    net.reorg(depth, keeps).ok()?;
    Some(match keeps {
        true => "reorganised",
        false => "reorganised and forgot",
    })
}
