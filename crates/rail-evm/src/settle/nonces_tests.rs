//! Nonces are handed out once and in order.

use super::*;

fn known(next: u64) -> Arc<Nonces> {
    let nonces = Arc::new(Nonces::default());
    nonces.observe(next, nonces.epoch());
    nonces
}

fn nonce(nonces: &Arc<Nonces>) -> u64 {
    let mut lease = nonces.lease().unwrap();
    lease.mark_used();
    lease.nonce()
}

#[test]
fn nothing_is_handed_out_before_the_chain_was_asked() {
    assert!(Arc::new(Nonces::default()).lease().is_none());
}

#[test]
fn nonces_are_handed_out_once_and_in_order() {
    let nonces = known(7);
    let leases: Vec<Lease> = (0..50).map(|_| nonces.lease().unwrap()).collect();
    let handed: Vec<u64> = leases.iter().map(Lease::nonce).collect();
    assert_eq!(handed, (7..57).collect::<Vec<u64>>());
}

#[test]
fn the_highest_comes_back_to_the_top() {
    let nonces = known(7);
    let (first, second) = (nonces.lease().unwrap(), nonces.lease().unwrap());
    drop(second);
    drop(first);
    assert_eq!(nonce(&nonces), 7);
    assert!(nonces.lease_gap().is_none());
}

#[test]
fn a_lower_one_leaves_a_gap_that_the_next_payment_fills() {
    let nonces = known(7);
    let (first, mut second) = (nonces.lease().unwrap(), nonces.lease().unwrap());
    second.mark_used();
    drop(first);
    assert_eq!(nonce(&nonces), 7);
    assert_eq!(nonce(&nonces), 9);
}

#[test]
fn a_filler_takes_a_gap_and_nothing_else() {
    let nonces = known(7);
    let (first, mut second) = (nonces.lease().unwrap(), nonces.lease().unwrap());
    second.mark_used();
    drop(first);
    assert_eq!(nonces.lease_gap().map(|l| l.nonce()), Some(7));
    let mut again = nonces.lease_gap().unwrap();
    again.mark_used();
    assert!(nonces.lease_gap().is_none());
}

#[test]
fn a_nonce_that_may_have_left_never_comes_back() {
    let nonces = known(7);
    assert_eq!(nonce(&nonces), 7);
    assert_eq!(nonce(&nonces), 8);
}

#[test]
fn a_higher_count_is_believed_at_once_and_a_lower_one_only_in_quiet() {
    let nonces = known(7);
    nonces.observe(9, nonces.epoch());
    let lease = nonces.lease().unwrap();
    assert_eq!(lease.nonce(), 9);
    nonces.observe(3, nonces.epoch());
    assert_eq!(nonce(&nonces), 10);
    drop(lease);
    // Just returned: not quiet yet.
    nonces.observe(3, nonces.epoch());
    assert_eq!(nonce(&nonces), 9);
}

#[test]
fn a_count_older_than_a_lease_does_not_lower() {
    let nonces = known(7);
    let asked = nonces.epoch();
    assert_eq!(nonce(&nonces), 7);
    nonces.observe(7, asked);
    assert_eq!(nonce(&nonces), 8);
}

#[test]
fn what_the_chain_calls_taken_is_skipped() {
    let nonces = known(7);
    assert_eq!(nonce(&nonces), 7);
    nonces.skip_to(7, 12);
    assert_eq!(nonce(&nonces), 12);
    nonces.skip_to(12, 5);
    assert_eq!(nonce(&nonces), 13);
}

#[test]
fn what_nobody_follows_below_every_lease_is_for_the_filler_only() {
    let nonces = known(10);
    let lease = nonces.lease().unwrap();
    assert_eq!(nonces.lowest(), Some(10));
    assert_eq!(nonces.adopt_orphans(7, 10), 3);
    assert_eq!(nonces.adopt_orphans(7, 10), 0);
    assert_eq!(nonce(&nonces), 11);
    let mut first = nonces.lease_gap().unwrap();
    first.mark_used();
    assert_eq!(first.nonce(), 7);
    // One that was not used up is still nobody's but the filler's.
    drop(nonces.lease_gap().unwrap());
    assert_eq!(nonce(&nonces), 12);
    let rest: Vec<Lease> = std::iter::from_fn(|| nonces.lease_gap()).collect();
    let left: Vec<u64> = rest.iter().map(Lease::nonce).collect();
    assert_eq!(left, [8, 9]);
    // What a lease holds is followed, whatever the chain counts.
    assert_eq!(nonces.adopt_orphans(7, 10), 0);
    drop((first, rest, lease));
}

#[test]
fn a_count_far_too_high_costs_a_bounded_number_of_transfers() {
    let nonces = known(u64::MAX / 2);
    let _lease = nonces.lease().unwrap();
    assert_eq!(nonces.adopt_orphans(0, u64::MAX / 2), ORPHANS_MAX);
    assert_eq!(nonces.adopt_orphans(0, u64::MAX / 2), 0);
}

proptest::proptest! {
    #[test]
    fn no_two_live_leases_share_a_nonce(steps: Vec<(u8, u8)>) {
        let nonces = known(100);
        let mut live: Vec<Lease> = Vec::new();
        let mut sent = std::collections::HashSet::new();
        for (step, which) in steps {
            match step % 4 {
                0 | 1 => live.push(nonces.lease().unwrap()),
                2 if !live.is_empty() => {
                    let index = usize::from(which) % live.len();
                    drop(live.swap_remove(index));
                }
                _ if !live.is_empty() => {
                    let index = usize::from(which) % live.len();
                    let mut lease = live.swap_remove(index);
                    lease.mark_used();
                    proptest::prop_assert!(sent.insert(lease.nonce()));
                }
                _ => {}
            }
            let mut all: Vec<u64> = live.iter().map(Lease::nonce).collect();
            all.sort_unstable();
            let before = all.len();
            all.dedup();
            proptest::prop_assert_eq!(before, all.len());
            proptest::prop_assert!(all.iter().all(|n| !sent.contains(n)));
        }
        // Nothing is lost either: every nonce below the top was sent, is live or comes again.
        drop(live);
        let top = sent.iter().max().map_or(100, |n| n + 1);
        for expected in (100..top).filter(|n| !sent.contains(n)) {
            let mut lease = nonces.lease().unwrap();
            lease.mark_used();
            proptest::prop_assert_eq!(lease.nonce(), expected);
        }
    }
}
