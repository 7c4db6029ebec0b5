//! The same on Solana: clusters, fee payers, mints, the payee's token accounts, and the books.

use axum::Router;
use axum::routing::get;
use farebox_devnet_svm::Fault;
use serde_json::json;

use super::Diagnosis;
use crate::market::Server;
use crate::solana_seller::Town;

/// What the last payment of a buyer is called.
fn last_payment(town: &Town) -> String {
    let (_, books) = town
        .user
        .json(&["payments", "list", "--config", "buyer.toml"]);
    let id = books["payments"][0]["id"].as_str();
    id.expect("a name").to_owned()
}

fn seller(town: &Town) -> Diagnosis {
    Diagnosis::on(&town.user, "seller.toml")
}

/// Changes the seller's file.
fn rewrite(town: &Town, from: &str, to: &str) {
    let file = town.user.read("seller.toml");
    assert!(file.contains(from), "{from} in {file}");
    town.user.write("seller.toml", &file.replace(from, to));
}

/// Adds a token to the seller's file, which is offered.
fn offer(town: &Town, address: &str, decimals: u8, program: &str) {
    let file = town.user.read("seller.toml");
    let network = town.network();
    let name = town.chain.network();
    let asset = format!(
        "{network}offered = [\"{address}\"]\n[[network.\"{name}\".asset]]\naddress = \"{address}\"\nsymbol = \"TEST\"\ndecimals = {decimals}\nprogram = \"{program}\"\nusd = \"1\"\n"
    );
    let before = file.find("[network").expect("a network");
    let after = file.find("[pay_to]").expect("a payee");
    let (head, tail) = (&file[..before], &file[after..]);
    town.user
        .write("seller.toml", &format!("{head}{asset}{tail}"));
}

#[test]
fn a_seller_and_a_buyer_on_solana_are_well() {
    let town = Town::new();
    let diagnosis = seller(&town);
    assert!(diagnosis.ok);
    for id in ["chain", "token", "gas", "payee"] {
        assert_eq!(diagnosis.severity(id), "ok", "{id}");
    }
    let gas = diagnosis.text("gas", "message");
    assert!(gas.starts_with("the fee payer pays for about"), "{gas}");
    let buyer = Diagnosis::on(&town.user, "buyer.toml");
    assert!(buyer.ok);
    assert_eq!(buyer.severity("token"), "ok");
    assert!(!buyer.has("gas"), "a buyer pays no fees");
}

#[test]
fn a_node_of_solana_that_is_away_behind_old_or_of_another_cluster_is_told_apart() {
    let town = Town::new();
    let faults = town.chain.faults();
    let behind = Fault::Refuse {
        code: -32_005,
        message: "Node is behind by 420 slots".to_owned(),
    };
    faults.set("getHealth", behind);
    let diagnosis = seller(&town);
    assert_eq!(diagnosis.severity("rpc_lags"), "error");
    assert!(diagnosis.text("rpc_lags", "message").contains("420 slots"));
    faults.clear();

    faults.set("getBlockTime", Fault::Lie(json!(1_700_000_000)));
    assert_eq!(seller(&town).severity("rpc_lags"), "error");
    faults.clear();

    let mainnet = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d";
    faults.set("getGenesisHash", Fault::Lie(json!(mainnet)));
    let diagnosis = seller(&town);
    assert_eq!(diagnosis.severity("wrong_genesis_hash"), "error");
    assert!(!diagnosis.has("gas_unfunded"), "nothing is known of it");
    faults.clear();

    faults.cut_off(true);
    assert_eq!(seller(&town).severity("rpc_unreachable"), "error");
    faults.cut_off(false);

    let rpc = town.chain.rpc_url();
    rewrite(
        &town,
        &format!("[\"{rpc}\"]"),
        &format!("[\"http://127.0.0.1:1\", \"{rpc}\"]"),
    );
    let diagnosis = seller(&town);
    assert!(diagnosis.ok, "the other node is asked");
    assert_eq!(diagnosis.severity("rpc_unreachable"), "warning");
    rewrite(
        &town,
        &format!("rpc = [\"http://127.0.0.1:1\", \"{rpc}\"]\n"),
        "",
    );
    assert_eq!(seller(&town).severity("rpc_missing"), "error");
}

#[test]
fn a_fee_payer_with_little_or_no_sol_is_told_how_much_it_pays_for() {
    let town = Town::new();
    let fee_payer = town.chain.accounts()[0].address;
    town.chain.set_balance(fee_payer, 0);
    let diagnosis = seller(&town);
    assert_eq!(diagnosis.severity("gas_unfunded"), "error");
    let advice = diagnosis.text("gas_unfunded", "advice");
    assert!(
        advice.contains("SOL") && advice.contains(&fee_payer.to_string()),
        "{advice}"
    );
    town.chain.set_balance(fee_payer, 1_000_000);
    let diagnosis = seller(&town);
    assert_eq!(diagnosis.severity("gas_low"), "warning");
    let message = diagnosis.text("gas_low", "message");
    assert!(
        message.contains("0.001 SOL") && message.contains("about 99 settlements"),
        "{message}"
    );
}

