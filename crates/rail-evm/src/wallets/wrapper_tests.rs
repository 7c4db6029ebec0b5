//! Wrappers as wallets write them, and everything near to one.

use proptest::prelude::*;

use super::*;
use crate::abi::{Arg, address_word, bytes, encode, number_word};

fn wrapped(factory: EvmAddress, data: &[u8], signature: &[u8]) -> Vec<u8> {
    let body = encode(&[
        Arg::Word(address_word(factory)),
        Arg::Dynamic(bytes(data)),
        Arg::Dynamic(bytes(signature)),
    ]);
    [body.as_slice(), &MAGIC].concat()
}

#[test]
fn what_has_no_trailer_is_the_wallets_own_signature() {
    for bytes in [
        &[][..],
        &[1, 2, 3],
        &MAGIC[..31],
        &[&MAGIC[..], &[0]].concat(),
    ] {
        let unwrapped = unwrap(bytes).unwrap();
        assert_eq!((unwrapped.signature, unwrapped.deployment), (bytes, None));
    }
}

#[test]
fn a_wrapper_without_a_factory_is_only_taken_off() {
    let wrapped = wrapped(EvmAddress::ZERO, &[9], &[1, 2]);
    let unwrapped = unwrap(&wrapped).unwrap();
    assert_eq!(
        (unwrapped.signature, unwrapped.deployment),
        (&[1, 2][..], None)
    );
}

#[test]
fn only_one_wrapper_is_taken_off() {
    let inner = wrapped(EvmAddress([1; 20]), &[], &[7]);
    let outer = wrapped(EvmAddress([2; 20]), &[], &inner);
    assert_eq!(unwrap(&outer).unwrap().signature, inner);
}

#[test]
fn offsets_and_lengths_that_lead_out_of_the_bytes_are_refused() {
    let good = wrapped(EvmAddress([1; 20]), &[5; 40], &[6; 65]);
    for (place, number) in [
        (32, u128::MAX),
        (32, 1 << 64),
        (64, u128::from(u64::MAX)),
        (64, 1_000_000),
        (96, u128::from(u64::MAX)),
        (192, 10_000),
    ] {
        let mut broken = good.clone();
        broken[place..place + 32].copy_from_slice(&number_word(number));
        assert_eq!(unwrap(&broken), Err(BrokenWrapper), "{number} at {place}");
    }
    let mut broken = good;
    broken[11] = 1;
    assert_eq!(unwrap(&broken), Err(BrokenWrapper), "a factory of 21 bytes");
    assert_eq!(unwrap(&MAGIC), Err(BrokenWrapper));
}

proptest! {
    #[test]
    fn what_is_wrapped_comes_back(factory in any::<[u8; 20]>(), data: Vec<u8>, signature: Vec<u8>) {
        let factory = EvmAddress(factory);
        let wrapped = wrapped(factory, &data, &signature);
        let unwrapped = unwrap(&wrapped).unwrap();
        prop_assert_eq!(unwrapped.signature, signature);
        let deployment = unwrapped.deployment.unwrap();
        prop_assert_eq!((deployment.factory, deployment.data), (factory, &data[..]));
    }

    #[test]
    fn no_bytes_are_too_strange(mut junk: Vec<u8>) {
        junk.extend_from_slice(&MAGIC);
        let _ = unwrap(&junk);
    }

    #[test]
    fn no_wrapper_with_one_byte_changed_is_too_strange(place in 0_usize..288, byte: u8) {
        let mut wrapped = wrapped(EvmAddress([1; 20]), &[5; 40], &[6; 65]);
        wrapped[place] = byte;
        if let Ok(unwrapped) = unwrap(&wrapped) {
            prop_assert!(unwrapped.signature.len() <= wrapped.len());
        }
    }
}

#[test]
fn wrappers_of_viem_are_taken_off_as_viem_does_and_written_as_viem_does() {
    use alloy_primitives::hex;
    let vectors = include_str!("../../../../conformance/erc6492.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let list = |name: &str| {
        let list = vectors[name].as_array().unwrap().clone();
        assert!(!list.is_empty(), "{name}");
        list
    };
    let bytes = |text: &serde_json::Value| hex::decode(text.as_str().unwrap()).unwrap();
    for case in list("cases") {
        let (signature, inner) = (bytes(&case["signature"]), bytes(&case["inner"]));
        let name = case["name"].as_str().unwrap();
        let unwrapped = unwrap(&signature).expect(name);
        assert_eq!(unwrapped.signature, inner, "{name}");
        let Some(factory) = case["factory"].as_str() else {
            assert_eq!(unwrapped.deployment, None, "{name}");
            continue;
        };
        let (factory, data) = (factory.parse().unwrap(), bytes(&case["data"]));
        let data = data.as_slice();
        assert_eq!(
            unwrapped.deployment,
            Some(Deployment { factory, data }),
            "{name}"
        );
        let again = wrapped(factory, data, &inner);
        assert_eq!(
            again == signature,
            case["canonical"].as_bool().unwrap(),
            "{name}"
        );
    }
    for case in list("refused") {
        let read = unwrap(&bytes(&case["signature"])).is_err();
        assert!(read, "{}", case["name"]);
    }
}
