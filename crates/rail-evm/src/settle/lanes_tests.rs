//! Money that is under way is spent already.

use super::*;

#[test]
fn what_is_under_way_is_not_there_for_another() {
    let key = |seed: u8| Arc::new(EvmKey::from_bytes(&[seed; 32]).unwrap());
    let (half, rich) = (key(1), key(2));
    let chain = "eip155:1".parse().unwrap();
    let lanes = Lanes::new(chain, &[Arc::clone(&half), Arc::clone(&rich)]);
    for (lane, wei) in lanes.iter().zip([150, 1_000]) {
        lane.has(wei);
        lane.observe(Quantity(0), lane.nonces.epoch());
    }
    let first = lanes.lease(100).unwrap();
    let second = lanes.lease(100).unwrap();
    let third = lanes.lease(100).unwrap();
    assert_eq!(first.0.address(), half.address());
    assert_eq!(second.0.address(), rich.address());
    // As much in flight on both, and the first one cannot pay for two.
    assert_eq!(third.0.address(), rich.address());
    drop(first);
    assert_eq!(lanes.lease(100).unwrap().0.address(), half.address());
    let (_, _, mut dearer) = second;
    dearer.raise(850);
    assert!(!lanes.cover(151));
    assert!(lanes.cover(150));
}
