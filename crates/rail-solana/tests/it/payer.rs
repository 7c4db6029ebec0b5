//! The buyer's half against a real chain: what can be paid, what is signed, what became of it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use farebox_core::clock::SystemClock;
use farebox_core::rail::{Authorised, Finding, Handle, PayRail};
use farebox_devnet_svm::{DevnetSvm, DevnetSvmOptions, Fault, TokenProgram as Program};
use farebox_rail_solana::{
    Asset, Commitment, Network, SolanaKey, SolanaPayer, TokenProgram, holdings,
};
use farebox_wire::challenge::{Challenge, Offer, X402Offer};
use farebox_wire::money::{Amount, UsdMicros};
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402::exact_svm::ExactSvmPayload;
use farebox_wire::x402::types::PaymentPayload;
use farebox_wire::x402::v1::PaymentPayloadV1;
use farebox_wire::x402::{Version, header};
use serde_json::{Value, json};
use solana_address::Address;
use solana_signer::Signer as _;

/// Account 1 buys, 9 is paid, 0 pays fees.
const BUYER: usize = 1;
const PAYEE: usize = 9;
/// What a buyer starts with.
const WHOLE_BALANCE: u64 = 1_000_000_000_000;

struct Stage {
    devnet: DevnetSvm,
    payer: SolanaPayer,
}

impl Stage {
    fn new(options: DevnetSvmOptions) -> Self {
        let devnet = DevnetSvm::start(options).unwrap();
        let payer = payer_on(&devnet, network(&devnet));
        Self { devnet, payer }
    }

    fn quick() -> Self {
        Self::new(DevnetSvmOptions::quick())
    }

    fn account(&self, index: usize) -> Address {
        self.devnet.accounts()[index].address
    }

    fn offer(&self, change: impl FnOnce(&mut Value)) -> Offer {
        let mut raw = json!({
            "scheme": "exact", "network": self.devnet.network(), "amount": "10000",
            "asset": self.devnet.usdc().to_string(), "payTo": self.account(PAYEE).to_string(),
            "maxTimeoutSeconds": 60, "extra": {"feePayer": self.account(0).to_string()},
        });
        change(&mut raw);
        Offer::X402(X402Offer {
            version: Version::V2,
            requirements: serde_json::from_value(raw.clone()).unwrap(),
            raw,
        })
    }

    async fn sign(&self, change: impl FnOnce(&mut Value)) -> Authorised {
        sign(&self.payer, &self.offer(change)).await
    }

    /// What a facilitator does with a credential: signs as the fee payer, and sends.
    async fn settle(&self, signed: &Authorised) -> String {
        let text = &signed.credential.as_ref().unwrap().value;
        let body: PaymentPayload = header::decode(text.as_bytes()).unwrap();
        let payload: ExactSvmPayload = serde_json::from_value(body.payload).unwrap();
        let mut bytes = payload.transaction.bytes().to_vec();
        let signature = self.devnet.accounts()[0]
            .keypair()
            .sign_message(&bytes[129..]);
        bytes[1..65].copy_from_slice(signature.as_ref());
        let config = json!({"encoding": "base64", "skipPreflight": true});
        let sent = self
            .call("sendTransaction", json!([STANDARD.encode(bytes), config]))
            .await;
        assert_eq!(sent["result"], signature.to_string(), "{sent}");
        signature.to_string()
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http
            .post(self.devnet.rpc_url())
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    fn paid(&self) -> u64 {
        let payee = self.account(PAYEE);
        self.devnet.token_balance(payee, self.devnet.usdc())
    }

    async fn refused(&self, change: impl FnOnce(&mut Value)) -> &'static str {
        let refused = self.payer.quote(&self.offer(change)).await;
        refused.err().map_or("nothing", |refused| refused.code)
    }
}

fn network(devnet: &DevnetSvm) -> Network {
    let mut network = Network::new(devnet.network().parse().unwrap());
    network.rpc = vec![devnet.rpc_url()];
    network
}

fn payer_on(devnet: &DevnetSvm, network: Network) -> SolanaPayer {
    let key = SolanaKey::from_seed(&devnet.accounts()[BUYER].seed);
    SolanaPayer::new(vec![network], Arc::new(key), Arc::new(SystemClock)).unwrap()
}

