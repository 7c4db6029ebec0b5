//! Rules of identifiers: what is written is read, and nothing else is.

use super::*;

#[test]
fn an_identifier_is_its_66_bytes() {
    let identifier = Identifier {
        payment_hash: PaymentHash([7; 32]),
        token_id: TokenId([9; 32]),
    };
    let bytes = identifier.to_bytes();
    assert_eq!(bytes.len(), IDENTIFIER_BYTES);
    assert_eq!(Identifier::read(&bytes), Ok(identifier));
    assert_eq!(format!("{:?}", identifier.token_id), "09".repeat(32));
}

#[test]
fn every_other_length_is_refused() {
    for length in (0..200).filter(|length| *length != IDENTIFIER_BYTES) {
        let wrong = IdentifierError::Length { bytes: length };
        assert_eq!(Identifier::read(&vec![0; length]), Err(wrong));
    }
}
