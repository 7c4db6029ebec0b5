//! `farebox token import`: tokens that lnget has paid for.
//!
//! Its store has a folder for each host and one file in it. What is pending there is not touched:
//! only the program that began a payment knows what became of it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use farebox_core::clock::{Clock as _, SystemClock};
use farebox_core::rail::Credential;
use farebox_core::token::{Scope, Token, TokenId, TokenState};
use farebox_wire::l402::at_rest::{FILE_BYTES_MAX, TokenAtRest};
use farebox_wire::l402::credential::AUTHORIZATION;
use farebox_wire::l402::describe;
use serde::Serialize;

use super::super::Globals;
use super::{EXAMPLES, View, ledger, origin_of};
use crate::failure::Failure;
use crate::output;

/// The file of a paid token, and of one whose payment is not proven; the names that both had before.
const PAID: [&str; 2] = ["l402.token", "lsat.token"];
const PENDING: [&str; 2] = ["l402.token.pending", "lsat.token.pending"];
/// Where lnget keeps its tokens, below the home folder.
const LNGET: &str = ".lnget/tokens";
/// Hosts of one store.
const HOSTS_MAX: usize = 10_000;

/// Take over tokens that lnget has paid for; its own files stay as they are
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Import {
    /// lnget's store, or one l402.token file [default: ~/.lnget/tokens]
    path: Option<PathBuf>,
    /// Whose the token of a single file is, for instance "https://api.example.com"
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Whose they are; by default the owner's
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
}

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Imported {
    imported: Vec<View>,
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Skipped {
    file: PathBuf,
    reason: String,
}

impl Import {
    pub(super) async fn run(self, globals: &Globals) -> Result<u8, Failure> {
        let ledger = ledger(globals).await?;
        let mut answer = Imported::default();
        for (file, origin) in self.files()? {
            let kept = match self.read(&file, &origin) {
                Err(reason) => Err(reason),
                Ok(token) => match ledger.keep_token(token.clone()).await? {
                    true => Ok(token),
                    false => Err("it is in the store already".to_owned()),
                },
            };
            match kept {
                Ok(token) => answer.imported.push(View::of(&token)),
                Err(reason) => answer.skipped.push(Skipped { file, reason }),
            }
        }
        tell(&answer, globals)?;
        Ok(u8::from(
            answer.imported.is_empty() && !answer.skipped.is_empty(),
        ))
    }

    /// The files to read, each with its origin.
    fn files(&self) -> Result<Vec<(PathBuf, String)>, Failure> {
        let path = match (&self.path, std::env::home_dir()) {
            (Some(path), _) => path.clone(),
            (None, Some(home)) => home.join(LNGET),
            (None, None) => {
                return Err(usage(
                    "there is no home folder; name lnget's store".to_owned(),
                ));
            }
        };
        if path.is_file() {
            let origin = self.origin.as_deref().ok_or_else(|| {
                usage(format!(
                    "whose token is {}? Say it with --origin \"https://api.example.com\"",
                    path.display()
                ))
            })?;
            return Ok(vec![(path, origin_of(origin)?)]);
        }
        if self.origin.is_some() {
            return Err(usage(
                "--origin is for a single file; the folders of a store say whose it is".to_owned(),
            ));
        }
        let hosts = std::fs::read_dir(&path)
            .map_err(|why| usage(format!("{} cannot be read: {why}", path.display())))?;
        let mut files = Vec::new();
        for host in hosts.flatten().take(HOSTS_MAX) {
            let names = PAID.into_iter().chain(PENDING);
            let here = names
                .map(|name| host.path().join(name))
                .filter(|file| file.is_file());
            let origin = host.file_name().to_str().and_then(origin_of_folder);
            files.extend(here.filter_map(|file| Some((file, origin.clone()?))));
        }
        files.sort();
        Ok(files)
    }

    fn read(&self, file: &Path, origin: &str) -> Result<Token, String> {
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if PENDING.contains(&name) {
            return Err("its payment is not proven yet; let lnget finish it first".to_owned());
        }
        let limit = u64::try_from(FILE_BYTES_MAX)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let mut bytes = Vec::new();
        std::fs::File::open(file)
            .and_then(|opened| opened.take(limit).read_to_end(&mut bytes))
            .map_err(|why| why.to_string())?;
        let stored = TokenAtRest::read(&bytes).map_err(|why| why.to_string())?;
        let value = stored
            .credential
            .to_authorization()
            .map_err(|why| why.to_string())?;
        let says = describe::describe(&stored.credential.token);
        Ok(Token {
            id: TokenId(format!("tok_{}", stored.payment_hash)),
            payment: None,
            scope: Scope {
                origin: origin.to_owned(),
                method: None,
                path: "*".to_owned(),
            },
            agent: self.agent.clone(),
            credential: Credential {
                header: AUTHORIZATION.to_owned(),
                value,
            },
            created_ms: stored.created_ms,
            updated_ms: SystemClock.now_ms(),
            expires_s: says.and_then(|says| says.valid_until_s),
            uses_left: None,
            // How often lnget has shown it nobody knows.
            state: TokenState::Used,
        })
    }
}

/// lnget's folders are `host` or `host_port`, for https and http alike. Only to this machine a token
/// goes in the clear.
fn origin_of_folder(name: &str) -> Option<String> {
    let (host, port) = match name.rsplit_once('_') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, format!(":{port}")),
        _ => (name, String::new()),
    };
    let scheme = match host {
        "localhost" | "127.0.0.1" => "http",
        _ => "https",
    };
    farebox_buyer::origin_of(&format!("{scheme}://{host}{port}"))
}

fn tell(answer: &Imported, globals: &Globals) -> Result<(), Failure> {
    if globals.json {
        return output::json(answer);
    }
    for Skipped { file, reason } in &answer.skipped {
        output::say(&format!(
            "farebox: {} was left out: {reason}",
            file.display()
        ));
    }
    for view in &answer.imported {
        output::line(&format!("{}  {}", view.id, view.place()))?;
    }
    if answer.imported.is_empty() {
        output::line("No token was imported.")?;
    }
    Ok(())
}

fn usage(message: String) -> Failure {
    Failure::config("usage", message)
}
