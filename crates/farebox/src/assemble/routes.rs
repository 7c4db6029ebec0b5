//! What is sold, from the words of the file to those of the seller.
//!
//! Called by the gate at its start, at `--check` and when the file changes. Whether a route can be
//! sold as it says is for the seller to say.

use std::collections::HashSet;

use farebox_seller::l402::{TokenTerms, Uses};
use farebox_seller::{Protocol, Route, RouteMatcher, SettleWhen};
use farebox_wire::money::UsdMicros;

use super::selling::invalid;
use crate::config::{Price, RouteSection, Settle, Timespan, TokenUses};
use crate::failure::Failure;

/// All routes; those that name no protocol take the usual ones.
pub(super) fn routes(sections: &[RouteSection], usual: &[Protocol]) -> Result<Vec<Route>, Failure> {
    let mut names = HashSet::new();
    let mut routes = Vec::with_capacity(sections.len());
    for section in sections {
        let matcher: RouteMatcher = section
            .matcher
            .parse()
            .map_err(|why| invalid(format!("[[route]] match: {why}")))?;
        let name = matcher.to_string();
        if !names.insert(name.clone()) {
            return Err(invalid(format!(
                "two routes match {name:?}: the first always wins; remove one of them"
            )));
        }
        let (usd, msat) = match section.price {
            Price::Usd(usd) => (usd, None),
            Price::Msat(msat) => (UsdMicros(0), Some(msat)),
        };
        let mut route = Route::new(name, matcher, usd);
        route.price_msat = msat;
        route.accept = accepted(section, usual)?;
        route.token = token(section)?;
        route.settle = match section.settle {
            Settle::Before => SettleWhen::Before,
            Settle::After => SettleWhen::After,
        };
        if let Some(span) = section.max_timeout {
            route.max_timeout_s = whole_seconds(span, &route.id, "max_timeout", "60s")?;
        }
        route.description.clone_from(&section.description);
        route.mime_type.clone_from(&section.mime_type);
        route.is_shadow = section.shadow;
        routes.push(route);
    }
    Ok(routes)
}

/// What a token of the route buys.
fn token(section: &RouteSection) -> Result<TokenTerms, Failure> {
    let valid_for_s = match section.valid_for {
        Some(span) => Some(whole_seconds(span, &section.matcher, "valid_for", "1h")?),
        None => None,
    };
    Ok(TokenTerms {
        uses: match section.uses {
            None => Uses::Times(1),
            Some(TokenUses::Times(times)) => Uses::Times(times),
            Some(TokenUses::Unlimited) => Uses::Unlimited,
        },
        valid_for_s,
        tier: section.tier,
        capabilities: section.capabilities.clone(),
    })
}

fn whole_seconds(span: Timespan, route: &str, key: &str, example: &str) -> Result<u64, Failure> {
    span.whole_seconds().ok_or_else(|| {
        invalid(format!(
            "route {route:?}: {key} is not in whole seconds; write it like {example:?}"
        ))
    })
}

fn accepted(section: &RouteSection, usual: &[Protocol]) -> Result<Vec<Protocol>, Failure> {
    let Some(names) = &section.accept else {
        return Ok(usual.to_vec());
    };
    let protocols = names.iter().map(|name| match name.as_str() {
        "x402" => Ok(Protocol::X402),
        "l402" => Ok(Protocol::L402),
        other => Err(invalid(format!(
            "accept = [{other:?}] is no protocol; write accept = [\"x402\"], or \"l402\""
        ))),
    });
    protocols.collect()
}
