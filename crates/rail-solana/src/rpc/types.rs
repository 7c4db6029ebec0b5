//! The calls of Solana's JSON-RPC that we make, and what we read of their results.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use farebox_wire::svm::{
    SvmAddress, SvmBlockhash, SvmSignature, SvmTransaction, TRANSACTION_BYTES_MAX,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::network::Commitment;

/// Bytes of one account's data that we read: token accounts with all their extensions, mints.
const ACCOUNT_BYTES_MAX: usize = 16 * 1024;

/// The word for blocks that nobody has voted for yet.
const NEWEST: &str = "processed";

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) params: Value,
}

impl Call {
    pub(crate) const fn new(method: &'static str, params: Value) -> Self {
        Self { method, params }
    }

    /// → `String`.
    pub(crate) fn genesis_hash() -> Self {
        Self::new("getGenesisHash", json!([]))
    }

    /// → [`At`]`<`[`Latest`]`>`.
    pub(crate) fn latest_blockhash(commitment: Commitment) -> Self {
        let config = json!({"commitment": commitment.word()});
        Self::new("getLatestBlockhash", json!([config]))
    }

    /// → [`At`]`<bool>`. A fresh hash is not yet valid at `finalized`, so that "no" alone does not
    /// mean that it is over: see [`crate::expiry`].
    pub(crate) fn is_blockhash_valid(
        hash: SvmBlockhash,
        commitment: Commitment,
        min_slot: u64,
    ) -> Self {
        Self::blockhash_valid(hash, commitment.word(), min_slot)
    }

    /// → [`At`]`<bool>`, as of the newest block that the node has, which is `min_slot` or later.
    pub(crate) fn is_blockhash_valid_now(hash: SvmBlockhash, min_slot: u64) -> Self {
        Self::blockhash_valid(hash, NEWEST, min_slot)
    }

    fn blockhash_valid(hash: SvmBlockhash, word: &str, min_slot: u64) -> Self {
        let config = json!({"commitment": word, "minContextSlot": min_slot});
        Self::new("isBlockhashValid", json!([hash, config]))
    }

    /// → [`At`]`<Vec<Option<`[`Account`]`>>>`; at most 100.
    pub(crate) fn accounts(accounts: &[SvmAddress], commitment: Commitment) -> Self {
        let config = json!({"encoding": "base64", "commitment": commitment.word()});
        Self::new("getMultipleAccounts", json!([accounts, config]))
    }

    /// → [`At`]`<u64>`, lamports.
    pub(crate) fn balance(account: SvmAddress, commitment: Commitment) -> Self {
        let config = json!({"commitment": commitment.word()});
        Self::new("getBalance", json!([account, config]))
    }

    /// → [`At`]`<Vec<Option<`[`Status`]`>>>`; at most 256.
    pub(crate) fn statuses(signatures: &[SvmSignature], in_history: bool) -> Self {
        let config = json!({"searchTransactionHistory": in_history});
        Self::new("getSignatureStatuses", json!([signatures, config]))
    }

    /// → `Vec<`[`Listed`]`>`, the newest first; at most `limit`, which is at most 1,000.
    pub(crate) fn transactions_of(
        account: SvmAddress,
        before: Option<SvmSignature>,
        limit: usize,
        min_slot: u64,
    ) -> Self {
        let mut config = json!({
            "limit": limit,
            "commitment": Commitment::Confirmed.word(),
            "minContextSlot": min_slot,
        });
        if let (Some(before), Some(config)) = (before, config.as_object_mut()) {
            config.insert("before".into(), json!(before));
        }
        Self::new("getSignaturesForAddress", json!([account, config]))
    }

    /// → `Option<`[`Found`](FoundTransaction)`>`.
    pub(crate) fn transaction(signature: SvmSignature) -> Self {
        let config = json!({
            "encoding": "base64",
            "commitment": Commitment::Confirmed.word(),
            "maxSupportedTransactionVersion": 0,
        });
        Self::new("getTransaction", json!([signature, config]))
    }

    /// → `u64`: the first slot whose transactions the node still knows.
    pub(crate) fn first_slot() -> Self {
        Self::new("getFirstAvailableBlock", json!([]))
    }

    /// → `Option<i64>`, Unix seconds.
    pub(crate) fn block_time(slot: u64) -> Self {
        Self::new("getBlockTime", json!([slot]))
    }

    /// → [`At`]`<`[`Simulated`]`>`: what the transaction would do just so, without asking whether
    /// its signatures are good. By the newest block, whatever has voted for it: buyers name fresh
    /// ones, and what was paid a moment ago must be seen.
    pub(crate) fn simulate(transaction: &SvmTransaction) -> Self {
        let config = json!({
            "encoding": "base64",
            "commitment": NEWEST,
            "sigVerify": false,
            "replaceRecentBlockhash": false,
        });
        Self::new("simulateTransaction", json!([transaction, config]))
    }

