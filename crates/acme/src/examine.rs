//! What there is to say about a plan, for those who only look: nothing is ordered or written.
//!
//! Called by the doctor. One question goes to the directory: whether it is there.

use crate::bundle::Life;
use crate::fault::AcmeError;
use crate::plan::Plan;
use crate::schedule;
use crate::store::Store;
use crate::transport::Transport;

/// See the module.
#[derive(Debug)]
pub struct Facts {
    /// How long the certificate is good, if there is one that can be served with.
    pub life: Option<Life>,
    /// When it is renewed at the latest, unless the directory wishes otherwise; seconds since 1970.
    pub renew_s: Option<u64>,
    /// How often it was tried in vain since the last success.
    pub failures: u32,
    /// When it is tried again, in seconds since 1970.
    pub next_s: u64,
    /// Why it failed the last time.
    pub why: String,
    /// Why the directory cannot be asked, if it cannot.
    pub unreachable: Option<AcmeError>,
}

/// Looks at the folder, and whether the directory answers.
///
/// # Errors
/// [`AcmeError::Store`]: the folder cannot be read. [`AcmeError::Authority`]: no root to trust.
pub async fn examine(plan: &Plan) -> Result<Facts, AcmeError> {
    let transport = Transport::new(plan.authority())?;
    let store = Store::new(plan.clone());
    let looking = tokio::task::spawn_blocking(move || Ok((store.bundle()?, store.tries()?)));
    let looked = looking
        .await
        .map_err(|why| AcmeError::Machine(why.to_string()))?;
    let (bundle, tries) = looked?;
    let knocked = transport.knock(plan.directory()).await;
    let life = bundle.map(|bundle| bundle.life);
    Ok(Facts {
        life,
        renew_s: life.map(|life| schedule::renew_at_s(&life, None, 0)),
        failures: tries.failures,
        next_s: tries.next_s,
        why: tries.why,
        unreachable: knocked.err().map(|why| AcmeError::Unreachable {
            directory: plan.directory().to_owned(),
            why,
        }),
    })
}
