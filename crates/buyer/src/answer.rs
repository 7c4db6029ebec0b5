//! What a call gives back: the head, the body as a stream, the payment, and how it ended.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use farebox_core::fault::{Blame, Fault, Kind};
use farebox_core::ledger::Payment;
use http::{HeaderMap, StatusCode};
use reqwest::Response;
use url::Url;

use crate::choose::Plan;
use crate::ending::{Ending, Exit};
use crate::options::COLLECT_BYTES_MAX;
use crate::origin;

/// An HTTP reply, and what it cost.
pub struct Fetched {
    /// Where it came from, without user name and password.
    pub url: Url,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The payment that was made, or is open, for it.
    pub payment: Option<Payment>,
    /// How the call ended so far; a body that breaks off changes it.
    pub ending: Ending,
    /// What a dry run found.
    pub plan: Option<Plan>,
    /// Whether it came for a token that was bought before: it has cost nothing now, and
    /// [`Fetched::payment`] is what the token has cost then.
    pub is_reused: bool,
    body: Body,
}

/// A body, part of which may have been read to look for a challenge.
pub(crate) struct Body {
    read: Option<Bytes>,
    rest: Option<Response>,
    /// The longest pause between two parts.
    idle: Duration,
}

impl Body {
    /// A body of which nothing has been read.
    pub(crate) fn of(response: Response, idle: Duration) -> Self {
        Self::after(Bytes::new(), Some(response), idle)
    }

    /// A body whose beginning has been read.
    pub(crate) fn after(read: Bytes, rest: Option<Response>, idle: Duration) -> Self {
        Self {
            read: Some(read).filter(|read| !read.is_empty()),
            rest,
            idle,
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if let Some(read) = self.read.take() {
            return Ok(Some(read));
        }
        let Some(rest) = &mut self.rest else {
            return Ok(None);
        };
        match tokio::time::timeout(self.idle, rest.chunk()).await {
            Ok(Ok(Some(chunk))) => Ok(Some(chunk)),
            Ok(Ok(None)) => {
                self.rest = None;
                Ok(None)
            }
            Ok(Err(why)) => Err(self.broken(&why.to_string())),
            Err(_) => Err(self.broken("nothing more came in time")),
        }
    }

    fn broken(&mut self, why: &str) -> Fault {
        self.rest = None;
        Fault::harmless(
            "body_broke_off",
            Kind::Network,
            Blame::Peer,
            format!("the answer broke off before its end: {why}"),
        )
    }
}

impl Fetched {
    pub(crate) fn with_head(
        url: &Url,
        status: StatusCode,
        headers: HeaderMap,
        body: Body,
        ending: Ending,
    ) -> Self {
        Self {
            url: origin::bare(url),
            status,
            headers,
            payment: None,
            ending,
            plan: None,
            is_reused: false,
            body,
        }
    }

    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// `body_broke_off`; [`Fetched::ending`] knows it then too, and nothing more comes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let next = self.body.next().await;
        if let Err(fault) = &next {
            self.ending.break_off(fault.clone());
        }
        next
    }

    /// The whole body, at most 64 MiB.
    ///
    /// # Errors
    /// `body_broke_off`, or `answer_too_large`: stream it with [`Fetched::chunk`] then.
    pub async fn collect(&mut self) -> Result<Bytes, Fault> {
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > COLLECT_BYTES_MAX {
                let fault = too_large();
                self.body.rest = None;
                self.ending.break_off(fault.clone());
                return Err(fault);
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// Says that the body could not be kept (a full disk, a closed pipe): paid for, and not
    /// delivered to where it was wanted. The ending, and with it the report, says so then.
    pub fn not_kept(&mut self, fault: Fault) {
        self.ending.break_off(fault);
    }

    /// This answer, if the call ended well; else the error that an embedder wants.
    ///
    /// # Errors
    /// Everything but exit 0.
    pub fn into_result(self) -> Result<Self, FetchError> {
        match self.ending.exit() {
            Exit::Done => Ok(self),
            _ => Err(FetchError {
                url: self.url.into(),
                ending: Box::new(self.ending),
                payment: self.payment.map(Box::new),
            }),
        }
    }
}

fn too_large() -> Fault {
    Fault::harmless(
        "answer_too_large",
        Kind::Http,
        Blame::User,
        format!("the answer has more than {COLLECT_BYTES_MAX} bytes; write it to a file with -o"),
    )
}

/// A call without a reply, or one that an embedder counts as failed.
pub struct FetchError {
    /// What was asked for, without user name and password.
    pub url: String,
    /// How it ended; never well.
    pub ending: Box<Ending>,
    /// The payment that was made, or is open, for it.
    pub payment: Option<Box<Payment>>,
}

impl std::fmt::Debug for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchError")
            .field("url", &self.url)
            .field("ending", &self.ending)
            .field("payment", &self.payment.as_ref().map(|payment| &payment.id))
            .finish()
    }
}

impl std::fmt::Display for FetchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ending.fault() {
            Some(fault) => fault.fmt(f),
            None => f.write_str("the call failed"),
        }
    }
}

impl std::error::Error for FetchError {}