    /// → [`At`]`<Vec<Option<`[`Account`]`>>>`, by the newest block as well; at most 100.
    pub(crate) fn newest_accounts(accounts: &[SvmAddress]) -> Self {
        let config = json!({"encoding": "base64", "commitment": NEWEST});
        Self::new("getMultipleAccounts", json!([accounts, config]))
    }

    /// → `u64`: the newest slot that is confirmed.
    pub(crate) fn slot() -> Self {
        let config = json!({"commitment": Commitment::Confirmed.word()});
        Self::new("getSlot", json!([config]))
    }

    /// → `"ok"`; refused where the node has not caught up.
    pub(crate) fn health() -> Self {
        Self::new("getHealth", json!([]))
    }

    /// → [`SvmSignature`]. Handed over by [`super::Rpc::send`] only.
    /// What it would do was asked before.
    pub(super) fn send(transaction: &SvmTransaction) -> Self {
        let config = json!({"encoding": "base64", "skipPreflight": true});
        Self::new("sendTransaction", json!([transaction, config]))
    }
}

/// A value as it was at a slot.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct At<T> {
    pub(crate) context: Context,
    pub(crate) value: T,
}

/// When a value was so.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Context {
    pub(crate) slot: u64,
}

/// The newest block that may be named.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latest {
    pub(crate) blockhash: SvmBlockhash,
    /// The last block in which a transaction that names it can stand.
    pub(crate) last_valid_block_height: u64,
}

/// An account.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Account {
    #[serde(deserialize_with = "account_data")]
    pub(crate) data: Vec<u8>,
    pub(crate) owner: SvmAddress,
}

/// How sure the chain is of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// One node has run it.
    Processed,
    /// See [`Commitment::Confirmed`].
    Confirmed,
    /// See [`Commitment::Finalized`].
    Finalized,
}

impl Level {
    fn read(word: Option<&str>, is_rooted: bool) -> Self {
        match word {
            Some("finalized") => Self::Finalized,
            Some("confirmed") => Self::Confirmed,
            Some(_) => Self::Processed,
            None if is_rooted => Self::Finalized,
            None => Self::Processed,
        }
    }
}

impl From<Commitment> for Level {
    fn from(commitment: Commitment) -> Self {
        match commitment {
            Commitment::Confirmed => Self::Confirmed,
            Commitment::Finalized => Self::Finalized,
        }
    }
}

/// What the chain says of a transaction.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// Absent once the block is rooted.
    #[serde(default)]
    confirmations: Option<u64>,
    /// Why it did nothing; `None` where it did what it says.
    pub(crate) err: Option<Value>,
    #[serde(default)]
    confirmation_status: Option<String>,
}

impl Status {
    pub(crate) fn level(&self) -> Level {
        Level::read(
            self.confirmation_status.as_deref(),
            self.confirmations.is_none(),
        )
    }
}

/// A transaction in the list of an account's.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listed {
    pub(crate) signature: SvmSignature,
    pub(crate) slot: u64,
    /// Why it did nothing; `None` where it did what it says.
    pub(crate) err: Option<Value>,
    /// When its block was made, in Unix seconds; absent where the node does not know.
    #[serde(default)]
    pub(crate) block_time: Option<i64>,
    #[serde(default)]
    confirmation_status: Option<String>,
}

impl Listed {
    pub(crate) fn level(&self) -> Level {
        // Asked for at `confirmed`, so that nothing less sure is in the list.
        Level::read(self.confirmation_status.as_deref(), false).max(Level::Confirmed)
    }
}

/// A transaction on the chain.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FoundTransaction {
    #[serde(deserialize_with = "transaction_bytes")]
    pub(crate) transaction: Vec<u8>,
    #[serde(default)]
    pub(crate) meta: Option<Meta>,
}

/// What came of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Meta {
    /// Why it did nothing; `None` where it did what it says.
    pub(crate) err: Option<Value>,
}

/// What a transaction would do.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Simulated {
    /// Why it would do nothing; `None` where it would do what it says.
    pub(crate) err: Option<Value>,
}

fn account_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    base64_pair(deserializer, ACCOUNT_BYTES_MAX)
}

fn transaction_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    base64_pair(deserializer, TRANSACTION_BYTES_MAX)
}

/// `["…", "base64"]`.
fn base64_pair<'de, D: Deserializer<'de>>(
    deserializer: D,
    bytes_max: usize,
) -> Result<Vec<u8>, D::Error> {
    use serde::de::Error;
    let (text, encoding) = <(String, String)>::deserialize(deserializer)?;
    if encoding != "base64" || text.len() > bytes_max.div_ceil(3).saturating_mul(4) {
        return Err(D::Error::custom("not base64, or too long"));
    }
    STANDARD
        .decode(&text)
        .map_err(|_| D::Error::custom("not base64"))
}
