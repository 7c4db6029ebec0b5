//! What a collector offers, takes and understands before any chain is asked.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use farebox_core::clock::SystemClock;
use farebox_core::rail::{CollectRail, Examined, Price, Refusal, SellerOffer, SignatureCheck};
use farebox_wire::caip::ChainId;
use farebox_wire::money::UsdMicros;
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequirements};
use serde_json::{Value, json};
use solana_hash::Hash;
use solana_instruction::{AccountMeta, Instruction};
use solana_message::v0;
use solana_signer::Signer;

use crate::account::{SPL_TOKEN, address_of, token_account_of};
use crate::assets::{DEVNET, TokenProgram};
use crate::samples::{buyer, fee_payer, limit, memo, of, other_fee_payer, price, signed_v0};
use crate::{CollectorOptions, Network, SolanaCollector, SolanaKey};

const NOW_S: u64 = 1_800_000_000;
const PAYEE: SvmAddress = SvmAddress([0x42; 32]);
const USDC: &str = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";

fn network() -> Network {
    let chain: ChainId = format!("solana:{DEVNET}").parse().unwrap();
    let mut network = Network::new(chain);
    network.rpc = vec!["http://127.0.0.1:1".into()];
    network
}

fn options() -> CollectorOptions {
    let key = |seed: u8| Arc::new(SolanaKey::from_seed(&[seed; 32]));
    CollectorOptions {
        signers: vec![key(1), key(2)],
        ..CollectorOptions::seller(PAYEE, key(1))
    }
}

fn collector() -> SolanaCollector {
    told(|_| ())
}

fn told(tell: impl FnOnce(&mut CollectorOptions)) -> SolanaCollector {
    let mut options = options();
    tell(&mut options);
    SolanaCollector::new(vec![network()], options, Arc::new(SystemClock)).unwrap()
}

fn refused_at_start(change: impl FnOnce(&mut Network, &mut CollectorOptions)) -> &'static str {
    let (mut network, mut options) = (network(), options());
    change(&mut network, &mut options);
    let made = SolanaCollector::new(vec![network], options, Arc::new(SystemClock));
    made.map(drop).unwrap_err().code
}

fn tenth_of_a_cent() -> Price {
    Price {
        usd: UsdMicros(1_000),
        max_timeout_s: 60,
        upfront: false,
    }
}

fn offer(collector: &SolanaCollector) -> SellerOffer {
    collector.offers(&tenth_of_a_cent()).unwrap().remove(0)
}

/// What an honest buyer sends for an offer.
fn paid(offer: &SellerOffer) -> PaymentPayload {
    let mint: SvmAddress = USDC.parse().unwrap();
    let account = |owner| address_of(token_account_of(owner, mint, TokenProgram::SplToken));
    let amount = u64::try_from(offer.requirements.amount.atomic()).unwrap();
    let data = [&[12][..], &amount.to_le_bytes(), &[6]].concat();
    let accounts = vec![
        AccountMeta::new(account(of(&buyer())), false),
        AccountMeta::new_readonly(address_of(mint), false),
        AccountMeta::new(account(PAYEE), false),
        AccountMeta::new_readonly(buyer().pubkey(), true),
    ];
    let transfer = Instruction::new_with_bytes(SPL_TOKEN, &data, accounts);
    let said = offer
        .requirements
        .extra
        .as_ref()
        .and_then(|e| e.get("memo"));
    let memo = memo(said.and_then(Value::as_str).unwrap_or("0123456789abcdef"));
    let message = v0::Message::try_compile(
        &fee_payer().pubkey(),
        &[limit(20_000), price(1), transfer, memo],
        &[],
        Hash::new_from_array([5; 32]),
    );
    let bytes = bincode::serialize(&signed_v0(message.unwrap())).unwrap();
    serde_json::from_value(json!({
        "x402Version": 2,
        "accepted": offer.raw,
        "payload": {"transaction": STANDARD.encode(bytes)},
    }))
    .unwrap()
}

fn examine(change: impl FnOnce(&mut PaymentPayload)) -> Result<Examined, Refusal> {
    let collector = collector();
    let offer = offer(&collector);
    let mut payload = paid(&offer);
    change(&mut payload);
    collector.examine(&payload, &offer, NOW_S)
}

fn refused(change: impl FnOnce(&mut PaymentPayload)) -> Reason {
    let refusal = examine(change).unwrap_err();
    assert!(!refusal.is_ours && !refusal.message.is_empty());
    refusal.reason
}

