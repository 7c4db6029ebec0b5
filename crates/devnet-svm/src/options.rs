//! What a devnet is made of: its accounts, its dollar token, and how time passes. Read by `devnet` and `world`.
//! Every key in here is public: none of them may ever guard real money.

use std::time::Duration;

use solana_address::Address;
use solana_keypair::Keypair;
use solana_signer::Signer as _;

/// The genesis hash of Solana's devnet. Its first 32 characters are the chain reference of CAIP-2.
pub const GENESIS_HASH: &str = "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG";
/// CAIP-2 name of the network.
pub const NETWORK: &str = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1";
/// USDC as it is on Solana's devnet: an SPL Token mint with six decimals.
pub const USDC_MINT: Address =
    Address::from_str_const("4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU");
/// Digits after the point of one whole USDC.
pub const USDC_DECIMALS: u8 = 6;
/// What each account starts with, in lamports: 100 SOL.
pub const DEFAULT_LAMPORTS: u64 = 100_000_000_000;
/// What each buyer starts with, in whole USDC.
pub const DEFAULT_WHOLE_TOKENS: u64 = 1_000_000;
/// Solana's own pace.
pub const DEFAULT_SLOT_TIME: Duration = Duration::from_millis(400);
/// Solana's own finality: a block is final when so many follow it.
pub const DEFAULT_FINAL_DEPTH: u64 = 32;
/// Deeper finality than this is taken as this, because older blocks are not kept.
pub const MAX_FINAL_DEPTH: u64 = 300;
/// Blocks for which a blockhash is valid after its own.
pub const BLOCKHASH_LIFE_BLOCKS: u64 = 150;

/// How many accounts there are.
const ACCOUNTS: u8 = 10;
/// The index of the account that owns the mints; no payment uses it.
const AUTHORITY: u8 = b'M';
/// The accounts' public seed. Its last byte is the index.
const SEED: [u8; 32] = *b"farebox devnet, known to all: #\0";

/// The program that a token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenProgram {
    /// SPL Token.
    Token,
    /// Token-2022.
    Token2022,
}

impl TokenProgram {
    /// The program's address.
    #[must_use]
    pub const fn address(self) -> Address {
        match self {
            Self::Token => Address::from_str_const("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"),
            Self::Token2022 => {
                Address::from_str_const("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
            }
        }
    }

    /// The program with this address, if it is one of the two.
    pub(crate) fn at(address: &Address) -> Option<Self> {
        [Self::Token, Self::Token2022]
            .into_iter()
            .find(|program| program.address() == *address)
    }

    /// What `jsonParsed` answers call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Token => "spl-token",
            Self::Token2022 => "spl-token-2022",
        }
    }
}

/// A development account. Its key is public knowledge, which is why it may be copied and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its address: the public key.
    pub address: Address,
    /// The 32 secret bytes.
    pub seed: [u8; 32],
}

impl Account {
    /// The pair of keys.
    #[must_use]
    pub fn keypair(&self) -> Keypair {
        Keypair::new_from_array(self.seed)
    }

    /// Secret and public key, 64 bytes, in base58: what wallets import and export.
    #[must_use]
    pub fn key_base58(&self) -> String {
        self.keypair().to_base58_string()
    }

    fn derived(index: u8) -> Self {
        let mut seed = SEED;
        if let Some(last) = seed.last_mut() {
            *last = index;
        }
        Self {
            address: Keypair::new_from_array(seed).pubkey(),
            seed,
        }
    }
}

/// How a devnet is started. Every field has a default.
#[derive(Clone, Debug)]
pub struct DevnetSvmOptions {
    /// TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// A slot each so often; `None` advances only when told.
    pub slot_time: Option<Duration>,
    /// Whether a transaction is executed when it is sent (`true`), or with the next slot (`false`).
    pub at_once: bool,
    /// How many blocks must follow a block until it is `confirmed`. Never deeper than finality.
    pub confirmed_depth: u64,
    /// How many blocks must follow a block until it is `finalized`. 0: at once.
    pub final_depth: u64,
    /// What each account starts with, in lamports.
    pub lamports: u64,
    /// What accounts 1 to 8 start with, in whole USDC.
    pub whole_tokens: u64,
}

impl Default for DevnetSvmOptions {
    /// Solana's own pace and finality.
    fn default() -> Self {
        Self {
            port: 0,
            slot_time: Some(DEFAULT_SLOT_TIME),
            at_once: false,
            confirmed_depth: 1,
            final_depth: DEFAULT_FINAL_DEPTH,
            lamports: DEFAULT_LAMPORTS,
            whole_tokens: DEFAULT_WHOLE_TOKENS,
        }
    }
}

impl DevnetSvmOptions {
    /// For tests that want their money now: a transaction is executed and final when it is sent, and slots pass at
    /// Solana's pace, so that a blockhash lives for a minute.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            at_once: true,
            confirmed_depth: 0,
            final_depth: 0,
            ..Self::default()
        }
    }

    /// For tests that count slots: nothing is executed, confirmed, final or expired until the test says so.
    #[must_use]
    pub fn quiet() -> Self {
        Self {
            slot_time: None,
            ..Self::default()
        }
    }
}

/// The ten accounts: 0 pays fees, 1 to 8 buy, 9 is paid.
pub(crate) fn accounts() -> Vec<Account> {
    (b'0'..b'0'.saturating_add(ACCOUNTS))
        .map(Account::derived)
        .collect()
}

/// Who may mint and freeze the tokens of a devnet.
pub(crate) fn authority() -> Account {
    Account::derived(AUTHORITY)
}
