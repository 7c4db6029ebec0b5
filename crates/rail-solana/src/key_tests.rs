//! Keys: reading, signing, and never being shown.

use super::*;

/// The seed of the vectors in `conformance/x402/exact-svm.json`, and its address.
const SEED: &str = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
const ADDRESS: &str = "9C6hybhQ6Aycep9jaUnP6uL9ZYvDjUp1aSkFWPUFJtpj";

fn key() -> SolanaKey {
    SolanaKey::parse(SEED).unwrap()
}

fn pair() -> [u8; 64] {
    key().pair.to_bytes()
}

#[test]
fn one_key_is_read_in_each_of_its_spellings() {
    assert_eq!(key().address().to_string(), ADDRESS);
    let base58 = bs58::encode(pair()).into_string();
    let json = format!("{:?}\n", pair());
    let spaced = format!(" [ {} ] ", pair().map(|b| b.to_string()).join(" ,\n"));
    for text in [
        base58,
        json,
        spaced,
        format!("0x{SEED}"),
        SEED.to_uppercase(),
    ] {
        assert_eq!(SolanaKey::parse(&text).unwrap().address(), key().address());
    }
}

#[test]
fn an_address_is_no_key_and_is_told_so() {
    assert_eq!(SolanaKey::parse(ADDRESS).err(), Some(KeyError::Address));
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    let numbers = |count: usize| format!("[{}]", vec!["7"; count].join(","));
    let texts = [
        String::new(),
        "[]".into(),
        "[1".into(),
        numbers(32),
        numbers(63),
        numbers(65),
        numbers(64).replace("[7,", "[256,"),
        numbers(64).replace("[7,", "[+7,"),
        numbers(64).replace("[7,", "[,"),
        SEED[1..].into(),
        SEED.replace('1', "g"),
        bs58::encode([7; 63]).into_string(),
        bs58::encode([7; 65]).into_string(),
        "1".repeat(1_000_000),
    ];
    for text in texts {
        assert_eq!(
            SolanaKey::parse(&text).err(),
            Some(KeyError::Form),
            "{text}"
        );
    }
    let mut halves = pair();
    halves[63] ^= 1;
    let text = bs58::encode(halves).into_string();
    assert_eq!(SolanaKey::parse(&text).err(), Some(KeyError::Halves));
}

#[test]
fn a_signature_is_good_for_its_signer_and_message_only_and_always_the_same() {
    let signature = key().sign(b"message");
    assert_eq!(signature, key().sign(b"message"));
    assert!(has_signed(key().address(), b"message", &signature));
    assert!(!has_signed(key().address(), b"massage", &signature));
    assert!(!has_signed(SvmAddress([1; 32]), b"message", &signature));
    assert!(!has_signed(
        key().address(),
        b"message",
        &SvmSignature::ZERO
    ));
}

#[test]
fn a_signature_whose_s_is_not_reduced_is_refused() {
    // s + the order of the curve would verify under a lax reader: one message, two signatures.
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10_u16,
    ];
    let mut mirrored = key().sign(b"message");
    let mut carry = 0;
    for (byte, add) in mirrored.0[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + add + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(!has_signed(key().address(), b"message", &mirrored));
}
