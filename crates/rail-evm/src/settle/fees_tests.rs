//! Fees, their caps and replacements.

use super::*;

#[test]
fn fees_are_cut_to_the_cap_and_refused_where_even_the_base_fee_passes_it() {
    let fees = Fees::new(100);
    let fee = |max, tip| Fee { max, tip };
    assert_eq!(fees.capped(fee(90, 10)), Ok(fee(90, 10)));
    assert_eq!(fees.capped(fee(190, 120)), Ok(fee(100, 100)));
    assert_eq!(
        fees.capped(fee(202, 1)).err().map(|e| e.code),
        Some("gas_too_dear")
    );
}

#[test]
fn a_replacement_pays_at_least_a_tenth_more() {
    let old = Fee { max: 1000, tip: 0 };
    let replaced = old.to_replace(Fee { max: 10, tip: 10 });
    assert!(replaced.max >= 1100);
    assert_eq!(replaced.tip, 10);
}
