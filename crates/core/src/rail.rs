//! How money moves: the traits that every rail fills in, for paying and for collecting.
//!
//! `PayRail` quotes offers and signs, or pays first where the credential is the proof of payment;
//! `CollectRail` makes offers, examines credentials and settles ([`crate::invoice`] is for rails
//! where money moves first). All can `check`: ask the chain or node what became of a payment, which is
//! the only way out of Unknown (ARCHITECTURE laws 3 and 4). A rail never decides about budgets or
//! delivery.

use std::sync::Arc;

use async_trait::async_trait;
use farebox_wire::caip::{AssetId, ChainId};
use farebox_wire::challenge::{Challenge, Offer, X402Offer};
use farebox_wire::identity::Identity;
use farebox_wire::money::{Amount, UsdMicros};
use farebox_wire::x402::Version;
use farebox_wire::x402::reason::Reason;
use farebox_wire::x402::types::{PaymentPayload, PaymentRequirements, SupportedKind};
use serde::{Deserialize, Serialize};

pub use crate::handle::Handle;
pub use crate::health::{NetworkHealth, SignerHealth};
use crate::ledger::{Ledger, LedgerError, Taker};
use crate::payment::Effect;

/// What a payment is: which money, how much, to whom. Stored with it and shown to people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How it is said on the wire: `x402`, `l402`.
    pub protocol: String,
    /// How money moves: `evm`, `solana`, `lightning`.
    pub rail: String,
    /// The chain.
    pub network: ChainId,
    /// `exact` …
    pub scheme: String,
    /// The asset, normalised.
    pub asset: AssetId,
    /// Its symbol, from our table or configuration, never from the peer.
    pub symbol: String,
    /// Its decimals, likewise.
    pub decimals: u8,
    /// Atomic units.
    pub amount: Amount,
    /// The most that carrying it may cost the payer besides, in the same units: routing fees. It
    /// is held with the amount; what was not needed is given back when the payment settles.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fee_max: Amount,
    /// What amount and fee are worth, rounded up.
    pub cost: UsdMicros,
    /// Who is paid, normalised.
    pub payee: String,
    /// Who pays, normalised; unknown to a Lightning seller.
    pub payer: Option<String>,
}

impl Terms {
    /// Whether the money moves before there is a credential, see [`PayRail::pay`].
    #[must_use]
    pub fn is_prepaid(&self) -> bool {
        self.rail == "lightning"
    }
}

// The shape that serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(amount: &Amount) -> bool {
    amount.is_zero()
}

/// What a rail learned about a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It has moved the money.
    Settled {
        /// Hash of the transaction, of ours or of somebody else's.
        transaction: String,
        /// Whether it can no longer be undone.
        is_final: bool,
    },
    /// It has not, and still may.
    Open,
    /// It has not and never will: unused at a final block after its expiry, or cancelled.
    NeverWill,
    /// The rail was asked and gave no answer that can be read: nothing is known now, and asking
    /// again may help.
    Unanswered {
        /// For the log.
        why: String,
    },
    /// There is nobody to ask (not configured), or nobody who could know: nothing is known, and
    /// asking again will not help.
    CannotTell {
        /// For the log.
        why: String,
    },
}

/// An offer, as the rail that can pay it understands it.
#[derive(Clone, Debug)]
pub struct Quote {
    /// The real amount, payee and cost.
    pub terms: Terms,
    /// The offer that it answers.
    pub offer: Offer,
    /// The longest that the offer lets a credential live, in seconds.
    pub max_timeout_s: u64,
    /// Whether real money is at stake, as opposed to a test network's.
    pub is_mainnet: bool,
}

/// Why a rail does not pay an offer; one sentence for `--dry-run`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotPayable {
    /// Machine code.
    pub code: &'static str,
    /// One sentence.
    pub why: String,
}

/// A signed credential. Whoever holds the text can take the money, so it has no `Debug`.
#[derive(Clone)]
pub struct Credential {
    /// The header that carries it, lower case.
    pub header: String,
    /// Its text.
    pub value: String,
}

/// What signing gives, or, where the money has to move first, what names the payment.
pub struct Authorised {
    /// To be stored, then sent; `None` where [`PayRail::pay`] comes first and gives it.
    pub credential: Option<Credential>,
    /// The name of the payment.
    pub identity: Identity,
    /// For [`PayRail::check`].
    pub handle: Handle,
    /// When the credential dies by itself, in Unix seconds; of a payment that comes first, until
    /// when it can be begun.
    pub valid_before_s: u64,
}

/// How a payment ended that comes before its credential.
pub enum Paid {
    /// The money has moved, and this proves it.
    Settled {
        /// Shown to the seller.
        credential: Credential,
        /// Names the payment on the rail: on Lightning the payment hash.
        transaction: String,
        /// What carrying it has cost, in the terms' atomic units; at most the terms' `fee_max`.
        fee: Amount,
        /// What amount and fee were worth, rounded up.
        cost: UsdMicros,
    },
    /// The rail says that it has not moved and, by this attempt, will not.
    Failed {
        /// Machine code.
        reason: String,
        /// One sentence.
        message: String,
    },
    /// Nobody knows yet: ask by [`PayRail::check`], or call again.
    Unknown {
        /// Machine code.
        reason: String,
    },
}

