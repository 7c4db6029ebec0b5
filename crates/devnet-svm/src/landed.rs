//! A transaction that is in a block, or that was tried, and what it changed. Made by `world`, shown by `rpc`.

use litesvm::LiteSVM;
use litesvm::types::TransactionMetadata;
use solana_account::Account;
use solana_address::Address;
use solana_signature::Signature;
use solana_transaction::versioned::VersionedTransaction;
use solana_transaction_error::TransactionError;

use crate::options::TokenProgram;
use crate::tokens;

/// A transaction that is in a block, whether or not it succeeded.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) slot: u64,
    pub(crate) time_s: i64,
    pub(crate) error: Option<TransactionError>,
    pub(crate) meta: TransactionMetadata,
    pub(crate) before: Vec<Balance>,
    pub(crate) after: Vec<Balance>,
    pub(crate) transaction: VersionedTransaction,
}

impl Landed {
    /// What names it: the fee payer's signature.
    pub(crate) fn signature(&self) -> Signature {
        self.transaction
            .signatures
            .first()
            .copied()
            .unwrap_or_default()
    }
}

/// What a simulation says.
#[derive(Debug)]
pub(crate) struct Simulated {
    pub(crate) error: Option<TransactionError>,
    pub(crate) meta: TransactionMetadata,
    /// The accounts as they would be afterwards; none where it fails.
    pub(crate) accounts: Vec<(Address, Account)>,
}

impl Simulated {
    /// Nothing was executed.
    pub(crate) fn failed(error: TransactionError) -> Self {
        Self {
            error: Some(error),
            meta: TransactionMetadata::default(),
            accounts: Vec::new(),
        }
    }
}

/// What one account of a transaction held.
#[derive(Debug)]
pub(crate) struct Balance {
    pub(crate) lamports: u64,
    pub(crate) tokens: Option<TokenBalance>,
}

/// The tokens of a token account.
#[derive(Debug)]
pub(crate) struct TokenBalance {
    pub(crate) program: TokenProgram,
    pub(crate) mint: Address,
    pub(crate) owner: Address,
    pub(crate) amount: u64,
    pub(crate) decimals: u8,
}

/// What these accounts hold now. Accounts from lookup tables are not among them.
pub(crate) fn balances(svm: &LiteSVM, keys: &[Address]) -> Vec<Balance> {
    let balance = |key: &Address| {
        let stored = svm.get_account(key);
        let tokens = stored.as_ref().and_then(tokens::read_account);
        Balance {
            lamports: stored.map_or(0, |stored| stored.lamports),
            tokens: tokens.map(|(program, account)| TokenBalance {
                program,
                mint: account.mint,
                owner: account.owner,
                amount: account.amount,
                decimals: decimals(svm, &account.mint),
            }),
        }
    };
    keys.iter().map(balance).collect()
}

fn decimals(svm: &LiteSVM, mint: &Address) -> u8 {
    let mint = svm
        .get_account(mint)
        .and_then(|stored| tokens::read_mint(&stored));
    mint.map_or(0, |(_, mint)| mint.decimals)
}
