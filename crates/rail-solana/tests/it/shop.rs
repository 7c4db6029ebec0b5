//! A devnet with a collector, and buyers who build their transactions by hand, so that they can
//! build wrong ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use farebox_core::clock::{Clock, SystemClock};
use farebox_core::rail::{
    CollectRail, Examined, Funds, Handle, Journal, Outcome, Price, RailError, Refusal, SellerOffer,
    SentTransaction,
};
use farebox_devnet_svm::{Account, DevnetSvm, DevnetSvmOptions};
use farebox_rail_solana::{CollectorOptions, Network, SolanaCollector, SolanaKey};
use farebox_wire::money::UsdMicros;
use farebox_wire::svm::SvmAddress;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::PaymentPayload;
use serde_json::json;
use solana_address::Address;
use solana_compute_budget_interface::ComputeBudgetInstruction;
use solana_hash::Hash;
use solana_instruction::Instruction;
use solana_message::{VersionedMessage, v0};
use solana_signature::Signature;
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;
use spl_associated_token_account_interface::address::get_associated_token_address;

/// Longer than any settlement on a local chain takes.
pub(crate) const WAIT_MS: u64 = 20_000;
const MEMO: Address = Address::from_str_const("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");

/// The computer's clock, which a test may put forward.
#[derive(Default)]
pub(crate) struct TestClock {
    ahead_ms: AtomicU64,
}

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap();
        self.ahead_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        SystemClock.now_ms() + self.ahead_ms.load(Ordering::SeqCst)
    }
}

/// A journal that keeps its lines, and refuses to when told.
#[derive(Default)]
pub(crate) struct Recorder {
    sent: Mutex<Vec<SentTransaction>>,
    refuses: AtomicBool,
    is_again: bool,
}

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The journal of a process that has started again since it sent something.
    pub(crate) fn again() -> Arc<Self> {
        Arc::new(Self {
            is_again: true,
            ..Self::default()
        })
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().map(|sent| sent.hash.clone()).collect()
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }
}

#[async_trait]
impl Journal for Recorder {
    fn is_again(&self) -> bool {
        self.is_again
    }

    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(RailError {
                code: "disk_full",
                message: "no room".into(),
            });
        }
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(transaction.clone());
        Ok(())
    }

    async fn handing_over(&self, _: &Handle) -> Result<(), RailError> {
        panic!("this rail settles by itself")
    }
}

pub(crate) struct Shop {
    pub(crate) net: DevnetSvm,
    pub(crate) network: Network,
    pub(crate) collector: Arc<SolanaCollector>,
    pub(crate) clock: Arc<TestClock>,
}

impl Shop {
    /// Where a transaction is executed and final when it is sent.
    pub(crate) async fn open() -> Self {
        Self::with(DevnetSvmOptions::quick(), |_| ()).await
    }

    pub(crate) async fn with(options: DevnetSvmOptions, change: impl FnOnce(&mut Network)) -> Self {
        let net = DevnetSvm::start(options).unwrap();
        let mut network = Network::new(net.network().parse().unwrap());
        network.rpc = vec![net.rpc_url()];
        change(&mut network);
        let clock = Arc::new(TestClock::default());
        let collector = collector(&net, &network, &clock, |_| ());
        collector.start().await.unwrap();
        Self {
            net,
            network,
            collector: Arc::new(collector),
            clock,
        }
    }

    /// A collector that has just started and remembers nothing.
    pub(crate) async fn restarted(&self) -> SolanaCollector {
        let collector = collector(&self.net, &self.network, &self.clock, |_| ());
        collector.start().await.unwrap();
        collector
    }

    /// The account that pays fees.
    pub(crate) fn fee_payer(&self) -> Address {
        self.net.accounts()[0].address
    }

    pub(crate) fn payee(&self) -> Address {
        self.net.accounts()[9].address
    }

    pub(crate) fn buyer(&self) -> Account {
        self.net.accounts()[1]
    }

    /// What the payee has, in atomic units.
    pub(crate) fn revenue(&self) -> u64 {
        self.net.token_balance(self.payee(), self.net.usdc())
    }

    pub(crate) fn offer(&self) -> SellerOffer {
        let price = Price {
            usd: UsdMicros(1_000),
            max_timeout_s: 60,
            upfront: false,
        };
        self.collector.offers(&price).unwrap().remove(0)
    }

