//! Networks of Solana as the file says them.

use super::*;

const DEVNET: &str = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1";
const MINT: &str = "So11111111111111111111111111111111111111112";

fn read(section: &str) -> Result<Network, String> {
    let section: NetworkSection = toml::from_str(section).expect("a section");
    let id = DEVNET.parse().expect("a network");
    network(&id, &section).map_err(|failure| failure.fault.expect("a fault").message)
}

#[test]
fn a_network_is_served_when_confirmed_and_knows_its_tokens() {
    let plain = read("rpc = [\"http://127.0.0.1:8899\"]").expect("a network");
    assert_eq!(plain.commitment, Commitment::Confirmed);
    assert_eq!(plain.rpc, ["http://127.0.0.1:8899"]);
    let known = plain.assets.len();
    let more = format!(
        "commitment = \"finalized\"\noffered = [{MINT:?}]\n[[asset]]\naddress = {MINT:?}\nsymbol = \"WSOL\"\ndecimals = 9\nprogram = \"token-2022\"\nusd = \"200\""
    );
    let more = read(&more).expect("a network");
    assert_eq!(more.commitment, Commitment::Finalized);
    let asset = &more.assets[known];
    assert_eq!(asset.program, TokenProgram::Token2022);
    assert_eq!((asset.decimals, asset.mint), (9, more.offered[0]));
    let plain = format!("[[asset]]\naddress = {MINT:?}\nsymbol = \"WSOL\"\ndecimals = 9");
    let plain = read(&plain).expect("a network");
    assert_eq!(plain.assets[known].program, TokenProgram::SplToken);
}

#[test]
fn what_means_nothing_on_solana_is_refused_by_name() {
    let asset = format!("[[asset]]\naddress = {MINT:?}\nsymbol = \"X\"\ndecimals = 6\n");
    let rows = [
        ("confirmations = 1".to_owned(), "confirmations"),
        ("final = 0".to_owned(), "final"),
        ("max_fee = \"1 gwei\"".to_owned(), "max_fee"),
        ("settler = \"0x\"".to_owned(), "settler"),
        (format!("{asset}name = \"X\""), "asset.name"),
        (format!("{asset}version = \"1\""), "asset.version"),
        ("offered = [\"0x12\"]".to_owned(), "offered"),
        (asset.replace(MINT, "USDC"), "asset.address"),
    ];
    for (section, key) in rows {
        let message = read(&section).expect_err(key);
        assert!(
            message.contains(key) && message.contains(DEVNET),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
    }
}
