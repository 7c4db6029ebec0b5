//! The table of tokens.

use super::*;

#[test]
fn every_row_of_the_table_is_readable_and_the_first_of_each_chain_is_usdc() {
    let mut rows = 0;
    for chain in chains() {
        let assets = builtin(chain);
        rows += assets.len();
        assert_eq!(assets[0].symbol, "USDC");
        assert_eq!(assets[0].program, TokenProgram::SplToken);
        for (place, asset) in assets.iter().enumerate() {
            assert!(assets[..place].iter().all(|other| other.mint != asset.mint));
            assert_eq!(asset.rate().map(|rate| rate.usd_per_unit), Some(ONE_DOLLAR));
        }
    }
    assert_eq!(rows, TABLE.len());
    assert!(builtin("4242").is_empty());
}

#[test]
fn the_chains_have_the_names_of_version_1() {
    use farebox_wire::x402::v1;
    let names: Vec<_> = chains()
        .map(|chain| v1::name_of(&format!("solana:{chain}").parse().unwrap()))
        .collect();
    let expected = ["solana", "solana-devnet", "solana-testnet"];
    assert_eq!(names, expected.map(Some));
}
