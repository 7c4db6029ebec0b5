//! Algebra: what is written is read back, sums are sums, and rounding never helps the spender.

use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::evm::{EvmAddress, Word, parse_hex};
use farebox_wire::money::{Amount, DECIMALS_MAX, UsdMicros, UsdRate, parse_decimal};
use farebox_wire::x402::exact_evm::{Eip3009Authorization, ExactEvmPayload, HexBytes};
use farebox_wire::x402::header;
use farebox_wire::x402::matching::{accepts, deep_equal};
use farebox_wire::x402::types::{
    PaymentPayload, PaymentRequired, PaymentRequirements, ResourceInfo, SettleResponse,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Quarters: serde_json reads floats of up to 15 digits exactly, and only those.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-c]{1,2}", inner, 0..4).prop_map(Value::from_iter),
        ]
    })
}

fn json_object() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("[a-z]{1,8}", json_value(), 0..4).prop_map(|m| m.into_iter().collect())
}

fn chain() -> impl Strategy<Value = ChainId> {
    prop_oneof![
        any::<u64>().prop_map(ChainId::eip155),
        "[a-df-z][-a-z0-9]{2,7}:[-_a-zA-Z0-9]{1,32}".prop_map(|t| t.parse().expect("CAIP-2")),
    ]
}

prop_compose! {
    fn resource()(
        url in "[ -~]{1,40}",
        description in option::of(any::<String>()),
        mime_type in option::of(any::<String>()),
        service_name in option::of(any::<String>()),
        tags in option::of(vec(any::<String>(), 0..5)),
        icon_url in option::of(any::<String>()),
    ) -> ResourceInfo {
        ResourceInfo { url, description, mime_type, service_name, tags, icon_url }
    }
}

prop_compose! {
    fn requirements()(
        scheme in any::<String>(),
        network in chain(),
        amount in any::<u128>().prop_map(Amount::from_atomic),
        asset in any::<String>(),
        pay_to in any::<String>(),
        max_timeout_seconds in 1..u64::MAX,
        extra in option::of(json_object()),
    ) -> PaymentRequirements {
        PaymentRequirements { scheme, network, amount, asset, pay_to, max_timeout_seconds, extra }
    }
}

prop_compose! {
    fn receipt()(
        success in any::<bool>(),
        transaction in any::<String>(),
        network in any::<String>(),
        error_reason in option::of(any::<String>()),
        error_message in option::of(any::<String>()),
        payer in option::of(any::<String>()),
        amount in option::of(any::<u128>().prop_map(Amount::from_atomic)),
        extensions in option::of(json_object()),
        extra in option::of(json_object()),
    ) -> SettleResponse {
        SettleResponse {
            success, transaction, network, error_reason, error_message, payer, amount, extensions, extra,
        }
    }
}

/// The keys of every object the other way round, as JSON text.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let fields: Vec<_> = map
                .iter()
                .rev()
                .map(|(k, v)| format!("{}:{}", json!(k), reversed(v)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(reversed).collect();
            format!("[{}]", items.join(","))
        }
        leaf => leaf.to_string(),
    }
}