fn svm(address: Address) -> SvmAddress {
    SvmAddress(address.to_bytes())
}

fn challenge() -> Challenge {
    let resource = json!({"url": "https://h.example/q"});
    Challenge {
        resource: Some(serde_json::from_value(resource).unwrap()),
        error: None,
        offers: vec![],
        unreadable: vec![],
        extensions: None,
    }
}

async fn sign(payer: &SolanaPayer, offer: &Offer) -> Authorised {
    let quote = payer.quote(offer).await.unwrap();
    payer.authorise(&quote, &challenge(), 60).await.unwrap()
}

fn is_unanswered(finding: &Finding) -> bool {
    matches!(finding, Finding::Unanswered { .. })
}

fn settled(transaction: &str, is_final: bool) -> Finding {
    Finding::Settled {
        transaction: transaction.to_owned(),
        is_final,
    }
}

#[tokio::test]
async fn a_payment_moves_the_quoted_amount_and_is_found_by_its_message() {
    let stage = Stage::quick();
    let quote = stage.payer.quote(&stage.offer(|_| ())).await.unwrap();
    assert_eq!(quote.terms.cost, UsdMicros(10_000));
    assert_eq!(quote.terms.payee, stage.account(PAYEE).to_string());
    assert!(!quote.is_mainnet);
    let signed = stage.sign(|_| ()).await;
    assert_eq!(stage.payer.check(&signed.handle).await, Finding::Open);
    let transaction = stage.settle(&signed).await;
    assert_eq!(stage.paid(), 10_000);
    let found = stage.payer.check(&signed.handle).await;
    assert_eq!(found, settled(&transaction, true));
    // Also after a restart, from what was stored; and without a word of the credential in it.
    let stored = Handle::new(signed.handle.text().to_owned());
    assert_eq!(stage.payer.check(&stored).await, found);
    assert!(!stored.text().contains("transaction"));
}

#[tokio::test]
async fn a_payment_is_found_among_others_of_the_same_account() {
    let stage = Stage::quick();
    let mut all = Vec::new();
    for _ in 0..45 {
        let signed = stage.sign(|_| ()).await;
        let transaction = stage.settle(&signed).await;
        all.push((signed, transaction));
    }
    assert_eq!(stage.paid(), 450_000);
    for place in [0, 22, 44] {
        let (signed, transaction) = &all[place];
        let found = stage.payer.check(&signed.handle).await;
        assert_eq!(found, settled(transaction, true), "{place}");
    }
}

#[tokio::test]
async fn a_payment_that_nobody_sends_never_will_once_its_block_has_aged() {
    let stage = Stage::quick();
    let signed = stage.sign(|_| ()).await;
    assert_eq!(stage.payer.check(&signed.handle).await, Finding::Open);
    stage.devnet.expire_blockhashes();
    let found = stage.payer.check(&signed.handle).await;
    assert_eq!(found, Finding::NeverWill);
}

#[tokio::test]
async fn a_fresh_block_that_is_not_final_yet_is_not_taken_for_one_that_is_over() {
    let stage = Stage::new(DevnetSvmOptions::quiet());
    stage.devnet.advance(40);
    let signed = stage.sign(|_| ()).await;
    let text: Value = serde_json::from_str(signed.handle.text()).unwrap();
    let config = json!({"commitment": "finalized"});
    let asked = json!([text["blockhash"], config]);
    let answer = stage.call("isBlockhashValid", asked).await;
    assert_eq!(answer["result"]["value"], false, "the trap is there");
    assert_eq!(stage.payer.check(&signed.handle).await, Finding::Open);
    // Still open while a block of its life is not final.
    stage.devnet.advance(150);
    assert_eq!(stage.payer.check(&signed.handle).await, Finding::Open);
    stage.devnet.advance(40);
    assert_eq!(stage.payer.check(&signed.handle).await, Finding::NeverWill);
}

