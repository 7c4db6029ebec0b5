//! What a buyer signs. A card's secret follows from its number and the shop's key, so that the shop
//! can check a slip without looking anywhere.

use farebox_core::rail::RailError;
use farebox_wire::caip::ChainId;
use farebox_wire::identity::Identity;
use farebox_wire::money::Amount;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes of a card's number and of a slip's nonce.
const NAME_BYTES: usize = 16;
/// Bytes of a block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// The shop's key. Whoever has it can sign for every card, so it has no `Debug` and no `Clone`.
pub struct ShopKey([u8; 32]);

/// A card in the hands of its buyer.
pub struct Card {
    /// Its number.
    pub number: String,
    secret: [u8; 32],
}

/// So much from this card, once, until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Slip {
    /// Whose shop.
    pub network: ChainId,
    /// The card's number.
    pub card: String,
    /// Millionths of a dollar.
    pub amount: Amount,
    /// Makes it one of its own.
    pub nonce: String,
    /// Unix seconds; from then on it is worth nothing.
    pub valid_before: u64,
    /// By the card's secret, over all of the above.
    pub mac: String,
}

impl ShopKey {
    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, RailError> {
        Ok(Self(random()?))
    }

    /// One that was kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The card of this number.
    #[must_use]
    pub fn card(&self, number: &str) -> Card {
        Card {
            secret: mac(&self.0, number).finalize().into_bytes().into(),
            number: number.to_owned(),
        }
    }

    /// Whether a slip was signed by the card that it names.
    #[must_use]
    pub fn has_signed(&self, slip: &Slip) -> bool {
        let Ok(shown) = hex::decode(&slip.mac) else {
            return false;
        };
        // In constant time.
        let expected = mac(&self.card(&slip.card).secret, &slip.text());
        expected.verify_slice(&shown).is_ok()
    }
}

impl Card {
    /// Signs for so much.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn sign(
        &self,
        network: &ChainId,
        amount: Amount,
        valid_before: u64,
    ) -> Result<Slip, RailError> {
        let mut slip = Slip {
            network: network.clone(),
            card: self.number.clone(),
            amount,
            nonce: new_name()?,
            valid_before,
            mac: String::new(),
        };
        slip.mac = hex::encode(mac(&self.secret, &slip.text()).finalize().into_bytes());
        Ok(slip)
    }
}

impl Slip {
    /// The name of the payment: one use, whatever bytes carry it.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from_stored(&format!("{}:{}:{}", self.network, self.card, self.nonce))
    }

    /// Under which it stands in the shop's book. It is known before it is redeemed, so that it can be
    /// written down first.
    #[must_use]
    pub fn transaction(&self) -> String {
        hex::encode(Sha256::digest(self.identity().as_str()))
    }

    /// What is signed. No field can hold the line break that parts them: names are checked.
    fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n{}\n{}",
            self.network, self.card, self.amount, self.nonce, self.valid_before
        )
    }

    /// Whether card and nonce are names of ours: lower-case hexadecimal of the one length, so that no
    /// payment has two spellings.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        [&self.card, &self.nonce].iter().all(|name| {
            name.len() == 2 * NAME_BYTES
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        })
    }
}

/// A number for a new card, or a nonce.
///
/// # Errors
/// The system has no randomness.
pub fn new_name() -> Result<String, RailError> {
    Ok(hex::encode(random::<NAME_BYTES>()?))
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], RailError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|why| RailError {
        code: "no_randomness",
        message: format!("the system gives no random bytes: {why}"),
    })?;
    Ok(bytes)
}

fn mac(key: &[u8; 32], text: &str) -> Hmac<Sha256> {
    // A key of one block needs no look at its length: shorter ones are filled up with zeros.
    let mut block = [0; BLOCK_BYTES];
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let mut mac = <Hmac<Sha256>>::new(&block.into());
    mac.update(text.as_bytes());
    mac
}
