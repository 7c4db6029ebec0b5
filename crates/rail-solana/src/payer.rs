//! The buyer's half: quotes offers, signs transactions, asks what became of them.
//!
//! Only the desk of a wallet holds one, because it holds the paying key. It signs nothing but the
//! quote that it is handed, and never sends anything: the seller's side pays the fee.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use farebox_core::clock::Clock;
use farebox_core::rail::{
    Authorised, Credential, Finding, Handle, Holding, NotPayable, PayRail, Quote, RailError,
};
use farebox_wire::challenge::{Challenge, Offer, X402Offer};
use farebox_wire::svm::{SvmAddress, SvmBlockhash, SvmSignature, SvmTransaction};
use farebox_wire::x402::exact_svm::ExactSvmPayload;
use farebox_wire::x402::header::{self, HeaderError};
use farebox_wire::x402::types::PaymentPayload;
use farebox_wire::x402::v1::{self, PaymentPayloadV1};
use farebox_wire::x402::{self, Version};
use serde_json::Value;

use crate::build::{Budget, Payment};
use crate::check;
use crate::expiry::LIFE_S;
use crate::handle::{SvmHandle, digest_of, join};
use crate::key::SolanaKey;
use crate::network::{self, Chain, Commitment, Network};
use crate::quote::{Understood, quote, understand, x402_of};
use crate::rpc::{At, Call, Latest, Rpc, RpcError};

/// How many blocks a node's answers to two questions of one request may lie apart.
const APART_BLOCKS: u64 = 32;

/// Random bytes of a memo that the offer does not set: without them, two payments of one amount in
/// one block would be one message, which the chain runs once.
const MEMO_BYTES: usize = 16;

/// Pays on Solana from one account.
pub struct SolanaPayer {
    chains: Vec<Arc<Chain>>,
    key: Arc<SolanaKey>,
    clock: Arc<dyn Clock>,
    /// How many payments with a memo of their offer were signed here, from a random start.
    signed: AtomicU32,
}

/// The block that a payment names.
struct Named {
    blockhash: SvmBlockhash,
    /// No block above this height can hold the payment.
    last_height: u64,
    /// Nor one before this slot.
    since_slot: u64,
}

impl SolanaPayer {
    /// Takes the networks that may be paid on. Those without `rpc` cannot be paid on: a
    /// transaction names a recent block, and the payee must have an account.
    ///
    /// # Errors
    /// A network that is none of Solana, stands there twice, or has an endpoint that is no URL.
    pub fn new(
        networks: Vec<Network>,
        key: Arc<SolanaKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RailError> {
        let mut start = [0; 4];
        fill(&mut start)?;
        Ok(Self {
            chains: network::index(networks)?,
            key,
            clock,
            signed: AtomicU32::new(u32::from_le_bytes(start)),
        })
    }

    /// The account that pays.
    #[must_use]
    pub fn address(&self) -> SvmAddress {
        self.key.address()
    }

    /// Writes and signs what the quote says; nothing of the offer's own words but who sends it,
    /// its memo, and its blockhash where the chain knows it.
    fn sign(
        &self,
        read: &Understood<'_>,
        named: &Named,
    ) -> Result<(SvmTransaction, SvmHandle), RailError> {
        let asset = &read.token.asset;
        let (memo, budget) = match &read.extra.memo {
            // A seller may ask for one memo for ever, and the chain runs one message once.
            Some(memo) => {
                let number = self.signed.fetch_add(1, Ordering::Relaxed);
                (memo.clone(), Budget::varied(number))
            }
            None => (random_memo()?, Budget::USUAL),
        };
        let payment = Payment {
            payer: self.key.address(),
            fee_payer: read.extra.fee_payer,
            payee: read.payee,
            mint: asset.mint,
            program: asset.program,
            decimals: asset.decimals,
            amount: read.amount,
            memo: &memo,
            blockhash: named.blockhash,
            budget,
        };
        let message = payment.message().ok_or_else(|| RailError {
            code: "invalid_fee_payer",
            message: "the offer's fee payer or payee plays another part in the payment".into(),
        })?;
        let signature = self.key.sign(&message);
        let transaction =
            join(&[SvmSignature::ZERO, signature], &message).ok_or_else(|| RailError {
                code: "transaction_too_large",
                message: "the payment does not fit a transaction; its memo is too long".into(),
            })?;
        let handle = SvmHandle {
            chain: read.chain.network.chain.clone(),
            mint: payment.mint,
            payer: payment.payer,
            source: payment.source(),
            destination: payment.destination(),
            amount: payment.amount,
            fee_payer: payment.fee_payer,
            blockhash: named.blockhash,
            digest: digest_of(&message),
            signature,
            seen_s: self.clock.now_s(),
            last_height: Some(named.last_height),
            since_slot: Some(named.since_slot),
            transaction: None,
            examined: None,
        };
        Ok((transaction, handle))
    }
}

#[async_trait]
impl PayRail for SolanaPayer {
    fn rail(&self) -> &'static str {
        crate::RAIL
    }

