//! Payments that share a transaction, and what one may do to the others: nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use farebox_core::conformance::{Recorder, SignedNet as _, WAIT_MS, signed, transaction};
use farebox_core::rail::{
    CollectRail, Examined, Handle, Journal, Outcome, PayRail, RailError, SentTransaction,
};
use farebox_devnet_evm::{Devnet, DevnetOptions, Fault};
use farebox_wire::x402::reason::Reason;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::evm::{Evm, payer_with};
use crate::relay;
use crate::settle::{stranger, wait_until};
use crate::snapshot::seen_later;

const SEND: &str = "eth_sendRawTransaction";
const RECEIPT: &str = "eth_getTransactionReceipt";

/// A payment that verification has just seen to be good, so that it may share a transaction.
pub(crate) async fn verified(evm: &Evm, payer: &dyn PayRail) -> (Handle, Examined) {
    let (handle, examined) = signed(payer, &*evm.collector()).await;
    evm.collector().verify(&examined).await.unwrap();
    (handle, examined)
}

/// A settlement under way, with its journal.
pub(crate) struct Settling {
    pub(crate) task: JoinHandle<Outcome>,
    pub(crate) journal: Arc<Recorder>,
}

pub(crate) fn begin(evm: &Evm, examined: &Examined) -> Settling {
    begin_with(evm, examined, Recorder::new())
}

fn begin_with(evm: &Evm, examined: &Examined, journal: Arc<Recorder>) -> Settling {
    let (collector, handle) = (evm.collector(), examined.handle.clone());
    let writes = Arc::clone(&journal);
    let task = tokio::spawn(async move { collector.settle(&handle, writes, WAIT_MS).await });
    Settling { task, journal }
}

/// Keeps a transaction under way, so that whatever comes next is collected.
pub(crate) async fn hold_up(evm: &Evm) -> Settling {
    // The first of a token goes alone, and tells what a payment costs.
    let (_, first) = verified(evm, evm.payer()).await;
    transaction(&evm.settle(&first, &Recorder::new()).await);
    evm.net.hold_mining();
    let (_, next) = verified(evm, evm.payer()).await;
    let settling = begin(evm, &next);
    wait_until(|| evm.net.waiting_transactions() == 1).await;
    settling
}

/// Lets go when everybody's transaction is in the pool.
async fn release(evm: &Evm, settlements: &[&Settling]) {
    wait_until(|| settlements.iter().all(|s| !s.journal.lines().is_empty())).await;
    evm.net.release_mining();
}

