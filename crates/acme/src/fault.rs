//! Why there is no certificate, in words that say what to do.
//!
//! Made by every part of this crate; logged by the keeper, written down in the folder, shown by
//! those who only look. What a directory says is quoted, and cut short.

use std::io;
use std::path::{Path, PathBuf};

use instant_acme::{Error, Problem};

use crate::plan::Challenge;

/// Characters of what a directory says.
const QUOTED_MAX: usize = 400;
/// How the names of problems begin (RFC 8555 §6.7).
const PROBLEM: &str = "urn:ietf:params:acme:error:";

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// A file cannot be read or written.
    #[error("cannot use {}: {error}; it has to belong to the user who runs this", path.display())]
    Store {
        /// Of the file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The roots of the directory's own TLS are none.
    #[error("acme.ca cannot be used: {0}")]
    Authority(String),
    /// No answer.
    #[error(
        "cannot reach {directory}: {why}; look whether this machine may go there, and whether its certificate leads to a root that is known here (or name one with ca)"
    )]
    Unreachable {
        /// Who was asked.
        directory: String,
        /// What went wrong.
        why: String,
    },
    /// An answer that is no.
    #[error("{directory} refuses ({kind}): {detail}; {advice}")]
    Refused {
        /// Who was asked.
        directory: String,
        /// The name of the problem.
        kind: String,
        /// Its words.
        detail: String,
        /// What to do.
        advice: String,
    },
    /// The way in which the names should be proven is not offered.
    #[error("{directory} does not offer {wanted} for {domain}; choose another challenge")]
    NotOffered {
        /// Who was asked.
        directory: String,
        /// What was wanted.
        wanted: &'static str,
        /// For which name.
        domain: String,
    },
    /// An answer that is none.
    #[error(
        "{directory} does not speak ACME as expected: {why}; is that the address of its directory?"
    )]
    Strange {
        /// Who was asked.
        directory: String,
        /// What went wrong.
        why: String,
    },
    /// It takes longer than an order may.
    #[error("{0} has not decided in time; it will be asked again")]
    TooSlow(String),
    /// A certificate that cannot be served with.
    #[error("this certificate cannot be used: {0}")]
    Unusable(String),
    /// This machine has no randomness or no threads to give.
    #[error("this machine cannot do it: {0}")]
    Machine(String),
}

impl AcmeError {
    pub(crate) fn store(path: &Path, error: io::Error) -> Self {
        Self::Store {
            path: path.to_owned(),
            error,
        }
    }

    /// What the library says about `directory`.
    pub(crate) fn of(directory: &str, challenge: Challenge, error: Error) -> Self {
        let directory = directory.to_owned();
        match error {
            Error::Api(problem) => Self::refused(&directory, challenge, &problem),
            Error::Timeout(_) => Self::TooSlow(directory),
            // Our own transport, which is all that the library does not know.
            Error::Other(why) => Self::Unreachable {
                directory,
                why: cut(&why.to_string()),
            },
            other => Self::Strange {
                directory,
                why: cut(&other.to_string()),
            },
        }
    }

    pub(crate) fn refused(directory: &str, challenge: Challenge, problem: &Problem) -> Self {
        let kind = problem.r#type.as_deref().unwrap_or("about:blank");
        let kind = kind.strip_prefix(PROBLEM).unwrap_or(kind);
        let mut detail = problem.detail.clone().unwrap_or_default();
        for part in &problem.subproblems {
            detail = format!("{detail} {part}");
        }
        Self::Refused {
            directory: directory.to_owned(),
            kind: cut(kind),
            detail: cut(detail.trim()),
            advice: advice(kind, challenge),
        }
    }

    /// Whether the directory has never heard of this problem's account.
    pub(crate) fn is_unknown_account(error: &Error) -> bool {
        is_kind(error, "accountDoesNotExist")
    }

    /// Whether the directory thinks that the certificate was renewed already.
    pub(crate) fn is_replaced_already(error: &Error) -> bool {
        is_kind(error, "alreadyReplaced")
    }
}

fn is_kind(error: &Error, kind: &str) -> bool {
    match error {
        Error::Api(problem) => {
            let name = problem.r#type.as_deref().unwrap_or_default();
            name.strip_prefix(PROBLEM) == Some(kind)
        }
        _ => false,
    }
}

fn advice(kind: &str, challenge: Challenge) -> String {
    let port = challenge.port();
    match kind {
        "rateLimited" => {
            "wait, and try things out at the directory's staging address, where limits are wide"
                .to_owned()
        }
        "dns" => "the name needs a record that leads to this machine".to_owned(),
        "connection" | "tls" => format!(
            "the directory has to reach port {port} of the name, which has to lead to where this server listens"
        ),
        "unauthorized" | "incorrectResponse" => format!(
            "somebody else answers on port {port} of the name, or something in between ends TLS, so let it lead to this server itself"
        ),
        "caa" => "add this authority to the CAA record of the name, which lists others".to_owned(),
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            "ask another authority, because this one gives no certificate for the name".to_owned()
        }
        "userActionRequired" => "read its new terms, and restart to accept them".to_owned(),
        "externalAccountRequired" => {
            "ask another authority, because this one serves customers of its own only, or use cert and key"
                .to_owned()
        }
        "invalidContact" | "unsupportedContact" => "mend acme.contact".to_owned(),
        _ => "it will be asked again".to_owned(),
    }
}

/// Without line breaks, and not too long.
pub(crate) fn cut(text: &str) -> String {
    let plain = text.chars().map(|letter| match letter.is_control() {
        true => ' ',
        false => letter,
    });
    plain.take(QUOTED_MAX).collect()
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
