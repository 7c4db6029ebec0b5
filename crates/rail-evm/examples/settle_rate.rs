//! How many settlements a second the rail alone makes: a devnet in this process, payments signed
//! and verified beforehand, journals that cost nothing.
//!
//! `cargo run --release -p farebox-rail-evm --example settle_rate`. Not a test: it fails on
//! nothing but wrong books.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::rail::{
    CollectRail, Handle, Journal, Outcome, PayRail, Price, RailError, SentTransaction,
};
use farebox_devnet_evm::{CREATE2_FACTORY_ADDRESS, Devnet, DevnetOptions};
use farebox_rail_evm::{CollectorOptions, EvmCollector, EvmKey, EvmPayer, Finality, Network};
use farebox_wire::challenge::Challenge;
use farebox_wire::evm::EvmAddress;
use farebox_wire::money::UsdMicros;
use farebox_wire::x402::header;

type Failed = Box<dyn std::error::Error + Send + Sync>;

const SETTLER_CREATION: &str = include_str!("../../../contracts/artifacts/Settler.creation.hex");
const SETTLER_RUNTIME: &str = include_str!("../../../contracts/artifacts/Settler.runtime.hex");
/// How long a caller waits.
const WAIT_MS: u64 = 30_000;
/// Different payers, as many as there are funded accounts that are neither gas key nor payee.
const PAYERS: usize = 8;

/// Writes nothing down.
struct Nowhere;

#[async_trait]
impl Journal for Nowhere {
    async fn sending(&self, _transaction: &SentTransaction) -> Result<(), RailError> {
        Ok(())
    }

    async fn handing_over(&self, _handle: &Handle) -> Result<(), RailError> {
        Err(RailError {
            code: "not_here",
            message: "this rail settles by itself".into(),
        })
    }
}

struct Bench {
    net: Devnet,
    payers: Vec<EvmPayer>,
    collector: Arc<EvmCollector>,
}

impl Bench {
    async fn start(block_time: Option<Duration>) -> Result<Self, Failed> {
        let net = Devnet::start(DevnetOptions {
            block_time,
            gas_limit: 300_000_000,
            ..DevnetOptions::default()
        })?;
        let bytes = |text: &str| alloy_primitives::hex::decode(text.trim());
        let creation = alloy_primitives::keccak256(bytes(SETTLER_CREATION)?);
        let settler = CREATE2_FACTORY_ADDRESS.create2(alloy_primitives::B256::ZERO, creation);
        net.set_code(settler, bytes(SETTLER_RUNTIME)?.into());
        let mut network = Network::new(net.chain_id());
        network.rpc = vec![net.rpc_url()];
        network.finality = Finality::Blocks(0);
        let keys = net
            .accounts()
            .iter()
            .map(|a| EvmKey::from_hex(&a.key_hex()));
        let keys: Vec<EvmKey> = keys.collect::<Result<_, _>>()?;
        let mut keys = keys.into_iter().map(Arc::new);
        let gas = keys.next().ok_or("no gas key")?;
        let payers = keys
            .by_ref()
            .take(PAYERS)
            .map(|key| EvmPayer::new(vec![network.clone()], key, Arc::new(SystemClock)))
            .collect::<Result<_, _>>()?;
        let payee = keys.next().ok_or("no payee")?.address();
        let options = CollectorOptions::seller(EvmAddress(payee.0), gas);
        let collector = EvmCollector::new(vec![network], options, Arc::new(SystemClock))?;
        collector.start().await?;
        Ok(Self {
            net,
            payers,
            collector: Arc::new(collector),
        })
    }

    async fn payment(&self, number: usize) -> Result<Handle, Failed> {
        let price = Price {
            usd: UsdMicros(1_000),
            max_timeout_s: 600,
            upfront: false,
        };
        let offer = self.collector.offers(&price)?.remove(0);
        let read = offer.as_read();
        let payer = self.payers.get(number % PAYERS).ok_or("no payer")?;
        let quote = payer.quote(&read).await.map_err(|e| e.why)?;
        let signed = payer.authorise(&quote, &Challenge::default(), 600).await?;
        let payload = header::decode(
            signed
                .credential
                .as_ref()
                .expect("a signature")
                .value
                .as_bytes(),
        )?;
        let examined = self
            .collector
            .examine(&payload, &offer, SystemClock.now_s())?;
        self.collector.verify(&examined).await?;
        Ok(examined.handle)
    }

    fn revenue(&self) -> Result<u128, Failed> {
        let payee = self.net.accounts().last().ok_or("no payee")?.address;
        Ok(self.net.token_balance(payee)?.to::<u128>())
    }

    async fn run(&self, count: usize, in_flight: usize) -> Result<(), Failed> {
        let mut handles = Vec::with_capacity(count);
        for number in 0..count {
            handles.push(self.payment(number).await?);
        }
        let before = self.revenue()?;
        let (sent, blocks) = (self.sent(), self.net.block_number());
        let handles = Arc::new(std::sync::Mutex::new(handles));
        let began = Instant::now();
        let mut workers = Vec::new();
        for _ in 0..in_flight {
            let (collector, handles) = (Arc::clone(&self.collector), Arc::clone(&handles));
            workers.push(tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let next = handles.lock().map_err(|_| "a worker panicked")?.pop();
                    let Some(handle) = next else {
                        return Ok::<_, Failed>(times);
                    };
                    let at = Instant::now();
                    let outcome = collector.settle(&handle, Arc::new(Nowhere), WAIT_MS).await;
                    if !matches!(outcome, Outcome::Settled { .. }) {
                        return Err(format!("{outcome:?}").into());
                    }
                    times.push(at.elapsed());
                }
            }));
        }
        let mut times = Vec::new();
        for worker in workers {
            times.extend(worker.await??);
        }
        let took = began.elapsed();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied();
        let moved = self.revenue()? - before;
        if moved != 1_000 * u128::try_from(count)? {
            return Err(format!("{count} settled, and {moved} units moved").into());
        }
        println!(
            "{count} settlements, {in_flight} in flight: {:.0}/s, p50 {:?}, p99 {:?}, {} transactions, {} blocks",
            f64::from(u32::try_from(count)?) / took.as_secs_f64(),
            at(50).unwrap_or_default(),
            at(99).unwrap_or_default(),
            self.sent() - sent,
            self.net.block_number() - blocks,
        );
        Ok(())
    }

    fn sent(&self) -> u64 {
        self.net.faults().calls("eth_sendRawTransaction")
    }
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let bench = Bench::start(None).await?;
    println!("a block for each transaction");
    bench.run(200, 1).await?;
    bench.run(10_000, 50).await?;
    bench.run(20_000, 400).await?;
    let bench = Bench::start(Some(Duration::from_secs(1))).await?;
    println!("a block each second");
    bench.run(500, 50).await?;
    bench.run(4_000, 400).await
}
