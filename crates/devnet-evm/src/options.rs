//! What a devnet is started with: chain, timing, funded accounts and the token. Used by everyone who starts one.
//! It must never hold a key that guards real money: the keys here are published in every Ethereum tool.

use std::time::Duration;

use alloy_primitives::{Address, B256, U256, address, b256};

/// Base Sepolia's chain id, so that unmodified SDKs know the network and its token.
pub const DEFAULT_CHAIN_ID: u64 = 84532;
/// Circle's USDC on Base Sepolia: the address that unmodified SDKs pay.
pub const USDC_ADDRESS: Address = address!("036CbD53842c5426634e7929541eC2318f3dCF7e");
/// Where every chain has Multicall3.
pub const MULTICALL3_ADDRESS: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");
/// Where every chain has the deterministic deployment proxy: it deploys by CREATE2 what follows a salt of 32 bytes.
pub const CREATE2_FACTORY_ADDRESS: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
/// A block as large as Base's: about 700 single settlements.
pub const DEFAULT_GAS_LIMIT: u64 = 60_000_000;
/// 10,000 ETH for each funded account.
pub const DEFAULT_ETHER_WEI: U256 = U256::from_limbs([0x19e0_c9ba_b240_0000, 0x21e, 0, 0]);
/// 1,000,000 whole tokens for each funded account.
pub const DEFAULT_WHOLE_TOKENS: u64 = 1_000_000;

/// The ten accounts of `test test test test test test test test test test test junk`, which every development chain funds.
pub const WELL_KNOWN_ACCOUNTS: [Account; 10] = [
    Account {
        address: address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        key: b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    },
    Account {
        address: address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        key: b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    },
    Account {
        address: address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        key: b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    },
    Account {
        address: address!("90F79bf6EB2c4f870365E785982E1f101E93b906"),
        key: b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    },
    Account {
        address: address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
        key: b256!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    },
    Account {
        address: address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
        key: b256!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    },
    Account {
        address: address!("976EA74026E726554dB657fA54763abd0C3a0aa9"),
        key: b256!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    },
    Account {
        address: address!("14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
        key: b256!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    },
    Account {
        address: address!("23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
        key: b256!("dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    },
    Account {
        address: address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"),
        key: b256!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
    },
];

/// A funded development account. Its key is public knowledge, which is why it may be copied and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account's address.
    pub address: Address,
    /// Its secp256k1 private key.
    pub key: B256,
}

impl Account {
    /// The address in EIP-55 mixed case.
    #[must_use]
    pub fn address_hex(&self) -> String {
        self.address.to_checksum(None)
    }

    /// The private key as `0x` and 64 hexadecimal digits.
    #[must_use]
    pub fn key_hex(&self) -> String {
        self.key.to_string()
    }
}

/// The dollar token of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSpec {
    /// Where its code is placed.
    pub address: Address,
    /// EIP-712 (and ERC-20) name, at most 31 bytes.
    pub name: String,
    /// ERC-20 symbol, at most 31 bytes.
    pub symbol: String,
    /// EIP-712 version, at most 31 bytes.
    pub version: String,
    /// Digits after the point of one whole token.
    pub decimals: u8,
}

impl Default for TokenSpec {
    /// USDC as it is on Base Sepolia.
    fn default() -> Self {
        Self {
            address: USDC_ADDRESS,
            name: "USDC".to_owned(),
            symbol: "USDC".to_owned(),
            version: "2".to_owned(),
            decimals: 6,
        }
    }
}

/// How a devnet is started. Every field has a default.
#[derive(Clone, Debug)]
pub struct DevnetOptions {
    /// TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// A block each so often; `None` mines whenever a transaction can be included (automine).
    pub block_time: Option<Duration>,
    /// Whether automine, while idle, mines an empty block each second, so that chain time moves.
    pub idle_blocks: bool,
    /// How many blocks `safe` and `finalized` are behind `latest`.
    pub finality_blocks: u64,
    /// Gas that one block may hold.
    pub gas_limit: u64,
    /// Accounts that start with `ether_wei` and `whole_tokens`.
    pub accounts: Vec<Account>,
    /// What each account starts with, in wei.
    pub ether_wei: U256,
    /// What each account starts with, in whole tokens.
    pub whole_tokens: u64,
    /// The dollar token.
    pub token: TokenSpec,
}

impl Default for DevnetOptions {
    fn default() -> Self {
        Self {
            port: 0,
            chain_id: DEFAULT_CHAIN_ID,
            block_time: None,
            idle_blocks: true,
            finality_blocks: 0,
            gas_limit: DEFAULT_GAS_LIMIT,
            accounts: WELL_KNOWN_ACCOUNTS.to_vec(),
            ether_wei: DEFAULT_ETHER_WEI,
            whole_tokens: DEFAULT_WHOLE_TOKENS,
            token: TokenSpec::default(),
        }
    }
}

impl DevnetOptions {
    /// For tests that count blocks: automine without idle blocks, so that only transactions and `mine` move the chain.
    #[must_use]
    pub fn quiet() -> Self {
        Self {
            idle_blocks: false,
            ..Self::default()
        }
    }
}
