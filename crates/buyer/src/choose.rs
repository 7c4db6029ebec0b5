//! Which offer is taken, and why the others are not.
//!
//! Costs and payability are the rails' word, never the seller's. The first preference that fits
//! wins, then the cheapest, then the seller's order.

use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::policy::Denial;
use farebox_core::purse::Quoted;
use farebox_core::rail::Quote;
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::money::Amount;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::call::Call;
use crate::report::Cost;

/// Why an offer that nothing speaks against is left over.
const NOT_BEST: &str = "another offer is preferred or cheaper";
/// Reasons that are listed in one message; the rest is for `--dry-run`.
const REASONS_MAX: usize = 3;

/// What a dry run tells.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Every offer of the challenge, the readable ones first.
    pub offers: Vec<OfferView>,
    /// What would happen.
    pub decision: Decision,
}

/// One offer, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfferView {
    /// `x402` …; `null` where the offer could not be read.
    pub protocol: Option<&'static str>,
    /// Of the protocol: 1 or 2.
    pub version: Option<u64>,
    /// `evm` …
    pub rail: Option<String>,
    /// CAIP-2 chain.
    pub network: Option<String>,
    /// CAIP-19 asset where it is known to us, else as the seller writes it.
    pub asset: Option<String>,
    /// Atomic units.
    pub amount: Option<Amount>,
    /// What it costs by our own tables.
    pub cost: Option<Cost>,
    /// Whether this call could pay it.
    pub payable: bool,
    /// Why not, or why it was not taken; `null` for the one that is.
    pub reason: Option<String>,
}

