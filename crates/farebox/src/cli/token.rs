//! `farebox token`: what was paid for by L402 and can be shown again.
//!
//! Reads and changes the buyer's store. Secrets are printed by `show --reveal` and, because that is
//! what it is for, by `attenuate`; nothing here pays or asks a seller.

mod attenuate;
mod import;

use std::sync::Arc;

use clap::{Args, Subcommand};
use farebox_core::ledger::Ledger;
use farebox_core::token::{Token, TokenId, TokenState};
use farebox_wire::l402::credential::{self, L402Credential};
use farebox_wire::l402::describe::{self, Description};
use serde::Serialize;

use super::Globals;
use super::payment_view::{date, word};
use crate::assemble;
use crate::failure::Failure;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  farebox token list
  farebox token show ID --reveal
  farebox token import
  farebox token attenuate ID --valid-for 1h --uses 3
  farebox token remove ID";

/// List, import and narrow tokens that were paid for by L402
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Tokens {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Remove(Remove),
    Import(import::Import),
    Attenuate(attenuate::Attenuate),
}

/// List tokens, the newest first
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct List {
    /// Only those of this origin, for instance "https://api.example.com"
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
}

/// Show one token, and what it says of itself
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Show {
    /// Its name, as `farebox token list` shows it
    id: String,
    /// Print the credential too. Whoever reads it has what was paid for
    #[arg(long)]
    reveal: bool,
}

/// Erase a token. What it was paid for is lost, unless it is kept elsewhere
#[derive(Args)]
#[command(after_help = EXAMPLES)]
struct Remove {
    /// Its name, as `farebox token list` shows it
    id: String,
}

/// What `list --json` prints.
#[derive(Serialize)]
struct Listed {
    tokens: Vec<View>,
}

/// A token as machines read it, without its secret.
#[derive(Serialize)]
struct View {
    id: String,
    state: TokenState,
    origin: String,
    method: Option<String>,
    path: String,
    agent: Option<String>,
    payment: Option<String>,
    /// Unix seconds.
    created_at: u64,
    /// Unix seconds.
    expires_at: Option<u64>,
    uses_left: Option<u64>,
}

/// What `show --json` prints.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    view: View,
    /// What a macaroon says of itself, unverified; `null` for a token of another kind.
    token: Option<Said>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

#[derive(Serialize)]
struct Said {
    location: String,
    payment_hash: Option<String>,
    conditions: Vec<String>,
    third_parties: Vec<String>,
}

impl Tokens {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        match self.command {
            Command::List(list) => list.run(globals).await,
            Command::Show(show) => show.run(globals).await,
            Command::Remove(remove) => remove.run(globals).await,
            Command::Import(import) => import.run(globals).await,
            Command::Attenuate(attenuate) => attenuate.run(globals).await,
        }
    }
}

impl List {
    async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let ledger = ledger(globals).await?;
        let origin = self.origin.as_deref().map(origin_of).transpose()?;
        let tokens = ledger.tokens(origin.as_deref()).await?;
        let tokens: Vec<View> = tokens.iter().map(View::of).collect();
        if globals.json {
            output::json(&Listed { tokens })?;
        } else if tokens.is_empty() {
            output::line("No tokens.")?;
        } else {
            let rows: Vec<Vec<String>> = tokens.iter().map(View::row).collect();
            let headings = ["id", "state", "for", "uses left", "ends"];
            output::line(&output::table(&headings, &rows))?;
        }
        Ok(0)
    }
}

impl Show {
    async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let token = find(&*ledger(globals).await?, self.id).await?;
        let said = description(&token);
        let credential = self.reveal.then(|| token.credential.value.clone());
        let view = View::of(&token);
        if globals.json {
            output::json(&Shown {
                view,
                token: said.map(Said::of),
                credential,
            })?;
            return Ok(0);
        }
        let mut lines: Vec<(&str, String)> = vec![
            ("id", view.id.clone()),
            ("state", word(view.state)),
            ("for", view.place()),
            ("created", date(view.created_at)),
        ];
        let more = [
            ("agent", view.agent.clone()),
            ("payment", view.payment.clone()),
            ("ends", view.expires_at.map(date)),
            ("uses left", view.uses_left.map(|left| left.to_string())),
            ("conditions", said.map(|said| said.conditions.join("; "))),
            ("credential", credential),
        ];
        let known = more
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        lines.extend(known);
        let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines = lines
            .iter()
            .map(|(name, value)| format!("{name:width$}  {value}"));
        output::line(&lines.collect::<Vec<_>>().join("\n"))?;
        Ok(0)
    }
}

impl Remove {
    async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let ledger = ledger(globals).await?;
        let id = TokenId(self.id);
        if !ledger.remove_token(&id).await? {
            return Err(not_found(&id));
        }
        match globals.json {
            true => output::json(&serde_json::json!({"removed": id})),
            false => output::line(&format!("Removed {id}.")),
        }?;
        Ok(0)
    }
}

impl View {
    fn of(token: &Token) -> Self {
        Self {
            id: token.id.to_string(),
            state: token.state,
            origin: token.scope.origin.clone(),
            method: token.scope.method.clone(),
            path: token.scope.path.clone(),
            agent: token.agent.clone(),
            payment: token.payment.as_ref().map(ToString::to_string),
            created_at: token.created_ms / 1000,
            expires_at: token.expires_s,
            uses_left: token.uses_left,
        }
    }

    /// Where it is shown.
    fn place(&self) -> String {
        let method = self.method.as_deref().unwrap_or("*");
        format!("{method} {}{}", self.origin, self.path)
    }

    fn row(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        vec![
            self.id.clone(),
            word(self.state),
            self.place(),
            self.uses_left.map_or_else(dash, |left| left.to_string()),
            self.expires_at.map_or_else(dash, date),
        ]
    }
}

impl Said {
    fn of(description: Description) -> Self {
        let identifier = description.identifier;
        Self {
            location: description.location,
            payment_hash: identifier.map(|identifier| identifier.payment_hash.to_string()),
            conditions: description.conditions,
            third_parties: description.third_parties,
        }
    }
}

/// What stands in a token, where it is a macaroon.
fn description(token: &Token) -> Option<Description> {
    let credential = readable(token)?;
    describe::describe(&credential.token)
}

/// The credential, taken apart; `None` where it is none of L402.
fn readable(token: &Token) -> Option<L402Credential> {
    let value = token.credential.value.as_bytes();
    let header = |name: &str| (name == token.credential.header).then_some(value);
    credential::read(header).ok().flatten()
}

async fn ledger(globals: &Globals) -> Result<Arc<dyn Ledger>, Failure> {
    assemble::ledger(&globals.config()?, &globals.data_dir()?).await
}

async fn find(ledger: &dyn Ledger, id: String) -> Result<Token, Failure> {
    let id = TokenId(id);
    let token = ledger.token(&id).await?;
    token.ok_or_else(|| not_found(&id))
}

fn not_found(id: &TokenId) -> Failure {
    Failure::config(
        "token_not_found",
        format!("there is no token {id}; `farebox token list` shows those there are"),
    )
}

/// An origin as tokens are kept by it.
fn origin_of(text: &str) -> Result<String, Failure> {
    farebox_buyer::origin_of(text).ok_or_else(|| {
        Failure::config(
            "usage",
            format!("{text:?} is no origin; write it like \"https://api.example.com\""),
        )
    })
}
