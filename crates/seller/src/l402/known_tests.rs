//! The memory is bounded, and forgets those first that nobody shows.

use farebox_wire::l402::Scheme;
use farebox_wire::l402::credential::L402Credential;
use farebox_wire::l402::identifier::{Identifier, TokenId};
use farebox_wire::l402::macaroon::{Macaroon, derive_root_key};
use farebox_wire::l402::preimage::Preimage;
use zeroize::Zeroizing;

use super::super::{MasterKey, token};
use super::*;

fn proven() -> Arc<Proven> {
    let preimage = Preimage::from_bytes([7; 32]);
    let identifier = Identifier {
        payment_hash: preimage.payment_hash(),
        token_id: TokenId([9; 32]),
    };
    let bytes = identifier.to_bytes();
    let macaroon = Macaroon::mint(&derive_root_key(&[1; 32], &bytes), "", &bytes);
    let shown = L402Credential::new(Scheme::L402, &macaroon.to_base64(), preimage);
    let key = MasterKey::new(Zeroizing::new([1; 32]));
    let proven = token::prove(&key, &shown.expect("a credential"));
    Arc::new(proven.unwrap_or_else(|why| panic!("{why}")))
}

fn line(number: usize) -> LineDigest {
    let mut line = [0; 32];
    line[..8].copy_from_slice(&number.to_be_bytes());
    line
}

#[test]
fn a_line_is_known_by_itself_alone() {
    let known = Known::default();
    let proven = proven();
    assert!(known.find(&line(1)).is_none());
    known.keep(line(1), &proven);
    assert!(
        known
            .find(&line(1))
            .is_some_and(|found| Arc::ptr_eq(&found, &proven))
    );
    assert!(known.find(&line(2)).is_none());
}

#[test]
fn only_so_many_bytes_are_kept_and_what_is_shown_stays() {
    let known = Known::default();
    let proven = proven();
    let on_a_shelf = SHELF_BYTES_MAX / proven.bytes();
    known.keep(line(0), &proven);
    for number in 1..=5 * on_a_shelf {
        known.keep(line(number), &proven);
        assert!(known.find(&line(0)).is_some(), "forgotten after {number}");
    }
    let is_kept = |number: &usize| known.find(&line(*number)).is_some();
    assert!(!is_kept(&1), "the first ones are forgotten");
    assert!(is_kept(&(5 * on_a_shelf)), "the last one is not");
    let shelves = known.0.lock().expect("the shelves");
    for shelf in [&shelves.new, &shelves.old] {
        assert!(shelf.len() <= on_a_shelf, "{}", shelf.len());
    }
}

#[test]
fn the_same_line_again_takes_no_more_room() {
    let known = Known::default();
    let proven = proven();
    known.keep(line(0), &proven);
    for _ in 0..10 * SHELF_BYTES_MAX / proven.bytes() {
        known.keep(line(1), &proven);
    }
    let shelves = known.0.lock().expect("the shelves");
    assert_eq!((shelves.new.len(), shelves.old.len()), (2, 0));
}
