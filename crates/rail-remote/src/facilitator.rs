//! One facilitator elsewhere: what it supports, whether it is there, and its two verdicts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use farebox_core::rail::RailError;
use farebox_wire::x402::types::{
    PaymentRequirements, SettleResponse, SupportedKind, VerifyResponse,
};
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};

use crate::lent::Lent;
use crate::supported::Supported;
use crate::transport::{Answer, Ask, NoAnswer, Transport};
use crate::{answer, supported};

/// A verdict is some hundred bytes; extensions may add to it.
const VERDICT_BYTES_MAX: usize = 64 * 1024;
/// Every network with every scheme is some ten KiB.
const SUPPORTED_BYTES_MAX: usize = 1024 * 1024;
/// A verification is a round trip to a node or two; a slower facilitator is no use to a buyer who
/// waits.
const VERIFY_WITHIN: Duration = Duration::from_secs(10);
/// `/supported` asks nobody.
const SUPPORTED_WITHIN: Duration = Duration::from_secs(5);
/// Who has answered so recently is there.
const HEARD_LATELY: Duration = Duration::from_secs(10);
/// How often a 429 to `/supported` is taken before it counts as no answer, as in the SDKs.
const RETRIES_MAX: u32 = 3;
/// The longest that a 429 makes us wait, as in the SDKs.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// The one scheme that is spoken here.
pub(crate) const EXACT: &str = "exact";

/// Why `/supported` was not read.
pub(crate) enum NotKnown {
    /// It is away or busy: asked again later.
    Away(String),
    /// It does not want us, or is no facilitator: asking again will not help.
    Wrong(RailError),
}

/// See the module.
pub(crate) struct Facilitator {
    transport: Transport,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    supported: Option<Supported>,
    heard: Option<Instant>,
    /// Whether it gave no answer, or none of use, when it was last asked for something.
    is_away: bool,
}

impl Facilitator {
    pub(crate) fn new(url: Url, headers: HeaderMap) -> Result<Self, RailError> {
        Ok(Self {
            transport: Transport::new(url, headers)?,
            known: Mutex::default(),
        })
    }

    /// Host and port, for messages.
    pub(crate) fn host(&self) -> String {
        self.transport.host()
    }

    pub(crate) fn url(&self) -> &str {
        self.transport.url()
    }

    /// What it supports; `None` as long as it has not said so.
    pub(crate) fn kinds(&self) -> Option<Vec<SupportedKind>> {
        let known = self.lock();
        known.supported.as_ref().map(|known| known.kinds.clone())
    }

    /// Whether it has said what it supports.
    pub(crate) fn is_known(&self) -> bool {
        self.lock().supported.is_some()
    }

    /// What it says of a scheme and network.
    pub(crate) fn kind_of(&self, scheme: &str, network: &str) -> Option<SupportedKind> {
        let known = self.lock();
        known.supported.as_ref()?.kind_of(scheme, network).cloned()
    }

    /// The networks of Solana on which it settles, and whom it names there to pay the fees.
    pub(crate) fn fee_payers(&self) -> Vec<(String, Option<String>)> {
        let kinds = self.kinds().unwrap_or_default().into_iter();
        kinds
            .filter(|kind| kind.network.starts_with("solana:"))
            .filter(|kind| supported::covers(kind, EXACT, &kind.network))
            .map(|kind| {
                let named = supported::fee_payer(&kind).map(|named| named.to_string());
                (kind.network, named)
            })
            .collect()
    }

    /// Whether it can settle an offer; `None` where it has not said.
    pub(crate) fn fits(&self, offer: &PaymentRequirements) -> Option<bool> {
        let known = self.lock();
        Some(known.supported.as_ref()?.fits(offer))
    }

    /// Whether it gave no answer of use when it was last asked for something.
    pub(crate) fn is_away(&self) -> bool {
        self.lock().is_away
    }

    /// Notes whether it did what it was asked.
    pub(crate) fn note(&self, has_answered: bool) {
        self.lock().is_away = !has_answered;
    }

    /// Asks what it supports, waiting where it is busy and says so.
    pub(crate) async fn get_to_know(&self) -> Result<(), NotKnown> {
        let known = self.ask_and_learn().await;
        self.note(known.is_ok());
        known
    }

