//! Accounts, in every form in which clients ask for them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use farebox_devnet_svm::TokenProgram;
use serde_json::{Value, json};
use solana_address::Address;

use crate::client::*;

#[tokio::test]
async fn usdc_is_a_mint_with_six_decimals() {
    let (devnet, client) = quick();
    let usdc = devnet.usdc().to_string();
    assert_eq!(usdc, "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU");
    let params = json!([usdc, {"encoding": "jsonParsed"}]);
    let mint = client.value("getAccountInfo", params).await;
    let authority = devnet.mint_authority().address.to_string();
    assert_eq!(
        mint,
        json!({
            "lamports": 1_461_600,
            "owner": "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
            "executable": false,
            "rentEpoch": u64::MAX,
            "space": 82,
            "data": {
                "program": "spl-token",
                "space": 82,
                "parsed": {
                    "type": "mint",
                    "info": {
                        "decimals": 6,
                        "freezeAuthority": authority,
                        "isInitialized": true,
                        "mintAuthority": authority,
                        "supply": "8000000000000",
                    },
                },
            },
        })
    );
    let supply = client.value("getTokenSupply", json!([usdc])).await;
    assert_eq!(supply["uiAmountString"], json!("8000000"));
}

#[tokio::test]
async fn a_token_account_comes_in_each_encoding() {
    let (devnet, client) = quick();
    let payment = Payment::usdc(&devnet, 1000);
    let source = payment.source().to_string();
    let ask = async |config: Value| {
        client
            .value("getAccountInfo", json!([source, config]))
            .await
    };
    let parsed = ask(json!({"encoding": "jsonParsed"})).await;
    assert_eq!(
        parsed["data"],
        json!({
            "program": "spl-token",
            "space": 165,
            "parsed": {
                "type": "account",
                "info": {
                    "isNative": false,
                    "mint": devnet.usdc().to_string(),
                    "owner": payment.buyer.address.to_string(),
                    "state": "initialized",
                    "tokenAmount": {
                        "amount": "1000000000000",
                        "decimals": 6,
                        "uiAmount": 1_000_000.0,
                        "uiAmountString": "1000000",
                    },
                },
            },
        })
    );
    let whole = ask(json!({"encoding": "base64"})).await;
    let data = BASE64_STANDARD
        .decode(whole["data"][0].as_str().expect("text"))
        .expect("base64");
    assert_eq!(data.len(), 165);
    assert_eq!(data[..32], devnet.usdc().to_bytes());
    let slice = json!({"offset": 32, "length": 32});
    let owner = ask(json!({"encoding": "base58", "dataSlice": slice})).await;
    assert_eq!(
        owner["data"],
        json!([payment.buyer.address.to_string(), "base58"])
    );
    assert_eq!(owner["space"], json!(165));
    let bare = ask(json!({"dataSlice": slice})).await;
    assert_eq!(bare["data"], json!(payment.buyer.address.to_string()));
    let long = client.refused("getAccountInfo", json!([source])).await;
    assert!(
        long.message.contains("please use Base64"),
        "{}",
        long.message
    );
    let strange = json!([source, {"encoding": "base64+zstd"}]);
    assert_eq!(client.refused("getAccountInfo", strange).await.code, -32602);
}

#[tokio::test]
async fn many_accounts_are_read_at_once_and_nobodys_is_null() {
    let (devnet, client) = quick();
    let payment = Payment::usdc(&devnet, 1000);
    let nobody = Address::new_from_array([9; 32]).to_string();
    let source = payment.source().to_string();
    let config = json!({"encoding": "jsonParsed"});
    let accounts = client
        .value("getMultipleAccounts", json!([[source, nobody], config]))
        .await;
    let amount = &accounts[0]["data"]["parsed"]["info"]["tokenAmount"]["amount"];
    assert_eq!(amount, &json!("1000000000000"));
    assert_eq!(accounts[1], Value::Null);
    let many = json!([vec![source; 101]]);
    let refused = client.refused("getMultipleAccounts", many).await;
    assert_eq!(refused.message, "Too many inputs provided; max 100");
    let balance = client.value("getBalance", json!([nobody])).await;
    assert_eq!(balance, json!(0));
    let refused = client.refused("getBalance", json!(["0x12"])).await;
    assert_eq!(refused.message, "Invalid param: Invalid");
}

#[tokio::test]
async fn an_owners_token_accounts_are_found_by_mint_and_by_program() {
    let (devnet, client) = quick();
    let payment = Payment::usdc(&devnet, 1000);
    let owner = payment.buyer.address.to_string();
    let other = Address::new_from_array([22; 32]);
    devnet.add_mint(other, TokenProgram::Token2022, 9);
    devnet
        .mint(payment.buyer.address, other, 7)
        .expect("tokens are made");
    let find = async |filter: Value| {
        let params = json!([owner, filter, {"encoding": "jsonParsed"}]);
        let found = client.value("getTokenAccountsByOwner", params).await;
        found.as_array().expect("a list").clone()
    };
    let by_mint = find(json!({"mint": devnet.usdc().to_string()})).await;
    let by_program = find(json!({"programId": TokenProgram::Token.address().to_string()})).await;
    assert_eq!(by_mint, by_program);
    assert_eq!(by_mint.len(), 1);
    assert_eq!(by_mint[0]["pubkey"], json!(payment.source().to_string()));
    let newer = find(json!({"programId": TokenProgram::Token2022.address().to_string()})).await;
    let info = &newer[0]["account"]["data"]["parsed"]["info"];
    assert_eq!(info["tokenAmount"]["uiAmountString"], json!("0.000000007"));
    assert_eq!(info["extensions"], json!([{"extension": "immutableOwner"}]));
    let params = json!([owner, {"mint": owner}]);
    let refused = client.refused("getTokenAccountsByOwner", params).await;
    assert_eq!(refused.message, "Invalid param: could not find mint");
}

#[tokio::test]
async fn what_is_no_token_account_has_no_token_balance() {
    let (devnet, client) = quick();
    let ask = async |address: Address| {
        let params = json!([address.to_string()]);
        client.refused("getTokenAccountBalance", params).await
    };
    let nobody = ask(Address::new_from_array([9; 32])).await;
    assert_eq!(nobody.message, "Invalid param: could not find account");
    let wallet = ask(devnet.accounts()[1].address).await;
    assert_eq!(wallet.message, "Invalid param: not a Token account");
}