#[tokio::test]
async fn a_payment_is_settled_when_it_is_as_sure_as_the_network_asks() {
    let stage = Stage::new(DevnetSvmOptions::quiet());
    stage.devnet.advance(40);
    let mut patient = network(&stage.devnet);
    patient.commitment = Commitment::Finalized;
    let patient = payer_on(&stage.devnet, patient);
    let signed = stage.sign(|_| ()).await;
    let transaction = stage.settle(&signed).await;
    stage.devnet.advance(3);
    let found = stage.payer.check(&signed.handle).await;
    assert_eq!(found, settled(&transaction, false));
    assert_eq!(patient.check(&signed.handle).await, Finding::Open);
    stage.devnet.advance(40);
    for payer in [&stage.payer, &patient] {
        let found = payer.check(&signed.handle).await;
        assert_eq!(found, settled(&transaction, true));
    }
}

#[tokio::test]
async fn a_payment_that_fails_on_the_chain_never_will() {
    let stage = Stage::quick();
    let all = |offer: &mut Value| offer["amount"] = json!(WHOLE_BALANCE.to_string());
    let (first, second) = (stage.sign(all).await, stage.sign(all).await);
    let transaction = stage.settle(&first).await;
    stage.settle(&second).await;
    assert_eq!(stage.paid(), WHOLE_BALANCE);
    let found = stage.payer.check(&first.handle).await;
    assert_eq!(found, settled(&transaction, true));
    let found = stage.payer.check(&second.handle).await;
    assert_eq!(found, Finding::NeverWill);
}

#[tokio::test]
async fn a_node_that_has_forgotten_or_contradicts_itself_releases_nothing() {
    let stage = Stage::quick();
    let signed = stage.sign(|_| ()).await;
    stage.settle(&signed).await;
    let faults = stage.devnet.faults();
    stage.devnet.expire_blockhashes();
    // It knows no transactions of then.
    faults.set("getSignaturesForAddress", Fault::Lie(json!([])));
    faults.set("getFirstAvailableBlock", Fault::Lie(json!(u64::MAX)));
    let found = stage.payer.check(&signed.handle).await;
    assert!(matches!(found, Finding::CannotTell { .. }), "{found:?}");
    faults.clear();
    // It lists one that it does not have.
    faults.set("getTransaction", Fault::Lie(Value::Null));
    assert!(is_unanswered(&stage.payer.check(&signed.handle).await));
    faults.clear();
    for fault in [
        Fault::Garbage,
        Fault::HttpStatus(503),
        Fault::Disconnect,
        Fault::Lie(json!({"value": 7})),
    ] {
        faults.set("isBlockhashValid", fault);
        assert!(is_unanswered(&stage.payer.check(&signed.handle).await));
        faults.clear();
    }
    faults.cut_off(true);
    assert!(is_unanswered(&stage.payer.check(&signed.handle).await));
    let refused = stage.payer.quote(&stage.offer(|_| ())).await;
    assert_eq!(refused.err().map(|why| why.code), Some("rpc_no_answer"));
}

#[tokio::test]
async fn who_has_no_account_or_not_enough_is_told_before_anything_is_signed() {
    let stage = Stage::quick();
    let (devnet, usdc) = (&stage.devnet, stage.devnet.usdc());
    let too_much = |offer: &mut Value| offer["amount"] = json!((WHOLE_BALANCE + 1).to_string());
    assert_eq!(stage.refused(too_much).await, "insufficient_balance");
    let stranger = Address::new_from_array([7; 32]);
    let to_stranger = |offer: &mut Value| offer["payTo"] = json!(stranger.to_string());
    assert_eq!(stage.refused(to_stranger).await, "payee_has_no_account");
    devnet.freeze(stage.account(PAYEE), usdc).unwrap();
    assert_eq!(stage.refused(|_| ()).await, "payee_account_frozen");
    devnet.thaw(stage.account(PAYEE), usdc).unwrap();
    devnet.freeze(stage.account(BUYER), usdc).unwrap();
    assert_eq!(stage.refused(|_| ()).await, "account_frozen");
    devnet.thaw(stage.account(BUYER), usdc).unwrap();
    devnet
        .remove_token_account(stage.account(BUYER), usdc)
        .unwrap();
    assert_eq!(stage.refused(|_| ()).await, "insufficient_balance");
    assert_eq!(stage.devnet.landed_transactions(), 0);
}

