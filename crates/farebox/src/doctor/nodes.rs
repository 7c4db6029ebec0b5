//! Nodes: do they answer, for the right chain, for the same one, and is their newest block new?

use farebox_core::diagnosis::{ChainFacts, Head, NodeFacts};

use super::Finding;

/// How old the newest block may be at least, whatever the chain's pace: blocks are skipped.
const AGE_MS_MIN: u64 = 60_000;
/// How many of its usual pauses the newest block may be old.
const PAUSES: u64 = 10;
/// How many times older than that is no delay any more.
const TOO_OLD: u64 = 10;
/// Blocks may be dated a little ahead, and clocks differ by a few seconds.
const AHEAD_MS_MAX: u64 = 15_000;
/// From here on credentials are refused for their time.
const AHEAD_MS_FATAL: u64 = 60_000;

/// What there is to say of the nodes of one chain. `is_needed`: without one nothing works.
pub(super) fn judge(facts: &ChainFacts, is_needed: bool) -> Vec<Finding> {
    let network = facts.network.to_string();
    if facts.nodes.is_empty() {
        return vec![missing(&network, is_needed)];
    }
    let answering: Vec<(&NodeFacts, &Head)> = facts
        .nodes
        .iter()
        .filter_map(|node| Some((node, node.head.as_ref().ok()?)))
        .collect();
    let mut findings: Vec<Finding> = facts
        .nodes
        .iter()
        .filter_map(|node| silent(&network, node, !answering.is_empty()))
        .collect();
    findings.extend(answering.iter().filter(|(_, head)| head.is_forked).map(|(node, _)| {
        Finding::error(
            "rpc_disagrees",
            at(&network, node),
            "this node has other blocks than the first node of the chain: one of them is on a fork",
            "ask the node's operator, and remove it from `rpc` meanwhile",
        )
    }));
    let Some((best, newest)) = answering.iter().max_by_key(|(_, head)| head.number) else {
        return findings;
    };
    let limit_ms = AGE_MS_MIN.max(facts.block_ms.unwrap_or_default().saturating_mul(PAUSES));
    let behind = answering
        .iter()
        .filter_map(|(node, head)| lags(&network, node, head, newest, facts.block_ms, limit_ms));
    findings.extend(behind);
    findings.extend(time(&network, best, newest, answering.len(), limit_ms));
    if findings.is_empty() {
        let message = format!(
            "{} of {} nodes answer, the newest block is {}",
            answering.len(),
            facts.nodes.len(),
            newest.number
        );
        findings.push(Finding::ok("chain", network, message));
    }
    findings
}

fn missing(network: &str, is_needed: bool) -> Finding {
    let message = "there is no node to ask about this chain";
    let advice = format!("add [network.\"{network}\"] rpc = [\"https://…\"]");
    match is_needed {
        true => Finding::error("rpc_missing", network, message, advice),
        false => Finding::warning("rpc_missing", network, message, advice),
    }
}

/// A node that gives no block.
fn silent(network: &str, node: &NodeFacts, has_another: bool) -> Option<Finding> {
    let why = node.head.as_ref().err()?;
    let subject = at(network, node);
    let other = match why.code {
        "wrong_chain_id" => Some("wrong_chain_id"),
        "wrong_genesis_hash" => Some("wrong_genesis_hash"),
        _ => None,
    };
    if let Some(id) = other {
        let advice =
            format!("correct `rpc` of [network.\"{network}\"]: it names a node of another chain");
        return Some(Finding::told(id, subject, &why.message, &advice));
    }
    if why.code == "rpc_behind" {
        let advice = "name another node first in `rpc`, and ask this one's operator";
        return Some(match has_another {
            true => Finding::warning("rpc_lags", subject, &why.message, advice),
            false => Finding::error("rpc_lags", subject, &why.message, advice),
        });
    }
    let advice =
        "check the address, the network and the node's own log; name a second node in `rpc`";
    Some(match has_another {
        true => Finding::warning("rpc_unreachable", subject, &why.message, advice),
        false => Finding::error("rpc_unreachable", subject, &why.message, advice),
    })
}

/// A node that is behind another one.
fn lags(
    network: &str,
    node: &NodeFacts,
    head: &Head,
    newest: &Head,
    block_ms: Option<u64>,
    limit_ms: u64,
) -> Option<Finding> {
    let blocks = newest.number.saturating_sub(head.number);
    let behind_ms = blocks.saturating_mul(block_ms.unwrap_or_default());
    (behind_ms > limit_ms).then(|| {
        Finding::warning(
            "rpc_lags",
            at(network, node),
            format!(
                "this node is {}, about {}, behind another one of the chain",
                count(blocks, "block"),
                span(behind_ms)
            ),
            "name the better node first in `rpc`, and ask this one's operator",
        )
    })
}

/// Our clock beside the newest block's.
fn time(
    network: &str,
    node: &NodeFacts,
    head: &Head,
    nodes: usize,
    limit_ms: u64,
) -> Option<Finding> {
    let made_ms = head.timestamp_s.saturating_mul(1_000);
    let ahead_ms = made_ms.saturating_sub(head.told_ms);
    if ahead_ms > AHEAD_MS_MAX {
        let message = format!(
            "the newest block of the chain is dated {} later than the clock of this machine",
            span(ahead_ms)
        );
        let advice =
            "set the clock (NTP): payments are valid for a minute or two, by the chain's clock";
        return Some(match ahead_ms > AHEAD_MS_FATAL {
            true => Finding::error("clock_skew", network, message, advice),
            false => Finding::warning("clock_skew", network, message, advice),
        });
    }
    let age_ms = head.told_ms.saturating_sub(made_ms);
    if age_ms <= limit_ms {
        return None;
    }
    let is_fatal = age_ms > limit_ms.saturating_mul(TOO_OLD);
    let make = if is_fatal {
        Finding::error
    } else {
        Finding::warning
    };
    // Several nodes that are all late by the same are less likely than one clock that is fast.
    Some(if nodes > 1 {
        make(
            "clock_skew",
            network.to_owned(),
            format!(
                "the newest block is {} old by the clock of this machine, whichever node is asked",
                span(age_ms)
            ),
            "set the clock (NTP); if it is right, the chain stands still".to_owned(),
        )
    } else {
        make(
            "rpc_lags",
            at(network, node),
            format!("the newest block that this node has is {} old", span(age_ms)),
            "check whether the node is syncing, and the clock of this machine (NTP); name a second node in `rpc`".to_owned(),
        )
    })
}

fn at(network: &str, node: &NodeFacts) -> String {
    format!("{network} at {}", node.node)
}

fn count(number: impl TryInto<u64>, what: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

/// A span of time as people say it.
pub(super) fn span(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
#[path = "nodes_tests.rs"]
mod tests;
