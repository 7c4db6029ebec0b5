//! Reads what lnd answers: JSON with numbers as strings and bytes as base64.
//!
//! Called with the bytes of a node that is ours but may be broken or another program. What is
//! missing or cannot be read is an error, never zero; what we did not ask for is not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use farebox_core::invoice::SettledInvoice;
use farebox_wire::l402::preimage::Preimage;
use farebox_wire::money::Amount;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use super::http::{NoAnswer, Refusal};
use crate::network::{MSAT_MAX, Network};
use crate::node::{FailReason, InvoiceFate, Liquidity, NodeIdentity, NodeState, PaymentFate};

/// `GET /v1/getinfo`.
pub(crate) fn identity(body: &[u8]) -> Result<NodeIdentity, String> {
    #[derive(Deserialize)]
    struct Info {
        identity_pubkey: String,
        chains: Vec<Chain>,
    }
    #[derive(Deserialize)]
    struct Chain {
        network: String,
    }
    let info: Info = json(body)?;
    let said = info.chains.first().map(|chain| chain.network.as_str());
    // There are testnets 3 and 4, which invoices do not tell apart.
    let network = match said {
        Some("testnet" | "testnet3" | "testnet4") => Some(Network::Testnet),
        said => Network::ALL
            .into_iter()
            .find(|network| Some(network.name()) == said),
    };
    let network = network.ok_or("it is on a network that is not known here")?;
    let is_key = info.identity_pubkey.len() == 66
        && info.identity_pubkey.bytes().all(|b| b.is_ascii_hexdigit());
    match is_key {
        true => Ok(NodeIdentity {
            pubkey: info.identity_pubkey.to_ascii_lowercase(),
            network,
        }),
        false => Err("its public key has not 66 hex digits".to_owned()),
    }
}

/// The same answer.
pub(crate) fn state(body: &[u8]) -> Result<NodeState, String> {
    #[derive(Deserialize)]
    struct Info {
        synced_to_chain: bool,
        #[serde(deserialize_with = "number")]
        block_height: u64,
        #[serde(deserialize_with = "number")]
        num_active_channels: u64,
    }
    let info: Info = json(body)?;
    Ok(NodeState {
        is_synced: info.synced_to_chain,
        height: Some(info.block_height),
        channels: info.num_active_channels,
    })
}

/// `GET /v1/balance/channels`.
pub(crate) fn liquidity(body: &[u8]) -> Result<Liquidity, String> {
    #[derive(Deserialize)]
    struct Balance {
        local_balance: Msat,
        remote_balance: Msat,
    }
    #[derive(Deserialize)]
    struct Msat {
        #[serde(deserialize_with = "number")]
        msat: u64,
    }
    let balance: Balance = json(body)?;
    Ok(Liquidity {
        outbound_msat: balance.local_balance.msat,
        inbound_msat: balance.remote_balance.msat,
    })
}

/// `POST /v1/invoices`.
pub(crate) fn created(body: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Created {
        payment_request: String,
    }
    json(body).map(|created: Created| created.payment_request)
}

/// An invoice, from wherever lnd tells of one.
#[derive(Deserialize)]
struct Invoice {
    #[serde(deserialize_with = "hash_of_base64")]
    r_hash: [u8; 32],
    state: String,
    #[serde(deserialize_with = "number")]
    settle_index: u64,
    #[serde(deserialize_with = "number")]
    settle_date: u64,
    #[serde(deserialize_with = "number")]
    amt_paid_msat: u64,
}

impl Invoice {
    /// What was paid; `None` for an invoice whose parts are counted one by one (AMP), of which we
    /// make none.
    fn settled(&self) -> Option<SettledInvoice> {
        let is_settled = self.state == "SETTLED" && self.settle_index > 0;
        is_settled.then(|| SettledInvoice {
            index: self.settle_index,
            payment_hash: self.r_hash,
            amount: Amount::from_atomic(self.amt_paid_msat.into()),
            settled_s: self.settle_date,
        })
    }
}

/// `GET /v1/invoice/HASH`.
pub(crate) fn invoice(body: &[u8], payment_hash: &[u8; 32]) -> Result<InvoiceFate, String> {
    let invoice: Invoice = json(body)?;
    if invoice.r_hash != *payment_hash {
        return Err("it tells of another invoice".to_owned());
    }
    match (invoice.state.as_str(), invoice.settled()) {
        (_, Some(settled)) if settled.amount.atomic() <= MSAT_MAX.into() => {
            Ok(InvoiceFate::Settled(settled))
        }
        ("OPEN" | "ACCEPTED", _) => Ok(InvoiceFate::Open),
        ("CANCELED", _) => Ok(InvoiceFate::Cancelled),
        _ => Err("the invoice is in a state that is not known here".to_owned()),
    }
}