/// What a dry run would do, and the rule that says so. Written as `{"allow": true, "rule": …}`,
/// with `ask` or `deny` in place of `allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Pay, or get it for nothing.
    Allow(&'static str),
    /// Ask a person.
    Ask(&'static str),
    /// Refuse.
    Deny(&'static str),
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (verdict, rule) = match self {
            Self::Allow(rule) => ("allow", rule),
            Self::Ask(rule) => ("ask", rule),
            Self::Deny(rule) => ("deny", rule),
        };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(verdict, &true)?;
        map.serialize_entry("rule", rule)?;
        map.end()
    }
}

/// The offers of a challenge, ranked for one call.
pub(crate) struct Choice {
    /// The one to take, or why there is none.
    pub(crate) best: Result<Quote, Fault>,
    pub(crate) offers: Vec<OfferView>,
}

/// Ranks.
pub(crate) fn choose(quoted: Vec<Quoted>, challenge: &Challenge, call: &Call) -> Choice {
    let mut offers = Vec::new();
    let mut payable: Vec<(usize, Quote)> = Vec::new();
    let mut refusals = Vec::new();
    for (place, Quoted { offer, quote }) in quoted.into_iter().enumerate() {
        let judged = quote
            .map_err(|why| refusal_of(why.code, why.why))
            .and_then(|quote| wanted(quote, call));
        let mut view = view_of(&offer);
        match judged {
            Ok(quote) => {
                fill(&mut view, &quote);
                view.payable = true;
                view.reason = Some(NOT_BEST.to_owned());
                payable.push((place, quote));
            }
            Err(fault) => {
                view.reason = Some(fault.message.clone());
                refusals.push(fault);
            }
        }
        offers.push(view);
    }
    for (_, why) in &challenge.unreadable {
        let message = format!("the offer cannot be read: {why}");
        offers.push(unreadable(&message));
        refusals.push(refusal_of("offer_unreadable", message));
    }
    payable.sort_by_key(|(place, quote)| (preference(quote, call), quote.terms.cost, *place));
    let best = match payable.into_iter().next() {
        Some((place, quote)) => {
            if let Some(view) = offers.get_mut(place) {
                view.reason = None;
            }
            Ok(quote)
        }
        None => Err(nothing_payable(refusals)),
    };
    Choice { best, offers }
}

/// A budget's no, as a fault.
pub(crate) fn denied(denial: &Denial) -> Fault {
    let code = match denial.rule() {
        "no_budget" => "no_budget",
        _ => "over_budget",
    };
    Fault::harmless(code, Kind::Policy, Blame::User, denial.to_string())
}

fn refusal_of(code: &'static str, message: String) -> Fault {
    // Without a rate nobody knows what it costs, and that is a rule of ours, not of the seller.
    if code.ends_with("_rate") {
        return Fault::harmless(code, Kind::Policy, Blame::User, message);
    }
    Fault::harmless(code, Kind::Offer, Blame::Peer, message)
}

/// Applies the caller's own limits.
fn wanted(quote: Quote, call: &Call) -> Result<Quote, Fault> {
    let terms = &quote.terms;
    let unwanted = |flag: &str, wish: &str| {
        let message = format!("{flag} asks for {wish}");
        Err(Fault::harmless(
            "offer_unwanted",
            Kind::Offer,
            Blame::User,
            message,
        ))
    };
    if let Some(wish) = call.protocol.as_deref().filter(|w| *w != terms.protocol) {
        return unwanted("--protocol", wish);
    }
    if let Some(wish) = call.rail.as_deref().filter(|w| *w != terms.rail) {
        return unwanted("--rail", wish);
    }
    if let Some(max) = call.max_cost.filter(|max| terms.cost > *max) {
        return Err(Fault::over_max_cost(terms.cost, max));
    }
    Ok(quote)
}

/// The place of the first wish that an offer fulfils.
fn preference(quote: &Quote, call: &Call) -> usize {
    let terms = &quote.terms;
    let fits = |wish: &String| {
        let names = [
            terms.network.as_str(),
            &terms.rail,
            &terms.protocol,
            &terms.symbol,
        ];
        names.iter().any(|name| name.eq_ignore_ascii_case(wish))
    };
    call.prefer.iter().position(fits).unwrap_or(usize::MAX)
}

/// Sums up why nothing can be paid. Where an offer failed by a rule of ours alone, that rule is
/// the reason: the user can change it.
fn nothing_payable(refusals: Vec<Fault>) -> Fault {
    if let Some(rule) = refusals.iter().find(|fault| fault.kind == Kind::Policy) {
        return rule.clone();
    }
    let mut reasons: Vec<String> = Vec::new();
    for fault in refusals {
        if !reasons.contains(&fault.message) {
            reasons.push(fault.message);
        }
    }
    let more = reasons.len().saturating_sub(REASONS_MAX);
    reasons.truncate(REASONS_MAX);
    if more > 0 {
        reasons.push(format!("and {more} more reasons"));
    }
    let why = match reasons.is_empty() {
        true => "it makes no offers".to_owned(),
        false => reasons.join("; "),
    };
    Fault::harmless(
        "no_payable_offer",
        Kind::Offer,
        Blame::Peer,
        format!(
            "the seller asks for payment, but nothing it offers can be paid: {why}; --dry-run explains every offer"
        ),
    )
}

fn view_of(offer: &Offer) -> OfferView {
    let offer = match offer {
        Offer::X402(offer) => offer,
        Offer::L402(_) => return view_of_l402(),
    };
    let requirements = &offer.requirements;
    let rail = match requirements.network.namespace() {
        "eip155" => "evm",
        namespace => namespace,
    };
    OfferView {
        protocol: Some("x402"),
        version: Some(offer.version.number()),
        rail: Some(rail.to_owned()),
        network: Some(requirements.network.to_string()),
        asset: Some(requirements.asset.clone()),
        amount: Some(requirements.amount),
        cost: None,
        payable: false,
        reason: None,
    }
}

/// What is asked is in the invoice, which a rail reads.
fn view_of_l402() -> OfferView {
    OfferView {
        protocol: Some("l402"),
        rail: Some("lightning".to_owned()),
        reason: None,
        ..unreadable("")
    }
}

fn fill(view: &mut OfferView, quote: &Quote) {
    let terms = &quote.terms;
    view.rail = Some(terms.rail.clone());
    view.asset = Some(terms.asset.to_string());
    view.amount = Some(terms.amount);
    view.cost = Some(Cost::usd(terms.cost));
}

fn unreadable(reason: &str) -> OfferView {
    OfferView {
        protocol: None,
        version: None,
        rail: None,
        network: None,
        asset: None,
        amount: None,
        cost: None,
        payable: false,
        reason: Some(reason.to_owned()),
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
