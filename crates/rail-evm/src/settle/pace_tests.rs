//! The pauses between two looks.

use super::*;

#[test]
fn after_sending_it_looks_soon_and_then_as_often_as_blocks_come() {
    let mut pace = Pace::new(true);
    let usual = pace.pause;
    assert_eq!(pace.next(), usual);
    pace.sent();
    let pauses: Vec<Duration> = (0..8).map(|_| pace.next()).collect();
    assert_eq!(pauses[0], PAUSE_AFTER_SENDING);
    assert!(pauses.is_sorted());
    assert_eq!(pauses[7], usual);
    // Blocks that come seconds apart are not hurried.
    let mut slow = Pace::new(false);
    slow.pause = Duration::from_millis(250);
    slow.sent();
    assert_eq!(slow.next(), Duration::from_millis(250));
}
