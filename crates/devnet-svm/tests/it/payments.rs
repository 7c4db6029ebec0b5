//! Payments run through the real token programs, once.

use farebox_devnet_svm::TokenProgram;
use serde_json::{Value, json};
use solana_address::Address;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use spl_associated_token_account_interface::instruction::create_associated_token_account;

use crate::client::*;

#[tokio::test]
async fn a_payment_moves_tokens_and_is_final_at_once_where_asked() {
    let (devnet, client) = quick();
    let (buyer, payee) = (devnet.accounts()[1].address, devnet.accounts()[9].address);
    let tx = client.payment(&devnet, 1000).await;
    assert_eq!(client.status(&tx).await, Value::Null);
    assert_eq!(
        client.send(&tx).await.expect("it is taken"),
        json!(name(&tx))
    );
    let status = client.status(&tx).await;
    assert_eq!(status["confirmationStatus"], json!("finalized"));
    assert_eq!(status["err"], Value::Null);
    assert_eq!(status["confirmations"], Value::Null);
    assert_eq!(devnet.token_balance(payee, devnet.usdc()), 1000);
    assert_eq!(
        devnet.token_balance(buyer, devnet.usdc()),
        1_000_000_000_000 - 1000
    );
}

#[tokio::test]
async fn a_message_runs_once_whoever_signs_it() {
    let (devnet, client) = quick();
    let tx = client.payment(&devnet, 1000).await;
    client.send(&tx).await.expect("it is taken");
    let again = client.send(&tx).await.expect_err("it has run");
    assert_eq!(again.code, -32002);
    assert_eq!(
        again.message,
        "Transaction simulation failed: This transaction has already been processed"
    );
    assert_eq!(again.data["err"], json!("AlreadyProcessed"));
    // Without the fee payer's signature, as a facilitator would simulate it before signing.
    let unsigned = VersionedTransaction {
        signatures: vec![Signature::default(), tx.signatures[1]],
        message: tx.message.clone(),
    };
    let simulated = client
        .simulate(&unsigned, json!({"sigVerify": false}))
        .await;
    assert_eq!(simulated["err"], json!("AlreadyProcessed"));
    // A node that does not look first takes it, and nothing happens.
    client
        .send_with(&tx, json!({"skipPreflight": true}))
        .await
        .expect("it is taken");
    let payee = devnet.accounts()[9].address;
    assert_eq!(devnet.token_balance(payee, devnet.usdc()), 1000);
}

#[tokio::test]
async fn a_missing_or_wrong_signature_is_refused_before_anything_runs() {
    let (devnet, client) = quick();
    let hash = client.blockhash("processed").await;
    let half = Payment::usdc(&devnet, 1000).half_signed(hash);
    let mut forged = Payment::usdc(&devnet, 1000).signed(hash);
    forged.signatures[1] = forged.signatures[0];
    for tx in [&half, &forged] {
        let refused = client.send(tx).await.expect_err("it is not signed");
        assert_eq!(refused.code, -32003);
        assert_eq!(
            refused.message,
            "Transaction signature verification failure"
        );
        let params = json!([base64(tx), {"encoding": "base64", "sigVerify": true}]);
        let refused = client.refused("simulateTransaction", params).await;
        assert_eq!(refused.code, -32003);
        // As a facilitator looks at what it has not signed yet.
        let simulated = client.simulate(tx, json!({"sigVerify": false})).await;
        assert_eq!(simulated["err"], Value::Null);
        assert!(simulated["unitsConsumed"].as_u64() > Some(0));
        // A node that does not look takes it; no leader does.
        client
            .send_with(tx, json!({"skipPreflight": true}))
            .await
            .expect("it is taken");
    }
    assert_eq!(devnet.landed_transactions(), 0);
}

#[tokio::test]
async fn what_the_token_program_refuses_is_said_by_instruction_and_code() {
    let (devnet, client) = quick();
    let hash = client.blockhash("processed").await;
    let usdc = devnet.usdc();
    let good = Payment::usdc(&devnet, 1000);
    let refusal = async |payment: &Payment| {
        let simulated = client.simulate(&payment.signed(hash), json!({})).await;
        simulated["err"].clone()
    };
    let custom = |code: u32| json!({"InstructionError": [2, {"Custom": code}]});
    let overdraft = Payment {
        amount: 1_000_000_000_001,
        ..good.clone()
    };
    assert_eq!(refusal(&overdraft).await, custom(1));
    let decimals = Payment {
        decimals: 7,
        ..good.clone()
    };
    assert_eq!(refusal(&decimals).await, custom(18));
    devnet.freeze(good.buyer.address, usdc).expect("it freezes");
    assert_eq!(refusal(&good).await, custom(17));
    devnet.thaw(good.buyer.address, usdc).expect("it thaws");
    devnet.freeze(good.payee, usdc).expect("it freezes");
    assert_eq!(refusal(&good).await, custom(17));
    devnet
        .remove_token_account(good.payee, usdc)
        .expect("it goes");
    assert_eq!(
        refusal(&good).await,
        json!({"InstructionError": [2, "InvalidAccountData"]})
    );
    assert_eq!(devnet.landed_transactions(), 0);
}

