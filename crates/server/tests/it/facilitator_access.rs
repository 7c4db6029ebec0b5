//! Who may have payments settled, and where a facilitator starts at all.

use std::sync::{Arc, Mutex};

use alloy_primitives::U256;
use farebox_seller::buckets::BucketLimits;
use farebox_server::{Access, AccessToken, GasCover};
use farebox_wire::caip::ChainId;
use farebox_wire::money::UsdMicros;
use http::StatusCode;

use crate::station::{Plan, Station, lower};
use crate::support::eventually;

fn with(access: Access) -> Plan {
    Plan {
        access,
        ..Plan::default()
    }
}

#[tokio::test]
async fn callers_show_a_token_where_tokens_are_asked_for() {
    let tokens = ["first", "second"].map(|token| AccessToken::new(token.as_bytes()));
    let station = Station::with(with(Access {
        tokens: tokens.to_vec(),
        ..Access::default()
    }))
    .await;
    let signed = station.payment();
    for path in ["/verify", "/settle"] {
        for header in [
            "",
            "first",
            "Bearer third",
            "Bearer ",
            "Basic first",
            "Bearer firs",
        ] {
            let headers = [("authorization", header)];
            let seen = station.send("POST", path, &headers, signed.body()).await;
            assert_eq!(seen.status, StatusCode::UNAUTHORIZED, "{path} {header:?}");
            assert_eq!(seen.headers["www-authenticate"], "Bearer");
        }
        let twice = [
            ("authorization", "Bearer first"),
            ("authorization", "Bearer second"),
        ];
        let seen = station.send("POST", path, &twice, signed.body()).await;
        assert_eq!(seen.status, StatusCode::UNAUTHORIZED);
    }
    let second = [("authorization", "bearer second")];
    assert_eq!(station.settle_with(&signed, &second).await["success"], true);
    assert_eq!(
        station.get("/supported").await.0,
        StatusCode::OK,
        "open to all"
    );
}

#[tokio::test]
async fn only_listed_payees_are_paid() {
    let plan = |payee: &str| {
        with(Access {
            payees: [payee.to_owned()].into(),
            ..Access::default()
        })
    };
    let station = Station::with(plan("0x0000000000000000000000000000000000000001")).await;
    let signed = station.payment();
    let verified = station.verify(&signed).await;
    assert_eq!(verified["invalidReason"], "invalid_payment_requirements");
    let settled = station.settle(&signed).await;
    assert_eq!(settled["errorReason"], "invalid_payment_requirements");
    let message = settled["errorMessage"].as_str().expect("a sentence");
    assert!(message.contains("payees"), "{message}");
    let payee = lower(signed.transfer.to);
    let station = station.restart(plan(&payee)).await;
    assert_eq!(station.settle(&signed).await["success"], true);
}

#[tokio::test]
async fn payments_below_the_least_amount_are_refused() {
    let least = |micros| {
        with(Access {
            min_amount: UsdMicros(micros),
            ..Access::default()
        })
    };
    let station = Station::with(least(1_001)).await;
    let signed = station.payment();
    assert_eq!(station.verify(&signed).await["isValid"], false);
    assert_eq!(station.settle(&signed).await["success"], false);
    let station = station.restart(least(1_000)).await;
    assert_eq!(station.settle(&signed).await["success"], true);
}

