//! Hashes and signatures against those of the official SDKs.

use farebox_wire::money::Amount;

use super::*;
use crate::key::EvmKey;

const USDC: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
const ANVIL_0: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

fn vector() -> Eip3009Authorization {
    Eip3009Authorization {
        from: "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
            .parse()
            .unwrap(),
        to: "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
            .parse()
            .unwrap(),
        value: Amount::from_atomic(10_000),
        valid_after: 0,
        valid_before: 2_000_000_000,
        nonce: Word([0x11; 32]),
    }
}

fn domain() -> Word {
    domain_separator("USDC", "2", 84532, USDC.parse().unwrap())
}

#[test]
fn the_type_hash_is_that_of_eip_3009() {
    assert_eq!(
        keccak256(TRANSFER_TYPE).to_string(),
        "0x7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267"
    );
}

#[test]
fn the_domain_of_base_sepolia_usdc_is_the_official_one() {
    assert_eq!(
        domain().to_string(),
        "0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818"
    );
}

#[test]
fn digest_and_signature_equal_the_official_sdks() {
    let digest = transfer_digest(&domain(), &vector());
    assert_eq!(
        digest.to_string(),
        "0x508c5b65aa60d76ff72b7902910712a269c3d3cd08eb40b286244edae4d70df4"
    );
    let signature = EvmKey::from_hex(ANVIL_0).unwrap().sign(&digest);
    assert_eq!(
        alloy_primitives::hex::encode_prefixed(signature.to_bytes()),
        "0xd6f621c8795d5a591106925400f9e441cd7b3237689fa98325e2a246548254895f4ae3e2a584ec5139873aaed8433bae4fd80ced953eb81b087707c10464189a1c"
    );
    assert_eq!(signature.recover(&digest), Ok(vector().from));
}

#[test]
fn every_field_changes_the_digest() {
    let original = transfer_digest(&domain(), &vector());
    let changes: [fn(&mut Eip3009Authorization); 6] = [
        |t| t.from = EvmAddress([1; 20]),
        |t| t.to = EvmAddress([1; 20]),
        |t| t.value = Amount::from_atomic(10_001),
        |t| t.valid_after = 1,
        |t| t.valid_before += 1,
        |t| t.nonce = Word([0x12; 32]),
    ];
    for change in changes {
        let mut transfer = vector();
        change(&mut transfer);
        assert_ne!(transfer_digest(&domain(), &transfer), original);
    }
    let token: EvmAddress = USDC.parse().unwrap();
    for other in [
        domain_separator("USD Coin", "2", 84532, token),
        domain_separator("USDC", "1", 84532, token),
        domain_separator("USDC", "2", 8453, token),
        domain_separator("USDC", "2", 84532, EvmAddress([1; 20])),
    ] {
        assert_ne!(transfer_digest(&other, &vector()), original);
    }
}
