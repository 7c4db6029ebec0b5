//! Keys of the documented file that this release does not act on yet.
//!
//! Called before the file is read. They are refused by name, because a seller who writes a limit
//! and is silently served without it has been misled (ARCHITECTURE law 14).

use toml::de::{DeTable, DeValue};

use super::{ConfigFault, line_of};

/// Dotted keys and what they are for; `*` stands for any name or any element.
const LATER: &[(&str, &str)] = &[
    ("catalogue", "the catalogue"),
    ("pay_to.lightning", "Lightning"),
    ("facilitator.shared_payee", "several sellers on one payee"),
    ("wallet.lightning", "Lightning"),
    (
        "policy.resign_after_refusal",
        "signing anew after a refusal",
    ),
];
/// What the coin is worth that gas is paid in.
pub(crate) const GAS_RATE: &str = "ETH/USD";
/// The rates that are asked for.
const RATES: [&str; 2] = [GAS_RATE, "BTC/USD"];
/// Protocols that `accept` will know.
const LATER_PROTOCOLS: [&str; 1] = ["mpp"];

/// Refuses the first key of a later release. A text that is not TOML is left to the reader.
pub(super) fn refuse(text: &str) -> Result<(), ConfigFault> {
    let Ok(table) = DeTable::parse(text) else {
        return Ok(());
    };
    for (key, what) in LATER {
        let path: Vec<&str> = key.split('.').collect();
        if let Some(offset) = find_in_table(table.get_ref(), &path) {
            return Err(not_yet(text, offset, format!("{key} ({what})")));
        }
    }
    refuse_values(text, table.get_ref())
}

/// Where a key at the top stands, in bytes, for those who refuse what is said below it.
pub(super) fn offset_of(text: &str, key: &str) -> Option<usize> {
    find_in_table(DeTable::parse(text).ok()?.get_ref(), &[key])
}

/// Known keys with values that are for later.
fn refuse_values(text: &str, table: &DeTable<'_>) -> Result<(), ConfigFault> {
    for (pair, _) in entries(table.get("rates").map(toml::Spanned::get_ref)) {
        if !RATES.contains(&pair.get_ref().as_ref()) {
            let what = format!(
                "rates {:?}: only {}; give an asset its rate with usd = \"1.08\"",
                pair.get_ref(),
                RATES.join(" and ")
            );
            return Err(not_yet(text, pair.span().start, what));
        }
    }
    let routes = table.get("route").map(toml::Spanned::get_ref);
    for route in routes.and_then(DeValue::as_array).into_iter().flatten() {
        let accept = route
            .get_ref()
            .as_table()
            .and_then(|route| route.get("accept"));
        for (offset, protocol) in strings(accept.map(toml::Spanned::get_ref)) {
            if LATER_PROTOCOLS.contains(&protocol) {
                let what = format!("accept {protocol:?}: only \"x402\" and \"l402\"");
                return Err(not_yet(text, offset, what));
            }
        }
    }
    Ok(())
}

fn not_yet(text: &str, offset: usize, what: String) -> ConfigFault {
    ConfigFault {
        code: "config_not_yet",
        line: Some(line_of(text, offset)),
        message: format!("not yet: {what}; remove it"),
    }
}

/// Byte offset of the key at the end of `path`.
fn find_in_table(table: &DeTable<'_>, path: &[&str]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    table.iter().find_map(|(key, value)| {
        if *first != "*" && key.get_ref() != first {
            return None;
        }
        if rest.is_empty() {
            return Some(key.span().start);
        }
        find_in_value(value.get_ref(), rest)
    })
}

fn find_in_value(value: &DeValue<'_>, path: &[&str]) -> Option<usize> {
    match value {
        DeValue::Table(table) => find_in_table(table, path),
        DeValue::Array(array) => {
            let (first, rest) = path.split_first()?;
            let elements = (*first == "*").then_some(array)?;
            elements
                .iter()
                .find_map(|element| find_in_value(element.get_ref(), rest))
        }
        _ => None,
    }
}

fn entries<'a, 'i>(
    value: Option<&'a DeValue<'i>>,
) -> impl Iterator<
    Item = (
        &'a toml::Spanned<toml::de::DeString<'i>>,
        &'a toml::Spanned<DeValue<'i>>,
    ),
> {
    value
        .and_then(DeValue::as_table)
        .into_iter()
        .flat_map(DeTable::iter)
}

fn strings<'a>(value: Option<&'a DeValue<'_>>) -> impl Iterator<Item = (usize, &'a str)> {
    let elements = value.and_then(DeValue::as_array).into_iter().flatten();
    elements.filter_map(|element| Some((element.span().start, element.get_ref().as_str()?)))
}