#[tokio::test]
async fn a_payment_that_fails_on_chain_is_used_up_and_costs_its_fee() {
    let (devnet, client) = quick();
    let fee_payer = devnet.accounts()[0].address;
    let before = devnet.balance(fee_payer);
    let tx = client.payment(&devnet, 1_000_000_000_001).await;
    let refused = client.send(&tx).await.expect_err("the preflight sees it");
    assert_eq!(refused.code, -32002);
    assert_eq!(
        refused.message,
        "Transaction simulation failed: Error processing Instruction 2: custom program error: 0x1"
    );
    assert_eq!(devnet.balance(fee_payer), before);
    client
        .send_with(&tx, json!({"skipPreflight": true}))
        .await
        .expect("it is taken");
    let failed = json!({"InstructionError": [2, {"Custom": 1}]});
    let status = client.status(&tx).await;
    assert_eq!(status["err"], failed);
    assert_eq!(status["status"], json!({"Err": failed}));
    // Two signatures, and 20,000 units at a millionth of a lamport.
    assert_eq!(devnet.balance(fee_payer), before - 10_001);
    let again = client.send(&tx).await.expect_err("it has run");
    assert_eq!(again.data["err"], json!("AlreadyProcessed"));
}

#[tokio::test]
async fn a_fee_payer_without_lamports_gets_nothing_into_a_block() {
    let (devnet, client) = quick();
    let tx = client.payment(&devnet, 1000).await;
    devnet.set_balance(devnet.accounts()[0].address, 0);
    let simulated = client.simulate(&tx, json!({})).await;
    assert_eq!(simulated["err"], json!("AccountNotFound"));
    client
        .send_with(&tx, json!({"skipPreflight": true}))
        .await
        .expect("it is taken");
    assert_eq!(client.status(&tx).await, Value::Null);
    devnet.set_balance(devnet.accounts()[0].address, 1_000_000_000);
    client.send(&tx).await.expect("now it runs");
    assert_eq!(client.status(&tx).await["err"], Value::Null);
}

#[tokio::test]
async fn token_2022_pays_too() {
    let (devnet, client) = quick();
    let mint = Address::new_from_array([22; 32]);
    devnet.add_mint(mint, TokenProgram::Token2022, 9);
    let payment = Payment {
        mint,
        program: TokenProgram::Token2022,
        decimals: 9,
        ..Payment::usdc(&devnet, 5)
    };
    devnet
        .mint(payment.buyer.address, mint, 100)
        .expect("tokens are made");
    devnet
        .mint(payment.payee, mint, 0)
        .expect("so is an account");
    let hash = client.blockhash("processed").await;
    let tx = payment.signed(hash);
    client.send(&tx).await.expect("it is taken");
    assert_eq!(client.status(&tx).await["err"], Value::Null);
    assert_eq!(devnet.token_balance(payment.buyer.address, mint), 95);
    assert_eq!(devnet.token_balance(payment.payee, mint), 5);
}

/// What we put there is what the real program makes.
#[tokio::test]
async fn accounts_are_as_the_associated_token_program_makes_them() {
    let (devnet, client) = quick();
    let mint = Address::new_from_array([22; 32]);
    devnet.add_mint(mint, TokenProgram::Token2022, 9);
    let usdc = (devnet.usdc(), TokenProgram::Token);
    for (mint, program) in [usdc, (mint, TokenProgram::Token2022)] {
        let (ours, theirs) = (devnet.accounts()[2].address, devnet.accounts()[0]);
        if devnet.token_balance(ours, mint) == 0 {
            devnet.mint(ours, mint, 0).expect("an account");
        }
        let create = create_associated_token_account(
            &theirs.address,
            &theirs.address,
            &mint,
            &program.address(),
        );
        let hash = client.blockhash("processed").await;
        let tx = sign(&theirs, &[create], hash);
        client.send(&tx).await.expect("it is made");
        let mut ours_made = read(&client, &associated(&ours, &mint, program)).await;
        let mut theirs_made = read(&client, &associated(&theirs.address, &mint, program)).await;
        assert_eq!(ours_made["lamports"], theirs_made["lamports"]);
        assert_eq!(ours_made["space"], theirs_made["space"]);
        for account in [&mut ours_made, &mut theirs_made] {
            let info = &mut account["data"]["parsed"]["info"];
            info["owner"].take();
            info["tokenAmount"].take();
        }
        assert_eq!(ours_made["data"], theirs_made["data"]);
    }
}

async fn read(client: &Client, address: &Address) -> Value {
    let params = json!([address.to_string(), {"encoding": "jsonParsed"}]);
    client.value("getAccountInfo", params).await
}
