//! The example that sells on an EVM chain and on Solana.

use farebox_devnet_svm::{DevnetSvm, DevnetSvmOptions};
use serde_json::json;

use super::{Trial, origin};

#[test]
fn an_api_is_sold_on_both_chains_of_the_example() {
    let trial = Trial::new();
    let chain = DevnetSvm::start(DevnetSvmOptions::quick()).expect("a chain");
    let [fee_payer, buyer] = [0, 1].map(|index| chain.accounts()[index]);
    trial.user.write("fees.key", &fee_payer.key_base58());
    let rpc = chain.rpc_url();
    let node = ("https://api.devnet.solana.com", rpc.as_str());
    trial.place("evm-and-solana.toml", &[node]);
    let gate = trial.start("gate", "evm-and-solana.toml");
    trial.buy(&origin(&gate));

    trial.user.write("solana.key", &buyer.key_base58());
    let buyer = format!(
        "ledger = \"sqlite:on-solana.db\"\n[network.\"{}\"]\nrpc = [\"{rpc}\"]\n[wallet]\nsolana_key = \"file:solana.key\"\n[budget]\nper_payment = \"1 USD\"\n",
        chain.network()
    );
    trial.user.write("on-solana.toml", &buyer);
    let page = format!("{}/ok", origin(&gate));
    let fetch = ["fetch", "--config", "on-solana.toml", &page];
    let (exit, answer) = trial.user.json(&fetch);
    assert_eq!((exit, &answer["body"]), (0, &json!("ok\n")), "{answer}");
    assert_eq!(answer["payment"]["rail"], "solana", "{answer}");
}