/// Why a rail could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RailError {
    /// Machine code.
    pub code: &'static str,
    /// One sentence that says what to do.
    pub message: String,
}

/// Pays. Holds keys, so only the desk of a wallet has one.
#[async_trait]
pub trait PayRail: Send + Sync {
    /// `evm`, `solana`, `lightning`.
    fn rail(&self) -> &'static str;

    /// Understands an offer, or says why it is not payable. Values come from our table and
    /// configuration, never from the offer's own words (law 11).
    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable>;

    /// Signs. `valid_for_s` is already capped; `challenge` supplies what must be echoed.
    async fn authorise(
        &self,
        quote: &Quote,
        challenge: &Challenge,
        valid_for_s: u64,
    ) -> Result<Authorised, RailError>;

    /// Pays what was authorised without a credential, and gives the credential that proves it. It
    /// moves money once for one handle, however often and by however many processes it is called:
    /// what is on its way is waited for, and what has been paid gives its proof again. Returns
    /// after `wait_ms` at the latest, then with [`Paid::Unknown`]; the payment goes on.
    ///
    /// The caller has written [`crate::payment::Event::Sending`] before.
    async fn pay(&self, handle: &Handle, wait_ms: u64) -> Paid {
        let _ = (handle, wait_ms);
        Paid::Failed {
            reason: "not_prepaid".to_owned(),
            message: "on this rail a credential comes first".to_owned(),
        }
    }

    /// Asks what became of a payment.
    async fn check(&self, handle: &Handle) -> Finding;

    /// What the wallet has of every asset that is known on its networks.
    async fn balances(&self) -> Vec<Result<Holding, RailError>>;
}

/// What a wallet has of one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// The chain.
    pub network: ChainId,
    /// The asset.
    pub asset: AssetId,
    /// Its symbol.
    pub symbol: String,
    /// Its decimals.
    pub decimals: u8,
    /// Whose it is.
    pub address: String,
    /// Atomic units.
    pub amount: Amount,
}

/// How a seller wants a route to be paid, before rails turn it into offers.
#[derive(Clone, Debug)]
pub struct Price {
    /// In US dollars.
    pub usd: UsdMicros,
    /// How long a credential may live.
    pub max_timeout_s: u64,
    /// Whether settlement comes before the upstream is called (`extra.paymentFlow = "upfront"`).
    pub upfront: bool,
}

/// An offer of ours: what goes into `accepts`, and what the rail knows about it.
#[derive(Clone, Debug)]
pub struct SellerOffer {
    /// As it is written into the challenge.
    pub requirements: PaymentRequirements,
    /// The same as JSON, for matching.
    pub raw: serde_json::Value,
    /// The terms, without a payer.
    pub terms: Terms,
}

impl SellerOffer {
    /// As a buyer reads it in a challenge of version 2.
    #[must_use]
    pub fn as_read(&self) -> Offer {
        Offer::X402(X402Offer {
            version: Version::V2,
            requirements: self.requirements.clone(),
            raw: self.raw.clone(),
        })
    }
}

/// A credential that passed every check that needs no chain.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The name of the payment.
    pub identity: Identity,
    /// SHA-256 of the canonical payload, so that a second authorization under the same name is
    /// told from a repeat.
    pub payload_digest: [u8; 32],
    /// The terms, with the payer.
    pub terms: Terms,
    /// When the credential dies by itself, in Unix seconds.
    pub valid_before_s: u64,
    /// For `verify`, `settle` and `check`.
    pub handle: Handle,
    /// Whether the signature is good. Where it is not known yet, only [`CollectRail::verify`] can
    /// tell: until then the credential may be anybody's, and nothing may be kept for it.
    pub signature: SignatureCheck,
}

/// What is known of a signature without asking a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureCheck {
    /// It is the payer's.
    Good,
    /// It is not that of an ordinary account; a contract at the payer's address may accept it.
    AskChain,
}

/// What a payer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funds {
    /// Atomic units of the offer's asset, as the chain said.
    Balance(Amount),
    /// Nobody told how much: enough for this payment alone.
    EnoughForOne,
}

/// A credential that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Refusal {
    /// The code on the wire.
    pub reason: Reason,
    /// One sentence for people.
    pub message: String,
    /// Whether the fault is ours or the chain's, so that the buyer may simply try again: a
    /// server answers 502 or 503 instead of 402.
    pub is_ours: bool,
}

/// How a settlement ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money has moved.
    Settled {
        /// Hash of the transaction.
        transaction: String,
        /// Whether it can no longer be undone.
        is_final: bool,
        /// How that is known.
        proof: Proof,
    },
    /// It has not and, by this credential, will not.
    Rejected(Refusal),
    /// Nobody knows yet; the transactions that were sent are in the journal.
    Unknown {
        /// Machine code.
        reason: String,
    },
}

/// How a settlement is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The chain has it.
    Chain,
    /// A facilitator says so, and there is no chain to ask.
    Word,
}