#[tokio::test]
async fn the_blockhash_of_an_offer_is_named_where_the_chain_knows_it() {
    let stage = Stage::quick();
    let named = |signed: &Authorised| {
        let text: Value = serde_json::from_str(signed.handle.text()).unwrap();
        text["blockhash"].as_str().unwrap().to_owned()
    };
    let latest = stage.call("getLatestBlockhash", json!([])).await;
    let known = latest["result"]["value"]["blockhash"].clone();
    stage.devnet.advance(3);
    let hint = |hash: Value| {
        move |offer: &mut Value| {
            offer["extra"]["recentBlockhash"] = hash;
            offer["extra"]["lastValidBlockHeight"] = json!("1");
        }
    };
    let signed = stage.sign(hint(known.clone())).await;
    assert_eq!(json!(named(&signed)), known);
    // Its end is not what the offer says, but what the chain says.
    assert_eq!(stage.payer.check(&signed.handle).await, Finding::Open);
    stage.settle(&signed).await;
    assert_eq!(stage.paid(), 10_000);
    let unknown = json!(Address::new_from_array([5; 32]).to_string());
    let signed = stage.sign(hint(unknown.clone())).await;
    assert_ne!(json!(named(&signed)), unknown);
    stage.settle(&signed).await;
    assert_eq!(stage.paid(), 20_000);
    let signed = stage.sign(hint(known)).await;
    stage.devnet.expire_blockhashes();
    // A margin, because the node's word about another block may be older than this one.
    stage.devnet.advance(40);
    assert_eq!(stage.payer.check(&signed.handle).await, Finding::NeverWill);
}

#[tokio::test]
async fn two_payments_are_never_one_message_even_with_one_memo_for_ever() {
    let stage = Stage::new(DevnetSvmOptions::quiet());
    stage.devnet.advance(40);
    let with_memo = |offer: &mut Value| offer["extra"]["memo"] = json!("order 7");
    let mut names = std::collections::HashSet::new();
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(stage.sign(with_memo).await);
        all.push(stage.sign(|_| ()).await);
    }
    for signed in &all {
        assert!(names.insert(signed.identity.clone()));
        stage.settle(signed).await;
    }
    stage.devnet.advance(2);
    assert_eq!(stage.paid(), 100_000);
}

#[tokio::test]
async fn a_token_of_token_2022_is_paid_with() {
    let stage = Stage::quick();
    let mint = Address::new_from_array([42; 32]);
    let devnet = &stage.devnet;
    devnet.add_mint(mint, Program::Token2022, 9);
    for index in [BUYER, PAYEE] {
        let amount = if index == BUYER { 5_000_000_000 } else { 0 };
        devnet.mint(stage.account(index), mint, amount).unwrap();
    }
    let mut network = network(devnet);
    let mut asset = Asset {
        mint: svm(mint),
        symbol: "T22".into(),
        decimals: 9,
        program: TokenProgram::Token2022,
        usd_per_unit: Some(UsdMicros(1_000_000)),
    };
    network.put_asset(asset.clone());
    let payer = payer_on(devnet, network.clone());
    let offer = stage.offer(|offer| offer["asset"] = json!(mint.to_string()));
    let signed = sign(&payer, &offer).await;
    stage.settle(&signed).await;
    assert_eq!(devnet.token_balance(stage.account(PAYEE), mint), 10_000);
    let found = payer.check(&signed.handle).await;
    assert!(matches!(found, Finding::Settled { .. }), "{found:?}");
    // With the wrong program it would be another account, which does not exist.
    asset.program = TokenProgram::SplToken;
    network.put_asset(asset);
    let refused = payer_on(devnet, network).quote(&offer).await;
    let code = refused.err().map(|why| why.code);
    assert_eq!(code, Some("insufficient_balance"));
}

#[tokio::test]
async fn what_an_account_holds_of_every_known_token_is_told() {
    let stage = Stage::quick();
    let held = stage.payer.balances().await;
    let held: Vec<_> = held.into_iter().map(Result::unwrap).collect();
    assert_eq!(held[0].symbol, "USDC");
    assert_eq!(held[0].amount, Amount::from_atomic(WHOLE_BALANCE.into()));
    assert_eq!(held[0].address, stage.account(BUYER).to_string());
    // What has no account is nothing.
    assert!(held[1..].iter().all(|held| held.amount.is_zero()));
    let networks = vec![network(&stage.devnet)];
    let same = holdings(networks, svm(stage.account(BUYER))).await.unwrap();
    assert_eq!(
        same.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        held
    );
    stage.devnet.faults().cut_off(true);
    let held = stage.payer.balances().await;
    assert!(matches!(held.as_slice(), [Err(_)]), "{held:?}");
}

