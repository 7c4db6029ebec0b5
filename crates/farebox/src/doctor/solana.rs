//! Solana: do the nodes answer for the right cluster, can the fee payers pay, are the mints what the
//! configuration says, and has the payee somewhere to be paid?

use farebox_core::diagnosis::{MintFacts, MintSaid, PayeeAccount, PayeeFacts, SolanaFacts};
use farebox_wire::svm::SvmAddress;

use super::patient::Patient;
use super::{Finding, gas, nodes};
use crate::failure::Failure;

/// Where the payee stands.
const PAY_TO: &str = "[pay_to] solana";
/// Where the keys stand.
const SIGNER: &str = "[facilitator] signer.solana";

/// Looks at everything that a configuration says of Solana, outside its books.
///
/// # Errors
/// Exit 2 where a network is not what it should be.
pub(super) async fn check(patient: &Patient) -> Result<Vec<Finding>, Failure> {
    let solana = &patient.solana;
    if solana.is_empty() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    let fee_payers = match solana.fee_payers() {
        Ok(fee_payers) => fee_payers,
        Err(why) => {
            let advice =
                "set signer = { solana = \"env:NAME\" } in [facilitator] to keys that are there";
            findings.push(Finding::refused("key_unreadable", SIGNER, why, advice));
            Vec::new()
        }
    };
    let payee = payee(patient, &fee_payers, &mut findings);
    for facts in solana.facts(&fee_payers, payee).await? {
        findings.extend(judge(&facts, solana.asks_itself()));
    }
    Ok(findings)
}

/// Who is paid, where that is somebody; and what there is to say of him without asking anybody.
fn payee(
    patient: &Patient,
    fee_payers: &[SvmAddress],
    findings: &mut Vec<Finding>,
) -> Option<SvmAddress> {
    match patient.solana.payee()? {
        Err(why) => {
            let advice = "name an account of yours: what is sent elsewhere is lost";
            findings.push(Finding::refused("payee_invalid", PAY_TO, why, advice));
            None
        }
        Ok(payee) => {
            findings.push(match fee_payers.contains(&payee) {
                true => Finding::warning(
                    "payee_is_gas_key",
                    PAY_TO,
                    format!("{payee} is paid and pays the fees too: who takes the key of this server takes the revenue"),
                    "name another account, whose key is not on this server",
                ),
                false => Finding::ok("payee", PAY_TO, format!("{payee} is paid")),
            });
            Some(payee)
        }
    }
}

/// What there is to say of one chain.
fn judge(facts: &SolanaFacts, is_needed: bool) -> Vec<Finding> {
    let network = facts.chain.network.as_str();
    let mut findings = nodes::judge(&facts.chain, is_needed);
    findings.extend(gas::judge(&facts.chain));
    match &facts.mints {
        Err(why) => findings.push(Finding::warning(
            "token_unproven",
            network,
            format!("the tokens could not be asked: {}", why.message),
            "run this again, or with another node first in `rpc`",
        )),
        Ok(mints) => {
            for mint in mints {
                findings.push(of_mint(network, mint));
                let payee = mint.payee.as_ref();
                findings.extend(payee.and_then(|payee| of_payee(network, mint, payee)));
            }
        }
    }
    findings
}

fn of_mint(network: &str, mint: &MintFacts) -> Finding {
    let subject = format!("{} on {network}", mint.token);
    let section = format!("[[network.\"{network}\".asset]]");
    let correct = format!("correct the address in {section}, or the chain's `rpc`");
    let (program, decimals) = match &mint.said {
        None => {
            let message = "there is no account at this address";
            return Finding::error("token_missing", subject, message, correct);
        }
        Some(MintSaid {
            program: Some(program),
            decimals: Some(decimals),
        }) => (*program, *decimals),
        Some(_) => {
            let message = "the account at this address is no mint of a token program";
            return Finding::error("token_unsuitable", subject, message, correct);
        }
    };
    if program != mint.program {
        return Finding::error(
            "token_unsuitable",
            subject,
            format!(
                "the mint is of {program} and the configuration says {}: every payment in it would fail",
                mint.program
            ),
            format!("write program = \"{program}\" in {section}"),
        );
    }
    if decimals != mint.decimals {
        return Finding::error(
            "token_decimals",
            subject,
            format!(
                "the mint has {decimals} decimals and the configuration {}: every payment in it would fail",
                mint.decimals
            ),
            format!("write decimals = {decimals} in {section}"),
        );
    }
    let message = format!("it is a mint of {program} with {decimals} decimals");
    Finding::ok("token", subject, message)
}

fn of_payee(network: &str, mint: &MintFacts, payee: &PayeeFacts) -> Option<Finding> {
    let subject = format!("{} on {network}", payee.owner);
    let PayeeFacts { owner, account, .. } = payee;
    match payee.state {
        PayeeAccount::Open => None,
        PayeeAccount::Missing => Some(Finding::error(
            "payee_account_missing",
            subject,
            format!(
                "the payee has no token account for {} ({account}), so that every payment in it would fail",
                mint.token
            ),
            format!(
                "open it: let anybody send some of the token to {owner}, or run `spl-token create-account MINT --owner {owner}`; whoever does pays its rent, about 0.002 SOL, and neither buyer nor facilitator will"
            ),
        )),
        PayeeAccount::Frozen => Some(Finding::error(
            "payee_account_frozen",
            subject,
            format!(
                "the issuer of {} has frozen the payee's account {account}",
                mint.token
            ),
            "ask the issuer, or name another payee",
        )),
    }
}
