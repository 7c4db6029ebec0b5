//! Gas that may be paid for in a day.

use std::time::Duration;

use farebox_core::conformance::{LocalNet as _, Recorder, SignedNet as _, transaction};
use farebox_core::rail::Outcome;
use farebox_devnet_evm::DevnetOptions;
use farebox_rail_evm::GasLimits;

use crate::batch::verified;
use crate::evm::{Evm, deployed};

async fn limited(limits: GasLimits) -> Evm {
    let net = deployed(DevnetOptions::quiet());
    Evm::on(net, |_| (), |options| options.gas = limits).await
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_days_limit_nothing_is_signed_and_tomorrow_it_goes_on() {
    // Enough for one settlement at its worst, and not for two.
    let limits = GasLimits {
        per_day_wei: Some(600_000_000_000_000),
        ..GasLimits::default()
    };
    let evm = limited(limits).await;
    let mut settled: u128 = 0;
    let refusal = loop {
        let (_, examined) = verified(&evm, evm.payer()).await;
        let journal = Recorder::new();
        match evm.settle(&examined, &journal).await {
            Outcome::Settled { .. } => settled += 1,
            Outcome::Rejected(refusal) => {
                assert!(journal.lines().is_empty());
                break refusal;
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(settled > 0);
    assert!(refusal.is_ours);
    assert!(
        refusal.message.contains("max_gas_per_day"),
        "{}",
        refusal.message
    );
    let health = evm.collector().health().await.remove(0);
    assert!(
        health
            .complaints
            .iter()
            .any(|c| c.contains("max_gas_per_day"))
    );
    let spent = health.signers[0].gas_spent_today.atomic();
    assert!(spent > 0 && spent <= 600_000_000_000_000);

    evm.clock.advance(Duration::from_secs(86_400));
    let (_, examined) = verified(&evm, evm.payer()).await;
    transaction(&evm.settle(&examined, &Recorder::new()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_over_its_limit_is_told_so_before_anything_is_signed() {
    let limits = GasLimits {
        per_payer_day_wei: Some(1),
        ..GasLimits::default()
    };
    let evm = limited(limits).await;
    let (_, examined) = verified(&evm, evm.payer()).await;
    let journal = Recorder::new();
    let outcome = evm.settle(&examined, &journal).await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours && r.message.contains("payer")),
        "{outcome:?}"
    );
    assert!(journal.lines().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_what_was_spent_and_what_is_left() {
    let evm = Evm::start().await;
    let had = evm.net.ether_balance(evm.gas_account());
    let (_, examined) = verified(&evm, evm.payer()).await;
    transaction(&evm.settle(&examined, &Recorder::new()).await);
    let spent = had - evm.net.ether_balance(evm.gas_account());
    let health = evm.collector().health().await.remove(0);
    assert!(health.is_reachable);
    assert_eq!(health.complaints, Vec::<String>::new());
    let signer = &health.signers[0];
    assert_eq!(signer.gas_spent_today.atomic(), spent.to::<u128>());
    assert!(signer.settlements_left.is_some_and(|left| left > 200));
    assert_eq!(signer.in_flight, 0);

    let little = alloy_primitives::U256::from(1_000_000_000_000_000_u64);
    evm.net.set_ether_balance(evm.gas_account(), little);
    let health = evm.collector().health().await.remove(0);
    assert!(
        health.complaints.iter().any(|c| c.contains("send it some")),
        "{health:?}"
    );
    evm.cut_off(true);
    let health = evm.collector().health().await.remove(0);
    assert!(!health.is_reachable);
    assert!(!health.complaints.is_empty());
}