fn requirements(change: impl FnOnce(&mut PaymentRequirements)) -> PaymentRequirements {
    let mut requirements = offer(&collector()).requirements;
    change(&mut requirements);
    requirements
}

fn not_understood(change: impl FnOnce(&mut PaymentRequirements)) -> Reason {
    let facilitator = told(|options| options.pay_to = None);
    let refusal = facilitator.offer_of(&requirements(change)).unwrap_err();
    assert!(!refusal.is_ours, "{refusal}");
    refusal.reason
}

#[test]
fn an_offer_names_its_fee_payer_and_what_it_asks_for() {
    let offer = offer(&collector());
    let expected = json!({
        "scheme": "exact",
        "network": format!("solana:{DEVNET}"),
        "amount": "1000",
        "asset": USDC,
        "payTo": PAYEE.to_string(),
        "maxTimeoutSeconds": 60,
        "extra": {"feePayer": of(&fee_payer()).to_string()},
    });
    assert_eq!(offer.raw, expected);
    assert_eq!(offer.terms.rail, "solana");
    assert_eq!(offer.terms.payee, PAYEE.to_string());
    assert_eq!(offer.terms.payer, None);

    let collector = told(|options| options.memo = Some("order 7".into()));
    let price = Price {
        upfront: true,
        ..tenth_of_a_cent()
    };
    let offer = collector.offers(&price).unwrap().remove(0);
    assert_eq!(offer.raw["extra"]["memo"], "order 7");
    assert_eq!(offer.raw["extra"]["paymentFlow"], "upfront");
}

#[test]
fn a_price_that_no_account_can_hold_is_not_offered() {
    for usd in [0, u64::MAX] {
        let price = Price {
            usd: UsdMicros(usd.into()),
            ..tenth_of_a_cent()
        };
        let refused = collector().offers(&price).map(drop);
        if usd == 0 {
            assert_eq!(refused.unwrap_err().code, "price_not_payable");
        } else {
            // As many micros of a dollar as atomic units: the most that fits.
            refused.unwrap();
        }
    }
}

#[test]
fn what_an_honest_buyer_sends_is_taken_and_lives_as_long_as_a_blockhash() {
    let examined = examine(|_| ()).unwrap();
    assert_eq!(examined.valid_before_s, NOW_S + 150);
    assert_eq!(examined.signature, SignatureCheck::Good);
    assert_eq!(examined.terms.payer, Some(of(&buyer()).to_string()));
    let name = examined.identity.as_str();
    assert!(name.starts_with(&format!("svm:{DEVNET}:")), "{name}");
    let later = examine(|_| ()).unwrap();
    assert_eq!(examined.identity, later.identity);
    assert_eq!(examined.payload_digest, later.payload_digest);
}

#[test]
fn the_memo_of_the_offer_is_asked_for() {
    let collector = told(|options| options.memo = Some("order 7".into()));
    let offer = offer(&collector);
    let payload = paid(&offer);
    collector.examine(&payload, &offer, NOW_S).unwrap();
    let mut other = offer.clone();
    let extra = other.requirements.extra.as_mut().unwrap();
    extra.insert("memo".into(), "order 8".into());
    let refusal = collector.examine(&payload, &other, NOW_S).unwrap_err();
    assert_eq!(refusal.reason, Reason::SvmMemoMismatch);
}

#[test]
fn version_scheme_network_and_shape_are_checked() {
    assert_eq!(refused(|p| p.x402_version = 1), Reason::InvalidX402Version);
    let scheme = refused(|p| p.accepted["scheme"] = json!("upto"));
    assert_eq!(scheme, Reason::SvmUnsupportedScheme);
    let network = refused(|p| p.accepted["network"] = json!("solana:another"));
    assert_eq!(network, Reason::SvmNetworkMismatch);
    for junk in [
        json!({}),
        json!({"transaction": 7}),
        json!({"transaction": ""}),
        json!({"transaction": "AAA"}),
        json!({"transaction": "AA=="}),
        json!({"transaction": "A".repeat(10_000)}),
        json!({"signature": "0x", "authorization": {}}),
    ] {
        let reason = refused(|p| p.payload = junk);
        assert_eq!(reason, Reason::SvmTransactionUnreadable);
    }
}

