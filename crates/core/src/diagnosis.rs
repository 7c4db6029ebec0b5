//! What there is to know about chains and facilitators when somebody asks why nothing works.
//!
//! Facts alone: rails gather them, whoever shows them finds the words and says what to do. Nothing
//! here was checked against a wish, except that a chain is the one that was asked for.

use farebox_wire::caip::ChainId;
use farebox_wire::money::Amount;

use crate::rail::RailError;

/// What one chain and its nodes say.
#[derive(Clone, Debug)]
pub struct ChainFacts {
    /// The chain.
    pub network: ChainId,
    /// What each of its nodes says of the chain, in the order of configuration.
    pub nodes: Vec<NodeFacts>,
    /// Milliseconds from one block to the next, on average over the last hundred; `None` where
    /// that is not known.
    pub block_ms: Option<u64>,
    /// The configured tokens, as the contracts describe themselves. Empty where no node answers.
    pub tokens: Result<Vec<TokenFacts>, RailError>,
    /// The accounts that were asked about. Empty where no node answers.
    pub accounts: Result<Vec<AccountFacts>, RailError>,
}

/// What one node says.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Host and port: paths often hold access keys.
    pub node: String,
    /// The newest block, or why it is not known. The code is `wrong_chain_id` for a node of
    /// another chain, `wrong_genesis_hash` for one of another cluster of Solana, and `rpc_behind`
    /// for one that says that it has not caught up.
    pub head: Result<Head, RailError>,
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub number: u64,
    /// When it was made, in Unix seconds by the clock of its maker.
    pub timestamp_s: u64,
    /// When it was told, in Unix milliseconds by our clock.
    pub told_ms: u64,
    /// Whether the node has a different block than the first node of the chain at a height that
    /// both have.
    pub is_forked: bool,
}

/// What a token's contract says, beside what is configured.
#[derive(Clone, Debug)]
pub struct TokenFacts {
    /// Symbol and address, for messages.
    pub token: String,
    /// What the table or the file says.
    pub configured: TokenDomain,
    /// What the contract says; `None` where there is no contract.
    pub said: Option<TokenSaid>,
}

/// Name, version and decimals of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDomain {
    /// EIP-712 name.
    pub name: String,
    /// EIP-712 version.
    pub version: String,
    /// How finely it divides.
    pub decimals: u8,
}

/// What a contract answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSaid {
    /// `name()`, text of a stranger.
    pub name: Option<String>,
    /// `version()`, text of a stranger.
    pub version: Option<String>,
    /// `decimals()`.
    pub decimals: Option<u128>,
    /// Whether `DOMAIN_SEPARATOR()` is that of the configured name and version; `None` where the
    /// contract does not tell.
    pub domain_fits: Option<bool>,
    /// Whether it is that of `name()` and `version()`, which is then what to configure.
    pub own_words_fit: bool,
    /// Whether it knows authorizations (EIP-3009).
    pub has_authorizations: bool,
}

/// What a chain says of an account that sends transactions.
#[derive(Clone, Debug)]
pub struct AccountFacts {
    /// The account.
    pub address: String,
    /// What it has of the chain's own coin, in its smallest units.
    pub gas_money: Amount,
    /// What one settlement costs at today's fees, in the same units; `None` where it is not known.
    pub settlement_cost: Option<Amount>,
    /// Transactions that are in blocks.
    pub mined: u64,
    /// Those and the ones that wait.
    pub pending: u64,
    /// How long the oldest of those that wait was seen to wait, in milliseconds; 0 where none
    /// does, or one of them came into a block meanwhile.
    pub waited_ms: u64,
}

/// What one chain of Solana and its nodes say.
#[derive(Clone, Debug)]
pub struct SolanaFacts {
    /// As of every chain; the accounts are those that pay fees, and tokens stand in `mints`.
    pub chain: ChainFacts,
    /// The known tokens, as the chain has them. Empty where no node answers.
    pub mints: Result<Vec<MintFacts>, RailError>,
}

/// What the chain has of a token of Solana, beside what is configured.
#[derive(Clone, Debug)]
pub struct MintFacts {
    /// Symbol and mint, for messages.
    pub token: String,
    /// How finely it divides by the table or the file.
    pub decimals: u8,
    /// The program that it belongs to by the table or the file: `spl-token`, `token-2022`.
    pub program: &'static str,
    /// What stands at its address; `None` where nothing does.
    pub said: Option<MintSaid>,
    /// Where it is paid to; `None` where it is not offered.
    pub payee: Option<PayeeFacts>,
}

/// What stands at the address of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintSaid {
    /// The token program that it belongs to; `None` for any other.
    pub program: Option<&'static str>,
    /// How finely it divides; `None` where it is no mint.
    pub decimals: Option<u8>,
}

/// Where somebody is paid in a token.
#[derive(Clone, Debug)]
pub struct PayeeFacts {
    /// Who is paid.
    pub owner: String,
    /// His associated token account.
    pub account: String,
    /// Whether it can be paid to.
    pub state: PayeeAccount,
}

/// Whether a token account can be paid to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayeeAccount {
    /// It is there.
    Open,
    /// It is not there, or is somebody else's.
    Missing,
    /// The issuer has frozen it.
    Frozen,
}

/// What a facilitator elsewhere says of itself.
#[derive(Clone, Debug)]
pub struct FacilitatorFacts {
    /// Host and port: paths may hold access keys.
    pub host: String,
    /// The networks on which it settles what is offered here, or why that is not known. The code
    /// is `facilitator_unreachable` for one that is away or busy.
    pub networks: Result<Vec<String>, RailError>,
    /// The networks of Solana among them, and who pays the fees there; `None` where it names
    /// nobody who can.
    pub fee_payers: Vec<(String, Option<String>)>,
}
