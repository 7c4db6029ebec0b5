//! Looks at one chain for somebody who wants to know why nothing works: its nodes, its mints, the
//! accounts that pay fees, and the token accounts of who is paid.
//!
//! Called by the doctor and by the checks before a gate or facilitator starts. It asks and never
//! sends, and each question has a time limit. Findings and words are for whoever called.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use farebox_core::diagnosis::{
    AccountFacts, ChainFacts, Head, MintFacts, MintSaid, NodeFacts, PayeeAccount, PayeeFacts,
    SolanaFacts,
};
use farebox_core::rail::RailError;
use farebox_wire::money::Amount;
use farebox_wire::svm::SvmAddress;
use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::account::{TokenAccount, address_of, decimals_of, program_of, token_account_of};
use crate::assets::TokenProgram;
use crate::network::{self, Chain, Commitment, Network, Token};
use crate::rpc::{Account, At, Call, Rpc, RpcError};
use crate::settle::SETTLEMENT_LAMPORTS;

/// A node that takes longer for a question of one row is no use to a buyer who waits.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// Accounts in one request (`getMultipleAccounts` takes 100).
const ACCOUNTS_MAX: usize = 100;
/// What a node answers that has not caught up with the chain.
const BEHIND: i64 = -32_005;

/// A node and the newest slot that it knows.
struct Asked {
    rpc: Rpc,
    node: String,
    head: Result<Head, RailError>,
}

/// What a chain says of itself, of its tokens, of `fee_payers`, and of where `payee` is paid what
/// is offered. Nodes are asked side by side; one that does not answer is a fact among others.
///
/// # Errors
/// A network that is none of Solana, or an endpoint that is no URL.
pub async fn diagnose(
    network: Network,
    fee_payers: &[SvmAddress],
    payee: Option<SvmAddress>,
) -> Result<SolanaFacts, RailError> {
    let urls = network.rpc.clone();
    let chain = network::index(vec![network])?
        .pop()
        .ok_or_else(|| RailError {
            code: "unknown_network",
            message: "there is no network to look at".into(),
        })?;
    let reference = chain.network.chain.reference();
    let asked = join_all(urls.iter().map(|url| ask_head(url, reference))).await;
    let asked = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let best = asked
        .iter()
        .filter_map(|one| Some((one, one.head.as_ref().ok()?)))
        .max_by_key(|(_, head)| head.number);
    let (mut mints, mut accounts) = (Ok(Vec::new()), Ok(Vec::new()));
    if let Some((one, _)) = best {
        (mints, accounts) = tokio::join!(
            look_at_mints(&one.rpc, &chain, payee),
            look_at_money(&one.rpc, fee_payers)
        );
    }
    let nodes = asked.into_iter().map(|one| NodeFacts {
        node: one.node,
        head: one.head,
    });
    Ok(SolanaFacts {
        chain: ChainFacts {
            network: chain.network.chain.clone(),
            nodes: nodes.collect(),
            block_ms: None,
            tokens: Ok(Vec::new()),
            accounts: accounts.map_err(RailError::from),
        },
        mints: mints.map_err(RailError::from),
    })
}

async fn ask_head(url: &String, reference: &str) -> Result<Asked, RailError> {
    let rpc = Rpc::new(std::slice::from_ref(url), reference)?;
    Ok(Asked {
        node: rpc.node(),
        head: head(&rpc).await.map_err(|error| {
            let is_behind = matches!(error, RpcError::Refused { code: BEHIND, .. });
            let error = RailError::from(error);
            RailError {
                code: if is_behind { "rpc_behind" } else { error.code },
                message: error.message,
            }
        }),
        rpc,
    })
}

async fn head(rpc: &Rpc) -> Result<Head, RpcError> {
    let _: Value = one(rpc, Call::health()).await?;
    let slot: u64 = one(rpc, Call::slot()).await?;
    let time: Option<i64> = one(rpc, Call::block_time(slot)).await?;
    let time = time.and_then(|time| u64::try_from(time).ok());
    Ok(Head {
        number: slot,
        timestamp_s: time.ok_or_else(|| RpcError::garbage("no time of its newest slot"))?,
        told_ms: now_ms(),
        is_forked: false,
    })
}

