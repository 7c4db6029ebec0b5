//! Keys: reading, signing, and never being shown.

use super::*;

const ANVIL_0: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn key() -> EvmKey {
    EvmKey::from_hex(ANVIL_0).unwrap()
}

fn digest() -> Word {
    Word([7; 32])
}

#[test]
fn the_first_development_key_has_its_well_known_address() {
    assert_eq!(
        key().address().to_string(),
        "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
    );
    let bare = EvmKey::from_hex(&format!(" {}\n", &ANVIL_0[2..])).unwrap();
    assert_eq!(bare.address(), key().address());
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    for text in ["", "0x", "0x12", "0x0x12", &format!("0x{ANVIL_0}"), "zz"] {
        assert_eq!(EvmKey::from_hex(text).err(), Some(KeyError::Hex), "{text}");
    }
    let zero = "0".repeat(64);
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    for text in [zero.as_str(), order] {
        assert_eq!(
            EvmKey::from_hex(text).err(),
            Some(KeyError::Range),
            "{text}"
        );
    }
}

#[test]
fn a_signature_leads_back_to_its_signer_only() {
    let signature = key().sign(&digest());
    assert_eq!(signature.recover(&digest()), Ok(key().address()));
    assert_ne!(signature.recover(&Word([8; 32])), Ok(key().address()));
}

#[test]
fn all_four_spellings_of_v_are_one_signature() {
    let bytes = key().sign(&digest()).to_bytes();
    assert!(matches!(bytes[64], 27 | 28));
    let mut low = bytes;
    low[64] -= 27;
    assert!(EvmSignature::read(&low) == EvmSignature::read(&bytes));
    for v in [2, 26, 29, 255] {
        low[64] = v;
        assert!(matches!(EvmSignature::read(&low), Err(SignatureError::Parity(p)) if p == v));
    }
}

#[test]
fn a_mirrored_signature_is_refused_though_it_recovers() {
    // n - s, with the other parity, verifies for the same key; tokens refuse it, and so do we.
    let order = secp256k1::constants::CURVE_ORDER;
    let mut bytes = key().sign(&digest()).to_bytes();
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let difference = i16::from(order[i]) - i16::from(bytes[32 + i]) - borrow;
        borrow = i16::from(difference < 0);
        bytes[32 + i] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    bytes[64] = 55 - bytes[64];
    assert!(matches!(
        EvmSignature::read(&bytes),
        Err(SignatureError::HighS)
    ));
}

#[test]
fn zero_and_wrong_lengths_are_no_signatures() {
    let good = key().sign(&digest()).to_bytes();
    let (mut zero_r, mut zero_s) = (good, good);
    zero_r[..32].fill(0);
    zero_s[32..64].fill(0);
    for bytes in [zero_r, zero_s] {
        assert!(matches!(
            EvmSignature::read(&bytes),
            Err(SignatureError::Zero)
        ));
    }
    for length in [0, 64, 66, 97] {
        let bytes = vec![1; length];
        assert!(
            matches!(EvmSignature::read(&bytes), Err(SignatureError::Length(l)) if l == length)
        );
    }
}

proptest::proptest! {
    #[test]
    fn reading_never_panics_and_never_recovers_from_junk(bytes: Vec<u8>, digest: [u8; 32]) {
        if let Ok(signature) = EvmSignature::read(&bytes) {
            proptest::prop_assert_ne!(signature.recover(&Word(digest)).ok(), Some(key().address()));
        }
    }

    #[test]
    fn every_signature_of_ours_reads_back(digest: [u8; 32]) {
        let signature = key().sign(&Word(digest));
        proptest::prop_assert!(EvmSignature::read(&signature.to_bytes()) == Ok(signature));
    }
}
