//! How a directory is asked: HTTPS only, with limits on time and bytes, and no redirects.
//!
//! Handed to the library that speaks the protocol. It remembers when a directory wants to be left
//! alone, which the library does not tell.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::redirect::Policy;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::fault::AcmeError;

/// For one answer. Authorities answer within seconds or not at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For those who only look.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer; the largest is a chain of certificates.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How we name ourselves; the library would name itself.
const NAME: &str = concat!("farebox/", env!("CARGO_PKG_VERSION"));

/// See the module.
#[derive(Clone)]
pub(crate) struct Transport {
    client: reqwest::Client,
    left_alone: Arc<Mutex<Option<SystemTime>>>,
}

impl Transport {
    /// Trusts the roots in `authority`, PEM, or else those of this machine.
    ///
    /// # Errors
    /// [`AcmeError::Authority`]: there is nobody to trust.
    pub(crate) fn new(authority: Option<&[u8]>) -> Result<Self, AcmeError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(trusting(authority)?)
            .https_only(true)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .build()
            .map_err(|why| AcmeError::Machine(chain(&why)))?;
        Ok(Self {
            client,
            left_alone: Arc::default(),
        })
    }

    /// How many seconds the directory wants to be left alone, if it has said so.
    pub(crate) fn left_alone_s(&self) -> Option<u64> {
        let until = *self
            .left_alone
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let left = until?.duration_since(SystemTime::now());
        Some(left.unwrap_or_default().as_secs())
    }

    /// Whether somebody answers there.
    ///
    /// # Errors
    /// What went wrong.
    pub(crate) async fn knock(&self, address: &str) -> Result<(), String> {
        let asked = self.client.get(address).header(USER_AGENT, NAME);
        let asked = asked.timeout(KNOCK_TIMEOUT);
        let answer = asked.send().await.map_err(|why| chain(&why))?;
        let status = answer.status();
        let (_, body) = limited(answer).await.map_err(|why| chain(&*why))?;
        let directory: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let knows_orders = directory.is_some_and(|keys| keys.get("newOrder").is_some());
        match status.is_success() && knows_orders {
            true => Ok(()),
            false => Err(format!("it answers with {status} and no ACME directory")),
        }
    }

    async fn send(
        self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, Box<dyn StdError + Send + Sync>> {
        let name = HeaderValue::from_static(NAME);
        request.headers_mut().insert(USER_AGENT, name);
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let asked = reqwest::Request::try_from(Request::from_parts(parts, body))?;
        let answer = self.client.execute(asked).await;
        let answer = answer.map_err(|why| chain(&why))?;
        self.remember(answer.status(), answer.headers());
        let (parts, body) = limited(answer).await?;
        Ok(BytesResponse {
            parts,
            body: Box::new(body),
        })
    }

    fn remember(&self, status: StatusCode, headers: &HeaderMap) {
        let is_no = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        if !is_no.contains(&status) {
            return;
        }
        let wish = headers.get(RETRY_AFTER).and_then(|wish| wish.to_str().ok());
        let until = wish.and_then(|wish| match wish.trim().parse() {
            Ok(seconds) => SystemTime::now().checked_add(Duration::from_secs(seconds)),
            Err(_) => httpdate::parse_http_date(wish.trim()).ok(),
        });
        *self
            .left_alone
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let asked = self.clone().send(request);
        Box::pin(async move { asked.await.map_err(Error::Other) })
    }
}

/// The head, and all of the body where that is not too much.
async fn limited(
    mut answer: reqwest::Response,
) -> Result<(http::response::Parts, Bytes), Box<dyn StdError + Send + Sync>> {
    let mut head = Response::new(());
    *head.status_mut() = answer.status();
    *head.headers_mut() = std::mem::take(answer.headers_mut());
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes").into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok((head.into_parts().0, body.freeze()))
}

fn trusting(authority: Option<&[u8]>) -> Result<ClientConfig, AcmeError> {
    let refused = |why: rustls::Error| AcmeError::Authority(why.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?;
    let Some(pem) = authority else {
        let builder = builder.with_platform_verifier().map_err(|why| {
            AcmeError::Machine(format!(
                "it trusts no authority ({why}); install ca-certificates"
            ))
        })?;
        return Ok(builder.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem) {
        let root = root.map_err(|why| AcmeError::Authority(why.to_string()))?;
        roots.add(root).map_err(refused)?;
    }
    if roots.is_empty() {
        let why = "there is no certificate in it; it should be in PEM";
        return Err(AcmeError::Authority(why.to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// An error and what it came from: the last of them says what happened.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
