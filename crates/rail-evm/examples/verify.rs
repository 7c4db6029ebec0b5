//! What one verification of a warm payer costs, on one core and without HTTP: reading the request,
//! understanding the offer, examining the credential, and asking what is known of the payer.
//!
//! `cargo run --release -p farebox-rail-evm --example verify [-- rounds]`

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use farebox_core::clock::{Clock, SystemClock};
use farebox_core::rail::{CollectRail, PayRail, Price};
use farebox_devnet_evm::{Devnet, DevnetOptions};
use farebox_rail_evm::{CollectorOptions, EvmCollector, EvmKey, EvmPayer, Finality, Network};
use farebox_wire::challenge::Challenge;
use farebox_wire::evm::EvmAddress;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::header;
use farebox_wire::x402::types::{FacilitatorRequest, PaymentPayload};

/// Different payments: what is measured may not live from one that is always the same.
const PAYMENTS: usize = 512;

/// Sums up what one step took.
struct Step {
    name: &'static str,
    spent: Duration,
}

impl Step {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            spent: Duration::ZERO,
        }
    }

    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.spent += start.elapsed();
        result
    }
}

/// Bodies of `/verify`, as the SDKs send them.
async fn bodies(payer: &EvmPayer, collector: &EvmCollector) -> Vec<Vec<u8>> {
    let price = Price {
        usd: UsdMicros(1_000),
        max_timeout_s: 3_600,
        upfront: false,
    };
    let offer = collector.offers(&price).unwrap().remove(0);
    let read = offer.as_read();
    let quote = payer.quote(&read).await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..PAYMENTS {
        let signed = payer
            .authorise(&quote, &Challenge::default(), 3_600)
            .await
            .unwrap();
        let payment_payload: PaymentPayload = header::decode(
            signed
                .credential
                .as_ref()
                .expect("a signature")
                .value
                .as_bytes(),
        )
        .unwrap();
        let request = FacilitatorRequest {
            x402_version: 2,
            payment_payload,
            payment_requirements: offer.requirements.clone(),
        };
        bodies.push(serde_json::to_vec(&request).unwrap());
    }
    bodies
}

fn main() {
    let rounds = std::env::args()
        .nth(1)
        .map_or(20_000, |n| n.parse().unwrap());
    let net = Devnet::start(DevnetOptions::quiet()).unwrap();
    let mut network = Network::new(84532);
    network.rpc = vec![net.rpc_url()];
    network.finality = Finality::Blocks(0);
    let key = |place: usize| {
        let hex = net.accounts().get(place).unwrap().key_hex();
        Arc::new(EvmKey::from_hex(&hex).unwrap())
    };
    let clock = Arc::new(SystemClock);
    let payer = EvmPayer::new(vec![network.clone()], key(1), clock.clone()).unwrap();
    let payee = EvmAddress(net.accounts().last().unwrap().address.into_array());
    let options = CollectorOptions::seller(payee, key(0));
    let collector = EvmCollector::new(vec![network], options, clock).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        collector.start().await.unwrap();
        let bodies = bodies(&payer, &collector).await;
        let mut steps = ["read", "offer", "examine", "verify"].map(Step::new);
        let now_s = SystemClock.now_s();
        for round in 0..rounds {
            let [read, offer_of, examine, verify] = &mut steps;
            let body = bodies.get(round % PAYMENTS).unwrap();
            let request: FacilitatorRequest = read.time(|| header::from_json(body).unwrap());
            let offer =
                offer_of.time(|| collector.offer_of(&request.payment_requirements).unwrap());
            let examined = examine.time(|| {
                collector
                    .examine(&request.payment_payload, &offer, now_s)
                    .unwrap()
            });
            let start = Instant::now();
            collector.verify(&examined).await.unwrap();
            verify.spent += start.elapsed();
        }
        let mut all = 0;
        for step in &steps {
            let nanos = step.spent.as_nanos() / u128::try_from(rounds).unwrap();
            all += nanos;
            println!(
                "{:8} {:3}.{} us",
                step.name,
                nanos / 1_000,
                nanos / 100 % 10
            );
        }
        println!("{:8} {:3}.{} us", "all", all / 1_000, all / 100 % 10);
    });
}