/// One line of `GET /v1/invoices/subscribe`: an invoice that was paid, if that is what it tells of.
pub(crate) fn settled_line(line: &[u8]) -> Result<Option<SettledInvoice>, NoAnswer> {
    result(line).map(|invoice: Invoice| invoice.settled())
}

/// A page of `GET /v1/invoices`: the paid ones, and where the next page begins, if there is one.
pub(crate) fn page(body: &[u8]) -> Result<(Vec<SettledInvoice>, Option<u64>), String> {
    #[derive(Deserialize)]
    struct Page {
        invoices: Vec<Invoice>,
        #[serde(deserialize_with = "number")]
        last_index_offset: u64,
    }
    let page: Page = json(body)?;
    let next = (!page.invoices.is_empty()).then_some(page.last_index_offset);
    let settled = page.invoices.iter().filter_map(Invoice::settled);
    Ok((settled.collect(), next))
}

/// One line of `POST /v2/router/send` or `GET /v2/router/track/HASH`.
pub(crate) fn payment_line(line: &[u8], payment_hash: &[u8; 32]) -> Result<PaymentFate, NoAnswer> {
    #[derive(Deserialize)]
    struct Payment {
        payment_hash: String,
        status: String,
        #[serde(default)]
        payment_preimage: String,
        #[serde(deserialize_with = "number")]
        fee_msat: u64,
        #[serde(default)]
        failure_reason: String,
        #[serde(deserialize_with = "number")]
        creation_time_ns: u64,
    }
    let payment: Payment = result(line)?;
    let unreadable = |why: &str| NoAnswer::MaybeSent(why.to_owned());
    if !payment
        .payment_hash
        .eq_ignore_ascii_case(&hex::encode(payment_hash))
    {
        return Err(unreadable("it tells of another payment"));
    }
    match payment.status.as_str() {
        "SUCCEEDED" => Ok(PaymentFate::Succeeded {
            preimage: preimage(&payment.payment_preimage),
            fee_msat: payment.fee_msat,
        }),
        "IN_FLIGHT" | "INITIATED" => Ok(PaymentFate::InFlight),
        "FAILED" => Ok(PaymentFate::Failed {
            reason: fail_reason(&payment.failure_reason),
            begun_s: Some(payment.creation_time_ns / 1_000_000_000),
        }),
        _ => Err(unreadable(
            "the payment is in a state that is not known here",
        )),
    }
}

/// lnd fills a preimage that it does not have with zeros, or leaves it out.
fn preimage(text: &str) -> Option<Preimage> {
    let is_blank = text.bytes().all(|b| b == b'0');
    (!is_blank).then(|| Preimage::from_hex(text).ok())?
}

fn fail_reason(said: &str) -> FailReason {
    match said {
        "FAILURE_REASON_TIMEOUT" => FailReason::Timeout,
        "FAILURE_REASON_NO_ROUTE" => FailReason::NoRoute,
        "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS" => FailReason::Refused,
        "FAILURE_REASON_INSUFFICIENT_BALANCE" => FailReason::Funds,
        _ => FailReason::Other,
    }
}

/// What a line of a stream carries.
fn result<T: DeserializeOwned>(line: &[u8]) -> Result<T, NoAnswer> {
    #[derive(Deserialize)]
    struct Line<T> {
        result: T,
    }
    match serde_json::from_slice::<Line<T>>(line) {
        Ok(line) => Ok(line.result),
        Err(why) => Err(match Refusal::read(line) {
            Some(refusal) => NoAnswer::Refused(refusal),
            None => NoAnswer::MaybeSent(shape(&why)),
        }),
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|why| shape(&why))
}

/// Without what stood there, which may be long or hold a secret.
fn shape(why: &serde_json::Error) -> String {
    format!(
        "not the JSON that lnd writes, at line {} column {}",
        why.line(),
        why.column()
    )
}

/// A whole number, as a number or, as lnd writes those of 64 bits, in a string.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => {
            let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let number = is_digits.then(|| text.parse().ok()).flatten();
            number.ok_or_else(|| D::Error::custom("not a whole number"))
        }
    }
}

fn hash_of_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
    <[u8; 32]>::try_from(bytes).map_err(|_| D::Error::custom("not 32 bytes"))
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
