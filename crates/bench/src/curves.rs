//! What size costs: verifications and settlements per second, memory and file size of a facilitator whose ledger
//! has 100 to 1,000,000 settled payments by as many payers.
//!
//! The ledger is filled through its own crate, with the entries that a settled payment leaves, and goes on growing
//! from one line to the next.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use farebox_core::ledger::{Attach, Cover, Ledger, NewClaim, PaymentId, SellerSide};
use farebox_core::payment::{Event, Role};
use farebox_core::rail::{Handle, SentTransaction, Terms};
use farebox_ledger::SqliteLedger;
use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::evm::{EvmAddress, Word};
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};
use serde::Serialize;
use serde_json::json;

use crate::load::{Feed, Judge};
use crate::machine::Machine;
use crate::node::PAYEE;
use crate::product::Server;
use crate::rows::facilitator::{is_settled, is_valid, requests};
use crate::sign::{CHAIN_ID, Key, USDC};
use crate::stage::{self, Serve, Stage, VALUE};
use crate::{Fallible, Options, markdown};

const SMALLEST: usize = 100;
/// Payers that are asked about, of all in the ledger; each must be funded and must sign.
const SAMPLE_MAX: usize = 20_000;
const VERIFICATIONS: usize = 20_000;
const VERIFY_CONNECTIONS: usize = 50;
const SETTLEMENTS: usize = 4_000;
const SETTLE_CONNECTIONS: usize = 400;
/// Payments that are written at a time while the ledger is filled.
const WRITERS: usize = 256;

/// One line of the table.
#[derive(Serialize)]
struct Line {
    rows: usize,
    start_s: f64,
    verify: f64,
    verify_cpu_us: f64,
    settle: f64,
    settle_cpu_us: f64,
    rss_mib: f64,
    file_mib: f64,
}

/// Measures every size up to the wanted one, and shows the table.
pub(crate) fn run(options: &Options) -> Fallible<()> {
    let machine = Machine::look();
    let mut stage = Stage::build(options)?;
    let ledger = stage.folder().join("curve.db");
    let mut lines = Vec::new();
    let mut have = 0;
    let mut rows = SMALLEST;
    while rows <= options.curves_max {
        eprintln!("farebox-bench: measuring with {rows} payers and ledger rows");
        fill(&ledger, have..rows)?;
        have = rows;
        lines.push(measure(&mut stage, &ledger, rows)?);
        rows *= 10;
    }
    let table = table(&lines);
    eprintln!("{machine}\n\n{table}");
    if options.json {
        println!("{}", json!({"curves": lines}));
    }
    if options.markdown {
        let command = "cargo run --release -p farebox-bench -- --curves --markdown";
        markdown::write("curves", command, &machine, &table)?;
    }
    Ok(())
}

fn measure(stage: &mut Stage, ledger: &Path, rows: usize) -> Fallible<Line> {
    let sample = rows.min(SAMPLE_MAX);
    stage.payers = (0..sample)
        .map(|place| Key::payer(place * (rows / sample)))
        .collect::<Fallible<_>>()?;
    stage.node.fund(&stage.payers)?;
    let began = Instant::now();
    let server = stage.serve(&Serve {
        ledger: Some(ledger),
        ..Serve::FACILITATOR
    })?;
    let start_s = began.elapsed().as_secs_f64();
    // Each payer once before anything counts; beyond what is kept of payers this changes nothing.
    run_once(
        stage,
        &server,
        "/verify",
        (sample, VERIFY_CONNECTIONS),
        is_valid,
    )?;
    let verify = run_once(
        stage,
        &server,
        "/verify",
        (VERIFICATIONS, VERIFY_CONNECTIONS),
        is_valid,
    )?;
    let before = stage.node.balance(PAYEE)?;
    let settle = run_once(
        stage,
        &server,
        "/settle",
        (SETTLEMENTS, SETTLE_CONNECTIONS),
        is_settled,
    )?;
    stage.check_books(before, SETTLEMENTS)?;
    let mib = f64::from(1 << 20);
    Ok(Line {
        rows,
        start_s,
        verify: verify.ops,
        verify_cpu_us: verify.cpu_us.unwrap_or_default(),
        settle: settle.ops,
        settle_cpu_us: settle.cpu_us.unwrap_or_default(),
        rss_mib: server.process.rss()? as f64 / mib,
        file_mib: fs::metadata(ledger)?.len() as f64 / mib,
    })
}

