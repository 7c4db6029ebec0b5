//! Puts the settler on a chain: the contract that carries many payments in one transaction.
//!
//! Called by a person through the command line, once per chain. CREATE2 gives it the same address
//! everywhere and makes a second deployment impossible, so that whatever breaks off here, running
//! it again finds the contract or deploys it. It holds nothing and belongs to nobody.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{B256, hex};
use farebox_core::rail::RailError;
use farebox_wire::caip::ChainId;
use farebox_wire::evm::{EvmAddress, Word};
use serde_json::json;
use tokio::time::Instant;

use crate::address::checksummed;
use crate::contracts::{self, CREATE2_FACTORY};
use crate::key::EvmKey;
use crate::network::{self, Network};
use crate::rpc::{Call, Data, Quantity, Receipt, Rpc, SendError};
use crate::settle::{Action, Fees, sign};

/// Room over the estimate, in hundredths.
const GAS_ROOM_PERCENT: u128 = 125;
/// More gas than this contract can need on any chain.
const GAS_MAX: u64 = 5_000_000;
/// How long a block may take to take it: ten of Ethereum's.
const WAIT: Duration = Duration::from_secs(120);
/// How often the chain is asked.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// What [`deploy_settler`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The chain.
    pub network: ChainId,
    /// Where the contract is, in checksummed form.
    pub settler: String,
    /// Hash of the transaction that put it there; `None` where it was there before.
    pub transaction: Option<String>,
}

/// Deploys the settler, or finds that it is there.
///
/// # Errors
/// A chain that cannot be asked, that has no deployment proxy, or that does not take the
/// transaction; a key without money for gas. Running it again is safe.
pub async fn deploy_settler(network: Network, key: &EvmKey) -> Result<Deployed, RailError> {
    let chains = network::index(vec![network])?;
    let chain = chains.first().ok_or_else(|| failed("no network"))?;
    let settler = contracts::settler();
    let rpc = chain.rpc()?;
    rpc.probe().await?;
    let deployed = |transaction| Deployed {
        network: chain.network.chain.clone(),
        settler: checksummed(settler),
        transaction,
    };
    if has_code(rpc, settler).await? {
        return Ok(deployed(None));
    }
    if !has_code(rpc, CREATE2_FACTORY).await? {
        return Err(failed(&format!(
            "{} has no deployment proxy at {}; without a settler payments still settle, in transactions of their own or through Multicall3",
            chain.network.chain,
            checksummed(CREATE2_FACTORY)
        )));
    }
    let deploying = Deploying {
        rpc,
        key,
        chain_id: chain.number,
        cap_wei: chain.network.max_fee_per_gas_wei,
    };
    let data = [B256::ZERO.as_slice(), contracts::settler_code()].concat();
    let hash = deploying.send(CREATE2_FACTORY, data).await?;
    deploying.wait(&hash, settler).await?;
    Ok(deployed(Some(hash.to_string())))
}

struct Deploying<'a> {
    rpc: &'a Arc<Rpc>,
    key: &'a EvmKey,
    chain_id: u64,
    cap_wei: u128,
}

impl Deploying<'_> {
    async fn send(&self, to: EvmAddress, data: Vec<u8>) -> Result<Word, RailError> {
        let from = self.key.address();
        let call = json!({"from": from, "to": to, "data": hex::encode_prefixed(&data)});
        let estimate = Call::new("eth_estimateGas", json!([call]));
        let Quantity(gas) = self.rpc.one(estimate).await?;
        let gas_limit = gas
            .checked_mul(GAS_ROOM_PERCENT)
            .and_then(|gas| u64::try_from(gas / 100).ok())
            .filter(|gas| *gas <= GAS_MAX)
            .ok_or_else(|| failed("the node asks for more gas than a deployment can need"))?;
        let count = Call::new("eth_getTransactionCount", json!([from, "pending"]));
        let Quantity(nonce) = self.rpc.one(count).await?;
        let nonce = u64::try_from(nonce).map_err(|_| failed("the node's nonce is no nonce"))?;
        let fee = Fees::new(self.cap_wei).refresh(self.rpc).await?;
        let action = Action {
            to,
            data,
            gas_limit,
        };
        let tx = sign(self.key, self.chain_id, nonce, fee, action);
        match self.rpc.send_raw(&tx.raw).await {
            Ok(()) | Err(SendError::MayBeSent(_)) => Ok(tx.hash),
            Err(SendError::NotSent(error)) => Err(error.into()),
            Err(SendError::Refused { message }) => Err(failed(&format!(
                "the node did not take the deployment: {message}"
            ))),
        }
    }

    /// Waits until the contract is there.
    async fn wait(&self, hash: &Word, settler: EvmAddress) -> Result<(), RailError> {
        let began = Instant::now();
        while began.elapsed() < WAIT {
            let receipt = Call::new("eth_getTransactionReceipt", json!([hash]));
            let receipt = self.rpc.one::<Option<Receipt>>(receipt).await;
            if let Ok(Some(receipt)) = receipt {
                // Somebody else's deployment in between makes ours revert, and is as good.
                return match has_code(self.rpc, settler).await? {
                    true => Ok(()),
                    false => Err(failed(&format!(
                        "transaction {hash} is in block {} and the contract is not there",
                        receipt.block_number
                    ))),
                };
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        Err(failed(&format!(
            "transaction {hash} is in no block yet; run this again later"
        )))
    }
}

async fn has_code(rpc: &Rpc, at: EvmAddress) -> Result<bool, RailError> {
    let Data(code) = rpc
        .one(Call::new("eth_getCode", json!([at, "latest"])))
        .await?;
    Ok(!code.is_empty())
}

fn failed(message: &str) -> RailError {
    RailError {
        code: "settler_not_deployed",
        message: message.to_owned(),
    }
}
