//! Rules of preimages: the hash is SHA-256, and hex is read in either case and written in one.

use super::*;

#[test]
fn a_preimage_proves_the_payment_of_its_hash() {
    let preimage = Preimage::from_bytes([1; 32]);
    let hash = preimage.payment_hash();
    assert_eq!(
        hash.to_string(),
        "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793"
    );
    let again = Preimage::from_hex(&"01".repeat(32)).expect("hex");
    assert!(again.is(&preimage));
    assert!(!again.is(&Preimage::from_bytes([2; 32])));
    assert_eq!(preimage.to_hex(), "01".repeat(32));
}

#[test]
fn a_hash_is_64_digits_of_either_case() {
    let upper = "AB".repeat(32);
    let hash: PaymentHash = upper.parse().expect("hex");
    assert_eq!(hash, PaymentHash([0xab; 32]));
    assert_eq!(hash.to_string(), upper.to_lowercase());
    let json = serde_json::to_string(&hash).expect("JSON");
    assert_eq!(
        serde_json::from_str::<PaymentHash>(&json).expect("a hash"),
        hash
    );
    for (text, why) in [
        ("", Hex32Error::Length { digits: 0 }),
        (&upper[1..], Hex32Error::Length { digits: 63 }),
        ("g", Hex32Error::Length { digits: 1 }),
        (&"g".repeat(64), Hex32Error::Digit),
        (&"é".repeat(32), Hex32Error::Digit),
    ] {
        assert_eq!(text.parse::<PaymentHash>(), Err(why));
        assert_eq!(Preimage::from_hex(text).err(), Some(why));
    }
}
