//! Rules of chains and assets: one spelling each, anything else refused.

use super::*;

#[test]
fn chains_in_use_are_read() {
    for text in [
        "eip155:1",
        "eip155:84532",
        "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        "lightning:regtest",
        "cloudflare:402",
        "stellar:pubnet",
        "aptos:2",
    ] {
        let chain: ChainId = text.parse().expect("it is a chain");
        assert_eq!(chain.to_string(), text);
    }
}

#[test]
fn what_is_no_caip_2_chain_is_refused() {
    let long = format!("solana:{}", "a".repeat(33));
    for text in [
        "",
        ":",
        "eip155",
        "eip155:",
        ":1",
        "eip155:1:2",
        "EIP155:1",
        "eip155: 1",
        " eip155:1",
        "eip155:1 ",
        "ei:1",
        "elevenchars:1",
        "eip155:1/x",
        "solana:a+b",
        "base-sepolia",
        "eip155:\u{0661}",
        &long,
    ] {
        assert!(text.parse::<ChainId>().is_err(), "{text:?}");
    }
}

#[test]
fn an_evm_chain_has_one_spelling() {
    for text in [
        "eip155:084532",
        "eip155:00",
        "eip155:abc",
        "eip155:-1",
        "eip155:0x1",
    ] {
        assert!(text.parse::<ChainId>().is_err(), "{text:?}");
    }
    assert_eq!("eip155:84532".parse(), Ok(ChainId::eip155(84532)));
    assert_eq!(ChainId::eip155(84532).as_eip155(), Some(84532));
}

#[test]
fn an_evm_chain_beyond_64_bits_is_no_number_of_ours() {
    let chain: ChainId = "eip155:18446744073709551616"
        .parse()
        .expect("CAIP-2 allows it");
    assert_eq!(chain.as_eip155(), None);
    let chain: ChainId = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
        .parse()
        .expect("a chain");
    assert_eq!(chain.as_eip155(), None);
}

#[test]
fn two_spellings_of_a_token_are_one_asset() {
    let checksum = "eip155:84532/erc20:0x036CbD53842c5426634e7929541eC2318f3dCF7e";
    let a: AssetId = checksum.parse().expect("an asset");
    let b: AssetId = checksum.to_lowercase().parse().expect("an asset");
    assert_eq!(a, b);
    assert_eq!(a.to_string(), checksum.to_lowercase());
}

#[test]
fn what_is_no_caip_19_asset_is_refused() {
    for text in [
        "",
        "eip155:1",
        "eip155:1/",
        "eip155:1/erc20",
        "eip155:1/erc20:",
        "eip155:1/erc20:0x036CbD53842c5426634e7929541eC2318f3dCF",
        "eip155:1/erc20:USDC",
        "eip155:1/er:x",
        "eip155:1/ERC20:0x036CbD53842c5426634e7929541eC2318f3dCF7e",
        "eip155:1/erc721:0x06012c8cf97BEaD5deAe237070F9587f8E7A266d/771769",
        "eip155:1/slip44:6 0",
        "eip155:1//slip44:60",
    ] {
        assert!(text.parse::<AssetId>().is_err(), "{text:?}");
    }
    assert!(
        "bip122:000000000019d6689c085ae165831e93/slip44:0"
            .parse::<AssetId>()
            .is_ok()
    );
}

#[test]
fn the_error_keeps_little_of_a_strangers_text_and_escapes_it() {
    let text = format!("\u{1b}[2J{}", "x".repeat(1_000_000));
    let error = text
        .parse::<ChainId>()
        .expect_err("it is no chain")
        .to_string();
    assert!(error.len() < 300);
    assert!(!error.contains('\u{1b}'));
}