/// A transaction that was sent for a payment: with the payment's identity the handle of what is
/// unknown (law 4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SentTransaction {
    /// Its hash.
    pub hash: String,
    /// Who signed it; `None` where it is a stranger's.
    pub signer: Option<String>,
    /// Its place among the signer's transactions, where the rail counts them and it is ours.
    pub nonce: Option<u64>,
}

impl SentTransaction {
    /// Somebody else's, found on the chain.
    #[must_use]
    pub fn by_stranger(hash: impl Into<String>) -> Self {
        Self {
            hash: hash.into(),
            signer: None,
            nonce: None,
        }
    }
}

/// Where the line of one payment belongs, among those of others.
pub struct Page {
    /// The books.
    pub ledger: Arc<dyn Ledger>,
    /// The payment in them.
    pub taker: Taker,
    /// The time in Unix milliseconds.
    pub now_ms: u64,
}

/// Where a rail writes before it acts (law 2). A rail may keep it for as long as it follows a
/// payment, longer than the caller waits: a transaction that replaces another is written too.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Whether something was sent for this payment before, by this process or an earlier one. A
    /// rail then asks the chain before it sends again.
    fn is_again(&self) -> bool {
        false
    }

    /// Makes durable that `transaction` is about to leave. The rail must not send if this fails.
    async fn sending(&self, transaction: &SentTransaction) -> Result<(), RailError>;

    /// Where the line of [`Journal::sending`] could be written together with other payments' by
    /// [`Ledger::apply_to_each`]; `None` where it has to be written by itself.
    fn page(&self) -> Option<Page> {
        None
    }

    /// What came of the line that was written in the [`Page`]: as [`Journal::sending`].
    fn written(&self, line: Result<Vec<Effect>, LedgerError>) -> Result<(), RailError> {
        let _ = line;
        Err(RailError {
            code: "not_recorded",
            message: "this journal has no page to write on".to_owned(),
        })
    }

    /// Makes durable that the credential itself is about to leave for somebody else who can settle
    /// it, in a transaction whose hash nobody knows yet; and with it the handle that says to whom,
    /// in place of the one before. The rail must not hand it over if this fails.
    async fn handing_over(&self, handle: &Handle) -> Result<(), RailError>;
}

/// Collects.
#[async_trait]
pub trait CollectRail: Send + Sync {
    /// `evm`, `solana`, `lightning`.
    fn rail(&self) -> &'static str;

    /// The offers that this rail makes for a price, one per network and asset.
    fn offers(&self, price: &Price) -> Result<Vec<SellerOffer>, RailError>;

    /// Understands an offer that somebody else made, for a facilitator: a token that is known here,
    /// a payee that can be paid. Values come from our table, never from the offer's own words.
    fn offer_of(&self, requirements: &PaymentRequirements) -> Result<SellerOffer, Refusal>;

    /// What can be verified and settled here, one entry per network and scheme.
    fn kinds(&self) -> Vec<SupportedKind>;

    /// Who sends the settlements: pattern (`eip155:*`) and addresses. Empty where nobody does.
    fn signers(&self) -> Vec<(String, Vec<String>)>;

    /// How each network does. Asked for by people and by load balancers, so it may take a second.
    async fn health(&self) -> Vec<NetworkHealth>;

    /// Checks everything that needs no chain: shape, scheme, network, payee, amount, time,
    /// signature. `now_s` is the seller's clock in Unix seconds.
    fn examine(
        &self,
        payload: &PaymentPayload,
        offer: &SellerOffer,
        now_s: u64,
    ) -> Result<Examined, Refusal>;

    /// Checks what only the chain knows: whether the authorization is unused and funded, and
    /// whether a contract accepts the signature. May answer from what the chain said within the
    /// last block, and takes off what has been settled here since.
    async fn verify(&self, examined: &Examined) -> Result<Funds, Refusal>;

    /// Moves the money. Returns at the latest after `wait_ms`, then with `Unknown`.
    async fn settle(&self, handle: &Handle, journal: Arc<dyn Journal>, wait_ms: u64) -> Outcome;

    /// Whether the transaction of this name can be the one that settles a payment, as far as nobody
    /// has to be asked: a stranger says that it is. `true` where the name does not tell.
    fn can_be(&self, handle: &Handle, transaction: &str) -> bool {
        let _ = (handle, transaction);
        true
    }

    /// Asks what became of a payment.
    async fn check(&self, handle: &Handle) -> Finding;

    /// Asks what became of many payments: one finding for each, in their order. A rail that can
    /// ask about many at once does.
    async fn check_all(&self, asked: &[Asked<'_>]) -> Vec<Finding> {
        let mut findings = Vec::with_capacity(asked.len());
        for asked in asked {
            findings.push(self.check(asked.handle).await);
        }
        findings
    }
}

/// A payment that a rail is asked about together with others.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// For the rail.
    pub handle: &'a Handle,
    /// Hash of the transaction that is on record as having settled it, or as sent last for it.
    pub transaction: Option<&'a str>,
    /// Whether the books have counted it as settled; where not, they are about to.
    pub is_counted: bool,
}
