//! Payers, what they sign, and transactions of our own. Independent of the product's own signing, so that an
//! error there is not made twice.

use std::sync::LazyLock;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Signature, TxKind, U256, keccak256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{All, Message, PublicKey, Secp256k1, SecretKey};
use serde_json::{Value, json};

use crate::Fallible;

/// Base Sepolia's chain id, which both nodes have.
pub(crate) const CHAIN_ID: u64 = 84532;
/// Its USDC.
pub(crate) const USDC: Address =
    alloy_primitives::address!("036CbD53842c5426634e7929541eC2318f3dCF7e");
const DOMAIN_TYPE: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const TRANSFER_TYPE: &str = "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)";
/// What our own transactions offer for gas: more than local chains ask, so that none waits.
const FEE_WEI: u128 = 20_000_000_000;

static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);
static TRANSFER_TYPE_HASH: LazyLock<B256> = LazyLock::new(|| keccak256(TRANSFER_TYPE));
static DOMAIN: LazyLock<B256> = LazyLock::new(|| {
    words(&[
        keccak256(DOMAIN_TYPE),
        keccak256("USDC"),
        keccak256("2"),
        B256::from(U256::from(CHAIN_ID)),
        USDC.into_word(),
    ])
});

/// A key and its address.
pub(crate) struct Key {
    secret: SecretKey,
    pub(crate) address: Address,
}

impl Key {
    /// The payer with this number, the same in every run.
    pub(crate) fn payer(number: usize) -> Fallible<Self> {
        Self::from_bytes(keccak256(format!("farebox-bench payer {number}")))
    }

    /// Reads `0x` and 64 digits.
    pub(crate) fn from_hex(text: &str) -> Fallible<Self> {
        Self::from_bytes(text.trim().parse()?)
    }

    fn from_bytes(bytes: B256) -> Fallible<Self> {
        let secret = SecretKey::from_byte_array(bytes.0)?;
        let address = address_of(&PublicKey::from_secret_key(&CURVE, &secret));
        Ok(Self { secret, address })
    }

    fn sign(&self, digest: B256) -> RecoverableSignature {
        CURVE.sign_ecdsa_recoverable(Message::from_digest(digest.0), &self.secret)
    }
}

/// A signed EIP-3009 payment.
pub(crate) struct Payment {
    from: Address,
    to: Address,
    value: u64,
    valid_before: u64,
    nonce: B256,
    signature: RecoverableSignature,
}

/// Signs payments that differ in their nonce.
pub(crate) struct Cashier {
    /// Nonces of another run must not come again on a chain that goes on.
    seed: [u8; 32],
    count: u64,
    pub(crate) payee: Address,
    pub(crate) value: u64,
    pub(crate) valid_before: u64,
}

impl Cashier {
    pub(crate) fn new(payee: Address, value: u64, valid_before: u64) -> Fallible<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| format!("no random bytes: {error}"))?;
        Ok(Self {
            seed,
            count: 0,
            payee,
            value,
            valid_before,
        })
    }

    /// One more payment by `payer`.
    pub(crate) fn sign(&mut self, payer: &Key) -> Payment {
        self.count += 1;
        let mut payment = Payment {
            from: payer.address,
            to: self.payee,
            value: self.value,
            valid_before: self.valid_before,
            nonce: words(&[B256::from(self.seed), B256::from(U256::from(self.count))]),
            signature: payer.sign(B256::ZERO),
        };
        payment.signature = payer.sign(payment.digest());
        payment
    }
}

impl Payment {
    /// What was signed.
    pub(crate) fn digest(&self) -> B256 {
        let message = words(&[
            *TRANSFER_TYPE_HASH,
            self.from.into_word(),
            self.to.into_word(),
            B256::from(U256::from(self.value)),
            B256::ZERO,
            B256::from(U256::from(self.valid_before)),
            self.nonce,
        ]);
        let mut bytes = [0; 66];
        bytes[..2].copy_from_slice(&[0x19, 0x01]);
        bytes[2..34].copy_from_slice(DOMAIN.as_slice());
        bytes[34..].copy_from_slice(message.as_slice());
        keccak256(bytes)
    }