#[tokio::test]
async fn another_node_is_asked_where_one_is_down_behind_or_of_another_chain() {
    let stage = Stage::quick();
    let other = DevnetSvm::start(DevnetSvmOptions::quick()).unwrap();
    let mut network = network(&stage.devnet);
    network.rpc.insert(0, other.rpc_url());
    let genesis = json!("5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d");
    let behind = Fault::Refuse {
        code: -32_016,
        message: "Minimum context slot has not been reached".into(),
    };
    for (method, fault) in [
        ("getGenesisHash", Fault::Lie(genesis)),
        ("*", Fault::HttpStatus(429)),
        ("*", Fault::Disconnect),
        ("getMultipleAccounts", behind),
    ] {
        other.faults().set(method, fault);
        let payer = payer_on(&stage.devnet, network.clone());
        let quote = payer.quote(&stage.offer(|_| ())).await;
        assert!(quote.is_ok(), "{method}: {quote:?}");
        other.faults().clear();
    }
    // With nobody else, the wrong chain is refused with what to do.
    network.rpc.truncate(1);
    let mainnet = json!("5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d");
    other.faults().set("getGenesisHash", Fault::Lie(mainnet));
    let payer = payer_on(&stage.devnet, network);
    let refused = payer.quote(&stage.offer(|_| ())).await.unwrap_err();
    assert_eq!(refused.code, "wrong_genesis_hash");
    assert!(refused.why.contains("rpc"), "{refused}");
}

#[tokio::test]
async fn a_credential_echoes_the_offer_verbatim_and_the_challenge() {
    let stage = Stage::quick();
    let offer = stage.offer(|o| o["extra"]["somethingElse"] = json!({"kept": [1, 2.0, "3"]}));
    let signed = sign(&stage.payer, &offer).await;
    let credential = signed.credential.as_ref().unwrap();
    assert_eq!(credential.header, "payment-signature");
    let body: PaymentPayload = header::decode(credential.value.as_bytes()).unwrap();
    assert_eq!(body.x402_version, 2);
    assert_eq!(body.accepted, offer.as_x402().unwrap().raw);
    assert_eq!(body.resource, challenge().resource);
}

#[tokio::test]
async fn an_offer_of_version_1_is_answered_in_version_1() {
    let stage = Stage::quick();
    let Offer::X402(mut offer) = stage.offer(|_| ()) else {
        unreachable!("it is one of x402");
    };
    offer.version = Version::V1;
    let signed = sign(&stage.payer, &Offer::X402(offer)).await;
    let credential = signed.credential.as_ref().unwrap();
    assert_eq!(credential.header, "x-payment");
    let body = PaymentPayloadV1::decode(credential.value.as_bytes()).unwrap();
    assert_eq!((body.x402_version, body.scheme.as_str()), (1, "exact"));
    assert_eq!(body.network, "solana-devnet");
    assert!(serde_json::from_value::<ExactSvmPayload>(body.payload).is_ok());
}

#[tokio::test]
async fn a_quote_of_another_offer_is_not_signed() {
    let stage = Stage::quick();
    let mut quote = stage.payer.quote(&stage.offer(|_| ())).await.unwrap();
    quote.offer = stage.offer(|offer| offer["amount"] = json!("20000"));
    let refused = stage.payer.authorise(&quote, &challenge(), 60).await;
    assert_eq!(refused.err().map(|why| why.code), Some("quote_mismatch"));
}

#[tokio::test]
async fn what_was_never_ours_cannot_be_told() {
    let stage = Stage::quick();
    let found = stage.payer.check(&Handle::new("junk".into())).await;
    assert!(matches!(found, Finding::CannotTell { .. }));
    let signed = stage.sign(|_| ()).await;
    let mut without = network(&stage.devnet);
    without.rpc.clear();
    let without = payer_on(&stage.devnet, without);
    let found = without.check(&signed.handle).await;
    assert!(matches!(found, Finding::CannotTell { .. }));
}
