//! Certificates that are obtained: the plan in the data directory, and who carries it out.
//!
//! Used by `entrance` at the start and by `examining`, which only looks. Nothing is asked of an
//! authority before a server serves.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use farebox_acme::{Challenge, Keeper, LETS_ENCRYPT, Plan};
use farebox_server::{CertificateKeeper, Challenges, Obtained, Tls};

use super::entrance::{self, Order};
use super::examining::{OrderFacts, Span};
use super::selling::invalid;
use crate::config::{AcmeChallenge, DataDir};
use crate::failure::Failure;

/// The folder in the data directory.
const FOLDER: &str = "acme";

/// What the server needs of a certificate that is obtained while it serves.
///
/// # Errors
/// Exit 2: it could not be obtained.
pub(super) fn obtained(order: Order<'_>, data_dir: &DataDir) -> Result<Obtained, Failure> {
    let plan = plan(&order, data_dir)?;
    let keeper = Keeper::new(plan.clone()).map_err(|why| invalid(format!("tls: {why}")))?;
    Ok(Obtained {
        bundle: plan.bundle(),
        challenges: Challenges::in_folder(&plan.challenges()),
        keeper: Arc::new(Kept(keeper)),
    })
}

/// What there is to say about it.
///
/// # Errors
/// Exit 2: it could not be obtained, or the folder cannot be read.
pub(super) async fn facts(order: &Order<'_>, data_dir: &DataDir) -> Result<OrderFacts, Failure> {
    let plan = plan(order, data_dir)?;
    let facts = farebox_acme::examine(&plan).await;
    let facts = facts.map_err(|why| invalid(format!("tls: {why}")))?;
    Ok(OrderFacts {
        domains: plan.domains().to_vec(),
        directory: plan.directory().to_owned(),
        port: plan.challenge().port(),
        file: plan.bundle(),
        span: facts.life.map(|life| Span {
            from_s: life.not_before_s,
            until_s: life.not_after_s,
        }),
        renew_s: facts.renew_s,
        failures: facts.failures,
        next_s: facts.next_s,
        why: facts.why,
        unreachable: facts.unreachable.map(|why| why.to_string()),
    })
}

/// Files with keys that it keeps.
pub(super) fn secrets(order: &Order<'_>, data_dir: &DataDir) -> Vec<PathBuf> {
    match plan(order, data_dir) {
        Ok(plan) => vec![plan.bundle(), plan.account()],
        // Refused where it is looked at.
        Err(_) => Vec::new(),
    }
}

/// From when until when the first certificate of a file is good, where that can be read.
pub(super) fn span(file: &Path) -> Option<Span> {
    let pem = std::fs::read(file).ok()?;
    let life = farebox_acme::life(&pem).ok()?;
    Some(Span {
        from_s: life.not_before_s,
        until_s: life.not_after_s,
    })
}

fn plan(order: &Order<'_>, data_dir: &DataDir) -> Result<Plan, Failure> {
    let acme = order.acme;
    let directory = acme.directory.as_deref().unwrap_or(LETS_ENCRYPT);
    if !acme.accept_terms {
        return Err(invalid(format!(
            "tls.acme obtains nothing before the terms of {directory} are accepted; read them and write accept_terms = true"
        )));
    }
    let challenge = match acme.challenge {
        AcmeChallenge::TlsAlpn01 => Challenge::TlsAlpn01,
        AcmeChallenge::Http01 if order.has_redirect => Challenge::Http01,
        AcmeChallenge::Http01 => {
            return Err(invalid(
                "tls.acme: challenge = \"http-01\" is answered where redirect_from listens; write redirect_from = \"0.0.0.0:80\""
                    .to_owned(),
            ));
        }
    };
    let folder = data_dir.path().join(FOLDER);
    let plan = Plan::new(&folder, &acme.domains, &acme.contact, directory)
        .map_err(|why| invalid(format!("tls: {why}")))?
        .proven_by(challenge);
    let Some(reference) = &acme.ca else {
        return Ok(plan);
    };
    let file = entrance::file("acme.ca", reference, order.base)?;
    let pem = std::fs::read(&file).map_err(|error| {
        let file = file.display();
        Failure::config("tls_unusable", format!("tls: cannot read {file}: {error}"))
    })?;
    Ok(plan.trusting(pem))
}

/// A keeper that tells the server.
struct Kept(Keeper);

impl CertificateKeeper for Kept {
    fn keep<'a>(&'a self, tls: &'a Tls) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.0.keep(move || tls.look()))
    }
}
