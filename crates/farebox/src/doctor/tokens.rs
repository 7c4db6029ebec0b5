//! Tokens: are name, version and decimals those of the contract? A signature over another name
//! pays nobody.

use farebox_core::diagnosis::{ChainFacts, TokenFacts, TokenSaid};

use super::Finding;

/// What there is to say of the tokens of one chain.
pub(super) fn judge(facts: &ChainFacts) -> Vec<Finding> {
    let network = facts.network.as_str();
    match &facts.tokens {
        Err(why) => vec![Finding::warning(
            "token_unproven",
            network,
            format!("the tokens could not be asked: {}", why.message),
            "run this again, or with another node first in `rpc`",
        )],
        Ok(tokens) => tokens
            .iter()
            .flat_map(|token| of_token(network, token))
            .collect(),
    }
}

fn of_token(network: &str, token: &TokenFacts) -> Vec<Finding> {
    let subject = format!("{} on {network}", token.token);
    let Some(said) = &token.said else {
        return vec![Finding::error(
            "token_missing",
            subject,
            "there is no contract at this address",
            format!("correct the address in [[network.\"{network}\".asset]], or the chain's `rpc`"),
        )];
    };
    let section = format!("[[network.\"{network}\".asset]]");
    let mut findings = Vec::new();
    if !said.has_authorizations {
        findings.push(Finding::error(
            "token_unsuitable",
            &subject,
            "the contract does not know authorizations (EIP-3009), so that nothing can be paid in it",
            format!("remove it from {section}, or correct its address"),
        ));
    }
    if said.domain_fits == Some(false) {
        findings.push(wrong_domain(&subject, &section, token, said));
    }
    let decimals = token.configured.decimals;
    match said.decimals {
        Some(real) if real != u128::from(decimals) => findings.push(Finding::error(
            "token_decimals",
            &subject,
            format!("the contract has {real} decimals and the configuration {decimals}: every price is wrong"),
            format!("write decimals = {real} in {section}"),
        )),
        _ => {}
    }
    if findings.is_empty() {
        findings.push(match said.domain_fits {
            Some(_) => Finding::ok(
                "token",
                &subject,
                format!(
                    "name {:?}, version {:?} and {decimals} decimals are those of the contract",
                    token.configured.name, token.configured.version
                ),
            ),
            None => unproven(&subject, token, said),
        });
    }
    findings
}

fn wrong_domain(subject: &str, section: &str, token: &TokenFacts, said: &TokenSaid) -> Finding {
    let configured = &token.configured;
    let message = format!(
        "the contract does not sign as name {:?}, version {:?}: every payment in it would be refused",
        configured.name, configured.version
    );
    let advice = match (&said.name, &said.version, said.own_words_fit) {
        (Some(name), Some(version), true) => {
            format!("write name = {name:?} and version = {version:?} in {section}")
        }
        _ => format!(
            "find the token's EIP-712 name and version in its source, and write them in {section}; its name() is {}",
            shown(said.name.as_ref())
        ),
    };
    Finding::error("token_domain", subject, message, advice)
}

/// A contract that does not tell its domain.
fn unproven(subject: &str, token: &TokenFacts, said: &TokenSaid) -> Finding {
    let configured = &token.configured;
    Finding::warning(
        "token_unproven",
        subject,
        format!(
            "the contract has no DOMAIN_SEPARATOR(), so that name {:?}, version {:?} cannot be compared; its name() is {}",
            configured.name,
            configured.version,
            shown(said.name.as_ref())
        ),
        "make sure of its EIP-712 name and version with one small payment",
    )
}

/// Text of a stranger, with everything escaped that is not plain.
fn shown(text: Option<&String>) -> String {
    text.map_or_else(|| "not told".to_owned(), |text| format!("{text:?}"))
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
