//! Accounts and amounts as agave writes them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use solana_account::Account;
use solana_address::Address;
use spl_token_interface::state::{AccountState, Mint};

use super::RpcError;
use super::params::{Config, DataSlice};
use crate::options::TokenProgram;
use crate::tokens::{self, TokenData};
use crate::world::{Commitment, World};

/// Base58 is slow for long data: more is refused, as agave does.
const MAX_BASE58_BYTES: usize = 128;

/// How an account's data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// A bare base58 string: what is answered when nothing is asked for.
    Binary,
    Base58,
    Base64,
    JsonParsed,
}

impl Encoding {
    pub(crate) fn of(name: Option<&str>, default: Self) -> Result<Self, RpcError> {
        match name {
            None => Ok(default),
            Some("binary") => Ok(Self::Binary),
            Some("base58") => Ok(Self::Base58),
            Some("base64") => Ok(Self::Base64),
            Some("jsonParsed") => Ok(Self::JsonParsed),
            Some(other) => Err(RpcError::params(format!(
                "Invalid params: unknown variant `{other}`, expected one of `binary`, `base58`, `base64`, `jsonParsed`."
            ))),
        }
    }
}

/// How the client wants accounts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) encoding: Encoding,
    pub(crate) slice: Option<DataSlice>,
    pub(crate) commitment: Commitment,
}

impl View {
    pub(crate) fn of(config: &Config, default: Encoding) -> Result<Self, RpcError> {
        Ok(Self {
            encoding: Encoding::of(config.encoding.as_deref(), default)?,
            slice: config.data_slice,
            commitment: config.commitment(),
        })
    }
}

/// An account, or `null`.
pub(crate) fn account(
    world: &World,
    account: Option<&Account>,
    view: View,
) -> Result<Value, RpcError> {
    let Some(account) = account else {
        return Ok(Value::Null);
    };
    let parsed = match view.encoding {
        Encoding::JsonParsed => parsed(world, account, view.commitment),
        _ => None,
    };
    let data = match parsed {
        Some(parsed) => parsed,
        None => encoded(sliced(&account.data, view.slice), view.encoding)?,
    };
    Ok(json!({
        "lamports": account.lamports,
        "data": data,
        "owner": account.owner.to_string(),
        "executable": account.executable,
        "rentEpoch": u64::MAX,
        "space": account.data.len(),
    }))
}

/// An amount with its decimals.
pub(crate) fn amount(amount: u64, decimals: u8) -> Value {
    json!({
        "amount": amount.to_string(),
        "decimals": decimals,
        "uiAmount": for_people(amount, decimals),
        "uiAmountString": decimal(amount, decimals),
    })
}

/// A decimal without zeros at its end.
fn decimal(amount: u64, decimals: u8) -> String {
    let places = usize::from(decimals);
    let digits = format!("{amount:0>width$}", width = places.saturating_add(1));
    let (whole, part) = digits.split_at(digits.len().saturating_sub(places));
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }
}

/// A float, because agave has one; no money is computed from it.
fn for_people(amount: u64, decimals: u8) -> f64 {
    decimal(amount, decimals).parse().unwrap_or_default()
}

fn sliced(data: &[u8], slice: Option<DataSlice>) -> &[u8] {
    let Some(DataSlice { offset, length }) = slice else {
        return data;
    };
    let from = data.get(offset..).unwrap_or_default();
    from.get(..length).unwrap_or(from)
}

fn encoded(data: &[u8], encoding: Encoding) -> Answer {
    let is_base58 = matches!(encoding, Encoding::Binary | Encoding::Base58);
    if is_base58 && data.len() > MAX_BASE58_BYTES {
        return Err(RpcError::new(
            -32600,
            format!(
                "Encoded binary (base 58) data should be less than {MAX_BASE58_BYTES} bytes, please use Base64 encoding."
            ),
        ));
    }
    Ok(match encoding {
        Encoding::Binary => json!(bs58::encode(data).into_string()),
        Encoding::Base58 => json!([bs58::encode(data).into_string(), "base58"]),
        Encoding::Base64 | Encoding::JsonParsed => json!([BASE64_STANDARD.encode(data), "base64"]),
    })
}

type Answer = Result<Value, RpcError>;

/// Mints and token accounts in JSON; other accounts are `None`.
fn parsed(world: &World, account: &Account, commitment: Commitment) -> Option<Value> {
    let (program, contents) = tokens::read(account)?;
    let parsed = match contents {
        TokenData::Mint(mint) => parsed_mint(program, &mint),
        TokenData::Account(contents) => {
            let mint = world.account(&contents.mint, commitment)?;
            let (_, mint) = tokens::read_mint(&mint)?;
            parsed_token_account(program, &contents, mint.decimals)
        }
    };
    Some(json!({"program": program.name(), "parsed": parsed, "space": account.data.len()}))
}

fn parsed_mint(program: TokenProgram, mint: &Mint) -> Value {
    let text = |address: Option<Address>| address.map(|address| address.to_string());
    let mut info = json!({
        "mintAuthority": text(mint.mint_authority.into()),
        "supply": mint.supply.to_string(),
        "decimals": mint.decimals,
        "isInitialized": mint.is_initialized,
        "freezeAuthority": text(mint.freeze_authority.into()),
    });
    if program == TokenProgram::Token2022 {
        info["extensions"] = json!([]);
    }
    json!({"info": info, "type": "mint"})
}

fn parsed_token_account(
    program: TokenProgram,
    account: &spl_token_interface::state::Account,
    decimals: u8,
) -> Value {
    let state = match account.state {
        AccountState::Uninitialized => "uninitialized",
        AccountState::Initialized => "initialized",
        AccountState::Frozen => "frozen",
    };
    let mut info = json!({
        "mint": account.mint.to_string(),
        "owner": account.owner.to_string(),
        "tokenAmount": amount(account.amount, decimals),
        "state": state,
        "isNative": account.is_native.is_some(),
    });
    if let Some(delegate) = Option::<Address>::from(account.delegate) {
        info["delegate"] = json!(delegate.to_string());
        info["delegatedAmount"] = amount(account.delegated_amount, decimals);
    }
    if let Some(authority) = Option::<Address>::from(account.close_authority) {
        info["closeAuthority"] = json!(authority.to_string());
    }
    if program == TokenProgram::Token2022 {
        // The only one that accounts of this devnet have, unless a client makes an account of another kind.
        info["extensions"] = json!([{"extension": "immutableOwner"}]);
    }
    json!({"info": info, "type": "account"})
}
