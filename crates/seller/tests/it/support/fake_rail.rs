//! A rail whose chain is a table in memory and whose every answer a test can choose.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use farebox_core::rail::{
    CollectRail, Examined, Finding, Funds, Handle, Journal, NetworkHealth, Outcome, Price, Proof,
    RailError, Refusal, SellerOffer, SentTransaction, SignatureCheck, Terms,
};
use farebox_wire::caip::ChainId;
use farebox_wire::identity::Identity;
use farebox_wire::money::Amount;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequirements, SupportedKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// What the next settlement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Sends, and the money moves; not final.
    Settle,
    /// Sends, and nobody hears of it again; the test decides later.
    GoSilent,
    /// Refuses before anything is sent.
    Reject,
    /// Sends, and the chain refuses.
    Revert,
    /// Cannot send: the node is away.
    Unreachable,
    /// Writes the journal, then cannot send: the gas key is empty.
    OutOfGas,
}

/// See the module.
pub(crate) struct FakeRail {
    plan: Mutex<Plan>,
    balance: Mutex<u128>,
    /// Identity to what the chain says of it.
    chain: Mutex<HashMap<String, Finding>>,
    /// About which nonces the chain was asked, in this order.
    asked: Mutex<Vec<String>>,
    /// Whether nobody knows how much the payer has.
    is_blind: Mutex<bool>,
    /// Whether verifying fails because of us.
    is_away: Mutex<bool>,
    /// Whether verifying a wallet's junk waits here before it is refused; full of permits unless a
    /// test takes them.
    pub(crate) wallet_gate: Semaphore,
    pub(crate) verified: AtomicUsize,
    pub(crate) settled: AtomicUsize,
    /// Settlements wait here; full of permits unless a test takes them.
    pub(crate) gate: Semaphore,
    /// Questions to the chain wait here; full of permits unless a test takes them.
    pub(crate) chain_gate: Semaphore,
}

const OPEN_GATE: usize = 1_000_000;
/// What this rail's wallets sign, and what they do not.
pub(crate) const SIGNED_BY_A_WALLET: &str = "of a contract";
pub(crate) const JUNK_OF_A_WALLET: &str = "of a contract, junk";

impl FakeRail {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            plan: Mutex::new(Plan::Settle),
            balance: Mutex::new(1_000_000),
            chain: Mutex::default(),
            asked: Mutex::default(),
            is_blind: Mutex::new(false),
            is_away: Mutex::new(false),
            wallet_gate: Semaphore::new(OPEN_GATE),
            verified: AtomicUsize::new(0),
            settled: AtomicUsize::new(0),
            gate: Semaphore::new(OPEN_GATE),
            chain_gate: Semaphore::new(OPEN_GATE),
        })
    }

    pub(crate) fn plan(&self, plan: Plan) {
        *self.plan.lock().expect("lock") = plan;
    }

    pub(crate) fn set_balance(&self, balance: u128) {
        *self.balance.lock().expect("lock") = balance;
    }

    pub(crate) fn set_blind(&self, is_blind: bool) {
        *self.is_blind.lock().expect("lock") = is_blind;
    }

    pub(crate) fn set_away(&self, is_away: bool) {
        *self.is_away.lock().expect("lock") = is_away;
    }

    /// What the chain says about the payment with this nonce from now on.
    pub(crate) fn chain_says(&self, nonce: &str, finding: Finding) {
        self.chain
            .lock()
            .expect("lock")
            .insert(nonce.to_owned(), finding);
    }

    /// About which payments the chain was asked, in this order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }

    /// Lets no question to the chain be answered.
    pub(crate) fn hang_chain(&self) {
        self.chain_gate.forget_permits(OPEN_GATE);
    }

    /// Holds every settlement until [`FakeRail::open_gate`].
    pub(crate) fn close_gate(&self) {
        self.gate.forget_permits(OPEN_GATE);
    }

    pub(crate) fn open_gate(&self) {
        self.gate.add_permits(OPEN_GATE);
    }

    /// Holds the verification of every wallet's junk until [`FakeRail::open_wallet_gate`].
    pub(crate) fn close_wallet_gate(&self) {
        self.wallet_gate.forget_permits(OPEN_GATE);
    }

    pub(crate) fn open_wallet_gate(&self) {
        self.wallet_gate.add_permits(OPEN_GATE);
    }

    pub(crate) fn settlements(&self) -> usize {
        self.settled.load(Ordering::SeqCst)
    }

    pub(crate) fn verifications(&self) -> usize {
        self.verified.load(Ordering::SeqCst)
    }
}

pub(crate) fn hash_of(nonce: &str) -> String {
    format!("0x{}", hex::encode(Sha256::digest(nonce)))
}

fn refusal(reason: Reason, is_ours: bool) -> Refusal {
    Refusal {
        reason,
        message: format!("the fake rail says {reason}"),
        is_ours,
    }
}

fn text<'a>(payload: &'a Value, field: &str) -> &'a str {
    payload.get(field).and_then(Value::as_str).unwrap_or("")
}

