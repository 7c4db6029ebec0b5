//! The records across restarts and crashes.

use super::*;
use crate::store::MemoryStore;

fn hash(number: u8) -> PaymentHash {
    PaymentHash([number; 32])
}

fn open(memory: &MemoryStore) -> Records {
    Records::open(Arc::new(Store::memory(memory.clone()))).unwrap()
}

fn sending() -> Sent {
    Sent {
        amount_msat: 5,
        state: SentState::Sending,
    }
}

#[test]
fn settlements_count_up_across_restarts_and_each_hash_counts_once() {
    let memory = MemoryStore::default();
    let records = open(&memory);
    assert_eq!(records.newest(), 0);
    let preimage = Some(hex::encode([3; 32]));
    let first = records.settle(hash(1), 10, 100, preimage).unwrap().unwrap();
    assert_eq!(
        (first.index, first.amount_msat, first.at_unix_s),
        (1, 10, 100)
    );
    assert_eq!(records.settle(hash(1), 10, 101, None).unwrap(), None);
    let records = open(&memory);
    assert_eq!(records.newest(), 1);
    assert_eq!(records.settle(hash(1), 10, 101, None).unwrap(), None);
    assert_eq!(
        records
            .settle(hash(2), 20, 102, None)
            .unwrap()
            .unwrap()
            .index,
        2
    );
    assert_eq!(records.logged(1).unwrap(), Some(first));
    assert_eq!(records.logged(3).unwrap(), None);
    assert_eq!(
        records.settled(hash(1)).unwrap().unwrap().preimage,
        Some(hex::encode([3; 32]))
    );
}

#[test]
fn a_settlement_that_a_crash_cut_in_two_keeps_its_index() {
    let memory = MemoryStore::default();
    let records = open(&memory);
    records.settle(hash(1), 10, 100, None).unwrap();
    records.store.delete(LOG, "1").unwrap();
    let records = open(&memory);
    assert_eq!(
        records
            .settle(hash(1), 10, 100, None)
            .unwrap()
            .unwrap()
            .index,
        1
    );
    assert_eq!(
        records
            .settle(hash(2), 10, 100, None)
            .unwrap()
            .unwrap()
            .index,
        2
    );
}

#[test]
fn an_intent_that_no_channel_has_heard_of_is_dropped_at_the_start() {
    let memory = MemoryStore::default();
    let records = open(&memory);
    records.put_sent(hash(1), &sending()).unwrap();
    records.put_sent(hash(2), &sending()).unwrap();
    let failed = Sent {
        amount_msat: 5,
        state: SentState::Failed {
            reason: FailReason::Rejected,
            left: true,
        },
    };
    records.put_sent(hash(3), &failed).unwrap();
    records
        .store
        .put(("monitors", ""), "m", vec![0, 2])
        .unwrap();
    records
        .store
        .put(("monitor_updates", "m"), "1", hash(2).0.to_vec())
        .unwrap();

    let records = open(&memory);
    assert!(records.sent(hash(1)).unwrap().is_none());
    assert!(matches!(
        records.sent(hash(2)).unwrap().unwrap().to_state(),
        PayState::InFlight
    ));
    assert!(matches!(
        records.sent(hash(3)).unwrap().unwrap().to_state(),
        PayState::Failed {
            reason: FailReason::Rejected
        }
    ));
}

#[test]
fn the_log_keeps_its_newest_entries_alone() {
    let memory = MemoryStore::default();
    let records = open(&memory);
    records.settle(hash(1), 1, 1, None).unwrap();
    *records.newest.lock().unwrap() = LOG_KEPT;
    let entry = records.settle(hash(2), 1, 1, None).unwrap().unwrap();
    assert_eq!(entry.index, LOG_KEPT + 1);
    assert_eq!(records.logged(1).unwrap(), None);
    assert!(records.settled(hash(1)).unwrap().is_some());
    // Told again, it does not come back into the log.
    assert_eq!(records.settle(hash(1), 1, 1, None).unwrap(), None);
}
