//! Lets programs in browsers pay: preflights are answered here, and the payment headers exposed.
//!
//! Called by the layer, for priced routes and for what it refuses itself; what is free answers for
//! itself. Which pages may read is the seller's [`Cors`]; by default all, and without cookies:
//! whoever sends a credential has read the challenge. It never makes an answer readable for more
//! pages than what is behind the price says, and never says anything twice.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use crate::answer::problem;

const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");
/// What a page needs to read in order to pay and to wait.
const EXPOSED: [&str; 5] = [
    "PAYMENT-REQUIRED",
    "PAYMENT-RESPONSE",
    "X-PAYMENT-RESPONSE",
    "WWW-Authenticate",
    "Retry-After",
];
/// What a page sends in order to pay.
const ALLOWED: [&str; 2] = ["PAYMENT-SIGNATURE", "X-PAYMENT"];
/// What a preflight may be remembered for: two hours, the most that Chromium keeps.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Which pages may pay and read what they have paid for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// Those of any origin, without cookies.
    #[default]
    AnyOrigin,
    /// Those of these origins only. Make it with [`Cors::listed`].
    Listed {
        /// As browsers write them, for instance `https://app.example`.
        origins: Vec<HeaderValue>,
        /// Whether they may send cookies along.
        with_cookies: bool,
    },
}

/// Why a text is no origin that could be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the origin of a page; write it as browsers do, like \"https://app.example\": \
     lower case, no path, no usual port"
)]
pub struct NoOrigin(pub String);

impl Cors {
    /// Pages of these origins only.
    ///
    /// # Errors
    /// [`NoOrigin`] for what no browser would ever send: such a line would allow nobody. `null`,
    /// which all sandboxed pages send, is none either.
    pub fn listed<T: AsRef<str>>(origins: &[T], with_cookies: bool) -> Result<Self, NoOrigin> {
        let origins = origins.iter().map(|text| origin(text.as_ref()));
        Ok(Self::Listed {
            origins: origins.collect::<Result<_, _>>()?,
            with_cookies,
        })
    }

    fn may_send_cookies(&self) -> bool {
        matches!(
            self,
            Self::Listed {
                with_cookies: true,
                ..
            }
        )
    }
}

/// An origin as browsers serialise it: scheme, host, and the port where it is not the usual one.
fn origin(text: &str) -> Result<HeaderValue, NoOrigin> {
    let wrong = || NoOrigin(text.to_owned());
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong());
    };
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err(wrong()),
    };
    let written = match authority.port_u16() {
        Some(port) if port == usual => return Err(wrong()),
        Some(port) => format!("{scheme}://{}:{port}", authority.host()),
        None => format!("{scheme}://{}", authority.host()),
    };
    // What was left out of it, a path or a user, or was written in another way, shows here.
    if written != text || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(wrong());
    }
    HeaderValue::try_from(written).map_err(|_| wrong())
}

/// The method that a browser asks for in advance, where this is a preflight.
pub(crate) fn preflight_for(request: &Request<Body>) -> Option<Method> {
    if request.method() != Method::OPTIONS || !request.headers().contains_key(ORIGIN) {
        return None;
    }
    let wanted = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(wanted.as_bytes()).ok()
}

/// The answer to a preflight.
pub(crate) fn preflight_answer(
    policy: &Cors,
    method: &Method,
    asked: &HeaderMap,
) -> Response<Body> {
    let Some(allowed) = asked.get(ORIGIN).and_then(|page| own_word(policy, page)) else {
        let mut refused = problem(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "pages of this origin may not pay here; the seller lists those that may",
        );
        vary(refused.headers_mut(), ORIGIN);
        return refused;
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if policy.may_send_cookies() {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    }
    if let Ok(method) = HeaderValue::from_str(method.as_str()) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
    }
    let asked = names(asked, &ACCESS_CONTROL_REQUEST_HEADERS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, list(&ALLOWED, asked));
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    for name in [
        ORIGIN,
        ACCESS_CONTROL_REQUEST_METHOD,
        ACCESS_CONTROL_REQUEST_HEADERS,
    ] {
        vary(headers, name);
    }
    response
}

/// Makes an answer readable for the page that asked, as far as it may be. Without a page there is
/// nothing to say but that there could have been one.
pub(crate) fn expose(policy: &Cors, page: Option<&HeaderValue>, headers: &mut HeaderMap) {
    vary(headers, ORIGIN);
    let Some(page) = page else {
        return;
    };
    let theirs: Vec<HeaderValue> = headers
        .get_all(ACCESS_CONTROL_ALLOW_ORIGIN)
        .iter()
        .cloned()
        .collect();
    let allowed = own_word(policy, page).and_then(|own| narrower(own, &theirs, page));
    let has_cookies = match policy {
        // The word of what is behind the price; it may know its visitors.
        Cors::AnyOrigin => headers.get(ACCESS_CONTROL_ALLOW_CREDENTIALS) == Some(&TRUE),
        Cors::Listed { with_cookies, .. } => *with_cookies,
    };
    headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    let Some(allowed) = allowed else {
        headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
        return;
    };
    // Browsers take no cookies with a star.
    if has_cookies && allowed != ANY {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    let exposed = list(&EXPOSED, names(headers, &ACCESS_CONTROL_EXPOSE_HEADERS));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// What the seller alone would say to this page.
fn own_word(policy: &Cors, page: &HeaderValue) -> Option<HeaderValue> {
    match policy {
        Cors::AnyOrigin => Some(ANY),
        Cors::Listed { origins, .. } => origins.contains(page).then(|| page.clone()),
    }
}

/// The narrower of the seller's word and that of what is behind the price. Where that names
/// several, which no browser reads, the page counts that it names.
fn narrower(own: HeaderValue, theirs: &[HeaderValue], page: &HeaderValue) -> Option<HeaderValue> {
    match theirs {
        [] => Some(own),
        _ if theirs.contains(page) => Some(page.clone()),
        _ if theirs.contains(&ANY) => Some(own),
        [other] => Some(other.clone()),
        _ => None,
    }
}

/// Adds a name to `Vary`, unless it says so already.
fn vary(headers: &mut HeaderMap, name: HeaderName) {
    let has = |known: &str| known == "*" || known.eq_ignore_ascii_case(name.as_str());
    if !names(headers, &VARY).iter().any(|known| has(known)) {
        headers.append(VARY, name.into());
    }
}

/// The names that all headers of this name list.
fn names(headers: &HeaderMap, list: &HeaderName) -> Vec<String> {
    let values = headers.get_all(list).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let names = texts.flat_map(|text| text.split(',')).map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Our names and theirs, each once.
fn list(ours: &[&str], theirs: Vec<String>) -> HeaderValue {
    let mut all: Vec<String> = ours.iter().map(|name| (*name).to_owned()).collect();
    for name in theirs {
        if !all.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            all.push(name);
        }
    }
    let ours = || HeaderValue::try_from(ours.join(", ")).unwrap_or(ANY);
    HeaderValue::try_from(all.join(", ")).unwrap_or_else(|_| ours())
}

#[cfg(test)]
#[path = "cors_tests.rs"]
mod tests;
