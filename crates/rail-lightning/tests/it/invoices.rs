//! Invoices that tests sign themselves.

use std::time::Duration;

use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use farebox_core::clock::{Clock as _, SystemClock};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret, SiPrefix};

/// What a test's invoice says.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) currency: Currency,
    pub(crate) amount: Option<(u64, Option<SiPrefix>)>,
    pub(crate) made_s: u64,
    pub(crate) expiry_s: u64,
    pub(crate) preimage: [u8; 32],
    pub(crate) final_blocks: u64,
    /// Of the node that is paid.
    pub(crate) key: [u8; 32],
}

impl Wanted {
    /// On regtest, valid for an hour from now.
    pub(crate) fn msat(amount_msat: u64, preimage: [u8; 32]) -> Self {
        Self {
            currency: Currency::Regtest,
            amount: Some((amount_msat * 10, Some(SiPrefix::Pico))),
            made_s: now_s(),
            expiry_s: 3_600,
            preimage,
            final_blocks: 40,
            key: [0x42; 32],
        }
    }

    pub(crate) fn text(&self) -> String {
        let secp = Secp256k1::new();
        let key = SecretKey::from_slice(&self.key).unwrap();
        let mut raw = InvoiceBuilder::new(self.currency.clone())
            .description("a test".to_owned())
            .payment_hash(sha256::Hash::from_byte_array(hash_of(&self.preimage)))
            .payment_secret(PaymentSecret([0x11; 32]))
            .duration_since_epoch(Duration::from_secs(self.made_s))
            .expiry_time(Duration::from_secs(self.expiry_s))
            .min_final_cltv_expiry_delta(self.final_blocks)
            .build_raw()
            .unwrap();
        raw.hrp.raw_amount = self.amount.as_ref().map(|(number, _)| *number);
        raw.hrp.si_prefix = self.amount.as_ref().and_then(|(_, prefix)| *prefix);
        let signed = raw.sign::<_, ()>(|hash| Ok(secp.sign_ecdsa_recoverable(hash, &key)));
        signed.unwrap().to_string()
    }
}

pub(crate) fn hash_of(preimage: &[u8; 32]) -> [u8; 32] {
    sha256::Hash::hash(preimage).to_byte_array()
}

pub(crate) fn pubkey(key: &[u8; 32]) -> String {
    let key = SecretKey::from_slice(key).unwrap();
    PublicKey::from_secret_key(&Secp256k1::new(), &key).to_string()
}

pub(crate) fn now_s() -> u64 {
    SystemClock.now_s()
}
