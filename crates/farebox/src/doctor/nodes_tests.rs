//! Nodes that lag, disagree or are silent, and clocks that are wrong.

use farebox_core::diagnosis::{ChainFacts, Head, NodeFacts};
use farebox_core::rail::RailError;
use farebox_wire::caip::ChainId;

use super::super::{Finding, Severity};
use super::judge;

/// A moment of our clock.
const NOW_S: u64 = 1_800_000_000;

/// A node with this block, made so many seconds ago.
fn node(name: &str, number: u64, age_s: i64) -> NodeFacts {
    NodeFacts {
        node: name.to_owned(),
        head: Ok(Head {
            number,
            timestamp_s: NOW_S.saturating_add_signed(-age_s),
            told_ms: NOW_S * 1_000,
            is_forked: false,
        }),
    }
}

fn silent(code: &'static str) -> NodeFacts {
    NodeFacts {
        node: "away".to_owned(),
        head: Err(RailError {
            code,
            message: "no answer".to_owned(),
        }),
    }
}

fn judged(nodes: Vec<NodeFacts>) -> Vec<(&'static str, Severity)> {
    let findings = judge(&facts(nodes), true);
    findings
        .iter()
        .map(|Finding { id, severity, .. }| (*id, *severity))
        .collect()
}

fn facts(nodes: Vec<NodeFacts>) -> ChainFacts {
    ChainFacts {
        network: ChainId::eip155(1),
        nodes,
        block_ms: Some(12_000),
        tokens: Ok(vec![]),
        accounts: Ok(vec![]),
    }
}

#[test]
fn the_age_of_the_newest_block_is_measured_by_the_chains_pace() {
    use Severity::{Error, Ok, Warning};
    for (age_s, expected) in [
        (0, ("chain", Ok)),
        (120, ("chain", Ok)),
        (121, ("rpc_lags", Warning)),
        (1_200, ("rpc_lags", Warning)),
        (1_201, ("rpc_lags", Error)),
        (-15, ("chain", Ok)),
        (-16, ("clock_skew", Warning)),
        (-61, ("clock_skew", Error)),
    ] {
        assert_eq!(judged(vec![node("a", 100, age_s)]), [expected], "{age_s} s");
    }
}

#[test]
fn a_clock_that_is_fast_is_told_from_a_node_that_lags() {
    let all_late = vec![node("a", 100, 300), node("b", 100, 300)];
    assert_eq!(judged(all_late), [("clock_skew", Severity::Warning)]);
    let one_late = vec![node("a", 80, 245), node("b", 100, 5)];
    let findings = judge(&facts(one_late), true);
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].id, findings[0].subject.as_str()),
        ("rpc_lags", "eip155:1 at a")
    );
}

#[test]
fn a_silent_node_beside_one_that_answers_is_a_warning() {
    use Severity::{Error, Warning};
    assert_eq!(
        judged(vec![silent("rpc_unreachable")]),
        [("rpc_unreachable", Error)]
    );
    let one = vec![silent("rpc_no_answer"), node("a", 100, 0)];
    assert_eq!(judged(one), [("rpc_unreachable", Warning)]);
    let wrong = vec![silent("wrong_chain_id"), node("a", 100, 0)];
    assert_eq!(
        judged(wrong),
        [("wrong_chain_id", Error)],
        "it must never be asked"
    );
    assert_eq!(judged(vec![]), [("rpc_missing", Error)]);
    assert_eq!(
        judge(&facts(vec![]), false)[0].severity,
        Warning,
        "a buyer signs without"
    );
}

#[test]
fn a_node_on_a_fork_is_an_error() {
    let mut forked = node("b", 100, 0);
    if let Ok(head) = &mut forked.head {
        head.is_forked = true;
    }
    let findings = judged(vec![node("a", 100, 0), forked]);
    assert_eq!(findings, [("rpc_disagrees", Severity::Error)]);
}
