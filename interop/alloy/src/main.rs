//! Uses alloy's own provider against our devnet, as a Rust program that knows nothing of it would.
//! Called by `interop/sdk/main.mjs` as `interop-alloy RPC_URL`; exits 0 if everything held.

use std::error::Error;
use std::time::Duration;

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, U256, address, b256, keccak256};
use alloy::providers::{Provider, ProviderBuilder};
use alloy::rpc::types::{Filter, TransactionRequest};
use alloy::signers::SignerSync;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol;
use alloy::sol_types::{SolEvent, SolStruct, eip712_domain};
use futures_util::StreamExt;

sol! {
    #[allow(clippy::too_many_arguments)]
    #[sol(rpc)]
    contract Usdc {
        event Transfer(address indexed from, address indexed to, uint256 value);
        function balanceOf(address account) external view returns (uint256);
        function DOMAIN_SEPARATOR() external view returns (bytes32);
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
    }

    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }
}

/// USDC's address on Base Sepolia, where the devnet has its token.
const USDC: Address = address!("036CbD53842c5426634e7929541eC2318f3dCF7e");
/// Accounts 7 and 6 of the development mnemonic: one sends, one signs authorizations.
const SENDER: B256 = b256!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356");
const PAYER: B256 = b256!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e");
/// Nobody's account.
const PAYEE: Address = Address::repeat_byte(0x42);
/// 0.01 USDC.
const VALUE: u64 = 10_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args()
        .nth(1)
        .ok_or("usage: interop-alloy RPC_URL")?;
    let provider = ProviderBuilder::new()
        .wallet(PrivateKeySigner::from_bytes(&SENDER)?)
        .connect_http(url.parse()?);
    // alloy takes a node on this machine for a slow one otherwise.
    provider
        .client()
        .set_poll_interval(Duration::from_millis(50));
    coin(&provider).await?;
    token(&provider).await?;
    blocks(&provider).await
}

/// Fees, nonce and gas come from alloy's recommended fillers.
async fn coin(provider: &impl Provider) -> Result<(), Box<dyn Error>> {
    assert_eq!(provider.get_chain_id().await?, 84532);
    let before = provider.get_balance(PAYEE).await?;
    let request = TransactionRequest::default()
        .with_to(PAYEE)
        .with_value(U256::from(7));
    let receipt = provider
        .send_transaction(request)
        .await?
        .get_receipt()
        .await?;
    assert!(receipt.status());
    assert_eq!(provider.get_balance(PAYEE).await?, before + U256::from(7));
    let sent = provider
        .get_transaction_by_hash(receipt.transaction_hash)
        .await?;
    assert!(sent.is_some(), "the transaction is found again");
    Ok(())
}

/// An EIP-3009 authorization, its logs, and the reason of its second use's revert.
async fn token(provider: &impl Provider) -> Result<(), Box<dyn Error>> {
    let usdc = Usdc::new(USDC, provider);
    let payer = PrivateKeySigner::from_bytes(&PAYER)?;
    let domain =
        eip712_domain! { name: "USDC", version: "2", chain_id: 84532, verifying_contract: USDC, };
    assert_eq!(usdc.DOMAIN_SEPARATOR().call().await?, domain.separator());
    let signed = TransferWithAuthorization {
        from: payer.address(),
        to: PAYEE,
        value: U256::from(VALUE),
        validAfter: U256::ZERO,
        validBefore: U256::from(u64::MAX),
        nonce: keccak256("interop-alloy"),
    };
    let signature = payer.sign_hash_sync(&signed.eip712_signing_hash(&domain))?;
    let transfer = || {
        let (r, s) = (B256::from(signature.r()), B256::from(signature.s()));
        let v = 27 + u8::from(signature.v());
        usdc.transferWithAuthorization(
            signed.from,
            signed.to,
            signed.value,
            signed.validAfter,
            signed.validBefore,
            signed.nonce,
            v,
            r,
            s,
        )
    };
    let before = usdc.balanceOf(PAYEE).call().await?;
    let receipt = transfer().send().await?.get_receipt().await?;
    assert!(receipt.status());
    assert_eq!(
        usdc.balanceOf(PAYEE).call().await?,
        before + U256::from(VALUE)
    );
    let block = receipt.block_number.ok_or("a receipt without its block")?;
    let filter = Filter::new()
        .address(USDC)
        .event_signature(Usdc::Transfer::SIGNATURE_HASH)
        .select(block);
    let logs = provider.get_logs(&filter).await?;
    let ours = logs
        .iter()
        .filter(|log| log.transaction_hash == Some(receipt.transaction_hash));
    let paid = ours
        .map(|log| log.log_decode::<Usdc::Transfer>())
        .collect::<Result<Vec<_>, _>>()?;
    assert_eq!(paid.len(), 1);
    assert_eq!(paid[0].inner.value, U256::from(VALUE));
    let twice = transfer()
        .call()
        .await
        .err()
        .ok_or("an authorization was used twice")?;
    assert!(twice.to_string().contains("used or canceled"), "{twice}");
    Ok(())
}

/// Blocks arrive while nothing else happens, one a second.
async fn blocks(provider: &impl Provider) -> Result<(), Box<dyn Error>> {
    // Every look gives the blocks since the last one, which may be none.
    let mut looks = provider.watch_blocks().await?.into_stream();
    let first = async {
        loop {
            match looks.next().await {
                Some(hashes) if hashes.is_empty() => {}
                Some(hashes) => return Ok(hashes[0]),
                None => return Err("the stream of blocks has ended"),
            }
        }
    };
    let hash = tokio::time::timeout(Duration::from_secs(20), first).await??;
    let block = provider.get_block_by_hash(hash).await?;
    assert!(block.is_some(), "the block is found again");
    Ok(())
}
