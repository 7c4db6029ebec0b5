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
    findings.extend(facts.iter().flat_map(|facts| of_fee_payers(patient, facts)));
    if patient.solana.has_idle_keys() {
        findings.push(Finding::warning(
            "fee_payer_unused",
            "[facilitator] signer.solana",
            "others settle everything, so that offers name their fee payer and not this key's account",
            "remove it, or put \"local\" into `urls` where this process is to settle",
        ));
    }
    let networks = patient.networks.keys().chain(patient.solana.networks());
    for network in networks.filter(|_| is_clear) {
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

/// Who pays fees on our networks of Solana: an offer there has to name somebody.
fn of_fee_payers(patient: &Patient, facts: &FacilitatorFacts) -> Vec<Finding> {
    let ours = |network: &str| patient.solana.networks().any(|id| id.as_str() == network);
    let said = facts.fee_payers.iter().filter(|(network, _)| ours(network));
    said.map(|(network, fee_payer)| {
        let subject = format!("{} on {network}", facts.host);
        match fee_payer {
            Some(fee_payer) => {
                let message = format!("offers that it settles name its fee payer {fee_payer}");
                Finding::ok("fee_payer", subject, message)
            }
            None => Finding::error(
                "fee_payer_missing",
                subject,
                "it says that it settles here and not who pays the fees, so that no offer can name it",
                "name another facilitator in `urls` of [facilitator], and tell this one's operator",
            ),
        }
    })
    .collect()
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
