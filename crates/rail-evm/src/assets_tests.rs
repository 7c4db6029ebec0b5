//! The built-in table of tokens, row by row.

use super::*;
use crate::address::parse_address;

#[test]
fn every_row_of_the_table_reads_and_is_checksummed() {
    for row in TABLE {
        // As upstream writes them; a wrong digit would break the checksum.
        parse_address(row.1).unwrap_or_else(|e| panic!("{row:?}: {e}"));
        assert!(builtin(row.0).iter().any(|a| a.symbol == row.5), "{row:?}");
    }
    let listed: usize = {
        let mut chains: Vec<_> = TABLE.iter().map(|r| r.0).collect();
        chains.dedup();
        chains.iter().map(|c| builtin(*c).len()).sum()
    };
    assert_eq!(listed, TABLE.len());
    assert_eq!(TABLE.len(), 28);
}

#[test]
fn the_default_token_of_base_is_usd_coin_and_of_base_sepolia_usdc() {
    let base = &builtin(8453)[0];
    assert_eq!(
        (base.name.as_str(), base.version.as_str()),
        ("USD Coin", "2")
    );
    let sepolia = &builtin(84532)[0];
    assert_eq!((sepolia.name.as_str(), sepolia.decimals), ("USDC", 6));
    assert_eq!(builtin(42220)[0].symbol, "USDC");
}

#[test]
fn flares_token_has_the_tugrik_sign_in_its_name() {
    assert_eq!(builtin(14)[0].name, "USD₮0");
}

#[test]
fn chains_without_a_default_have_none() {
    for chain in [10, 480, 43113, 80002, 11_155_111, 31337] {
        assert!(builtin(chain).is_empty());
    }
}

#[test]
fn a_rate_needs_a_price() {
    let mut asset = builtin(8453).remove(0);
    assert!(asset.rate().is_some());
    asset.usd_per_unit = None;
    assert!(asset.rate().is_none());
}