/// What the fee payers have.
async fn look_at_money(
    rpc: &Rpc,
    fee_payers: &[SvmAddress],
) -> Result<Vec<AccountFacts>, RpcError> {
    let mut facts = Vec::with_capacity(fee_payers.len());
    for fee_payer in fee_payers {
        let call = Call::balance(*fee_payer, Commitment::Confirmed);
        let lamports: At<u64> = one(rpc, call).await?;
        facts.push(AccountFacts {
            address: fee_payer.to_string(),
            gas_money: Amount::from_atomic(lamports.value.into()),
            settlement_cost: Some(Amount::from_atomic(SETTLEMENT_LAMPORTS.into())),
            // Transactions have no order here, so none waits for another.
            mined: 0,
            pending: 0,
            waited_ms: 0,
        });
    }
    Ok(facts)
}

/// What the mints of the tokens say, and where the payee is paid. A token of our own table that
/// this chain does not have is left out, unless it is offered.
async fn look_at_mints(
    rpc: &Rpc,
    chain: &Chain,
    payee: Option<SvmAddress>,
) -> Result<Vec<MintFacts>, RpcError> {
    let offered: Vec<SvmAddress> = match payee {
        Some(_) => chain.offered().unwrap_or_default(),
        None => Vec::new(),
    }
    .iter()
    .map(|token| token.asset.mint)
    .collect();
    let tokens: Vec<&Token> = chain.tokens().collect();
    let mints: Vec<SvmAddress> = tokens.iter().map(|token| token.asset.mint).collect();
    let said = accounts(rpc, &mints).await?;
    let paid = tokens.iter().map(|token| {
        let owner = payee.filter(|_| offered.contains(&token.asset.mint))?;
        Some((
            owner,
            token_account_of(owner, token.asset.mint, token.asset.program),
        ))
    });
    let paid: Vec<Option<(SvmAddress, SvmAddress)>> = paid.collect();
    let places: Vec<SvmAddress> = paid.iter().flatten().map(|(_, place)| *place).collect();
    let mut found = accounts(rpc, &places).await?.into_iter();
    let mut facts = Vec::with_capacity(tokens.len());
    for ((token, said), paid) in tokens.into_iter().zip(said).zip(paid) {
        let payee = paid.map(|(owner, account)| PayeeFacts {
            owner: owner.to_string(),
            account: account.to_string(),
            state: state(token, owner, found.next().flatten()),
        });
        if said.is_some() || payee.is_some() {
            facts.push(facts_of(token, said, payee));
        }
    }
    Ok(facts)
}

fn facts_of(token: &Token, said: Option<Account>, payee: Option<PayeeFacts>) -> MintFacts {
    let asset = &token.asset;
    MintFacts {
        token: format!("{} {}", asset.symbol, asset.mint),
        decimals: asset.decimals,
        program: name_of(asset.program),
        said: said.map(|account| {
            let programs = [TokenProgram::SplToken, TokenProgram::Token2022];
            let program = programs
                .into_iter()
                .find(|program| program_of(*program) == address_of(account.owner));
            MintSaid {
                program: program.map(name_of),
                decimals: program.and_then(|_| decimals_of(&account.data)),
            }
        }),
        payee,
    }
}

fn state(token: &Token, owner: SvmAddress, account: Option<Account>) -> PayeeAccount {
    let program = program_of(token.asset.program);
    let account = account.filter(|account| address_of(account.owner) == program);
    let account = account.and_then(|account| TokenAccount::read(&account.data));
    match account.filter(|account| account.mint == token.asset.mint && account.owner == owner) {
        None => PayeeAccount::Missing,
        Some(account) if account.is_frozen => PayeeAccount::Frozen,
        Some(_) => PayeeAccount::Open,
    }
}

/// As it is written in a configuration.
const fn name_of(program: TokenProgram) -> &'static str {
    match program {
        TokenProgram::SplToken => "spl-token",
        TokenProgram::Token2022 => "token-2022",
    }
}

async fn accounts(rpc: &Rpc, places: &[SvmAddress]) -> Result<Vec<Option<Account>>, RpcError> {
    let mut accounts = Vec::with_capacity(places.len());
    for some in places.chunks(ACCOUNTS_MAX) {
        let call = Call::accounts(some, Commitment::Confirmed);
        let found: At<Vec<Option<Account>>> = one(rpc, call).await?;
        if found.value.len() != some.len() {
            return Err(RpcError::garbage("not as many accounts as were asked for"));
        }
        accounts.extend(found.value);
    }
    Ok(accounts)
}

/// One question within its time.
async fn one<T: DeserializeOwned>(rpc: &Rpc, call: Call) -> Result<T, RpcError> {
    let asked = tokio::time::timeout(ASK_WITHIN, rpc.one(call)).await;
    asked.unwrap_or_else(|_| {
        Err(RpcError::NoAnswer {
            node: rpc.node(),
            why: format!("nothing within {} s", ASK_WITHIN.as_secs()),
        })
    })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
