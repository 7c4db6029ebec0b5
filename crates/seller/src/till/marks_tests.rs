//! Marks are of their payer and asset, of a moment ago, and bounded.

use farebox_wire::caip::ChainId;
use farebox_wire::money::{Amount, UsdMicros};

use super::*;

const NOW_MS: u64 = 1_700_000_000_000;

fn terms(payer: &str, token: u64) -> Terms {
    let network = ChainId::eip155(84532);
    let asset = format!("{network}/erc20:0x{token:040x}");
    Terms {
        protocol: "x402".to_owned(),
        rail: "evm".to_owned(),
        network,
        scheme: "exact".to_owned(),
        asset: asset.parse().expect("an asset"),
        symbol: "USDC".to_owned(),
        decimals: 6,
        amount: Amount::from_atomic(1),
        fee_max: Amount::ZERO,
        cost: UsdMicros(1),
        payee: "payee".to_owned(),
        payer: (!payer.is_empty()).then(|| payer.to_owned()),
    }
}

const fn mark(settled: u128) -> PayerMark {
    PayerMark(Amount::from_atomic(settled))
}

#[test]
fn a_mark_is_its_payers_in_one_asset_for_a_moment() {
    let marks = Marks::default();
    marks.read(&terms("a", 1), mark(5), NOW_MS);
    assert_eq!(marks.of(&terms("a", 1), NOW_MS), Some(mark(5)));
    assert_eq!(
        marks.of(&terms("a", 1), NOW_MS + USED_MS - 1),
        Some(mark(5))
    );
    assert_eq!(marks.of(&terms("a", 1), NOW_MS + USED_MS), None);
    // A clock that was put back does not keep it for ever.
    assert_eq!(marks.of(&terms("a", 1), NOW_MS - USED_MS), None);
    assert_eq!(marks.of(&terms("b", 1), NOW_MS), None);
    assert_eq!(marks.of(&terms("a", 2), NOW_MS), None);
    marks.read(&terms("a", 1), mark(7), NOW_MS + 1);
    assert_eq!(marks.of(&terms("a", 1), NOW_MS + 1), Some(mark(7)));
}

#[test]
fn who_is_not_known_has_none() {
    let marks = Marks::default();
    marks.read(&terms("", 1), mark(5), NOW_MS);
    assert_eq!(marks.of(&terms("", 1), NOW_MS), None);
    assert_eq!(marks.known().count, 0);
}

#[test]
fn marks_are_bounded_and_old_ones_make_room() {
    let marks = Marks::default();
    for n in 0..=PAYERS_MAX {
        marks.read(&terms(&n.to_string(), 1), mark(1), NOW_MS);
    }
    assert_eq!(marks.known().count, PAYERS_MAX);
    let last = terms(&PAYERS_MAX.to_string(), 1);
    assert_eq!(marks.of(&last, NOW_MS), None);
    let later = NOW_MS + USED_MS;
    marks.read(&last, mark(2), later);
    assert_eq!(marks.of(&last, later), Some(mark(2)));
    assert_eq!(marks.known().count, 1);
}
