//! Strangers' bytes through every reader of this crate, with what must hold whatever they are.
//!
//! Called by `fuzz/` (feature `fuzzing`) and by the tests of damage, never by the product. A panic
//! in here is a finding.

use farebox_core::rail::Terms;
use farebox_wire::x402::types::PaymentRequirements;
use reqwest::StatusCode;

use crate::answer;
use crate::supported;
use crate::transport::Answer;

/// Characters of a sentence about a facilitator's answer: a line for a log, whatever it sent.
const WHY_CHARS_MAX: usize = 400;

/// A facilitator's answer to `/verify` or `/settle`, with the last digits of its status.
///
/// # Panics
/// Where a rule is broken.
pub fn verdict(status: u16, body: &[u8], terms: &Terms) {
    let Ok(status) = StatusCode::from_u16(200 + status % 400) else {
        return;
    };
    let said = Answer {
        status,
        retry_after: None,
        body: body.to_vec(),
    };
    match answer::verify(&said, terms) {
        Ok(verdict) => {
            let other = verdict.payer.as_deref().filter(|payer| {
                let ours = terms.payer.as_deref().unwrap_or(payer);
                !payer.eq_ignore_ascii_case(ours)
            });
            assert!(!verdict.is_valid || other.is_none(), "another payer");
            assert_short(&answer::code(verdict.invalid_reason.as_deref()));
        }
        Err(why) => assert_short(&why),
    }
    match answer::settle(&said, terms) {
        Ok(verdict) if verdict.success => {
            assert_eq!(verdict.network, terms.network.as_str());
            assert!(!verdict.transaction.is_empty());
            assert!(verdict.amount.is_none_or(|amount| amount == terms.amount));
        }
        Ok(verdict) => {
            let code = answer::code(verdict.error_reason.as_deref());
            assert_short(&code);
            let _ = answer::fault_of_buyer(&code);
            assert_short(&answer::plain(&verdict.transaction));
        }
        Err(why) => assert_short(&why),
    }
}

/// A facilitator's answer to `/supported`, held against an offer.
///
/// # Panics
/// Where a rule is broken.
pub fn kinds(body: &[u8], offer: &PaymentRequirements) {
    match supported::read(body) {
        Ok(mut said) => {
            assert!(said.kinds.len() <= supported::KINDS_MAX);
            for kind in &said.kinds {
                if said.kind_fits(kind, offer) {
                    assert_eq!(kind.scheme, offer.scheme);
                    assert_eq!(kind.network, offer.network.as_str());
                }
            }
            // It may name somebody else, and that must be its own.
            let before = said.clone();
            said.keep_naming(&before);
            assert_eq!(said.kinds, before.kinds, "nothing has changed");
        }
        Err(why) => assert_short(&why.to_string()),
    }
}

fn assert_short(why: &str) {
    assert!(why.chars().count() < WHY_CHARS_MAX, "{why}");
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
