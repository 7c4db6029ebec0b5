//! `farebox token attenuate`: a token that allows less, to hand on.
//!
//! Whoever gets it can narrow it further and never widen it again: that is what macaroons are for.
//! Nothing is stored, and the seller is not asked; one counter of uses is shared by all copies.

use clap::{ArgGroup, Args};
use farebox_core::clock::{Clock as _, SystemClock};
use farebox_wire::l402::credential::{Carriage, L402Credential};
use farebox_wire::l402::macaroon::Macaroon;
use farebox_wire::l402::{Scheme, caveat, conditions};
use serde::Serialize;

use super::super::Globals;
use super::{EXAMPLES, find, ledger, readable};
use crate::config::Timespan;
use crate::failure::Failure;
use crate::output;

/// Print a token that allows less, to hand on. The one that is kept stays as it is
#[derive(Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("narrower").required(true).multiple(true))]
pub(super) struct Attenuate {
    /// Its name, as `farebox token list` shows it
    id: String,
    /// A condition as the seller reads it, "name=value"; may be repeated
    #[arg(long, value_name = "CONDITION", group = "narrower")]
    caveat: Vec<String>,
    /// How long it is good for from now, for instance "1h"
    #[arg(long, value_name = "TIME", group = "narrower")]
    valid_for: Option<Timespan>,
    /// For how many requests, of those that are left (gates of Farebox)
    #[arg(long, value_name = "N", group = "narrower", value_parser = clap::value_parser!(u64).range(1..))]
    uses: Option<u64>,
    /// For this method alone (gates of Farebox)
    #[arg(long, value_name = "METHOD", group = "narrower")]
    method: Option<String>,
    /// For paths that begin so (gates of Farebox)
    #[arg(long, value_name = "PATH", group = "narrower")]
    path: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Narrowed {
    header: &'static str,
    credential: String,
    conditions: Vec<String>,
}

impl Attenuate {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let token = find(&*ledger(globals).await?, self.id.clone()).await?;
        let opaque = || {
            Failure::config(
                "token_opaque",
                format!(
                    "token {} is not a macaroon, so it cannot be narrowed; hand it on as it is with `farebox token show {} --reveal`, or not at all",
                    token.id, token.id
                ),
            )
        };
        let whole = readable(&token).ok_or_else(opaque)?;
        let macaroon = whole.macaroon().map_err(|_| opaque())?;
        let conditions = self.conditions(&macaroon)?;
        let mut narrowed = macaroon;
        for condition in &conditions {
            let added = narrowed.add_first_party_caveat(condition.as_bytes());
            narrowed = added.map_err(|why| usage(why.to_string()))?;
        }
        let scheme = match whole.carriage {
            Carriage::Authorization(scheme) => scheme,
            Carriage::Metadata => Scheme::L402,
        };
        let credential = L402Credential::new(scheme, &narrowed.to_base64(), whole.preimage)
            .map_err(|why| usage(why.to_string()))?;
        let credential = credential
            .to_authorization()
            .map_err(|why| usage(why.to_string()))?;
        match globals.json {
            true => output::json(&Narrowed {
                header: "authorization",
                credential,
                conditions,
            }),
            false => output::line(&credential),
        }?;
        Ok(0)
    }

    fn conditions(&self, macaroon: &Macaroon) -> Result<Vec<String>, Failure> {
        let mut conditions = self.caveat.clone();
        if let Some(bad) = conditions.iter().find(|text| !is_condition(text)) {
            return Err(usage(format!(
                "--caveat {bad:?} is no condition; write it like \"name=value\""
            )));
        }
        if let Some(span) = self.valid_for {
            let seconds = span
                .whole_seconds()
                .ok_or_else(|| usage("--valid-for is not in whole seconds".to_owned()))?;
            let end = SystemClock.now_s().saturating_add(seconds);
            for service in services(macaroon)? {
                conditions.push(format!("{service}{}={end}", caveat::VALID_UNTIL_SUFFIX));
            }
        }
        let ours = [
            (conditions::USES, self.uses.map(|uses| uses.to_string())),
            (conditions::METHOD, self.method.clone()),
            (conditions::PATH, self.path.clone()),
        ];
        let ours = ours
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        conditions.extend(ours);
        Ok(conditions)
    }
}

/// The services that a token is good for: its end is said for each by name.
fn services(macaroon: &Macaroon) -> Result<Vec<String>, Failure> {
    let mut pairs = macaroon.first_party_caveats().filter_map(caveat::split);
    let value = pairs.find(|(name, _)| *name == caveat::SERVICES);
    let services = value.and_then(|(_, value)| caveat::parse_services(value).ok());
    let services = services.ok_or_else(|| {
        usage(format!(
            "the token names no service, and its end is said for one; write --caveat \"<service>{}=<Unix seconds>\"",
            caveat::VALID_UNTIL_SUFFIX
        ))
    })?;
    Ok(services.into_iter().map(|service| service.name).collect())
}

fn is_condition(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    is_plain
        && text.len() <= caveat::CAVEAT_BYTES_MAX
        && text
            .split_once('=')
            .is_some_and(|(name, _)| !name.trim().is_empty())
}

fn usage(message: String) -> Failure {
    Failure::config("usage", message)
}