/// What gas is worth, as a test says.
struct Said(Mutex<Result<u128, &'static str>>);

impl Said {
    fn say(&self, now: Result<u128, &'static str>) {
        *self.0.lock().expect("not poisoned") = now;
    }
}

impl GasCover for Said {
    fn least(&self, network: &ChainId) -> Result<UsdMicros, String> {
        assert_eq!(network.to_string(), "eip155:84532");
        let said = *self.0.lock().expect("not poisoned");
        said.map(UsdMicros).map_err(str::to_owned)
    }
}

#[tokio::test]
async fn new_payments_wait_for_a_rate_of_gas_and_what_was_begun_goes_on() {
    let said = Arc::new(Said(Mutex::new(Ok(1_000))));
    let station = Station::with(with(Access {
        gas_cover: Some(said.clone()),
        ..Access::default()
    }))
    .await;
    let key = [("idempotency-key", "one")];
    let first = station.payment();
    assert_eq!(station.verify(&first).await["isValid"], true);
    assert_eq!(station.settle_with(&first, &key).await["success"], true);

    let second = station.payment_of(2);
    said.say(Err("the rate is older than 300 s"));
    let verified = station.verify(&second).await;
    assert_eq!(verified["invalidReason"], "unexpected_verify_error");
    let settled = station.settle(&second).await;
    assert_eq!(settled["errorReason"], "unexpected_settle_error");
    let message = settled["errorMessage"].as_str().expect("a sentence");
    assert!(message.contains("older than 300 s"), "{message}");
    assert_eq!(station.payments().await.len(), 1, "nothing was claimed");
    // Whoever was told before is told again.
    assert_eq!(station.settle_with(&first, &key).await["success"], true);

    said.say(Ok(1_001));
    let verified = station.verify(&second).await;
    assert_eq!(verified["invalidReason"], "invalid_payment_requirements");
    let settled = station.settle(&second).await;
    assert_eq!(settled["errorReason"], "invalid_payment_requirements");
    said.say(Ok(1_000));
    assert_eq!(station.settle(&second).await["success"], true);
}

#[test]
fn beyond_loopback_it_starts_only_with_limits_or_openly() {
    let everywhere = "0.0.0.0:8404".parse().expect("an address");
    let here = "[::1]:8404".parse().expect("an address");
    assert!(Access::default().permits(here).is_ok());
    let refused = Access::default().permits(everywhere).expect_err("refused");
    for key in ["payees", "tokens", "open"] {
        assert!(refused.to_string().contains(key), "{key} in: {refused}");
    }
    let limited = [
        Access {
            open: true,
            ..Access::default()
        },
        Access {
            tokens: vec![AccessToken::new(b"t")],
            ..Access::default()
        },
        Access {
            payees: ["0x1".to_owned()].into(),
            ..Access::default()
        },
    ];
    for access in limited {
        assert!(access.permits(everywhere).is_ok());
    }
}

#[tokio::test]
async fn invalid_signatures_change_nothing_and_cost_no_call() {
    // What no ordinary account has signed may be a contract's: only the chain could tell.
    let limits = BucketLimits {
        simulations_per_s: 0,
        ..BucketLimits::default()
    };
    let station = Station::with(Plan {
        in_vain: Some(limits),
        ..Plan::default()
    })
    .await;
    let calls = station.devnet.faults().total_calls();
    let signed = station.payment();
    for n in 0..200u8 {
        let mut forged = signed.clone();
        forged.signature[usize::from(n) % 64] ^= n | 1;
        let path = if n % 2 == 0 { "/verify" } else { "/settle" };
        let seen = station.send("POST", path, &[], forged.body()).await;
        assert_eq!(seen.status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(station.payments().await.is_empty());
    assert_eq!(
        station.devnet.faults().total_calls(),
        calls,
        "no call to a node"
    );
    assert_eq!(station.settle(&signed).await["success"], true);
}

#[tokio::test]
async fn invalid_signatures_in_a_row_are_429_and_the_till_stays_closed() {
    let limits = BucketLimits {
        bad_signatures_per_s: 2,
        ..BucketLimits::default()
    };
    let station = Station::with(Plan {
        in_vain: Some(limits),
        ..Plan::default()
    })
    .await;
    let signed = station.payment();
    let mut forged = signed.clone();
    forged.signature[3] ^= 1;
    let mut refused = 0;
    for _ in 0..50 {
        let seen = station.send("POST", "/settle", &[], forged.body()).await;
        if seen.status == StatusCode::TOO_MANY_REQUESTS {
            let after = seen.headers["retry-after"].to_str().expect("a number");
            assert!(after.parse::<u64>().expect("seconds") >= 1);
            assert_eq!(seen.code(), "too_many_requests");
            assert_eq!(seen.json()["success"], false);
            assert_eq!(seen.json()["errorReason"], "unexpected_settle_error");
            refused += 1;
        } else {
            assert_eq!(seen.json()["errorReason"], "invalid_exact_evm_signature");
        }
    }
    assert!(refused > 0, "two in a second are not fifty at once");
    assert!(station.payments().await.is_empty());
    let station = &station;
    eventually(|| async {
        let seen = station.send("POST", "/settle", &[], signed.body()).await;
        seen.json()["success"] == true
    })
    .await;
}

#[tokio::test]
async fn payers_without_money_are_looked_up_within_limits() {
    let limits = BucketLimits {
        first_sight_per_s: 1,
        ..BucketLimits::default()
    };
    let station = Station::with(Plan {
        in_vain: Some(limits),
        ..Plan::default()
    })
    .await;
    let (payer, rich) = (station.account(1), station.payment());
    let mut refused = 0;
    for _ in 0..20 {
        let poor = station.payment();
        let poor = poor.changed(payer, |t| t.value = U256::from(u64::MAX));
        let seen = station.send("POST", "/verify", &[], poor.body()).await;
        if seen.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(seen.code(), "too_many_requests");
            assert_eq!(seen.json()["isValid"], false);
            assert_eq!(seen.json()["invalidReason"], "unexpected_verify_error");
            refused += 1;
        }
    }
    assert!(refused > 0, "one in a second is not twenty at once");
    let station = &station;
    eventually(|| async {
        let seen = station.send("POST", "/settle", &[], rich.body()).await;
        seen.json()["success"] == true
    })
    .await;
}