proptest! {
    #[test]
    fn an_amount_is_its_text(atomic: u128) {
        let amount = Amount::from_atomic(atomic);
        prop_assert_eq!(Amount::parse(&amount.to_string()), Ok(amount));
        let json = serde_json::to_string(&amount).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Amount>(&json).expect("readable"), amount);
    }

    #[test]
    fn sums_are_undone_by_differences(a: u128, b: u128) {
        let (a, b) = (Amount::from_atomic(a), Amount::from_atomic(b));
        match a.checked_add(b) {
            Some(sum) => prop_assert_eq!(sum.checked_sub(b), Some(a)),
            None => prop_assert!(a.atomic() > u128::MAX - b.atomic()),
        }
        prop_assert_eq!(a.checked_sub(b).is_some(), a >= b);
    }

    #[test]
    fn a_text_is_an_amount_only_if_it_is_the_amounts_text(text in "[0-9+ .e-]{0,45}") {
        if let Ok(amount) = Amount::parse(&text) {
            prop_assert_eq!(amount.to_string(), text);
        }
    }

    #[test]
    fn a_decimal_is_its_text(atomic: u128, decimals in 0..=DECIMALS_MAX) {
        let text = Amount::from_atomic(atomic).to_decimal_string(decimals);
        prop_assert_eq!(parse_decimal(&text, decimals), Ok(atomic));
    }

    #[test]
    fn dollars_are_their_text(micros: u128) {
        let usd = UsdMicros(micros);
        prop_assert_eq!(UsdMicros::parse(&usd.to_string()), Ok(usd));
        prop_assert_eq!(UsdMicros::parse(&format!("{usd} USD")), Ok(usd));
        prop_assert_eq!(UsdMicros::parse(&format!("${usd}")), Ok(usd));
    }

    #[test]
    fn a_value_in_dollars_is_rounded_up(
        atomic in 0..u128::from(u64::MAX),
        usd in 1..u128::from(u32::MAX),
        decimals in 0..=18_u8,
    ) {
        let rate = UsdRate { usd_per_unit: UsdMicros(usd), decimals };
        let scale = 10_u128.pow(u32::from(decimals));
        let value = rate.usd_of(Amount::from_atomic(atomic)).expect("it fits").0;
        prop_assert!(value * scale >= atomic * usd);
        prop_assert!((value * scale) - (atomic * usd) < scale);
    }

    #[test]
    fn a_price_is_never_cut(
        micros in 0..u128::from(u64::MAX),
        usd in 1..u128::from(u32::MAX),
        decimals in 0..=18_u8,
    ) {
        let rate = UsdRate { usd_per_unit: UsdMicros(usd), decimals };
        let amount = rate.amount_for(UsdMicros(micros)).expect("it fits");
        prop_assert!(rate.usd_of(amount).expect("it fits") >= UsdMicros(micros));
        if let Some(less) = amount.checked_sub(Amount::from_atomic(1)) {
            let scale = 10_u128.pow(u32::from(decimals));
            prop_assert!(less.atomic() * usd < micros * scale);
        }
    }

    #[test]
    fn rates_refuse_what_does_not_fit(atomic: u128, usd: u128, decimals: u8) {
        let rate = UsdRate { usd_per_unit: UsdMicros(usd), decimals };
        if let Some(value) = rate.usd_of(Amount::from_atomic(atomic)) {
            prop_assert!(atomic == 0 || value.0 > 0);
        }
        if let Some(amount) = rate.amount_for(UsdMicros(atomic)) {
            prop_assert!(atomic == 0 || amount.atomic() > 0);
        }
    }

    #[test]
    fn a_chain_is_its_text(chain in chain()) {
        prop_assert_eq!(chain.to_string().parse::<ChainId>(), Ok(chain.clone()));
        prop_assert_eq!(format!("{}:{}", chain.namespace(), chain.reference()), chain.as_str());
    }

    #[test]
    fn a_token_has_one_name_whatever_the_case_of_its_address(chain: u64, token: [u8; 20]) {
        let asset = AssetId::erc20(ChainId::eip155(chain), EvmAddress(token));
        let text = asset.to_string();
        prop_assert_eq!(text.parse::<AssetId>(), Ok(asset.clone()));
        let upper = format!(
            "{}/erc20:0x{}", asset.chain(), asset.reference().trim_start_matches("0x").to_uppercase()
        );
        prop_assert_eq!(upper.parse::<AssetId>(), Ok(asset));
    }

    #[test]
    fn words_are_their_hex(word: [u8; 32], address: [u8; 20]) {
        prop_assert_eq!(Word(word).to_string().parse::<Word>(), Ok(Word(word)));
        let address = EvmAddress(address);
        prop_assert_eq!(address.to_string().parse::<EvmAddress>(), Ok(address));
        prop_assert_eq!(parse_hex(&Word(word).to_string(), 32), Ok(word.to_vec()));
        prop_assert!(parse_hex(&Word(word).to_string(), 31).is_err());
    }

    #[test]
    fn an_authorization_is_its_json(
        from: [u8; 20], to: [u8; 20], value: u128, valid_after: u64, valid_before: u64,
        nonce: [u8; 32], signature in vec(any::<u8>(), 0..200),
    ) {
        let payload = ExactEvmPayload {
            signature: HexBytes(signature),
            authorization: Eip3009Authorization {
                from: EvmAddress(from), to: EvmAddress(to), value: Amount::from_atomic(value),
                valid_after, valid_before, nonce: Word(nonce),
            },
        };
        let json = serde_json::to_value(&payload).expect("JSON");
        prop_assert_eq!(serde_json::from_value::<ExactEvmPayload>(json).expect("readable"), payload);
    }

    #[test]
    fn a_challenge_is_its_header(
        resource in resource(), error in option::of(any::<String>()),
        accepts in vec(requirements(), 0..4), extensions in option::of(json_object()),
    ) {
        let accepts = accepts.iter().map(|a| serde_json::to_value(a).expect("JSON")).collect();
        let body = PaymentRequired { x402_version: 2, error, resource, accepts, extensions };
        let text = header::encode(&body).expect("JSON");
        prop_assert_eq!(header::decode::<PaymentRequired>(text.as_bytes()).expect("readable"), body);
    }

    #[test]
    fn a_credential_is_its_header(
        resource in option::of(resource()), accepted in requirements(), payload in json_object(),
        extensions in option::of(json_object()),
    ) {
        let accepted = serde_json::to_value(accepted).expect("JSON");
        let body = PaymentPayload {
            x402_version: 2, resource, accepted, payload: Value::Object(payload), extensions,
        };
        let text = header::encode(&body).expect("JSON");
        prop_assert_eq!(header::decode_payment(text.as_bytes()).expect("readable"), body);
    }

    #[test]
    fn a_receipt_is_its_header(body in receipt()) {
        let text = header::encode(&body).expect("JSON");
        let bare = text.trim_end_matches('=');
        prop_assert_eq!(header::decode::<SettleResponse>(bare.as_bytes()).expect("readable"), body.clone());
        prop_assert_eq!(header::decode::<SettleResponse>(text.as_bytes()).expect("readable"), body);
    }

    #[test]
    fn json_equality_is_reflexive_symmetric_and_blind_to_key_order(a in json_value(), b in json_value()) {
        prop_assert!(deep_equal(&a, &a));
        prop_assert_eq!(deep_equal(&a, &b), deep_equal(&b, &a));
        let turned: Value = serde_json::from_str(&reversed(&a)).expect("JSON");
        prop_assert!(deep_equal(&a, &turned));
    }

    #[test]
    fn an_echo_matches_and_may_add_to_extra(
        offer in requirements(), theirs in json_object(), value in json_value(),
    ) {
        let offered = serde_json::to_value(&offer).expect("JSON");
        prop_assert!(accepts(&offered, &offered));
        let mut extra = theirs;
        extra.extend(offer.extra.clone().unwrap_or_default());
        let mut added = offered.clone();
        added["extra"] = Value::Object(extra);
        added["aFieldOfTheirs"] = value;
        prop_assert!(accepts(&offered, &added));
    }

    #[test]
    fn a_changed_core_field_matches_nothing(offer in requirements(), value in json_value(), place in 0..6_usize) {
        let offered = serde_json::to_value(&offer).expect("JSON");
        let fields = ["scheme", "network", "amount", "asset", "payTo", "maxTimeoutSeconds"];
        let field = fields[place];
        prop_assume!(!deep_equal(&offered[field], &value));
        let mut changed = offered.clone();
        changed[field] = value;
        prop_assert!(!accepts(&offered, &changed));
    }

    #[test]
    fn an_extra_that_lacks_one_of_ours_matches_nothing(
        offer in requirements(), key in "[a-z]{1,8}", value in json_value(),
    ) {
        prop_assume!(has_content(&value));
        let mut offered = serde_json::to_value(&offer).expect("JSON");
        let mut extra = offer.extra.unwrap_or_default();
        extra.insert(key.clone(), value);
        offered["extra"] = Value::Object(extra);
        let mut lacking = offered.clone();
        lacking["extra"].as_object_mut().expect("an object").remove(&key);
        prop_assert!(!accepts(&offered, &lacking));
    }
}

/// Whether there is more in it than nulls and empty objects, which equal an absent field.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Object(map) => map.values().any(has_content),
        _ => true,
    }
}
