//! Rules of base58 and of transactions: one spelling, exactly the right number of bytes.

use super::*;

const MINT: &str = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";

#[test]
fn an_address_is_read_and_written_letter_by_letter() {
    let mint: SvmAddress = MINT.parse().expect("an address");
    assert_eq!(mint.to_string(), MINT);
    assert_eq!(
        serde_json::to_string(&mint).expect("JSON"),
        format!("{MINT:?}")
    );
    let system = "1".repeat(32);
    assert_eq!(system.parse(), Ok(SvmAddress::ZERO));
    assert_eq!(SvmAddress::ZERO.to_string(), system);
    // Case counts: this is another account, or none.
    assert_ne!(MINT.to_lowercase().parse(), Ok(mint));
}

#[test]
fn what_has_not_32_bytes_is_no_address() {
    let odd = [
        String::new(),
        MINT[..40].to_owned(),
        format!("{MINT}1"),
        format!("1{MINT}"),
        format!(" {MINT}"),
        MINT.replace('4', "0"),
        MINT.replace('4', "é"),
        "1".repeat(31),
        "1".repeat(33),
        "z".repeat(44),
        "1".repeat(1_000_000),
        "0x036cbd53842c5426634e7929541ec2318f3dcf7e".to_owned(),
    ];
    for text in odd {
        let error = text.parse::<SvmAddress>().expect_err("no address");
        assert_eq!(error, ParseSvmError::Base58 { bytes: 32 });
        assert!(text.parse::<SvmBlockhash>().is_err());
    }
}

#[test]
fn a_signature_has_64_bytes() {
    let signature = SvmSignature([0xff; 64]);
    let text = signature.to_string();
    assert_eq!(text.len(), 88);
    assert_eq!(text.parse(), Ok(signature));
    assert_eq!("1".repeat(64).parse(), Ok(SvmSignature::ZERO));
    assert!(MINT.parse::<SvmSignature>().is_err());
    assert!(format!("{text}1").parse::<SvmSignature>().is_err());
}

#[test]
fn a_transaction_fits_a_packet() {
    let most = SvmTransaction::new(vec![0xfb; TRANSACTION_BYTES_MAX]).expect("it fits");
    let text = most.to_string();
    assert_eq!(text.parse(), Ok(most.clone()));
    assert_eq!(format!("{most:?}"), "<1232 bytes>");
    for bytes in [0, TRANSACTION_BYTES_MAX + 1] {
        assert_eq!(
            SvmTransaction::new(vec![0; bytes]),
            Err(ParseSvmError::Size)
        );
        let text = STANDARD.encode(vec![0; bytes]);
        assert_eq!(text.parse::<SvmTransaction>(), Err(ParseSvmError::Size));
    }
    assert_eq!(
        "A".repeat(1_000_000).parse::<SvmTransaction>(),
        Err(ParseSvmError::Size)
    );
}

#[test]
fn a_transaction_has_one_spelling() {
    assert_eq!(
        "AQID".parse::<SvmTransaction>().expect("read").bytes(),
        [1, 2, 3]
    );
    for text in ["AQI", "AQJ=", "AQID=", "AQ ID", "AQID\n", "-_-_", "AQI%3D"] {
        assert_eq!(
            text.parse::<SvmTransaction>(),
            Err(ParseSvmError::Base64),
            "{text:?}"
        );
    }
}
