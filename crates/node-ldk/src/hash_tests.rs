//! Hashes and preimages as text.

use super::*;

#[test]
fn a_preimage_is_printed_as_its_hash_alone() {
    // sha256 of 32 bytes of one; the vector of our L402 notes.
    let hash = "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793";
    let preimage = Preimage::new([1; 32]);
    assert_eq!(preimage.payment_hash().to_string(), hash);
    assert_eq!(format!("{preimage:?}"), format!("Preimage(of {hash})"));
    assert!(!format!("{preimage:?}").contains(&hex::encode([1; 32])));
}

#[test]
fn a_payment_hash_is_64_hexadecimal_digits() {
    let text = "72cd6e8422c407fb6d098690f1130b7ded7ec2f7f5e1d30bd9d521f015363793";
    assert_eq!(text.parse::<PaymentHash>().unwrap().to_string(), text);
    for bad in [
        "",
        "72",
        &text[1..],
        &format!("{text}00"),
        &format!("0x{}", &text[2..]),
    ] {
        assert_eq!(bad.parse::<PaymentHash>(), Err(BadHash), "{bad}");
    }
}
