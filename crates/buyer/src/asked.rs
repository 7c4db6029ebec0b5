//! An answer that asks for payment: a 402, or a 401 that has a challenge of L402 in it, as sellers
//! give who follow its specification to a credential that they do not take.

use bytes::{Bytes, BytesMut};
use farebox_core::fault::Fault;
use farebox_wire::challenge::{self, BODY_BYTES_MAX, Challenge};
use farebox_wire::l402;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, StatusCode};
use reqwest::Response;

use crate::answer::{Body, Fetched};
use crate::call::Call;
use crate::ending::{Ending, Facts, Stop};
use crate::faults;
use crate::transport::Hop;

/// A challenge that has been read.
pub(crate) struct Asked {
    pub(crate) hop: Hop,
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    pub(crate) challenge: Result<Challenge, Fault>,
}

impl Asked {
    /// Reads the head of an answer and no more of its body than a challenge can have.
    pub(crate) async fn read(call: &Call, hop: Hop, mut response: Response) -> Self {
        let status = response.status();
        let headers = response.headers().clone();
        let (start, is_whole) = beginning(&mut response, call).await;
        let challenge = challenge::read(all_of(&headers), &start);
        let challenge = challenge.map_err(|why| faults::unreadable(&why.to_string()));
        let rest = (!is_whole).then_some(response);
        Self {
            hop,
            status,
            headers,
            body: Body::after(start, rest, call.max_time),
            challenge,
        }
    }

    /// The end of a call that did not pay.
    pub(crate) fn refused(self, fault: Fault, approval_id: Option<String>) -> Fetched {
        let facts = Facts {
            status: Some(self.status.as_u16()),
            stop: approval_id.is_some().then_some(Stop::Approval),
            ..Facts::default()
        };
        let mut ending = Ending::stopped(facts, fault);
        ending.approval_id = approval_id;
        Fetched::with_head(&self.hop.url, self.status, self.headers, self.body, ending)
    }

    /// The end of a dry run that understood the challenge.
    pub(crate) fn planned(self) -> Fetched {
        let ending = Ending::new(Facts {
            status: Some(self.status.as_u16()),
            is_plan: true,
            ..Facts::default()
        });
        Fetched::with_head(&self.hop.url, self.status, self.headers, self.body, ending)
    }
}

/// Whether an answer asks for payment.
pub(crate) fn asks_for_payment(status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::PAYMENT_REQUIRED => true,
        StatusCode::UNAUTHORIZED => {
            let values = all_of(headers)(WWW_AUTHENTICATE.as_str());
            !l402::challenge::read(values).challenges.is_empty()
        }
        _ => false,
    }
}

/// All values of a header.
pub(crate) fn all_of<'a>(headers: &'a HeaderMap) -> impl Fn(&str) -> Vec<&'a [u8]> {
    |name| {
        let values = headers.get_all(name).iter();
        values.map(HeaderValue::as_bytes).collect()
    }
}

/// At most [`BODY_BYTES_MAX`] and a part; whether that was all. A broken body is found broken
/// again by whoever reads on.
async fn beginning(response: &mut Response, call: &Call) -> (Bytes, bool) {
    let mut start = BytesMut::new();
    let reading = async {
        while start.len() <= BODY_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => start.extend_from_slice(&chunk),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    let is_whole = tokio::time::timeout(call.max_time, reading).await;
    (start.freeze(), is_whole.unwrap_or(false))
}
