//! Hashes and signatures against those of the official SDKs.

use farebox_wire::money::Amount;
use farebox_wire::x402::exact_evm::ExactEvmPayload;
use serde_json::Value;

use super::*;
use crate::key::EvmKey;

const USDC: &str = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";

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
fn digests_and_signatures_equal_the_official_sdks() {
    let file = include_str!("../../../conformance/x402/exact-evm.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(keccak256(TRANSFER_TYPE).to_string(), case["typeHash"]);
        let domain = domain_separator(
            &text(&case["domain"]["name"]),
            &text(&case["domain"]["version"]),
            case["domain"]["chainId"].as_u64().unwrap(),
            text(&case["domain"]["verifyingContract"]).parse().unwrap(),
        );
        assert_eq!(domain.to_string(), case["domainSeparator"]);
        let payload: ExactEvmPayload = serde_json::from_value(case["payload"].clone()).unwrap();
        let digest = transfer_digest(&domain, &payload.authorization);
        assert_eq!(digest.to_string(), case["digest"]);
        let key = EvmKey::from_hex(&text(&case["privateKey"])).unwrap();
        let signature = key.sign(&digest);
        assert_eq!(signature.to_bytes().as_slice(), payload.signature.0);
        assert_eq!(signature.recover(&digest), Ok(payload.authorization.from));
    }
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
