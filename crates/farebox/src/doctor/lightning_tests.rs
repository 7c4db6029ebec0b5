//! Nodes in every state that stops payments, and rates that are none.

use farebox_core::rail::RailError;
use farebox_rail_lightning::{Liquidity, Network, NodeIdentity, NodeState};

use super::super::Severity;
use super::*;

fn well() -> NodeFacts {
    NodeFacts {
        network: "lightning:regtest".parse().expect("a network"),
        node: "127.0.0.1:8080".to_owned(),
        identity: Ok(NodeIdentity {
            pubkey: "02".repeat(33),
            network: Network::Regtest,
        }),
        state: Some(NodeState {
            is_synced: true,
            height: Some(101),
            channels: 1,
        }),
        liquidity: Some(Liquidity {
            outbound_msat: 5_500,
            inbound_msat: 7_000,
        }),
        may_pay: true,
    }
}

fn judged(facts: &NodeFacts) -> Vec<(&'static str, Severity)> {
    let findings = judge(facts);
    findings
        .iter()
        .map(|finding| (finding.id, finding.severity))
        .collect()
}

#[test]
fn a_node_that_can_pay_and_be_paid_is_well() {
    let findings = judge(&well());
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].message, "it can pay 5.5 sat and receive 7 sat");
    let silent = NodeFacts {
        state: None,
        liquidity: None,
        ..well()
    };
    assert_eq!(judged(&silent), [("node", Severity::Ok)]);
}

#[test]
fn a_node_that_does_not_answer_or_lets_nobody_in_is_an_error_by_its_reason() {
    for code in [
        "node_unreachable",
        "node_permission",
        "node_not_ready",
        "node_answer",
        "node_invalid",
    ] {
        let facts = NodeFacts {
            identity: Err(RailError {
                code,
                message: "it is so; do this".to_owned(),
            }),
            ..well()
        };
        assert_eq!(judged(&facts), [(code, Severity::Error)]);
    }
}

#[test]
fn a_node_of_another_network_is_an_error_and_nothing_else_is_said() {
    let facts = NodeFacts {
        network: "lightning:mainnet".parse().expect("a network"),
        ..well()
    };
    assert_eq!(judged(&facts), [("node_wrong_network", Severity::Error)]);
}

#[test]
fn what_stands_in_the_way_of_paying_and_being_paid_is_said() {
    let unsynced = NodeFacts {
        state: Some(NodeState {
            is_synced: false,
            height: Some(1),
            channels: 0,
        }),
        liquidity: None,
        ..well()
    };
    assert_eq!(judged(&unsynced), [("node_not_synced", Severity::Warning)]);
    let empty = NodeFacts {
        liquidity: Some(Liquidity {
            outbound_msat: 0,
            inbound_msat: 0,
        }),
        ..well()
    };
    assert_eq!(
        judged(&empty),
        [
            ("node_cannot_receive", Severity::Warning),
            ("node_cannot_pay", Severity::Warning)
        ]
    );
    let sells = NodeFacts {
        may_pay: false,
        ..well()
    };
    assert_eq!(judged(&sells), [("node_permission", Severity::Warning)]);
}

#[test]
fn a_rate_that_cannot_be_used_is_an_error_by_its_reason() {
    assert!(rate_of(Ok(None)).is_none());
    let known = rate_of(Ok(Some(Ok(UsdMicros(60_000_000_000))))).expect("a finding");
    assert_eq!(
        (known.id, known.message.as_str()),
        ("rate", "a bitcoin is 60000 USD")
    );
    let stale = NoRate {
        code: "rate_stale",
        message: "it is old; look".to_owned(),
    };
    let finding = rate_of(Ok(Some(Err(stale)))).expect("a finding");
    assert_eq!(
        (finding.id, finding.severity),
        ("rate_stale", Severity::Error)
    );
    let failure = Failure::config("config_invalid", "it is wrong; mend it");
    let finding = rate_of(Err(failure)).expect("a finding");
    assert_eq!(
        (finding.id, finding.severity),
        ("rate_invalid", Severity::Error)
    );
}
