//! Keeps a certificate: looks when it is due, takes turns with others, orders, tells.
//!
//! Runs beside a server for as long as it serves. It never gives up, never asks more often than
//! the schedule says, and a failure leaves the certificate that there is.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::bundle::Bundle;
use crate::fault::AcmeError;
use crate::order::Clerk;
use crate::plan::Plan;
use crate::schedule::{self, Window};
use crate::store::{Store, Tries};
use crate::transport::Transport;

/// The longest between two looks at the folder: another process may have written.
const LOOK_AT_LEAST_S: u64 = 3600;
/// How often to look while another process has the turn.
const TURN_TAKEN_S: u64 = 5;
/// The shortest and the longest between two questions when to renew; directories wish for six hours.
const SUGGESTION_MIN_S: u64 = 3600;
const SUGGESTION_MAX_S: u64 = 24 * 3600;
/// The longest that an order may take: a directory asks from several places, one after the other.
const ORDER_TIMEOUT: Duration = Duration::from_secs(600);
/// How soon a certificate is said to be in danger, as a part of its life.
const DANGER: u64 = 6;

/// See the module.
pub struct Keeper {
    clerk: Clerk,
}

/// What the directory suggested for a certificate.
struct Suggested {
    place: u32,
    window: Option<Window>,
    again_s: u64,
}

impl Keeper {
    /// A keeper that has done nothing yet.
    ///
    /// # Errors
    /// [`AcmeError::Authority`]: the roots of the directory cannot be used.
    pub fn new(plan: Plan) -> Result<Self, AcmeError> {
        let transport = Transport::new(plan.authority())?;
        let store = Store::new(plan.clone());
        Ok(Self {
            clerk: Clerk {
                plan,
                store,
                transport,
            },
        })
    }

