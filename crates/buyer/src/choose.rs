//! Which offer is taken, and why the others are not.
//!
//! Costs and payability are the rails' word, never the seller's. What the caller's rules or the
//! wallet's balance do not allow is left out; of the rest the first preference that fits wins, then
//! what the wallet is known to have enough for, then the cheapest with its fee, then the seller's
//! order. Of a single offer no balance is asked.

use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::policy::Denial;
use farebox_core::purse::Quoted;
use farebox_core::rail::{Quote, Terms};
use farebox_wire::challenge::{Challenge, Offer};
use farebox_wire::money::{Amount, UsdMicros};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::call::Call;
use crate::faults;
use crate::report::Cost;

/// The protocol whose credentials are in `Authorization`.
const L402: &str = "l402";

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
    /// Its place among those that could be paid, from 1.
    pub rank: Option<usize>,
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

/// The offers of a challenge that could be paid, and why the others cannot.
pub(crate) struct Judged {
    payable: Vec<Candidate>,
    refusals: Vec<Fault>,
    offers: Vec<OfferView>,
}

/// An offer that could be paid.
struct Candidate {
    /// Its place in the challenge.
    place: usize,
    quote: Quote,
}

/// What an offer is ranked by, the first that differs: the caller's preference, whether the wallet
/// is known to have enough, what it costs with its fee, and the seller's order.
type Rank = (usize, bool, UsdMicros, usize);

/// Applies the rules of the caller, whose request has these headers.
pub(crate) fn judge(
    quoted: Vec<Quoted>,
    challenge: &Challenge,
    call: &Call,
    headers: &HeaderMap,
) -> Judged {
    let mut judged = Judged {
        payable: Vec::new(),
        refusals: Vec::new(),
        offers: Vec::new(),
    };
    for (place, Quoted { offer, quote }) in quoted.into_iter().enumerate() {
        let mut view = view_of(&offer);
        let wish = quote
            .map_err(|why| refusal_of(why.code, why.why))
            .and_then(|quote| {
                fill(&mut view, &quote);
                wanted(quote, call, headers)
            });
        match wish {
            Ok(quote) => judged.payable.push(Candidate { place, quote }),
            Err(fault) => {
                view.reason = Some(fault.message.clone());
                judged.refusals.push(fault);
            }
        }
        judged.offers.push(view);
    }
    for (_, why) in &challenge.unreadable {
        let message = format!("the offer cannot be read: {why}");
        judged.offers.push(unreadable(&message));
        judged
            .refusals
            .push(refusal_of("offer_unreadable", message));
    }
    judged
}

impl Judged {
    /// The terms of what could be paid, in the seller's order.
    pub(crate) fn payable(&self) -> Vec<&Terms> {
        self.payable.iter().map(|it| &it.quote.terms).collect()
    }

    /// Ranks. `covered` says for each of [`Judged::payable`] whether the wallet has enough; an offer
    /// that is not covered is not paid, one of which nobody knows comes after those that are.
    pub(crate) fn rank(mut self, covered: &[Option<bool>], call: &Call) -> Choice {
        let mut ranked: Vec<(Rank, Quote)> = Vec::new();
        for (at, Candidate { place, quote }) in self.payable.into_iter().enumerate() {
            let covered = covered.get(at).copied().flatten();
            if covered == Some(false) {
                let fault = not_covered(&quote);
                if let Some(view) = self.offers.get_mut(place) {
                    view.reason = Some(fault.message.clone());
                }
                self.refusals.push(fault);
                continue;
            }
            let is_unsure = covered.is_none();
            let rank = (preference(&quote, call), is_unsure, quote.terms.cost, place);
            ranked.push((rank, quote));
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let best_rank = ranked.first().map(|(rank, _)| *rank);
        for (number, (rank, _)) in ranked.iter().enumerate() {
            if let Some(view) = self.offers.get_mut(rank.3) {
                view.payable = true;
                view.rank = Some(number.saturating_add(1));
                view.reason = best_rank.and_then(|best| behind(rank, &best));
            }
        }
        let best = match ranked.into_iter().next() {
            Some((_, quote)) => Ok(quote),
            None => Err(nothing_payable(self.refusals)),
        };
        Choice {
            best,
            offers: self.offers,
        }
    }
}

/// Why an offer comes after the best; `None` for the best itself.
fn behind(rank: &Rank, best: &Rank) -> Option<String> {
    let why = match () {
        () if rank == best => return None,
        () if rank.0 != best.0 => "another offer is preferred",
        () if rank.1 != best.1 => {
            "the wallet's balance for it is not known, and for another offer it is"
        }
        () if rank.2 != best.2 => "another offer is cheaper",
        () => "another offer costs the same and comes first",
    };
    Some(why.to_owned())
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
    if code.ends_with("_rate") || code.starts_with("rate_") {
        return Fault::harmless(code, Kind::Policy, Blame::User, message);
    }
    Fault::harmless(code, Kind::Offer, Blame::Peer, message)
}

/// Applies the caller's own limits.
fn wanted(quote: Quote, call: &Call, headers: &HeaderMap) -> Result<Quote, Fault> {
    let terms = &quote.terms;
    let refuse = |code, message| Err(Fault::harmless(code, Kind::Offer, Blame::User, message));
    let unwanted =
        |flag: &str, wish: &str| refuse("offer_unwanted", format!("{flag} asks for {wish}"));
    if terms.protocol == L402 && headers.contains_key(AUTHORIZATION) {
        return Err(faults::authorization_in_the_way(
            "L402 is shown in the Authorization header, which -H sets already; leave it out to pay by L402",
        ));
    }
    if call.no_mainnet && quote.is_mainnet {
        let message = format!(
            "{} has real money, and mainnets are ruled out",
            terms.network
        );
        return refuse("offer_unwanted", message);
    }
    if !call.assets.is_empty() && !call.assets.iter().any(|wish| is_asset(terms, wish)) {
        return unwanted("--asset", &call.assets.join(", "));
    }
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
        let names = [terms.network.as_str(), &terms.rail, &terms.protocol];
        names.iter().any(|name| name.eq_ignore_ascii_case(wish)) || is_asset(terms, wish)
    };
    call.prefer.iter().position(fits).unwrap_or(usize::MAX)
}

/// Whether a wish names the asset: by its symbol, or whole.
fn is_asset(terms: &Terms, wish: &str) -> bool {
    terms.symbol.eq_ignore_ascii_case(wish) || terms.asset.to_string().eq_ignore_ascii_case(wish)
}

fn not_covered(quote: &Quote) -> Fault {
    let terms = &quote.terms;
    Fault::harmless(
        "not_covered",
        Kind::Offer,
        Blame::User,
        format!(
            "the wallet does not have enough {} on {} to pay it",
            terms.symbol, terms.network
        ),
    )
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
        rank: None,
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
    view.network = Some(terms.network.to_string());
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
        rank: None,
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
