//! Reads a source again and again: one request at a time, within a time and a size, no redirects, and
//! https beyond this machine.

use std::sync::Arc;
use std::time::Duration;

use farebox_core::clock::Clock;
use farebox_wire::money::UsdMicros;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use tokio::sync::watch;

use super::{Bounds, Shared, locked, reading};

/// A source that takes longer is away.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer: whole markets are listed in less.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// A rate is read this often while it may be its age old, so that one lost answer is no gap.
const READINGS_PER_AGE: u32 = 5;
/// Nobody is asked more often.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// What is worth knowing is known after a minute.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Characters of a reason that are shown.
const WHY_CHARS_MAX: usize = 200;

/// What is wrong with a source as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FeedError {
    /// Not an address, or in the clear beyond this machine.
    #[error("url is no https address; whoever listens on plain http could set the rate")]
    Url,
    /// Not a JSON pointer.
    #[error("pointer is no JSON pointer; write it like \"/data/price\"")]
    Pointer,
    /// The HTTP client cannot be built.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// A source.
pub(crate) struct Feed {
    http: Client,
    url: Url,
    pointer: String,
    bounds: Bounds,
}

impl Feed {
    /// Builds the client; nothing is asked.
    pub(crate) fn new(url: &str, pointer: &str, bounds: Bounds) -> Result<Self, FeedError> {
        let parsed = Url::parse(url).ok().filter(|url| {
            let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
            is_safe && url.has_host() && url.fragment().is_none()
        });
        let url = parsed.ok_or(FeedError::Url)?;
        if !reading::is_pointer(pointer) {
            return Err(FeedError::Pointer);
        }
        let builder = || {
            let builder = Client::builder()
                .user_agent(concat!("farebox/", env!("CARGO_PKG_VERSION")))
                .timeout(READ_TIMEOUT)
                .redirect(Policy::none());
            match is_loopback(&url) {
                true => builder.no_proxy(),
                false => builder,
            }
        };
        // A bare container has no certificates of authorities; this machine is reached without.
        let http = builder()
            .build()
            .or_else(|_| builder().tls_certs_only([]).build());
        Ok(Self {
            http: http.map_err(|why| FeedError::Client(why.to_string()))?,
            url,
            pointer: pointer.to_owned(),
            bounds,
        })
    }

    pub(super) const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Asks once.
    pub(crate) async fn read(&self) -> Result<UsdMicros, String> {
        let asked = self.http.get(self.url.clone()).send().await;
        let mut answer = asked.map_err(|why| brief(&why.without_url()))?;
        if !answer.status().is_success() {
            return Err(format!("it answers HTTP {}", answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|why| brief(&why.without_url()))?
        {
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(format!("it answers more than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        reading::read(&body, &self.pointer)
    }

    /// Asks for ever.
    pub(super) async fn read_on(
        self,
        book: Shared,
        told: watch::Sender<bool>,
        clock: Arc<dyn Clock>,
    ) {
        let age = Duration::from_millis(self.bounds.max_age_ms);
        let pause = (age / READINGS_PER_AGE).clamp(PAUSE_MIN, PAUSE_MAX);
        loop {
            let reading = self.read().await;
            if let Err(why) = &reading {
                tracing::debug!(host = self.url.host_str(), why, "a rate was not read");
            }
            locked(&book).take(reading, clock.now_ms());
            told.send_replace(true);
            tokio::time::sleep(pause).await;
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn brief(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(WHY_CHARS_MAX).collect()
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
