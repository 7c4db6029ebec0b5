//! Damaged answers of facilitators on the stable toolchain; `fuzz/` goes on where this stops.

use farebox_wire::money::{Amount, UsdMicros};
use serde_json::{Value, json};

use super::*;

#[path = "../../wire/tests/it/damage.rs"]
mod damage;

use damage::{Dice, damage};

/// Damaged copies of each input.
const COPIES: u64 = 400;
const PAYER: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";

fn offer() -> PaymentRequirements {
    PaymentRequirements {
        scheme: "exact".to_owned(),
        network: "eip155:84532".parse().expect("a chain"),
        amount: Amount::from_atomic(1_000),
        asset: "0x036CbD53842c5426634e7929541eC2318f3dCF7e".to_owned(),
        pay_to: "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720".to_owned(),
        max_timeout_seconds: 60,
        extra: json!({"name": "USDC", "version": "2"}).as_object().cloned(),
    }
}

fn terms() -> Terms {
    Terms {
        protocol: "x402".into(),
        rail: "evm".into(),
        network: offer().network,
        scheme: "exact".into(),
        asset: "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e"
            .parse()
            .expect("an asset"),
        symbol: "USDC".into(),
        decimals: 6,
        amount: offer().amount,
        fee_max: Amount::ZERO,
        cost: UsdMicros(1_000),
        payee: offer().pay_to.to_ascii_lowercase(),
        payer: Some(PAYER.into()),
    }
}

/// What facilitators answer, good and bad.
fn answers() -> Vec<Value> {
    let network = "eip155:84532";
    vec![
        json!({"isValid": true, "payer": PAYER}),
        json!({"isValid": false, "invalidReason": "insufficient_funds: 3", "payer": null}),
        json!({"success": true, "transaction": "0xabc", "network": network, "payer": PAYER, "amount": "1000"}),
        json!({"success": false, "errorReason": "settlement_pending", "transaction": "0xabc", "network": network}),
        json!({"success": false, "errorReason": "invalid_exact_evm_insufficient_balance", "errorMessage": "poor", "transaction": "", "network": network}),
        json!({"kinds": [
            {"x402Version": 2, "scheme": "exact", "network": network, "extra": {"assetTransferMethod": "eip3009"}},
            {"x402Version": 1, "scheme": "exact", "network": "base-sepolia", "extra": null},
            "nonsense",
        ], "extensions": null, "signers": {"eip155:*": [PAYER]}}),
    ]
}

fn feed(status: u16, body: &[u8]) {
    verdict(status, body, &terms());
    kinds(body, &offer());
}

#[test]
fn damaged_answers_never_panic_and_never_settle_another_payment() {
    let mut dice = Dice::new(402);
    for answer in answers() {
        let answer = answer.to_string();
        for status in [0, 200] {
            feed(status, answer.as_bytes());
        }
        for _ in 0..COPIES {
            let status = u16::try_from(dice.below(400)).expect("small");
            feed(status, &damage(&mut dice, answer.as_bytes()));
        }
    }
}

#[test]
fn answers_that_are_long_or_deep_are_refused_or_cut() {
    let long = "x".repeat(1 << 20);
    let many: Vec<Value> = (0..5_000)
        .map(|_| json!({"x402Version": 2, "scheme": "exact", "network": "eip155:84532"}))
        .collect();
    let nested = format!("{}{}", "[".repeat(4_000), "]".repeat(4_000));
    for body in [
        json!({"isValid": false, "invalidReason": long, "invalidMessage": long}).to_string(),
        json!({"isValid": long}).to_string(),
        json!({"success": false, "errorReason": long, "transaction": long, "network": long})
            .to_string(),
        json!({"success": long, (long.clone()): long}).to_string(),
        json!({"kinds": many}).to_string(),
        json!({"kinds": [{"x402Version": 2, "scheme": long, "network": long}]}).to_string(),
        json!({"kinds": long}).to_string(),
        format!(r#"{{"kinds":{nested}}}"#),
        format!(r#"{{"isValid":true,"extra":{nested}}}"#),
        "[".repeat(1 << 20),
        r#"{"kinds":"#.repeat(1 << 16),
    ] {
        feed(0, body.as_bytes());
        feed(300, body.as_bytes());
    }
    let kinds = supported::read(json!({"kinds": many}).to_string().as_bytes());
    assert_eq!(kinds.expect("kinds").kinds.len(), supported::KINDS_MAX);
}
