//! Who is first at the door.

use super::*;

#[test]
fn what_has_left_cannot_be_taken_back_and_what_was_taken_back_does_not_leave() {
    let exit = Exit::closed();
    let claim = Claim(Arc::clone(&exit));
    assert!(!exit.has_left());
    assert!(exit.leave());
    assert!(exit.has_left());
    assert!(!claim.withdraw());
    assert!(exit.leave(), "it may leave once more");

    let exit = Exit::closed();
    let claim = Claim(Arc::clone(&exit));
    assert!(claim.withdraw());
    assert!(claim.withdraw(), "it stays taken back");
    assert!(!exit.leave());
    assert!(!exit.has_left());
}

#[test]
fn a_caller_who_hangs_up_takes_it_back() {
    let exit = Exit::closed();
    drop(Claim(Arc::clone(&exit)));
    assert!(!exit.leave());
    let exit = Exit::open();
    drop(Claim(Arc::clone(&exit)));
    assert!(exit.has_left());
}

#[test]
fn what_stayed_can_be_taken_back() {
    let exit = Exit::closed();
    assert!(exit.leave());
    exit.stayed();
    assert!(!exit.has_left());
    assert!(Claim(Arc::clone(&exit)).withdraw());
}
