//! Gas keys with little money, and transactions that do not move.

use farebox_core::diagnosis::{AccountFacts, ChainFacts};
use farebox_core::rail::RailError;
use farebox_wire::caip::ChainId;
use farebox_wire::money::Amount;

use super::super::Severity;
use super::judge;

fn account(gas_money: u128) -> AccountFacts {
    AccountFacts {
        address: "0x00".to_owned(),
        gas_money: Amount::from_atomic(gas_money),
        settlement_cost: Some(Amount::from_atomic(100)),
        mined: 5,
        pending: 5,
        waited_ms: 0,
    }
}

fn judged(accounts: Result<Vec<AccountFacts>, RailError>) -> Vec<(&'static str, Severity)> {
    let findings = judge(&ChainFacts {
        network: ChainId::eip155(1),
        nodes: vec![],
        block_ms: None,
        tokens: Ok(vec![]),
        accounts,
    });
    findings
        .iter()
        .map(|finding| (finding.id, finding.severity))
        .collect()
}

#[test]
fn money_is_measured_in_settlements() {
    use Severity::{Error, Ok as Well, Warning};
    for (money, expected) in [
        (0, ("gas_unfunded", Error)),
        (99, ("gas_unfunded", Error)),
        (100, ("gas_low", Warning)),
        (19_999, ("gas_low", Warning)),
        (20_000, ("gas", Well)),
    ] {
        assert_eq!(judged(Ok(vec![account(money)])), [expected], "{money}");
    }
    let unpriced = AccountFacts {
        settlement_cost: None,
        ..account(1)
    };
    assert_eq!(judged(Ok(vec![unpriced])), [("gas", Well)]);
    let failed = RailError {
        code: "rpc_no_answer",
        message: "no answer".to_owned(),
    };
    assert_eq!(judged(Err(failed)), [("gas_unknown", Warning)]);
}

#[test]
fn only_what_waits_and_does_not_move_is_stuck() {
    let moving = AccountFacts {
        pending: 9,
        ..account(20_000)
    };
    assert_eq!(judged(Ok(vec![moving.clone()])).len(), 1);
    let stuck = AccountFacts {
        waited_ms: 3_000,
        ..moving
    };
    let findings = judged(Ok(vec![stuck]));
    assert_eq!(findings[1], ("nonce_stuck", Severity::Warning));
}