#[async_trait]
impl CollectRail for FakeRail {
    fn rail(&self) -> &'static str {
        "evm"
    }

    fn offers(&self, price: &Price) -> Result<Vec<SellerOffer>, RailError> {
        let network = ChainId::eip155(84532);
        let amount = Amount::from_atomic(price.usd.0);
        let mut extra = serde_json::Map::new();
        extra.insert("name".to_owned(), json!("USDC"));
        if price.upfront {
            extra.insert("paymentFlow".to_owned(), json!("upfront"));
        }
        let token = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
        let requirements = PaymentRequirements {
            scheme: "exact".to_owned(),
            network: network.clone(),
            amount,
            asset: token.to_owned(),
            pay_to: "0xa0ee7a142d267c1f36714e4a8f75612f20a79720".to_owned(),
            max_timeout_seconds: price.max_timeout_s,
            extra: Some(extra),
        };
        Ok(vec![SellerOffer {
            raw: serde_json::to_value(&requirements).expect("json"),
            terms: Terms {
                protocol: "x402".to_owned(),
                rail: "evm".to_owned(),
                asset: format!("{network}/erc20:{token}").parse().expect("asset"),
                network,
                scheme: "exact".to_owned(),
                symbol: "USDC".to_owned(),
                decimals: 6,
                amount,
                fee_max: Amount::ZERO,
                cost: price.usd,
                payee: requirements.pay_to.clone(),
                payer: None,
            },
            requirements,
        }])
    }

    fn offer_of(&self, _: &PaymentRequirements) -> Result<SellerOffer, Refusal> {
        unreachable!("sellers make their offers themselves")
    }

    fn kinds(&self) -> Vec<SupportedKind> {
        Vec::new()
    }

    fn signers(&self) -> Vec<(String, Vec<String>)> {
        Vec::new()
    }

    async fn health(&self) -> Vec<NetworkHealth> {
        Vec::new()
    }

    fn examine(
        &self,
        payload: &PaymentPayload,
        offer: &SellerOffer,
        now_s: u64,
    ) -> Result<Examined, Refusal> {
        let body = &payload.payload;
        let signature = match text(body, "signature") {
            "good" => SignatureCheck::Good,
            // A wallet's: only `verify` tells the good ones from the others.
            wallet if wallet.starts_with(SIGNED_BY_A_WALLET) => SignatureCheck::AskChain,
            _ => return Err(refusal(Reason::InvalidSignature, false)),
        };
        let valid_before_s = body.get("validBefore").and_then(Value::as_u64).unwrap_or(0);
        if now_s >= valid_before_s {
            return Err(refusal(Reason::ValidBefore, false));
        }
        let nonce = text(body, "nonce");
        let mut terms = offer.terms.clone();
        terms.payer = Some("0x70997970c51812dc3a010c7d01b50e0d17dc79c8".to_owned());
        Ok(Examined {
            identity: Identity::from_stored(&format!("fake:{nonce}")),
            payload_digest: Sha256::digest(body.to_string()).into(),
            terms,
            valid_before_s,
            handle: Handle::new(match text(body, "signature") {
                JUNK_OF_A_WALLET => format!("{nonce}:junk"),
                _ => nonce.to_owned(),
            }),
            signature,
        })
    }

    async fn verify(&self, examined: &Examined) -> Result<Funds, Refusal> {
        self.verified.fetch_add(1, Ordering::SeqCst);
        if examined.handle.text().ends_with(":junk") {
            self.wallet_gate.acquire().await.expect("open").forget();
            self.wallet_gate.add_permits(1);
            return Err(refusal(Reason::InvalidSignature, false));
        }
        let is_used = self
            .chain
            .lock()
            .expect("lock")
            .contains_key(examined.handle.text());
        if examined.signature == SignatureCheck::AskChain && is_used {
            return Err(refusal(Reason::NonceAlreadyUsed, false));
        }
        if *self.is_away.lock().expect("lock") {
            return Err(refusal(Reason::UnexpectedVerify, true));
        }
        let balance = Amount::from_atomic(*self.balance.lock().expect("lock"));
        if balance.is_zero() {
            return Err(refusal(Reason::InsufficientBalance, false));
        }
        if *self.is_blind.lock().expect("lock") {
            return Ok(Funds::EnoughForOne);
        }
        Ok(Funds::Balance(balance))
    }

    async fn settle(&self, handle: &Handle, journal: Arc<dyn Journal>, _: u64) -> Outcome {
        self.settled.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.expect("open").forget();
        self.gate.add_permits(1);
        let plan = self.plan.lock().expect("lock").clone();
        match plan {
            Plan::Reject => {
                return Outcome::Rejected(refusal(Reason::NonceAlreadyUsed, false));
            }
            Plan::Unreachable => {
                return Outcome::Rejected(refusal(Reason::UnexpectedSettle, true));
            }
            Plan::Settle | Plan::GoSilent | Plan::Revert | Plan::OutOfGas => {}
        }
        let transaction = hash_of(handle.text());
        let line = SentTransaction {
            hash: transaction.clone(),
            signer: Some("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266".to_owned()),
            nonce: Some(7),
        };
        if let Err(error) = journal.sending(&line).await {
            return Outcome::Unknown {
                reason: error.code.to_owned(),
            };
        }
        match plan {
            Plan::Settle => {
                let finding = Finding::Settled {
                    transaction: transaction.clone(),
                    is_final: false,
                };
                self.chain_says(handle.text(), finding);
                Outcome::Settled {
                    transaction,
                    is_final: false,
                    proof: Proof::Chain,
                }
            }
            Plan::Revert => Outcome::Rejected(refusal(Reason::TransactionFailed, false)),
            Plan::OutOfGas => Outcome::Rejected(refusal(Reason::UnexpectedSettle, true)),
            _ => Outcome::Unknown {
                reason: "no_receipt".to_owned(),
            },
        }
    }

    async fn check(&self, handle: &Handle) -> Finding {
        self.asked
            .lock()
            .expect("lock")
            .push(handle.text().to_owned());
        self.chain_gate.acquire().await.expect("open").forget();
        self.chain_gate.add_permits(1);
        let chain = self.chain.lock().expect("lock");
        chain
            .get(handle.text())
            .cloned()
            .unwrap_or(Finding::CannotTell {
                why: "the test has not said".to_owned(),
            })
    }
}
