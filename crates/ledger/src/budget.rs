//! Budgets: their limits, and what the books say has been used of them.

use farebox_core::ledger::{BudgetLine, LedgerError};
use farebox_core::policy::{self, Denial, Level, Limits, Usage};
use farebox_wire::money::UsdMicros;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::accounts::{Day, Triple};
use crate::books::Books;
use crate::postings::{self, USD};
use crate::{blob, error};

const OWNER: &str = "owner";
const AGENT: &str = "agent/";

/// Asks every budget that a cost falls under: the owner's, and the agent's own.
pub(crate) fn decide(
    books: &mut Books,
    agent: Option<&str>,
    day: Day,
    cost: UsdMicros,
) -> Result<Result<(), Denial>, LedgerError> {
    let owner = decide_one(books, None, day, cost)?;
    if owner.is_err() || agent.is_none() {
        return Ok(owner);
    }
    decide_one(books, agent, day, cost)
}

/// Replaces the limits that `change` names.
pub(crate) fn set(
    connection: &Connection,
    agent: Option<&str>,
    change: Limits,
) -> Result<(), LedgerError> {
    let limits = limits_of(connection, agent)?
        .unwrap_or_default()
        .replaced_by(change);
    write(connection, "INSERT OR REPLACE", agent, limits).map(|_| ())
}

/// Sets the owner's limits unless there are some. Returns whether it did.
pub(crate) fn seed(connection: &Connection, limits: Limits) -> Result<bool, LedgerError> {
    write(connection, "INSERT OR IGNORE", None, limits)
}

/// Every limit with what is used of it, the owner's first.
pub(crate) fn lines(connection: &Connection, day: Day) -> Result<Vec<BudgetLine>, LedgerError> {
    let mut lines = Vec::new();
    // 'owner' would come after 'agent/…'.
    if let Some(limits) = limits_of(connection, None)? {
        lines.extend(lines_of(connection, None, &limits, day)?);
    }
    for (agent, limits) in agents(connection).map_err(error::store)? {
        lines.extend(lines_of(connection, Some(&agent), &limits, day)?);
    }
    Ok(lines)
}

fn decide_one(
    books: &mut Books,
    agent: Option<&str>,
    day: Day,
    cost: UsdMicros,
) -> Result<Result<(), Denial>, LedgerError> {
    let Some(limits) = limits_of(books.file(), agent)? else {
        return Ok(Err(Denial::NoBudget {
            agent: agent.map(str::to_owned),
        }));
    };
    let mut used =
        |triple: &Triple| used(triple, |account| Ok(books.account(account, USD)?.1.balance))?.sum();
    let usage = Usage {
        day: used(&Triple::of_day(agent, day))?,
        total: used(&Triple::of_total(agent))?,
    };
    Ok(policy::decide(agent, &limits, &usage, cost))
}

fn lines_of(
    connection: &Connection,
    agent: Option<&str>,
    limits: &Limits,
    day: Day,
) -> Result<[BudgetLine; 3], LedgerError> {
    let line = |level, limit, used: Used| BudgetLine {
        level,
        agent: agent.map(str::to_owned),
        limit,
        spent: used.spent,
        reserved: used.reserved,
    };
    let used = |triple: &Triple| {
        used(triple, |account| {
            postings::balance(connection, account, USD)
        })
    };
    let today = used(&Triple::of_day(agent, day))?;
    let ever = used(&Triple::of_total(agent))?;
    Ok([
        line(Level::Payment, limits.per_payment, Used::default()),
        line(Level::Day, limits.per_day, today),
        line(Level::Total, limits.total, ever),
    ])
}

#[derive(Default)]
struct Used {
    reserved: UsdMicros,
    spent: UsdMicros,
}

impl Used {
    fn sum(&self) -> Result<UsdMicros, LedgerError> {
        self.reserved
            .checked_add(self.spent)
            .ok_or(LedgerError::Overflow)
    }
}

fn used(
    triple: &Triple,
    mut balance: impl FnMut(&str) -> Result<i128, LedgerError>,
) -> Result<Used, LedgerError> {
    let mut balance = |account: &str| {
        let balance = balance(account)?;
        u128::try_from(balance)
            .map(UsdMicros)
            .map_err(|_| LedgerError::Damaged(format!("{account} is negative: {balance}")))
    };
    Ok(Used {
        reserved: balance(&triple.held)?,
        spent: balance(&triple.spent)?,
    })
}

fn limits_of(connection: &Connection, agent: Option<&str>) -> Result<Option<Limits>, LedgerError> {
    connection
        .prepare_cached("SELECT holder, per_payment, per_day, total FROM budgets WHERE holder = ?1")
        .and_then(|mut statement| statement.query_row([holder(agent)], read_limits).optional())
        .map_err(error::store)
}

fn agents(connection: &Connection) -> rusqlite::Result<Vec<(String, Limits)>> {
    let mut statement = connection.prepare_cached(
        "SELECT holder, per_payment, per_day, total FROM budgets
         WHERE holder <> 'owner' ORDER BY holder",
    )?;
    let rows = statement.query_map([], |row| {
        let holder: String = row.get(0)?;
        let agent = holder.strip_prefix(AGENT).unwrap_or(&holder).to_owned();
        Ok((agent, read_limits(row)?))
    })?;
    rows.collect()
}

fn read_limits(row: &Row<'_>) -> rusqlite::Result<Limits> {
    Ok(Limits {
        per_payment: blob::from_limit(row.get(1)?),
        per_day: blob::from_limit(row.get(2)?),
        total: blob::from_limit(row.get(3)?),
    })
}

fn write(
    connection: &Connection,
    verb: &str,
    agent: Option<&str>,
    limits: Limits,
) -> Result<bool, LedgerError> {
    let sql = format!(
        "{verb} INTO budgets (holder, per_payment, per_day, total) VALUES (?1, ?2, ?3, ?4)"
    );
    let rows = connection
        .execute(
            &sql,
            params![
                holder(agent),
                blob::limit(limits.per_payment),
                blob::limit(limits.per_day),
                blob::limit(limits.total),
            ],
        )
        .map_err(error::store)?;
    Ok(rows > 0)
}

fn holder(agent: Option<&str>) -> String {
    agent.map_or_else(|| OWNER.to_owned(), |name| format!("{AGENT}{name}"))
}