    async fn ask_and_learn(&self) -> Result<(), NotKnown> {
        for attempt in 0..=RETRIES_MAX {
            let answer = self.ask_supported().await;
            let answer = answer.map_err(|why| NotKnown::Away(why.why()))?;
            if answer.status == StatusCode::TOO_MANY_REQUESTS && attempt < RETRIES_MAX {
                tokio::time::sleep(wait_after(&answer, attempt)).await;
                continue;
            }
            return self.learn(&answer);
        }
        Err(NotKnown::Away("it is busy".to_owned()))
    }

    fn learn(&self, answer: &Answer) -> Result<(), NotKnown> {
        let wrong = |code, what: String| {
            let message = format!("the facilitator at {} {what}", self.host());
            NotKnown::Wrong(RailError { code, message })
        };
        match answer.status {
            status if status.is_success() => {
                let mut said = supported::read(&answer.body).map_err(|why| {
                    let what = answer::plain(&format!(
                        "does not answer /supported as one does ({why}); correct its URL"
                    ));
                    wrong("facilitator_invalid", what)
                })?;
                let mut known = self.lock();
                if let Some(before) = &known.supported {
                    said.keep_naming(before);
                }
                known.supported = Some(said);
                Ok(())
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(wrong(
                "facilitator_refuses",
                format!(
                    "refuses us (HTTP {}); correct `headers` in [facilitator]",
                    answer.status.as_u16()
                ),
            )),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(NotKnown::Away(format!("HTTP status {}", status.as_u16())))
            }
            status => Err(wrong(
                "facilitator_invalid",
                format!(
                    "answers /supported with HTTP {}; correct its URL",
                    status.as_u16()
                ),
            )),
        }
    }

    /// Whether somebody is there, asked only if that is not known. Nothing that can be settled
    /// leaves here.
    pub(crate) async fn knock(&self) -> Result<(), String> {
        let heard = self.lock().heard;
        if heard.is_some_and(|heard| heard.elapsed() < HEARD_LATELY) {
            return Ok(());
        }
        let answer = self.ask_supported().await;
        answer.map(|_| ()).map_err(NoAnswer::why)
    }

    /// `/verify`. An error is no verdict.
    pub(crate) async fn verify(&self, lent: &Lent) -> Result<VerifyResponse, String> {
        let ask = Ask {
            path: "verify",
            body: Some(&lent.body),
            key: None,
            within: VERIFY_WITHIN,
            bytes_max: VERDICT_BYTES_MAX,
        };
        let answer = self.ask(&ask).await.map_err(NoAnswer::why)?;
        answer::verify(&answer, &lent.terms)
    }

    /// `/settle`. An error is no verdict.
    pub(crate) async fn settle(
        &self,
        lent: &Lent,
        within: Duration,
    ) -> Result<SettleResponse, NoAnswer> {
        let ask = Ask {
            path: "settle",
            body: Some(&lent.body),
            key: Some(lent.idempotency_key()),
            within,
            bytes_max: VERDICT_BYTES_MAX,
        };
        let answer = self.ask(&ask).await?;
        answer::settle(&answer, &lent.terms).map_err(NoAnswer::MaybeSent)
    }

    async fn ask_supported(&self) -> Result<Answer, NoAnswer> {
        self.ask(&Ask {
            path: "supported",
            body: None,
            key: None,
            within: SUPPORTED_WITHIN,
            bytes_max: SUPPORTED_BYTES_MAX,
        })
        .await
    }

    async fn ask(&self, ask: &Ask<'_>) -> Result<Answer, NoAnswer> {
        let answer = self.transport.ask(ask).await;
        self.lock().heard = answer.is_ok().then(Instant::now);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Whole after every statement, so a panic elsewhere cannot have broken it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a 429 asks us to wait: seconds, a date, or by default twice as long each time.
fn wait_after(answer: &Answer, attempt: u32) -> Duration {
    let doubling = Duration::from_secs(1_u64.checked_shl(attempt).unwrap_or(u64::MAX));
    let Some(text) = answer.retry_after.as_deref().map(str::trim) else {
        return doubling.min(RETRY_AFTER_MAX);
    };
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text)
            .ok()
            .map(|date| date.duration_since(SystemTime::now()).unwrap_or_default()),
    };
    asked.unwrap_or(doubling).min(RETRY_AFTER_MAX)
}
