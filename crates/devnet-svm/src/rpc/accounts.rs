//! Methods that read accounts.

use serde::Deserialize;
use serde_json::{Value, json};
use solana_address::Address;

use super::params::{Params, base58};
use super::render::{self, Encoding, View};
use super::{Answer, Rpc, RpcError, context};
use crate::options::TokenProgram;
use crate::tokens;

/// Accounts in one question, as agave's default.
const MAX_ACCOUNTS: usize = 100;

/// Which token accounts of an owner are wanted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum TokenFilter {
    Mint(String),
    ProgramId(String),
}

impl Rpc {
    pub(crate) fn get_balance(&self, params: &Params) -> Answer {
        let address = params.base58(0)?;
        let config = params.config(1)?;
        let (world, block) = self.bank(&config)?;
        let account = world.account(&address, config.commitment());
        let lamports = account.map_or(0, |account| account.lamports);
        Ok(context(block, json!(lamports)))
    }

    pub(crate) fn get_account_info(&self, params: &Params) -> Answer {
        let address = params.base58(0)?;
        let config = params.config(1)?;
        let view = View::of(&config, Encoding::Binary)?;
        let (world, block) = self.bank(&config)?;
        let account = world.account(&address, view.commitment);
        Ok(context(
            block,
            render::account(&world, account.as_ref(), view)?,
        ))
    }

    pub(crate) fn get_multiple_accounts(&self, params: &Params) -> Answer {
        let addresses: Vec<String> = params.required(0)?;
        if addresses.len() > MAX_ACCOUNTS {
            return Err(RpcError::params(format!(
                "Too many inputs provided; max {MAX_ACCOUNTS}"
            )));
        }
        let config = params.config(1)?;
        let view = View::of(&config, Encoding::Base64)?;
        let (world, block) = self.bank(&config)?;
        let accounts = addresses.iter().map(|address| {
            let account = world.account(&base58(address)?, view.commitment);
            render::account(&world, account.as_ref(), view)
        });
        let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
        Ok(context(block, Value::Array(accounts)))
    }

    pub(crate) fn get_token_account_balance(&self, params: &Params) -> Answer {
        let address: Address = params.base58(0)?;
        let config = params.config(1)?;
        let (world, block) = self.bank(&config)?;
        let stored = world
            .account(&address, config.commitment())
            .ok_or_else(|| RpcError::params("Invalid param: could not find account"))?;
        let (_, account) = tokens::read_account(&stored)
            .ok_or_else(|| RpcError::params("Invalid param: not a Token account"))?;
        let mint = world.account(&account.mint, config.commitment());
        let (_, mint) = mint
            .and_then(|stored| tokens::read_mint(&stored))
            .ok_or_else(|| RpcError::params("Invalid param: could not find mint"))?;
        Ok(context(
            block,
            render::amount(account.amount, mint.decimals),
        ))
    }

    pub(crate) fn get_token_supply(&self, params: &Params) -> Answer {
        let address: Address = params.base58(0)?;
        let config = params.config(1)?;
        let (world, block) = self.bank(&config)?;
        let stored = world
            .account(&address, config.commitment())
            .ok_or_else(|| RpcError::params("Invalid param: could not find account"))?;
        let (_, mint) = tokens::read_mint(&stored)
            .ok_or_else(|| RpcError::params("Invalid param: not a Token mint"))?;
        Ok(context(block, render::amount(mint.supply, mint.decimals)))
    }

    pub(crate) fn get_token_accounts_by_owner(&self, params: &Params) -> Answer {
        let owner: Address = params.base58(0)?;
        let filter: TokenFilter = params.required(1)?;
        let config = params.config(2)?;
        let view = View::of(&config, Encoding::Binary)?;
        let (world, block) = self.bank(&config)?;
        let (program, mint) = match filter {
            TokenFilter::ProgramId(program) => {
                let program = TokenProgram::at(&base58(&program)?).ok_or_else(|| {
                    RpcError::params("Invalid param: unrecognized Token program id")
                })?;
                (program, None)
            }
            TokenFilter::Mint(mint) => {
                let mint: Address = base58(&mint)?;
                let stored = world.account(&mint, view.commitment);
                let (program, _) = stored
                    .and_then(|stored| tokens::read_mint(&stored))
                    .ok_or_else(|| RpcError::params("Invalid param: could not find mint"))?;
                (program, Some(mint))
            }
        };
        let mut found = Vec::new();
        for (address, stored) in world.owned_by(&program.address(), view.commitment) {
            let wanted = tokens::read_account(&stored).is_some_and(|(_, account)| {
                account.owner == owner && mint.is_none_or(|mint| account.mint == mint)
            });
            if wanted {
                let account = render::account(&world, Some(&stored), view)?;
                found.push(json!({"pubkey": address.to_string(), "account": account}));
            }
        }
        Ok(context(block, Value::Array(found)))
    }
}