#[test]
fn what_is_no_mint_or_another_one_than_configured_is_an_error() {
    let town = Town::new();
    let (usdc, nobody) = (town.chain.usdc().to_string(), "9".repeat(43));
    for (address, decimals, program, id) in [
        (nobody.as_str(), 6, "spl-token", "token_missing"),
        (usdc.as_str(), 9, "spl-token", "token_decimals"),
        (usdc.as_str(), 6, "token-2022", "token_unsuitable"),
        (
            town.chain.accounts()[1].address.to_string().as_str(),
            6,
            "spl-token",
            "token_unsuitable",
        ),
    ] {
        offer(&town, address, decimals, program);
        let diagnosis = seller(&town);
        assert_eq!(diagnosis.severity(id), "error", "{address}");
    }
    offer(&town, &usdc, 6, "spl-token");
    assert_eq!(seller(&town).severity("token"), "ok");
}

#[test]
fn a_payee_without_a_token_account_is_told_who_has_to_open_it() {
    let town = Town::new();
    let (payee, usdc) = (town.chain.accounts()[9].address, town.chain.usdc());
    town.chain.freeze(payee, usdc).expect("it is there");
    assert_eq!(seller(&town).severity("payee_account_frozen"), "error");
    town.chain
        .remove_token_account(payee, usdc)
        .expect("it is there");
    let diagnosis = seller(&town);
    assert_eq!(diagnosis.severity("payee_account_missing"), "error");
    let advice = diagnosis.text("payee_account_missing", "advice");
    assert!(advice.contains("rent"), "{advice}");
    let check = ["gate", "--check", "--config", "seller.toml"];
    let sold = ["--upstream", "http://127.0.0.1:1", "--price", "0.001 USD"];
    let check = Diagnosis::of(&town.user, &[&check[..], &sold].concat());
    assert_eq!(check.severity("payee_account_missing"), "error");
}

#[test]
fn a_payee_and_a_key_of_solana_that_cannot_be_meant_are_told() {
    let town = Town::new();
    let [fee_payer, payee] = [0, 9].map(|n| town.chain.accounts()[n].address.to_string());
    rewrite(&town, &payee, &town.chain.usdc().to_string());
    assert_eq!(seller(&town).severity("payee_invalid"), "error");
    rewrite(&town, &town.chain.usdc().to_string(), &fee_payer);
    assert_eq!(seller(&town).severity("payee_is_gas_key"), "warning");
    rewrite(&town, "fees.key", "nothing.key");
    assert_eq!(seller(&town).severity("key_unreadable"), "error");
}

#[test]
fn books_of_both_sides_are_compared_with_solana_and_what_is_unknown_comes_with_a_command() {
    let town = Town::new();
    let gate = town.gate("seller.toml");
    let url = |path: &str| format!("{}{path}", gate.text("/listening"));
    let (exit, answer) = town.fetch(&url("/ok"), &[]);
    assert_eq!(exit, 0, "{answer}");
    for config in ["seller.toml", "buyer.toml"] {
        let diagnosis = Diagnosis::of(&town.user, &["doctor", "--full", "--config", config]);
        assert_eq!(diagnosis.severity("settled"), "ok", "{config}");
    }
    // Nothing was settled for what failed: nobody knows, until the chain cannot take it any more.
    let (exit, answer) = town.fetch(&url("/status/500"), &[]);
    assert_eq!(exit, 5, "{answer}");
    let diagnosis = Diagnosis::on(&town.user, "buyer.toml");
    let id = last_payment(&town);
    assert_eq!(diagnosis.severity("payment_unknown"), "warning");
    assert_eq!(diagnosis.text("payment_unknown", "subject"), id);
    let advice = diagnosis.text("payment_unknown", "advice");
    let resume = format!("farebox payments resume {id} --config buyer.toml");
    assert!(advice.contains(&resume), "{advice}");
    // A chain that has never heard of the payment.
    let faults = town.chain.faults();
    let nothing = json!({"context": {"slot": 1_000_000}, "value": [null]});
    faults.set("getSignatureStatuses", Fault::Lie(nothing));
    let unknown = json!({"context": {"slot": 1_000_000}, "value": {"err": "BlockhashNotFound"}});
    faults.set("simulateTransaction", Fault::Lie(unknown));
    let seller = Diagnosis::on(&town.user, "seller.toml");
    assert_eq!(seller.severity("ledger_not_on_chain"), "error");
}

#[test]
fn a_facilitator_that_names_nobody_who_pays_fees_cannot_be_named_in_offers() {
    let town = Town::new();
    let said = |extra: &str| {
        let network = town.chain.network();
        let said = format!(
            "{{\"kinds\": [{{\"x402Version\": 2, \"scheme\": \"exact\", \"network\": \"{network}\", \"extra\": {extra}}}]}}"
        );
        Server::start(Router::new().route("/supported", get(async move || said)))
    };
    let check = |urls: &str| {
        let file = town.user.read("seller.toml");
        town.user.write("urls.toml", &format!("{file}{urls}\n"));
        Diagnosis::on(&town.user, "urls.toml")
    };
    let vague = said("null");
    let diagnosis = check(&format!("urls = [\"{}\"]", vague.url()));
    assert_eq!(diagnosis.severity("fee_payer_missing"), "error");
    assert_eq!(diagnosis.severity("fee_payer_unused"), "warning");
    assert!(
        !diagnosis.has("gas"),
        "a key that is not needed is not looked at"
    );
    let other = town.chain.accounts()[2].address.to_string();
    let good = said(&format!("{{\"feePayer\": \"{other}\"}}"));
    let diagnosis = check(&format!("urls = [\"{}\", \"local\"]", good.url()));
    assert!(diagnosis.ok);
    assert!(diagnosis.text("fee_payer", "message").contains(&other));
    assert!(!diagnosis.has("fee_payer_unused"));
    assert_eq!(diagnosis.severity("gas"), "ok");
}
