//! Rules of machine codes: each once.

use super::*;

#[test]
fn every_code_is_unique_and_read_back() {
    for reason in Reason::ALL {
        assert_eq!(Reason::from_code(reason.code()), Some(*reason));
    }
    assert_eq!(Reason::from_code("a_code_of_a_stranger"), None);
    assert_eq!(Reason::from_code(""), None);
}