    /// Whether the payer has signed it: the work that every verification must do.
    pub(crate) fn is_good(&self) -> bool {
        let digest = Message::from_digest(self.digest().0);
        CURVE
            .recover_ecdsa(digest, &self.signature)
            .is_ok_and(|key| address_of(&key) == self.from)
    }

    fn signature_bytes(&self) -> [u8; 65] {
        let (recovery, compact) = self.signature.serialize_compact();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&compact);
        bytes[64] = 27 + u8::from(recovery == RecoveryId::One);
        bytes
    }

    /// The x402 credential that answers an offer.
    pub(crate) fn credential(&self, resource: &Value, accepted: &Value) -> Value {
        json!({
            "x402Version": 2,
            "resource": resource,
            "accepted": accepted,
            "payload": {
                "signature": format!("0x{}", hex::encode(self.signature_bytes())),
                "authorization": {
                    "from": self.from,
                    "to": self.to,
                    "value": self.value.to_string(),
                    "validAfter": "0",
                    "validBefore": self.valid_before.to_string(),
                    "nonce": self.nonce,
                },
            },
        })
    }

    /// The record of `contracts/Settler.sol`.
    pub(crate) fn record(&self, bytes: &mut Vec<u8>) {
        let signature = self.signature_bytes();
        bytes.extend_from_slice(self.from.as_slice());
        bytes.extend_from_slice(self.to.as_slice());
        bytes.extend_from_slice(&u128::from(self.value).to_be_bytes());
        bytes.extend_from_slice(&0_u64.to_be_bytes());
        bytes.extend_from_slice(&self.valid_before.to_be_bytes());
        bytes.extend_from_slice(self.nonce.as_slice());
        bytes.push(signature[64]);
        bytes.extend_from_slice(&signature[..64]);
    }
}

/// A transaction of ours, signed: its hash and its bytes.
pub(crate) fn transaction(
    key: &Key,
    nonce: u64,
    to: Address,
    input: Vec<u8>,
    gas_limit: u64,
) -> (B256, Vec<u8>) {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: FEE_WEI,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        value: U256::ZERO,
        access_list: Default::default(),
        input: input.into(),
    };
    let signed = key.sign(tx.signature_hash());
    let (recovery, compact) = signed.serialize_compact();
    let signature = Signature::new(
        U256::from_be_slice(&compact[..32]),
        U256::from_be_slice(&compact[32..]),
        recovery == RecoveryId::One,
    );
    let envelope = TxEnvelope::from(tx.into_signed(signature));
    (*envelope.hash(), envelope.encoded_2718())
}

fn words(words: &[B256]) -> B256 {
    keccak256(words.concat())
}

fn address_of(key: &PublicKey) -> Address {
    Address::from_raw_public_key(&key.serialize_uncompressed()[1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_good_until_anything_of_it_is_changed() {
        let payer = Key::payer(1).expect("a payer");
        let mut cashier = Cashier::new(Address::ZERO, 1000, 99).expect("a cashier");
        let mut payment = cashier.sign(&payer);
        assert!(payment.is_good());
        assert_ne!(payment.nonce, cashier.sign(&payer).nonce);
        payment.value += 1;
        assert!(!payment.is_good());
    }

    #[test]
    fn the_product_reads_our_credential_and_the_contract_our_record() {
        let payer = Key::payer(2).expect("a payer");
        let mut cashier = Cashier::new(USDC, 1000, 99).expect("a cashier");
        let payment = cashier.sign(&payer);
        let credential =
            payment.credential(&json!({"url": "http://a/"}), &json!({"scheme": "exact"}));
        let read: farebox_wire::x402::exact_evm::ExactEvmPayload =
            farebox_wire::x402::header::from_value(&credential["payload"]).expect("readable");
        assert_eq!(read.authorization.from.0, payer.address.0.0);
        assert_eq!(read.signature.0, payment.signature_bytes());
        let mut record = Vec::new();
        payment.record(&mut record);
        assert_eq!(record.len(), 169);
    }

    #[test]
    fn a_well_known_key_has_its_well_known_address() {
        let text = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let key = Key::from_hex(text).expect("a key");
        assert_eq!(
            key.address.to_string(),
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
        );
    }
}
