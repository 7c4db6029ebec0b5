//! Files as lnget writes them, and what else stands in such a place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{AtRestError, FILE_BYTES_MAX, TokenAtRest};

/// The vector of `conformance/l402`, without caveats: preimage 32 times 1.
const MACAROON: &str = "AgEEbHNhdAJCAAByzW6EIsQH+20JhpDxEwt97X7C9/Xh0wvZ1SHwFTY3k6ChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/AAAGIOX0X21mymQXCFexGOtp7PAdiV1skiySAWDHrHknqcuv";
const HASH: &str = "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793";

fn file(preimage: [u8; 32]) -> Vec<u8> {
    let macaroon = STANDARD.decode(MACAROON).unwrap();
    let mut bytes = u32::try_from(macaroon.len())
        .unwrap()
        .to_be_bytes()
        .to_vec();
    bytes.extend(macaroon);
    bytes.extend(hex::decode(HASH).unwrap());
    bytes.extend(preimage);
    bytes.extend(100_000_u64.to_be_bytes());
    bytes.extend(1_234_u64.to_be_bytes());
    bytes.extend(1_750_000_000_123_456_789_i64.to_be_bytes());
    bytes
}

fn why(bytes: &[u8]) -> Option<AtRestError> {
    TokenAtRest::read(bytes).err()
}

#[test]
fn a_paid_token_is_read_with_what_it_cost() {
    let token = TokenAtRest::read(&file([1; 32])).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(token.payment_hash.to_string(), HASH);
    assert_eq!((token.amount_msat, token.fee_msat), (100_000, 1_234));
    assert_eq!(token.created_ms, 1_750_000_000_123);
    let shown = token.credential.to_authorization().unwrap();
    assert_eq!(shown, format!("L402 {MACAROON}:{}", "01".repeat(32)));
}

#[test]
fn what_was_not_paid_or_not_by_this_preimage_is_refused() {
    assert_eq!(why(&file([0; 32])), Some(AtRestError::Pending));
    assert_eq!(why(&file([2; 32])), Some(AtRestError::Preimage));
}

#[test]
fn a_torn_or_foreign_file_is_refused() {
    let whole = file([1; 32]);
    for end in 0..whole.len() {
        assert!(why(&whole[..end]).is_some(), "{end} bytes");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert_eq!(why(&longer), Some(AtRestError::Length));
    assert_eq!(
        why(&vec![0; FILE_BYTES_MAX + 1]),
        Some(AtRestError::TooLong)
    );
    let mut junk = whole.clone();
    junk[4] = 7;
    assert!(matches!(why(&junk), Some(AtRestError::Macaroon(_))));
    let mut old = whole;
    let sign = old.len() - 8;
    old[sign] = 0xff;
    assert_eq!(why(&old), Some(AtRestError::Time));
}
