//! Lightning: does the node answer, on the right network, synced, and can it pay and be paid? And is
//! there a rate to reckon with?

use farebox_core::rates::NoRate;
use farebox_wire::money::{Amount, UsdMicros};

use super::Finding;
use super::patient::Patient;
use crate::assemble::NodeFacts;
use crate::failure::Failure;

/// Digits after the point of a satoshi.
const SAT_DECIMALS: u8 = 3;

/// Asks every node, and the source of the rate.
pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let (facts, rate) = tokio::join!(patient.lightning.facts(), patient.lightning.bitcoin());
    let mut findings: Vec<Finding> = facts.iter().flat_map(judge).collect();
    findings.extend(rate_of(rate));
    findings
}

/// What there is to say of one node.
pub(super) fn judge(facts: &NodeFacts) -> Vec<Finding> {
    let network = facts.network.to_string();
    let subject = match facts.node.is_empty() {
        true => network.clone(),
        false => format!("{network} at {}", facts.node),
    };
    let identity = match &facts.identity {
        Ok(identity) => identity,
        // It runs, and who runs it knows how it does.
        Err(why) if why.code == "node_in_use" => {
            return vec![Finding::ok("node_in_use", subject, &why.message)];
        }
        Err(why) => {
            let advice = format!("check `node` of [network.\"{network}\"] and the node's own log");
            return vec![Finding::told(why.code, subject, &why.message, &advice)];
        }
    };
    if !facts.is_on(identity) {
        return vec![Finding::error(
            "node_wrong_network",
            subject,
            format!("this node is on {}", identity.network.name()),
            format!(
                "correct `url` of [network.\"{network}\"], or name the section after its network"
            ),
        )];
    }
    let mut findings = Vec::new();
    if facts.state.as_ref().is_some_and(|state| !state.is_synced) {
        findings.push(Finding::warning(
            "node_not_synced",
            &subject,
            "this node has not seen the newest block, so that payments fail or are lost sight of",
            "wait until it is synced, or look at its log",
        ));
    }
    findings.extend(channels(facts, &subject));
    if findings.is_empty() {
        let message = format!("it answers as {}", identity.pubkey);
        findings.push(Finding::ok("node", subject, message));
    }
    findings
}

fn channels(facts: &NodeFacts, subject: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !facts.may_pay {
        findings.push(Finding::warning(
            "node_permission",
            subject,
            "the macaroon allows to be paid and not to pay",
            "that is right for a seller; a buyer bakes one with offchain:read, offchain:write and info:read",
        ));
    }
    match facts.liquidity {
        None => {}
        Some(has) => {
            if has.inbound_msat == 0 {
                findings.push(Finding::warning(
                    "node_cannot_receive",
                    subject,
                    "nobody can pay this node: no channel has money on the other side",
                    "buy inbound liquidity, or spend from a channel of yours; a buyer needs none",
                ));
            }
            if facts.may_pay && has.outbound_msat == 0 {
                findings.push(Finding::warning(
                    "node_cannot_pay",
                    subject,
                    "this node can pay nobody: its channels have nothing on its own side",
                    "open or fill a channel; a seller needs none",
                ));
            }
            if findings.is_empty() {
                findings.push(Finding::ok(
                    "node_channels",
                    subject,
                    format!(
                        "it can pay {} sat and receive {} sat",
                        sats(has.outbound_msat),
                        sats(has.inbound_msat)
                    ),
                ));
            }
        }
    }
    findings
}

fn rate_of(rate: Result<Option<Result<UsdMicros, NoRate>>, Failure>) -> Option<Finding> {
    let subject = "[rates] \"BTC/USD\"";
    let advice = "set \"BTC/USD\" in [rates]; without it nothing is sold or bought over Lightning";
    match rate {
        Err(why) => Some(Finding::refused("rate_invalid", subject, why, advice)),
        Ok(None) => None,
        Ok(Some(Ok(usd))) => Some(Finding::ok(
            "rate",
            subject,
            format!("a bitcoin is {usd} USD"),
        )),
        Ok(Some(Err(why))) => Some(Finding::told(why.code, subject, &why.message, advice)),
    }
}

fn sats(msat: u64) -> String {
    Amount::from_atomic(msat.into()).to_decimal_string(SAT_DECIMALS)
}

#[cfg(test)]
#[path = "lightning_tests.rs"]
mod tests;
