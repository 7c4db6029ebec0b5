//! Facilitators elsewhere: are they there, and do they settle on our chains?

use farebox_core::diagnosis::FacilitatorFacts;

use super::Finding;
use super::patient::Patient;
use crate::assemble;

/// Asks every one, and says which network none of them settles on.
pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    match assemble::facilitator_facts(&patient.facilitators).await {
        Err(why) => vec![Finding::refused(
            "facilitator_invalid",
            "[facilitator] urls",
            why,
            "correct urls and headers in [facilitator]",
        )],
        Ok(facts) => judge(patient, &facts),
    }
}

fn judge(patient: &Patient, facts: &[FacilitatorFacts]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.iter().map(of_one).collect();
    // Who does not answer may settle on it; that is said above.
    let is_clear = !facts.is_empty()
        && !patient.facilitators.is_local()
        && facts.iter().all(|facts| facts.networks.is_ok());
    for network in patient.networks.keys().filter(|_| is_clear) {
        let mut settled = facts
            .iter()
            .flat_map(|facts| facts.networks.iter().flatten());
        if !settled.any(|name| name == network.as_str()) {
            findings.push(Finding::error(
                "facilitator_unsupported",
                network.as_str(),
                "no facilitator settles x402 version 2, scheme exact, on this network",
                "name another facilitator in `urls` of [facilitator], or remove the network",
            ));
        }
    }
    findings
}

fn of_one(facts: &FacilitatorFacts) -> Finding {
    match &facts.networks {
        Ok(networks) => Finding::ok(
            "facilitator",
            &facts.host,
            format!("it answers, and settles on {} networks", networks.len()),
        ),
        Err(why) => {
            let advice = match why.code {
                "facilitator_unreachable" => {
                    "check its address and whether it is up; name a second one in `urls`"
                }
                _ => "correct urls and headers in [facilitator]",
            };
            let id = match why.code {
                "facilitator_unreachable" => "facilitator_unreachable",
                "facilitator_refuses" => "facilitator_refuses",
                _ => "facilitator_invalid",
            };
            Finding::told(id, &facts.host, &why.message, advice)
        }
    }
}