    /// The block that a buyer would name now.
    pub(crate) async fn blockhash(&self) -> Hash {
        let config = json!([{"commitment": "confirmed"}]);
        let answer = rpc(&self.net, "getLatestBlockhash", config).await;
        answer["value"]["blockhash"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// The transaction of an honest buyer.
    pub(crate) async fn transaction(&self, buyer: &Account) -> VersionedTransaction {
        let mint = self.net.usdc();
        let amount = u64::try_from(self.offer().requirements.amount.atomic()).unwrap();
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).unwrap();
        let instructions = [
            ComputeBudgetInstruction::set_compute_unit_limit(20_000),
            ComputeBudgetInstruction::set_compute_unit_price(1),
            spl_token_interface::instruction::transfer_checked(
                &spl_token_interface::ID,
                &get_associated_token_address(&buyer.address, &mint),
                &mint,
                &get_associated_token_address(&self.payee(), &mint),
                &buyer.address,
                &[],
                amount,
                6,
            )
            .unwrap(),
            Instruction::new_with_bytes(MEMO, hex::encode(salt).as_bytes(), vec![]),
        ];
        let blockhash = self.blockhash().await;
        let message =
            v0::Message::try_compile(&self.fee_payer(), &instructions, &[], blockhash).unwrap();
        let message = VersionedMessage::V0(message);
        let signature = buyer.keypair().sign_message(&message.serialize());
        VersionedTransaction {
            signatures: vec![Signature::default(), signature],
            message,
        }
    }

    pub(crate) fn payload(&self, transaction: &VersionedTransaction) -> PaymentPayload {
        let bytes = bincode::serialize(transaction).unwrap();
        serde_json::from_value(json!({
            "x402Version": 2,
            "accepted": self.offer().raw,
            "payload": {"transaction": STANDARD.encode(bytes)},
        }))
        .unwrap()
    }

    pub(crate) fn examine(&self, transaction: &VersionedTransaction) -> Examined {
        let payload = self.payload(transaction);
        let offer = self.offer();
        let now_s = self.clock.now_s();
        self.collector.examine(&payload, &offer, now_s).unwrap()
    }

    /// A new payment of the first buyer.
    pub(crate) async fn examined(&self) -> Examined {
        self.examined_of(&self.buyer()).await
    }

    pub(crate) async fn examined_of(&self, buyer: &Account) -> Examined {
        self.examine(&self.transaction(buyer).await)
    }

    pub(crate) async fn verified(&self, examined: &Examined) -> Funds {
        self.collector.verify(examined).await.unwrap()
    }

    pub(crate) async fn refused(&self, examined: &Examined) -> Refusal {
        self.collector.verify(examined).await.unwrap_err()
    }

    pub(crate) async fn settle(&self, examined: &Examined, journal: &Arc<Recorder>) -> Outcome {
        self.settle_within(examined, journal, WAIT_MS).await
    }

    pub(crate) async fn settle_within(
        &self,
        examined: &Examined,
        journal: &Arc<Recorder>,
        wait_ms: u64,
    ) -> Outcome {
        self.collector
            .settle(&examined.handle, journal.clone(), wait_ms)
            .await
    }

    /// Waits less than is needed until something has left, and comes back while it is under way.
    pub(crate) async fn under_way(&self, examined: &Examined, journal: &Arc<Recorder>) {
        loop {
            match self.settle_within(examined, journal, 300).await {
                Outcome::Unknown { .. } if !journal.lines().is_empty() => return,
                Outcome::Unknown { .. } => {}
                // Nothing had left when the time was over.
                Outcome::Rejected(refusal) if refusal.is_ours => {}
                other => panic!("nobody can know yet: {other:?}"),
            }
        }
    }

    /// Moves chain and clocks past the end of everything that was signed so far.
    pub(crate) fn expire(&self) {
        self.net.increase_time(Duration::from_secs(300));
        self.net.expire_blockhashes();
    }

    /// A payment that must not work is refused when verified and when settled; neither costs
    /// anything, and the fee payer has signed nothing.
    pub(crate) async fn never_pays(&self, examined: &Examined, reason: Reason) {
        let refusal = self.refused(examined).await;
        assert_eq!(refusal.reason, reason, "{refusal}");
        assert!(!refusal.is_ours, "{refusal}");
        let before = (self.revenue(), self.net.balance(self.fee_payer()));
        let (journal, sends) = (Recorder::new(), self.net.faults().calls("sendTransaction"));
        let outcome = self.settle(examined, &journal).await;
        assert!(
            matches!(&outcome, Outcome::Rejected(r) if r.reason == reason && !r.is_ours),
            "{outcome:?}"
        );
        assert!(journal.lines().is_empty());
        assert_eq!(self.net.faults().calls("sendTransaction"), sends);
        assert_eq!((self.revenue(), self.net.balance(self.fee_payer())), before);
    }
}

pub(crate) fn collector(
    net: &DevnetSvm,
    network: &Network,
    clock: &Arc<TestClock>,
    tell: impl FnOnce(&mut CollectorOptions),
) -> SolanaCollector {
    let accounts = net.accounts();
    let payee = SvmAddress(accounts[9].address.to_bytes());
    let fee_payer = SolanaKey::from_seed(&accounts[0].seed);
    let mut options = CollectorOptions::seller(payee, Arc::new(fee_payer));
    tell(&mut options);
    SolanaCollector::new(
        vec![network.clone()],
        options,
        Arc::clone(clock) as Arc<dyn Clock>,
    )
    .unwrap()
}

/// The name of a settlement.
pub(crate) fn transaction(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Settled { transaction, .. } => transaction.clone(),
        other => panic!("not settled: {other:?}"),
    }
}

/// What the fee payer signs: the name of the transaction.
pub(crate) fn name_of(shop: &Shop, transaction: &VersionedTransaction) -> String {
    let key = shop.net.accounts()[0].keypair();
    key.sign_message(&transaction.message.serialize())
        .to_string()
}

pub(crate) async fn rpc(
    net: &DevnetSvm,
    method: &str,
    params: serde_json::Value,
) -> serde_json::Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(net.rpc_url())
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    answer["result"].clone()
}
