//! Tokens that are not what the configuration says.

use farebox_core::diagnosis::{ChainFacts, TokenDomain, TokenFacts, TokenSaid};
use farebox_core::rail::RailError;
use farebox_wire::caip::ChainId;

use super::super::Finding;
use super::judge;

fn said() -> TokenSaid {
    TokenSaid {
        name: Some("USD Coin".to_owned()),
        version: Some("2".to_owned()),
        decimals: Some(6),
        domain_fits: Some(true),
        own_words_fit: true,
        has_authorizations: true,
    }
}

fn judged(tokens: Result<Option<TokenSaid>, RailError>) -> Vec<Finding> {
    judge(&ChainFacts {
        network: ChainId::eip155(1),
        nodes: vec![],
        block_ms: None,
        tokens: tokens.map(|said| {
            vec![TokenFacts {
                token: "USDC 0x00".to_owned(),
                configured: TokenDomain {
                    name: "USDC".to_owned(),
                    version: "2".to_owned(),
                    decimals: 6,
                },
                said,
            }]
        }),
        accounts: Ok(vec![]),
    })
}

fn ids(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.id).collect()
}

#[test]
fn a_domain_that_does_not_fit_is_explained_as_far_as_the_contract_tells() {
    let wrong = TokenSaid {
        domain_fits: Some(false),
        ..said()
    };
    let findings = judged(Ok(Some(wrong.clone())));
    assert_eq!(ids(&findings), ["token_domain"]);
    let advice = findings[0].advice.as_deref().expect("advice");
    assert!(
        advice.contains("name = \"USD Coin\" and version = \"2\""),
        "{advice}"
    );
    let odd = TokenSaid {
        own_words_fit: false,
        name: Some("Evil\u{1b}[2J\nname".to_owned()),
        ..wrong
    };
    let findings = judged(Ok(Some(odd)));
    let advice = findings[0].advice.as_deref().expect("advice");
    assert!(
        !advice.contains('\n') && !advice.contains('\u{1b}'),
        "{advice:?}"
    );
}

#[test]
fn what_cannot_be_compared_is_said_and_is_no_error() {
    let untold = TokenSaid {
        domain_fits: None,
        ..said()
    };
    assert_eq!(ids(&judged(Ok(Some(untold)))), ["token_unproven"]);
    let failed = RailError {
        code: "rpc_no_answer",
        message: "no answer".to_owned(),
    };
    assert_eq!(ids(&judged(Err(failed))), ["token_unproven"]);
}

#[test]
fn a_contract_that_is_no_such_token_is_named_for_what_it_lacks() {
    assert_eq!(ids(&judged(Ok(None))), ["token_missing"]);
    let other = TokenSaid {
        decimals: Some(18),
        has_authorizations: false,
        ..said()
    };
    assert_eq!(
        ids(&judged(Ok(Some(other)))),
        ["token_unsuitable", "token_decimals"]
    );
    assert_eq!(ids(&judged(Ok(Some(said())))), ["token"]);
}
