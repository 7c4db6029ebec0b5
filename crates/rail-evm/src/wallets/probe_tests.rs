//! What the probe's answers mean.

use super::*;
use crate::fixtures::{NOW_S, collector, offer, paid};
use farebox_core::rail::CollectRail;

async fn handle() -> std::sync::Arc<EvmHandle> {
    let examined = collector().examine(&paid().await, &offer(), NOW_S).unwrap();
    EvmHandle::read(&examined.handle).unwrap()
}

fn words(numbers: [u8; 4], reason: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    for number in numbers {
        answer.extend_from_slice(&number_word(u128::from(number)));
    }
    answer.extend_from_slice(reason);
    answer
}

#[test]
fn an_answer_that_is_cut_off_is_none() {
    let whole = words([0, 23, 1, 1], &[]);
    assert!(read(&whole).is_some());
    for length in [0, 31, 32, 127] {
        assert_eq!(read(&whole[..length]), None, "{length}");
    }
    let mut junk = whole;
    junk[64] = 1;
    assert_eq!(read(&junk), None, "a bool of 256 bits");
}

#[tokio::test]
async fn every_refusal_has_its_reason() {
    let handle = handle().await;
    let error = |words: &str| {
        let selector = [0x08, 0xc3, 0x79, 0xa0];
        let text = abi::encode(&[Arg::Dynamic(abi::bytes(words.as_bytes()))]);
        [&selector[..], &text].concat()
    };
    for (numbers, reason, is_deployed, expected) in [
        ([0, 9, 1, 1], vec![], true, None),
        ([9, 9, 1, 1], vec![], false, None),
        ([0, 0, 0, 0], vec![], true, Some(Reason::DeploymentFailed)),
        ([0, 9, 0, 0], vec![], true, Some(Reason::InvalidSignature)),
        ([9, 9, 0, 0], vec![], false, Some(Reason::InvalidSignature)),
        ([9, 9, 1, 0], vec![], false, Some(Reason::SimulationFailed)),
        (
            [9, 9, 1, 0],
            error("ERC20: transfer amount exceeds balance"),
            false,
            Some(Reason::InsufficientBalance),
        ),
        (
            [9, 9, 1, 0],
            error("FiatTokenV2: invalid signature"),
            false,
            Some(Reason::InvalidSignature),
        ),
    ] {
        let judged = read(&words(numbers, &reason))
            .unwrap()
            .judge(&handle, is_deployed);
        let reason = judged.err().map(|refusal| refusal.reason);
        assert_eq!(reason, expected, "{numbers:?}");
    }
}