#[test]
fn a_fee_payer_that_is_not_ours_is_refused_wherever_it_is_named() {
    let collector = collector();
    let honest = offer(&collector);
    let payload = paid(&honest);
    let cases = [
        (json!(PAYEE.to_string()), Reason::SvmFeePayerNotManaged),
        // Ours, and not the one that the transaction names.
        (
            json!(of(&other_fee_payer()).to_string()),
            Reason::SvmFeePayerMismatch,
        ),
        (json!(null), Reason::SvmMissingFeePayer),
        (json!(7), Reason::SvmMissingFeePayer),
        (json!("0x00"), Reason::InvalidPaymentRequirements),
    ];
    for (fee_payer, reason) in cases {
        let mut offer = honest.clone();
        let extra = offer.requirements.extra.as_mut().unwrap();
        extra.insert("feePayer".into(), fee_payer.clone());
        let refusal = collector.examine(&payload, &offer, NOW_S).unwrap_err();
        assert_eq!(refusal.reason, reason, "{fee_payer}");
    }
}

#[test]
fn a_facilitator_understands_the_offers_of_others() {
    let facilitator = told(|options| options.pay_to = None);
    let requirements = requirements(|r| r.pay_to = buyer().pubkey().to_string());
    let offer = facilitator.offer_of(&requirements).unwrap();
    assert_eq!(offer.requirements, requirements);
    assert_eq!(offer.terms.cost, UsdMicros(1_000));
    let none = facilitator
        .offers(&tenth_of_a_cent())
        .map(drop)
        .unwrap_err();
    assert_eq!(none.code, "no_payee");
}

#[test]
fn an_offer_that_cannot_be_followed_is_not_understood() {
    let wrong = Reason::InvalidPaymentRequirements;
    assert_eq!(
        not_understood(|r| r.scheme = "upto".into()),
        Reason::SvmUnsupportedScheme
    );
    let elsewhere = |r: &mut PaymentRequirements| r.network = "solana:other".parse().unwrap();
    assert_eq!(not_understood(elsewhere), Reason::InvalidNetwork);
    assert_eq!(not_understood(|r| r.asset = PAYEE.to_string()), wrong);
    assert_eq!(not_understood(|r| r.asset = "USDC".into()), wrong);
    for lost in [
        SvmAddress::ZERO.to_string(),
        USDC.into(),
        SPL_TOKEN.to_string(),
        "me".into(),
    ] {
        assert_eq!(not_understood(|r| r.pay_to = lost), wrong);
    }
    for amount in ["0", "18446744073709551616"] {
        let change = |r: &mut PaymentRequirements| {
            r.amount = serde_json::from_value(json!(amount)).unwrap();
        };
        assert_eq!(not_understood(change), wrong);
    }
    assert_eq!(
        not_understood(|r| r.extra = None),
        Reason::SvmMissingFeePayer
    );
    let foreign = |r: &mut PaymentRequirements| {
        let extra = r.extra.as_mut().unwrap();
        extra.insert("feePayer".into(), PAYEE.to_string().into());
    };
    assert_eq!(not_understood(foreign), Reason::SvmFeePayerNotManaged);
}

#[test]
fn kinds_and_signers_name_the_fee_payers() {
    let collector = collector();
    let kinds = collector.kinds();
    assert_eq!(kinds.len(), 1);
    assert_eq!(kinds[0].network, format!("solana:{DEVNET}"));
    let extra = kinds[0].extra.as_ref().unwrap();
    assert_eq!(extra["feePayer"], of(&fee_payer()).to_string());
    let both = [fee_payer(), other_fee_payer()].map(|key| of(&key).to_string());
    assert_eq!(
        collector.signers(),
        [("solana:*".to_owned(), both.to_vec())]
    );
    let asker = told(|options| {
        options.signers.clear();
        options.pay_to = None;
    });
    assert!(asker.kinds().is_empty() && asker.signers().is_empty());
}

#[test]
fn a_collector_that_would_lose_money_does_not_start() {
    assert_eq!(
        refused_at_start(|_, o| o.pay_to = Some(SvmAddress::ZERO)),
        "invalid_payee"
    );
    assert_eq!(
        refused_at_start(|_, o| o.pay_to = USDC.parse().ok()),
        "invalid_payee"
    );
    assert_eq!(refused_at_start(|_, o| o.signers.clear()), "no_fee_payer");
    assert_eq!(
        refused_at_start(|_, o| o.memo = Some("x".repeat(257))),
        "memo_too_long"
    );
    assert_eq!(refused_at_start(|n, _| n.rpc.clear()), "no_rpc");
    assert_eq!(
        refused_at_start(|n, _| n.assets.clear()),
        "no_asset_to_offer"
    );
}
