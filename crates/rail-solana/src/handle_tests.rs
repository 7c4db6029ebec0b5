//! What is stored is read again; transactions come apart and together.

use super::*;
use crate::samples;

fn handle() -> SvmHandle {
    SvmHandle {
        chain: "solana:4242".parse().unwrap(),
        mint: SvmAddress([1; 32]),
        payer: SvmAddress([2; 32]),
        source: SvmAddress([3; 32]),
        destination: SvmAddress([4; 32]),
        amount: u64::MAX,
        fee_payer: SvmAddress([5; 32]),
        blockhash: SvmBlockhash([6; 32]),
        digest: [7; 32],
        signature: SvmSignature([8; 64]),
        seen_s: 9,
        last_height: Some(10),
        since_slot: None,
        transaction: join(&[SvmSignature::ZERO], b"message"),
        examined: None,
    }
}

#[test]
fn what_is_stored_is_read_again_after_a_restart() {
    let mut handle = handle();
    let bytes = samples::bytes(&samples::good());
    let transfer = samples::judge(&bytes, &samples::Offer::default());
    handle.examined = Some(Arc::new(transfer.unwrap()));
    let written = Arc::new(handle).write().unwrap();
    assert!(SvmHandle::read(&written).unwrap().examined.is_some());
    let read = SvmHandle::read(&Handle::new(written.text().to_owned())).unwrap();
    assert_eq!(read.write().unwrap(), written);
    assert!(read.examined.is_none(), "a file vouches for nothing");
    let expected = format!("svm:4242:{}", "07".repeat(32));
    assert_eq!(read.identity().as_str(), expected);
    let damaged = Handle::new(written.text().replace("0707", "07"));
    assert!(SvmHandle::read(&damaged).is_err());
}

#[test]
fn a_transaction_comes_apart_as_it_was_joined() {
    let signatures = [SvmSignature([1; 64]), SvmSignature::ZERO];
    let whole = join(&signatures, b"message").unwrap();
    let (read, message) = split(whole.bytes()).unwrap();
    assert_eq!(
        (read.as_slice(), message),
        (signatures.as_slice(), b"message".as_slice())
    );
    assert_eq!(split(&whole.bytes()[..128]), None);
    assert_eq!(split(&[]), None);
    assert_eq!(split(&[0x80, 1]), None);
    assert_eq!(split(&[0]), Some((vec![], [].as_slice())));
    // Twenty signatures leave no packet.
    assert_eq!(join(&[SvmSignature::ZERO; 20], b"m"), None);
    assert_eq!(join(&[SvmSignature::ZERO; 200], b"m"), None);
}

proptest::proptest! {
    #[test]
    fn splitting_never_panics_and_joins_to_the_same(bytes: Vec<u8>) {
        if let Some((signatures, message)) = split(&bytes) {
            let joined = join(&signatures, message).unwrap();
            proptest::prop_assert_eq!(joined.bytes(), bytes.as_slice());
        }
    }
}