    async fn quote(&self, offer: &Offer) -> Result<Quote, NotPayable> {
        quote(&self.chains, self.key.address(), offer).await
    }

    /// How long the credential lives is not ours to say: as long as its block can be named, which
    /// is [`LIFE_S`] at most, whatever `valid_for_s` asks.
    async fn authorise(
        &self,
        quote: &Quote,
        challenge: &Challenge,
        _valid_for_s: u64,
    ) -> Result<Authorised, RailError> {
        let offer = offer_of(quote)?;
        let read = understand(&self.chains, self.key.address(), &offer.requirements);
        let read = read.map_err(refused)?;
        let is_quoted = read.payee.to_string() == quote.terms.payee
            && u128::from(read.amount) == quote.terms.amount.atomic()
            && read.token.id == quote.terms.asset;
        if !is_quoted {
            return Err(RailError {
                code: "quote_mismatch",
                message: "the quote is not that of its offer".into(),
            });
        }
        let named = name_block(read.chain.rpc()?, read.extra.recent_blockhash).await?;
        let (transaction, handle) = self.sign(&read, &named)?;
        let handle = Arc::new(handle);
        let payload =
            serde_json::to_value(ExactSvmPayload { transaction }).map_err(|e| unwritable(&e))?;
        Ok(Authorised {
            credential: Some(Credential {
                header: offer.version.credential_header().into(),
                value: encoded(offer, challenge, payload).map_err(|e| unwritable(&e))?,
            }),
            identity: handle.identity(),
            handle: handle.write()?,
            valid_before_s: handle.seen_s.saturating_add(LIFE_S),
        })
    }

    async fn check(&self, handle: &Handle) -> Finding {
        check::check(&self.chains, handle).await
    }

    async fn balances(&self) -> Vec<Result<Holding, RailError>> {
        check::holdings(&self.chains, self.key.address()).await
    }
}

/// The block to name: the one that the offer hints at, where our own node can still name it, else
/// the newest.
async fn name_block(rpc: &Rpc, hint: Option<SvmBlockhash>) -> Result<Named, RpcError> {
    let newest = Call::latest_blockhash(Commitment::Confirmed);
    let Some(hint) = hint else {
        let newest: At<Latest> = rpc.one(newest).await?;
        return Ok(Named {
            blockhash: newest.value.blockhash,
            last_height: newest.value.last_valid_block_height,
            since_slot: newest.context.slot,
        });
    };
    let is_valid = Call::is_blockhash_valid(hint, Commitment::Confirmed, 0);
    let (is_valid, newest): (At<bool>, At<Latest>) = rpc.two(is_valid, newest).await?;
    let last_height = newest.value.last_valid_block_height;
    let since_slot = newest.context.slot.min(is_valid.context.slot);
    Ok(match is_valid.value {
        // It is not newer than the newest, whatever the offer says of its end.
        true => Named {
            blockhash: hint,
            last_height: last_height.saturating_add(APART_BLOCKS),
            since_slot,
        },
        false => Named {
            blockhash: newest.value.blockhash,
            last_height,
            since_slot,
        },
    })
}

fn random_memo() -> Result<String, RailError> {
    let mut bytes = [0; MEMO_BYTES];
    fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

fn fill(bytes: &mut [u8]) -> Result<(), RailError> {
    getrandom::fill(bytes).map_err(|e| RailError {
        code: "no_randomness",
        message: format!("the operating system gives no random bytes: {e}"),
    })
}

/// The offer of a quote, which was ours to make.
fn offer_of(quote: &Quote) -> Result<&X402Offer, RailError> {
    x402_of(&quote.offer).map_err(refused)
}

fn refused(refused: NotPayable) -> RailError {
    RailError {
        code: refused.code,
        message: refused.why,
    }
}

fn unwritable(error: &dyn std::fmt::Display) -> RailError {
    RailError {
        code: "credential_unwritable",
        message: format!("the credential cannot be written: {error}"),
    }
}

/// The credential in the version of its offer.
fn encoded(
    offer: &X402Offer,
    challenge: &Challenge,
    payload: Value,
) -> Result<String, HeaderError> {
    match offer.version {
        Version::V1 => header::encode(&PaymentPayloadV1 {
            x402_version: v1::VERSION,
            scheme: offer.requirements.scheme.clone(),
            // An offer of version 1 whose network has no name was not read.
            network: v1::name_of(&offer.requirements.network)
                .unwrap_or_default()
                .to_owned(),
            payload,
        }),
        Version::V2 => header::encode(&PaymentPayload {
            x402_version: x402::VERSION,
            resource: challenge.resource.clone(),
            accepted: offer.raw.clone(),
            payload,
            extensions: challenge.extensions.clone(),
        }),
    }
}