fn run_once(
    stage: &mut Stage,
    server: &Server,
    path: &str,
    (count, connections): (usize, usize),
    judge: Judge,
) -> Fallible<crate::report::Sample> {
    let feed = Feed::Each(requests(stage, path, count));
    let (sample, measured) =
        stage::timed(&server.process, server.address, connections, feed, judge)?;
    stage::all_good(&measured)?;
    Ok(sample)
}

/// Adds settled payments to the ledger.
fn fill(path: &Path, numbers: std::ops::Range<usize>) -> Fallible<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::open(path)?);
        let next = Arc::new(std::sync::Mutex::new(numbers));
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..WRITERS {
            let (ledger, next) = (Arc::clone(&ledger), Arc::clone(&next));
            writers.spawn(async move {
                let take = || next.lock().ok().and_then(|mut numbers| numbers.next());
                while let Some(number) = take() {
                    write(ledger.as_ref(), number).await?;
                }
                Fallible::Ok(())
            });
        }
        while let Some(done) = writers.join_next().await {
            done??;
        }
        Fallible::Ok(())
    })
}

/// All that a settled payment leaves.
async fn write(ledger: &dyn Ledger, number: usize) -> Fallible<()> {
    let payer = EvmAddress(Key::payer(number)?.address.0.0);
    let token = EvmAddress(USDC.0.0);
    let chain = ChainId::eip155(CHAIN_ID);
    let asset: AssetId = format!("{chain}/erc20:{token}")
        .parse()
        .map_err(|e| format!("{e}"))?;
    let nonce = Word(alloy_primitives::keccak256(number.to_be_bytes()).0);
    let id = PaymentId(format!("pay_{number:032x}"));
    let hash = format!("{}", Word(alloy_primitives::keccak256(nonce.0).0));
    let terms = Terms {
        protocol: "x402".to_owned(),
        rail: "evm".to_owned(),
        network: chain.clone(),
        scheme: "exact".to_owned(),
        asset,
        symbol: "USDC".to_owned(),
        decimals: 6,
        amount: Amount::from_atomic(u128::from(VALUE)),
        fee_max: Amount::ZERO,
        cost: UsdMicros(u128::from(VALUE)),
        payee: EvmAddress(PAYEE.0.0).to_string(),
        payer: Some(payer.to_string()),
    };
    let receipt = json!({
        "success": true, "transaction": hash, "network": chain.to_string(), "payer": terms.payer,
    });
    let claim = NewClaim {
        id: id.clone(),
        role: Role::Facilitator,
        identity: Identity::eip3009(&chain, token, payer, nonce),
        side: SellerSide {
            route: "/settle".to_owned(),
            payload_digest: nonce.0,
            request_digest: nonce.0,
            body_digest: None,
        },
        terms,
        valid_before_s: u64::MAX >> 2,
        handle: Handle::new(format!("{{\"payer\":\"{payer}\",\"nonce\":\"{nonce}\"}}")),
        cover: Cover::NotNeeded,
        now_ms: number as u64,
    };
    let now_ms = claim.now_ms;
    ledger.claim(claim).await?;
    let events = vec![
        Event::Sending {
            transaction: Some(SentTransaction::by_stranger(hash.clone())),
        },
        Event::Settled {
            transaction: hash,
            is_final: true,
        },
        Event::Delivered,
    ];
    let attach = Attach {
        receipt: Some(receipt.to_string()),
        ..Attach::default()
    };
    ledger.apply_all(&id, events, attach, now_ms).await?;
    Ok(())
}

fn table(lines: &[Line]) -> String {
    let mut text = "| payers and ledger rows | start s | verify/s | CPU µs | settle/s | CPU µs | memory MiB | file MiB |\n\
                    |--:|--:|--:|--:|--:|--:|--:|--:|"
        .to_owned();
    for line in lines {
        text.push_str(&format!(
            "\n| {} | {:.2} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} |",
            line.rows,
            line.start_s,
            line.verify,
            line.verify_cpu_us,
            line.settle,
            line.settle_cpu_us,
            line.rss_mib,
            line.file_mib,
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_ledger_has_books_that_add_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        fill(&path, 0..20).expect("filled");
        fill(&path, 20..50).expect("filled further");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let ledger = SqliteLedger::open(&path).expect("a ledger");
            ledger.verify(true).await.expect("books that add up");
            let all = ledger.list(Default::default()).await.expect("a list");
            assert_eq!(all.len(), 50);
        });
    }
}
