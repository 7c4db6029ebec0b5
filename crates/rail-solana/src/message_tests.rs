//! Limits of reading.

use super::*;

#[test]
fn the_limit_of_a_list_is_that_of_a_transaction() {
    assert_eq!(usize::try_from(LIMIT), Ok(TRANSACTION_BYTES_MAX));
}