async fn many_share_few_transactions(evm: &Evm, count: usize) {
    let before = evm.revenue();
    let mut all = vec![hold_up(evm).await];
    let mut payments = Vec::new();
    for _ in 0..count {
        payments.push(verified(evm, evm.payer()).await.1);
    }
    let estimates = evm.net.faults().calls("eth_estimateGas");
    all.extend(payments.iter().map(|examined| begin(evm, examined)));
    release(evm, &all.iter().collect::<Vec<_>>()).await;
    let mut hashes = HashSet::new();
    for settling in all {
        let hash = transaction(&settling.task.await.unwrap());
        assert_eq!(settling.journal.lines(), std::slice::from_ref(&hash));
        hashes.insert(hash);
    }
    assert!(hashes.len() < count / 2, "{} transactions", hashes.len());
    assert_eq!(evm.revenue() - before, 1_000 * (count as u128 + 2));
    // Nothing is asked before a warm settlement.
    assert_eq!(evm.net.faults().calls("eth_estimateGas"), estimates);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_at_once_share_few_transactions() {
    many_share_few_transactions(&Evm::start().await, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_settler_multicall_carries_them() {
    let net = Devnet::start(DevnetOptions::quiet()).unwrap();
    let evm = Evm::on(net, |_| (), |_| ()).await;
    many_share_few_transactions(&evm, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_verification_has_not_seen_goes_alone_and_is_simulated() {
    let evm = Evm::start().await;
    let (_, examined) = signed(evm.payer(), &*evm.collector()).await;
    let before = evm.net.faults().calls("eth_estimateGas");
    transaction(&evm.settle(&examined, &Recorder::new()).await);
    assert_eq!(evm.net.faults().calls("eth_estimateGas"), before + 1);
}

/// What is looked at by the clock (the newest block, fees, payers in use) is not counted.
#[tokio::test(flavor = "multi_thread")]
async fn one_warm_settlement_costs_two_round_trips() {
    let evm = Evm::start().await;
    let (_, first) = verified(&evm, evm.payer()).await;
    transaction(&evm.settle(&first, &Recorder::new()).await);
    let (_, examined) = verified(&evm, evm.payer()).await;
    let calls = |method: &str| evm.net.faults().calls(method);
    let (sent, asked) = (calls(SEND), calls(RECEIPT));
    let block = evm.net.block_number();
    transaction(&evm.settle(&examined, &Recorder::new()).await);
    assert_eq!(calls(SEND) - sent, 1);
    // With the block's number when it was sent, and once more for each block that was seen since.
    let blocks_seen = 1 + evm.net.block_number() - block;
    let asked = calls(RECEIPT) - asked;
    assert!(asked <= 1 + blocks_seen, "{asked} for {blocks_seen} blocks");
    assert_eq!(calls("eth_estimateGas"), 1, "the first alone was simulated");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_balance_harms_no_neighbour_and_is_told_as_it_is() {
    let evm = Evm::start().await;
    let poor = payer_with(&evm, 0x31, 1_000);
    let (_, bad) = verified(&evm, &poor).await;
    let (_, drain) = signed(&poor, &*evm.collector()).await;
    let theirs = stranger(&evm).await;
    transaction(&theirs.settle(&drain.handle, Recorder::new(), WAIT_MS).await);
    let first = hold_up(&evm).await;
    let good = [
        verified(&evm, evm.payer()).await.1,
        verified(&evm, evm.payer()).await.1,
    ];
    let before = evm.revenue();
    let (one, bad_one, two) = (
        begin(&evm, &good[0]),
        begin(&evm, &bad),
        begin(&evm, &good[1]),
    );
    release(&evm, &[&one, &bad_one, &two]).await;
    transaction(&first.task.await.unwrap());
    transaction(&one.task.await.unwrap());
    transaction(&two.task.await.unwrap());
    let outcome = bad_one.task.await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.reason == Reason::InsufficientBalance && !r.is_ours),
        "{outcome:?}"
    );
    assert_eq!(evm.revenue() - before, 3_000);

    // From now on that payer is simulated first, and nothing is sent for it.
    let (_, again) = signed(&poor, &*evm.collector()).await;
    let sent = evm.net.faults().calls(SEND);
    let outcome = evm.settle(&again, &Recorder::new()).await;
    assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    assert_eq!(evm.net.faults().calls(SEND), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_settles_first_harms_no_neighbour_and_settles_ours() {
    let evm = Evm::start().await;
    let (_, raced) = verified(&evm, evm.payer()).await;
    let theirs = stranger(&evm).await;
    let first = transaction(&theirs.settle(&raced.handle, Recorder::new(), WAIT_MS).await);
    let held = hold_up(&evm).await;
    let (_, good) = verified(&evm, evm.payer()).await;
    let (raced, good) = (begin(&evm, &raced), begin(&evm, &good));
    release(&evm, &[&raced, &good]).await;
    assert_eq!(transaction(&raced.task.await.unwrap()), first);
    transaction(&good.task.await.unwrap());
    transaction(&held.task.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_fails_leaves_its_payment_out_and_the_rest_is_signed_anew() {
    let evm = Evm::start().await;
    let held = hold_up(&evm).await;
    let (handle, bad) = verified(&evm, evm.payer()).await;
    let goods = [
        verified(&evm, evm.payer()).await.1,
        verified(&evm, evm.payer()).await.1,
    ];
    let before = evm.revenue();
    let broken = Recorder::new();
    broken.refuse(true);
    let one = begin(&evm, &goods[0]);
    let bad = begin_with(&evm, &bad, Arc::clone(&broken));
    let two = begin(&evm, &goods[1]);
    let outcome = bad.task.await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );
    release(&evm, &[&one, &two]).await;
    for good in [one, two] {
        let hash = transaction(&good.task.await.unwrap());
        assert_eq!(good.journal.lines().last(), Some(&hash));
    }
    transaction(&held.task.await.unwrap());
    assert_eq!(evm.revenue() - before, 3_000);
    assert_eq!(
        evm.payer().check(&handle).await,
        farebox_core::rail::Finding::Open
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_leaves_a_shared_settlement_that_goes_on() {
    let evm = Evm::start().await;
    let held = hold_up(&evm).await;
    let (_, examined) = verified(&evm, evm.payer()).await;
    let before = evm.revenue();
    let gone = begin(&evm, &examined);
    wait_until(|| !gone.journal.lines().is_empty()).await;
    gone.task.abort();
    evm.net.release_mining();
    transaction(&held.task.await.unwrap());
    wait_until(|| evm.revenue() - before == 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_tell_fees_has_been_sent_nothing() {
    let evm = Evm::start().await;
    let (_, examined) = verified(&evm, evm.payer()).await;
    evm.net.faults().set("eth_feeHistory", Fault::Hang);
    let journal = Recorder::new();
    let collector = evm.collector();
    let outcome = collector
        .settle(&examined.handle, journal.clone(), 500)
        .await;
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if r.is_ours),
        "{outcome:?}"
    );
    assert!(journal.lines().is_empty());
    evm.net.faults().clear();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_authorization_twice_at_once_shares_one_seat() {
    let evm = Evm::start().await;
    let held = hold_up(&evm).await;
    let (_, examined) = verified(&evm, evm.payer()).await;
    let before = evm.revenue();
    let (one, two) = (begin(&evm, &examined), begin(&evm, &examined));
    wait_until(|| one.journal.lines().len() + two.journal.lines().len() == 1).await;
    evm.net.release_mining();
    let (one, two) = (one.task.await.unwrap(), two.task.await.unwrap());
    assert_eq!(transaction(&one), transaction(&two));
    transaction(&held.task.await.unwrap());
    assert_eq!(evm.revenue() - before, 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_transaction_that_the_node_forgot_is_sent_again() {
    let evm = Evm::start().await;
    let held = hold_up(&evm).await;
    let (_, examined) = verified(&evm, evm.payer()).await;
    let settling = begin(&evm, &examined);
    wait_until(|| evm.net.waiting_transactions() == 2).await;
    let hash = settling.journal.lines()[0].parse().unwrap();
    assert!(evm.net.drop_transaction(hash));
    evm.net.release_mining();
    let outcome = settling.task.await.unwrap();
    assert_eq!(settling.journal.lines(), [transaction(&outcome)]);
    transaction(&held.task.await.unwrap());
}

/// What becomes of a receipt.
type Lie = fn(&mut Value);

/// The receipts of an answer.
fn receipts(answer: &mut Value) -> impl Iterator<Item = &mut Value> {
    let items = match answer {
        Value::Array(items) => items.iter_mut().collect(),
        item => vec![item],
    };
    let results = items.into_iter().filter_map(|item| item.get_mut("result"));
    results.filter(|result| result["transactionHash"].is_string() && result["logs"].is_array())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hides_logs_or_calls_a_success_a_failure_is_not_believed() {
    let hide_logs: Lie = |receipt| receipt["logs"] = json!([]);
    let say_failed: Lie = |receipt| {
        receipt["logs"] = json!([]);
        receipt["status"] = json!("0x0");
    };
    for lie in [hide_logs, say_failed] {
        let net = crate::evm::deployed(DevnetOptions::quiet());
        let (is_lying, lies) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (mood, count) = (Arc::clone(&is_lying), Arc::clone(&lies));
        let url = relay::before(net.rpc_url(), move |_, mut answer| {
            if mood.load(Ordering::SeqCst) {
                let told = receipts(&mut answer).map(lie).count();
                count.fetch_add(told, Ordering::SeqCst);
            }
            answer
        });
        let url = url.await;
        let evm = Evm::on(net, |network| network.rpc = vec![url], |_| ()).await;
        let held = hold_up(&evm).await;
        let payments = [
            verified(&evm, evm.payer()).await.1,
            verified(&evm, evm.payer()).await.1,
        ];
        let before = evm.revenue();
        let (one, two) = (begin(&evm, &payments[0]), begin(&evm, &payments[1]));
        wait_until(|| !one.journal.lines().is_empty() && !two.journal.lines().is_empty()).await;
        is_lying.store(true, Ordering::SeqCst);
        evm.net.release_mining();
        // The token is asked, whose word the receipts of the search then bear out.
        wait_until(|| evm.revenue() - before == 3_000).await;
        for settling in [one, two, held] {
            let outcome = settling.task.await.unwrap();
            assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        }
        assert_eq!(evm.revenue() - before, 3_000);
        assert!(lies.load(Ordering::SeqCst) > 0, "it has lied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_whose_settlements_revert_is_refused_before_anything_is_claimed() {
    let evm = Evm::start().await;
    let payer = payer_with(&evm, 0x33, 10_000);
    let theirs = stranger(&evm).await;
    let mut payments = Vec::new();
    for _ in 0..3 {
        let payment = seen_later(verified(&evm, &payer).await.1);
        let journal = Recorder::new();
        transaction(&theirs.settle(&payment.handle, journal, WAIT_MS).await);
        payments.push(payment);
    }
    // The payer is known, and nothing is simulated.
    let (_, next) = verified(&evm, &payer).await;
    let held = hold_up(&evm).await;
    let settling: Vec<_> = payments.iter().map(|p| begin(&evm, p)).collect();
    release(&evm, &settling.iter().collect::<Vec<_>>()).await;
    transaction(&held.task.await.unwrap());
    for settling in settling {
        let outcome = settling.task.await.unwrap();
        assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    }
    let refusal = evm.collector().verify(&next).await.unwrap_err();
    assert!(refusal.is_ours, "the credential is not burned");
    assert_eq!(refusal.reason, Reason::UnexpectedVerify);
    assert!(refusal.message.contains("reverted today"), "{refusal}");
    // Others are served as before.
    verified(&evm, evm.payer()).await;
}

const BURNING: &str = include_str!("../../../../contracts/artifacts/BurningWallet.runtime.hex");

/// One of three payers gets code, after it was verified, that burns all gas it is given.
async fn a_burning_payer_among(evm: &Evm) {
    let burner = payer_with(evm, 0x32, 1_000);
    let (_, bad) = verified(evm, &burner).await;
    let held = hold_up(evm).await;
    let payments = [
        verified(evm, evm.payer()).await.1,
        verified(evm, evm.payer()).await.1,
    ];
    let address: alloy_primitives::Address = bad.terms.payer.as_ref().unwrap().parse().unwrap();
    let code = alloy_primitives::hex::decode(BURNING.trim()).unwrap();
    evm.net.set_code(address, code.into());
    let before = evm.revenue();
    let one = begin(evm, &payments[0]);
    let bad = begin(evm, &bad);
    let two = begin(evm, &payments[1]);
    release(evm, &[&one, &bad, &two]).await;
    for good in [held, one, two] {
        transaction(&good.task.await.unwrap());
    }
    let outcome = bad.task.await.unwrap();
    assert!(
        matches!(&outcome, Outcome::Rejected(r) if !r.is_ours),
        "{outcome:?}"
    );
    assert_eq!(evm.revenue() - before, 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_who_gets_burning_code_harms_no_neighbour() {
    a_burning_payer_among(&Evm::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_settler_a_burning_payer_is_set_apart() {
    let net = Devnet::start(DevnetOptions::quiet()).unwrap();
    a_burning_payer_among(&Evm::on(net, |_| (), |_| ()).await).await;
}

/// The journal of a payment for which an earlier attempt has sent something.
struct Again;

#[async_trait]
impl Journal for Again {
    fn is_again(&self) -> bool {
        true
    }

    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        panic!("{transaction:?} must not be sent")
    }

    async fn handing_over(&self, _: &Handle) -> Result<(), RailError> {
        panic!("this rail settles by itself")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_is_looked_for_before_it_is_sent_again() {
    let evm = Evm::start().await;
    let (_, examined) = verified(&evm, evm.payer()).await;
    // Another process has sent it, and this one has not heard of it.
    let other = evm.restarted().await;
    let first = other.settle(&examined.handle, Recorder::new(), WAIT_MS);
    let hash = transaction(&first.await);
    let again = evm
        .collector()
        .settle(&examined.handle, Arc::new(Again), WAIT_MS)
        .await;
    assert_eq!(transaction(&again), hash);
}
