//! Lists payments and accounts.

use farebox_core::ledger::{AccountBalance, Filter, LedgerError, Payment, Stage};
use rusqlite::{Connection, params};

use crate::postings::USD;
use crate::{accounts, blob, error, row};

/// Many payments.
pub(crate) fn list(connection: &Connection, filter: &Filter) -> Result<Vec<Payment>, LedgerError> {
    let stage = match filter.stage {
        Stage::Any => "",
        Stage::Open => "AND is_open = 1",
        Stage::Undecided => "AND is_live = 1",
        Stage::NotFinal => "AND is_open = 1 AND is_live = 0",
    };
    let (order, later) = match filter.oldest_first {
        true => ("ASC", ">"),
        false => ("DESC", "<"),
    };
    let page = match filter.after {
        Some(_) => format!("AND seq {later} (SELECT seq FROM payments WHERE id = ?3)"),
        None => "AND ?3 IS NULL".to_owned(),
    };
    let tail =
        format!("WHERE (?1 IS NULL OR role = ?1) {stage} {page} ORDER BY seq {order} LIMIT ?2");
    // SQL's word for "no limit" is a negative one.
    let limit = filter
        .limit
        .map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    row::find_all(
        connection,
        &tail,
        params![
            filter.role.map(accounts::role_name),
            limit,
            filter.after.as_ref().map(|id| &id.0)
        ],
    )
}

/// Every account, by name.
pub(crate) fn books(connection: &Connection) -> Result<Vec<AccountBalance>, LedgerError> {
    let mut statement = connection
        .prepare_cached("SELECT name, asset, balance FROM accounts ORDER BY name, asset")
        .map_err(error::store)?;
    let mut rows = statement.query([]).map_err(error::store)?;
    let mut books = Vec::new();
    while let Some(row) = rows.next().map_err(error::store)? {
        let asset: String = row.get(1).map_err(error::store)?;
        books.push(AccountBalance {
            account: row.get(0).map_err(error::store)?,
            asset: match asset.as_str() {
                USD => None,
                text => Some(text.parse().map_err(|e| error::unreadable("asset", e))?),
            },
            balance: blob::from_signed(row.get(2).map_err(error::store)?),
        });
    }
    Ok(books)
}
