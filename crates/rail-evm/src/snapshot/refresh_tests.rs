//! How long a block is taken to be.

use super::*;

fn over_100_blocks(seconds: u64) -> Duration {
    let block = |number, timestamp| Block { number, timestamp };
    block_time(block(1_100, 5_000 + seconds), block(1_000, 5_000))
}

#[test]
fn a_block_takes_what_the_last_hundred_took_within_bounds() {
    assert_eq!(over_100_blocks(100), Duration::from_secs(1));
    assert_eq!(over_100_blocks(40), Duration::from_millis(400));
    assert_eq!(over_100_blocks(1_200), BLOCK_TIME_MAX);
    assert_eq!(over_100_blocks(0), BLOCK_TIME_MIN);
}

#[test]
fn a_chain_that_lies_about_its_blocks_is_bounded_too() {
    let block = |number, timestamp| Block { number, timestamp };
    let (zero, most) = (block(0, 0), block(u64::MAX, u64::MAX));
    assert_eq!(block_time(zero, most), BLOCK_TIME_MIN);
    assert_eq!(block_time(zero, zero), BLOCK_TIME_MIN);
    assert_eq!(block_time(block(1, u64::MAX), zero), BLOCK_TIME_MAX);
}

#[test]
fn an_answer_in_a_quarter_of_a_block_comes_before_the_old_one_expires() {
    for valid_for in [BLOCK_TIME_MIN, BLOCK_TIME_UNKNOWN, BLOCK_TIME_MAX] {
        assert_eq!(pause(valid_for) + valid_for / 4, valid_for);
    }
}