    /// What is kept.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.clerk.plan
    }

    /// Keeps the certificate for as long as it is polled; `replaced` runs when there is a new one.
    pub async fn keep<F: Future<Output = ()>>(&self, replaced: impl Fn() -> F) {
        let mut suggested = None;
        let mut has_said = false;
        loop {
            let wait_s = match self.look(&mut suggested, &mut has_said).await {
                Ok(Look::Wait(seconds)) => seconds,
                Ok(Look::Replaced) => {
                    replaced().await;
                    0
                }
                Err(why) => {
                    let names = self.plan().domains().join(", ");
                    tracing::error!("certificates for {names} cannot be looked after: {why}");
                    LOOK_AT_LEAST_S
                }
            };
            tokio::time::sleep(Duration::from_secs(wait_s)).await;
        }
    }

    async fn look(
        &self,
        suggested: &mut Option<Suggested>,
        has_said: &mut bool,
    ) -> Result<Look, AcmeError> {
        let (bundle, tries) = self.state().await?;
        if let Some(bundle) = &bundle {
            self.ask_when(bundle, suggested).await;
        } else if !*has_said {
            let names = self.plan().domains().join(", ");
            tracing::warn!(
                "there is no certificate for {names} yet, and no TLS for these names until {} has given one",
                self.plan().directory()
            );
            *has_said = true;
        }
        let left_s = due_s(bundle.as_ref(), suggested.as_ref(), &tries).saturating_sub(now_s());
        if left_s > 0 {
            return Ok(Look::Wait(left_s.min(LOOK_AT_LEAST_S)));
        }
        let Some(turn) = self.clerk.in_store(Store::turn).await? else {
            tracing::debug!("another process orders a certificate");
            return Ok(Look::Wait(TURN_TAKEN_S));
        };
        // Another process may have ordered since.
        let (bundle, tries) = self.state().await?;
        if now_s() < due_s(bundle.as_ref(), suggested.as_ref(), &tries) {
            return Ok(Look::Replaced);
        }
        let looked = self.order(bundle.as_ref(), tries).await;
        drop(turn);
        looked
    }

    async fn order(&self, old: Option<&Bundle>, tries: Tries) -> Result<Look, AcmeError> {
        let names = self.plan().domains().join(", ");
        tracing::info!(
            "ordering a certificate for {names} from {}",
            self.plan().directory()
        );
        let ordered = tokio::time::timeout(ORDER_TIMEOUT, self.clerk.order(old)).await;
        let ordered =
            ordered.unwrap_or_else(|_| Err(AcmeError::TooSlow(self.plan().directory().to_owned())));
        let kept = match ordered {
            Ok((bundle, pem)) => self.keep_new(&bundle, pem).await,
            Err(why) => Err(why),
        };
        match kept {
            Ok(()) => {
                tracing::info!("there is a new certificate for {names}");
                Ok(Look::Replaced)
            }
            Err(why) => self.failed(&why, old, tries).await,
        }
    }

    async fn keep_new(&self, bundle: &Bundle, pem: Zeroizing<Vec<u8>>) -> Result<(), AcmeError> {
        let tries = Tries {
            next_s: now_s().saturating_add(schedule::rest_s(&bundle.life)),
            ..Tries::default()
        };
        let kept = self
            .clerk
            .in_store(move |store| store.keep_bundle(&pem, &tries));
        kept.await
    }

    /// Writes down what failed before anything else is tried.
    async fn failed(
        &self,
        why: &AcmeError,
        old: Option<&Bundle>,
        before: Tries,
    ) -> Result<Look, AcmeError> {
        let failures = before.failures.saturating_add(1);
        let wait_s = schedule::retry_after_s(failures, self.clerk.transport.left_alone_s());
        let tries = Tries {
            failures,
            next_s: now_s().saturating_add(wait_s),
            why: why.to_string(),
        };
        let names = self.plan().domains().join(", ");
        let then = match old {
            Some(bundle) => {
                let left_s = bundle.life.not_after_s.saturating_sub(now_s());
                format!("the old one is good for {} and stays", spoken(left_s))
            }
            None => "until then there is no TLS for these names".to_owned(),
        };
        let again = spoken(wait_s);
        let file = self.plan().tries();
        let file = file.display();
        let message = format!(
            "there is no new certificate for {names}: {why} (try {failures}, the next in {again}, or at once where {file} is removed and this is restarted); {then}"
        );
        match is_in_danger(old) {
            true => tracing::error!("{message}"),
            false => tracing::warn!("{message}"),
        }
        self.clerk
            .in_store(move |store| store.keep_tries(&tries))
            .await?;
        Ok(Look::Wait(wait_s.min(LOOK_AT_LEAST_S)))
    }

    /// Asks the directory when to renew, where it was not asked lately.
    async fn ask_when(&self, bundle: &Bundle, suggested: &mut Option<Suggested>) {
        let place = bundle.place();
        let is_known = |known: &Suggested| known.place == place && now_s() < known.again_s;
        if suggested.as_ref().is_some_and(is_known) {
            return;
        }
        let (window, again_s) = match self.clerk.suggestion(bundle).await {
            Ok(Some((window, again_s))) => (Some(window), again_s),
            Ok(None) => (None, SUGGESTION_MAX_S),
            Err(why) => {
                tracing::debug!("when to renew is not known: {why}");
                (None, SUGGESTION_MIN_S)
            }
        };
        let again_s = again_s.clamp(SUGGESTION_MIN_S, SUGGESTION_MAX_S);
        *suggested = Some(Suggested {
            place,
            window,
            again_s: now_s().saturating_add(again_s),
        });
    }

    async fn state(&self) -> Result<(Option<Bundle>, Tries), AcmeError> {
        self.clerk
            .in_store(|store| Ok((store.bundle()?, store.tries()?)))
            .await
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Keeper").field(self.plan()).finish()
    }
}

/// What a look at the folder has led to.
enum Look {
    /// Nothing to do for so many seconds.
    Wait(u64),
    /// There is another certificate.
    Replaced,
}

/// When the next order is due, by the folder and what the directory suggested.
fn due_s(bundle: Option<&Bundle>, suggested: Option<&Suggested>, tries: &Tries) -> u64 {
    let renew_s = bundle.map_or(0, |bundle| {
        let place = bundle.place();
        let suggested = suggested.filter(|known| known.place == place);
        let window = suggested.and_then(|known| known.window);
        schedule::renew_at_s(&bundle.life, window, place)
    });
    renew_s.max(tries.next_s)
}

/// Whether there is no certificate, or soon none that is good.
fn is_in_danger(held: Option<&Bundle>) -> bool {
    held.is_none_or(|bundle| {
        let whole_s = bundle
            .life
            .not_after_s
            .saturating_sub(bundle.life.not_before_s);
        bundle.life.not_after_s.saturating_sub(now_s()) < whole_s / DANGER
    })
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A span of time for people, rounded down.
fn spoken(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    match count {
        1 => format!("1 {unit}"),
        _ => format!("{count} {unit}s"),
    }
}
