//! JSON-RPC's spellings: quantities and byte strings in hex, and the few objects that we read.
//!
//! Everything is checked; a node that answers something else is told from one that says no.

use alloy_primitives::hex;
use farebox_wire::evm::{EvmAddress, Word, parse_hex};
use farebox_wire::text;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Bytes of one log's or call's data that we read; ours have 32.
const DATA_BYTES_MAX: usize = 64 * 1024;

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

    /// `eth_call` of a token; `at` is a tag or the number of a block in hex.
    pub(crate) fn view(to: EvmAddress, data: &[u8], at: &str) -> Self {
        let call = json!({"to": to, "data": hex::encode_prefixed(data)});
        Self::new("eth_call", json!([call, at]))
    }

    /// The code at an account.
    pub(crate) fn code(account: EvmAddress, at: &str) -> Self {
        Self::new("eth_getCode", json!([account, at]))
    }

    /// Hands over a signed transaction.
    pub(crate) fn send_raw(raw: &[u8]) -> Self {
        Self::new("eth_sendRawTransaction", json!([hex::encode_prefixed(raw)]))
    }

    /// Head of a block, without its transactions.
    pub(crate) fn block(at: &str) -> Self {
        Self::new("eth_getBlockByNumber", json!([at, false]))
    }
}

/// Writes a block number for the `at` of a call.
pub(crate) fn block_number(number: u64) -> String {
    format!("{number:#x}")
}

/// A number in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantity(pub(crate) u128);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, |text| {
            let digits = text.strip_prefix("0x").unwrap_or_default();
            // `from_str_radix` takes a sign; JSON-RPC does not.
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err("not a hex quantity");
            }
            u128::from_str_radix(digits, 16)
                .map(Self)
                .map_err(|_| "not a hex quantity of at most 128 bits")
        })
    }
}

/// Reads a number of at most 64 bits.
fn quantity_u64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let Quantity(number) = Quantity::deserialize(deserializer)?;
    u64::try_from(number).map_err(|_| serde::de::Error::custom("a quantity beyond 64 bits"))
}

/// Bytes in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::read(deserializer, |text| {
            parse_hex(text, DATA_BYTES_MAX).map(Self)
        })
    }
}

/// What we need of a block.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Block {
    #[serde(deserialize_with = "quantity_u64")]
    pub(crate) number: u64,
    /// Unix seconds.
    #[serde(deserialize_with = "quantity_u64")]
    pub(crate) timestamp: u64,
}

/// What we need of a receipt.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    pub(crate) transaction_hash: Word,
    #[serde(deserialize_with = "quantity_u64")]
    pub(crate) block_number: u64,
    /// 1 where the transaction did what it should.
    #[serde(deserialize_with = "quantity_u64")]
    pub(crate) status: u64,
    pub(crate) logs: Vec<Log>,
    /// What the whole transaction used.
    #[serde(default)]
    pub(crate) gas_used: Option<Quantity>,
    /// What each unit of it cost.
    #[serde(default)]
    pub(crate) effective_gas_price: Option<Quantity>,
    /// What a chain of the OP stack asks on top, for its data on the chain below.
    #[serde(default)]
    pub(crate) l1_fee: Option<Quantity>,
}

impl Receipt {
    /// What the transaction cost its sender, in wei; `None` where the node leaves it out.
    pub(crate) fn cost_wei(&self) -> Option<u128> {
        let (Quantity(used), Quantity(price)) = (self.gas_used?, self.effective_gas_price?);
        let on_top = self.l1_fee.map_or(0, |fee| fee.0);
        used.checked_mul(price)?.checked_add(on_top)
    }
}

/// An event.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Log {
    pub(crate) address: EvmAddress,
    pub(crate) topics: Vec<Word>,
    pub(crate) data: Data,
    pub(crate) transaction_hash: Word,
    #[serde(deserialize_with = "quantity_u64")]
    pub(crate) block_number: u64,
    /// Whether a reorg has taken it back.
    #[serde(default)]
    pub(crate) removed: bool,
}
