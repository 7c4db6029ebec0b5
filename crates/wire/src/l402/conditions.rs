//! Decides what the caveats of a verified token still allow.
//!
//! A seller calls [`check`] with every caveat of a token whose signature holds, in order. A caveat
//! may only narrow what those before it allowed; the narrowest holds. Nothing is looked up and no
//! clock is read here: the caller says what is asked for and when.
//!
//! Our own conditions, beside those of L402 in `caveat`; each later one of a name may only narrow:
//!
//! | condition | value | holds where | a later one |
//! |---|---|---|---|
//! | `farebox_route` | id of the route | the request is on that route | is the same |
//! | `farebox_origin` | scheme, host and port | the gate is that origin | is the same |
//! | `farebox_tenant` | name | the route is that tenant's | is the same |
//! | `farebox_price` | millisatoshi that the token cost | always; the caller compares it | is the same |
//! | `farebox_uses` | number of requests, or `unlimited` | the caller counts | is not more |
//! | `farebox_method` | list of methods | the request's is one | is a part of the list |
//! | `farebox_path` | the start of a path | the request's begins so, up to a `/` | begins so too |

use crate::l402::caveat::{
    self, CAPABILITIES_SUFFIX, PREIMAGE, SERVICES, Service, VALID_UNTIL_SUFFIX, ValueError,
};
use crate::l402::preimage::{PaymentHash, Preimage};
use crate::text::brief;

/// The route of ours that the token was made for.
pub const ROUTE: &str = "farebox_route";
/// The origin (`https://api.example.com`) of the gate that minted it.
pub const ORIGIN: &str = "farebox_origin";
/// The tenant of the gate whom it paid.
pub const TENANT: &str = "farebox_tenant";
/// What it cost, in millisatoshi.
pub const PRICE: &str = "farebox_price";
/// How many requests it buys.
pub const USES: &str = "farebox_uses";
/// The value of [`USES`] that sets no number.
pub const UNLIMITED: &str = "unlimited";
/// The methods that it is good for.
pub const METHOD: &str = "farebox_method";
/// How the path of a request must begin.
pub const PATH: &str = "farebox_path";

/// What to do with conditions that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse the token: for tokens of ours, where a typing error must not set anybody free. Tokens
    /// that name no route and no origin are refused as well.
    Strict,
    /// Skip them, as the L402 specification says: for tokens that others minted.
    Lenient,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Unix seconds.
    pub now_s: u64,
    /// The service that the route belongs to.
    pub service: &'a str,
    /// The capability that the route asks for, where it asks for one.
    pub capability: Option<&'a str>,
    /// The payment that the token's identifier names.
    pub payment_hash: PaymentHash,
    /// The id of the route.
    pub route: &'a str,
    /// Our own origin, never the request's `Host`.
    pub origin: &'a str,
    /// The tenant of the route, where the gate has tenants.
    pub tenant: Option<&'a str>,
    /// The method, as it stands in the request.
    pub method: &'a str,
    /// The path, as it stands in the request.
    pub path: &'a str,
    /// Names of the service's own conditions whose values are numbers and limits.
    pub constraints: &'a [&'a str],
}

/// How many requests a token buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Uses {
    /// At most so many, counted over all copies of the token.
    Times(u64),
    /// No number; time is what ends it.
    Unlimited,
}

/// What a token allows that names everything that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The lowest tier at which the service is named; `None` where no service is.
    pub tier: Option<u8>,
    /// When it ends, in Unix seconds.
    pub valid_until_s: Option<u64>,
    /// The narrowest number of requests that it names.
    pub uses: Option<Uses>,
    /// What it cost, in millisatoshi.
    pub price_msat: Option<u64>,
    /// The narrowest value of each constraint that it names.
    pub constraints: Vec<(String, u64)>,
    /// The shortest list of methods that it names.
    pub methods: Option<Vec<String>>,
    /// The longest start of a path that it names.
    pub path: Option<String>,
}

impl Grant {
    /// Whether the same caveats allow a request of another time, method or path, where all else that
    /// is asked for is the same. A caveat may only narrow those before it, so the last of each kind
    /// says it for all.
    #[must_use]
    pub fn still_allows(&self, now_s: u64, method: &str, path: &str) -> bool {
        self.valid_until_s.is_none_or(|at_s| now_s < at_s)
            && self
                .methods
                .as_ref()
                .is_none_or(|list| is_among(list, method))
            && self.path.as_ref().is_none_or(|start| is_below(start, path))
    }
}

/// Why a token does not allow what was asked for. Conditions are quoted in part: they may be a
/// stranger's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No condition and value.
    #[error("restriction {place} of the token cannot be read")]
    Unreadable {
        /// Which one, from 0.
        place: usize,
    },
    /// A condition that is not known here.
    #[error("the token has the restriction {0:?}, which is not known here")]
    Unknown(String),
    /// A value that its condition cannot have.
    #[error("the restriction {condition} of the token cannot be read: {why}")]
    Malformed {
        /// The condition.
        condition: String,
        /// What is wrong with the value.
        why: ValueError,
    },
    /// A caveat that allows more than one before it.
    #[error("the restriction {0} of the token allows more than one before it")]
    Widened(String),
    /// A condition that every token of ours has.
    #[error("the token lacks the restriction {0}")]
    Missing(&'static str),
    /// Another route, origin, tenant, service, capability, method or path.
    #[error("the token is not good for this {0}")]
    Elsewhere(&'static str),
    /// Over.
    #[error("the token was valid until {at_s} (Unix seconds)")]
    Expired {
        /// When it ended.
        at_s: u64,
    },
    /// A preimage of another payment.
    #[error("the preimage in the token is not the one of its payment")]
    Preimage,
}

/// Walks all caveats of a token in their order.
///
/// # Errors
/// The first reason why the token does not allow `request`.
pub fn check<'c>(
    caveats: impl IntoIterator<Item = &'c [u8]>,
    request: &Request<'_>,
    mode: Mode,
) -> Result<Grant, Refusal> {
    let mut walk = Walk {
        request,
        mode,
        seen: Seen::default(),
        grant: Grant::default(),
    };
    for (place, bytes) in caveats.into_iter().enumerate() {
        match caveat::split(bytes) {
            Some((condition, value)) => walk.take(condition, value)?,
            None if mode == Mode::Strict => return Err(Refusal::Unreadable { place }),
            None => {}
        }
    }
    let missing = [ROUTE, ORIGIN]
        .into_iter()
        .find(|needed| mode == Mode::Strict && walk.seen.fixed.get(needed).is_none());
    if let Some(condition) = missing {
        return Err(Refusal::Missing(condition));
    }
    let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
    Ok(Grant {
        methods: walk.seen.methods.map(owned),
        path: walk.seen.path.map(str::to_owned),
        ..walk.grant
    })
}

/// Whether `path` is `start`, or goes on below it.
#[must_use]
pub fn is_below(start: &str, path: &str) -> bool {
    match path.strip_prefix(start) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || start.ends_with('/'),
        None => false,
    }
}

/// What the caveats so far said.
#[derive(Default)]
struct Seen<'c> {
    services: Option<Vec<Service>>,
    /// By service.
    capabilities: Said<'c, Vec<&'c str>>,
    /// By condition.
    limits: Said<'c, u64>,
    /// By condition.
    fixed: Said<'c, &'c str>,
    methods: Option<Vec<&'c str>>,
    path: Option<&'c str>,
}

/// What was said last under each name. There are few names, so they are looked through.
struct Said<'c, T>(Vec<(&'c str, T)>);

impl<T> Default for Said<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'c, T> Said<'c, T> {
    fn get(&self, name: &str) -> Option<&T> {
        let mut said = self.0.iter();
        said.find(|(other, _)| *other == name).map(|(_, what)| what)
    }

    /// Gives what was said before.
    fn insert(&mut self, name: &'c str, what: T) -> Option<T> {
        let mut said = self.0.iter_mut();
        match said.find(|(other, _)| *other == name) {
            Some((_, before)) => Some(std::mem::replace(before, what)),
            None => {
                self.0.push((name, what));
                None
            }
        }
    }
}

struct Walk<'r, 'c> {
    request: &'r Request<'r>,
    mode: Mode,
    seen: Seen<'c>,
    grant: Grant,
}

impl<'c> Walk<'_, 'c> {
    fn take(&mut self, condition: &'c str, value: &'c str) -> Result<(), Refusal> {
        match condition {
            SERVICES => self.services(value),
            PREIMAGE => self.preimage(value),
            ROUTE | ORIGIN | TENANT | PRICE => self.fixed(condition, value),
            USES => self.uses(value),
            METHOD => self.methods(value),
            PATH => self.path(value),
            _ if self.request.constraints.contains(&condition) => self.constraint(condition, value),
            _ => self.of_service(condition, value),
        }
    }

    /// Conditions whose names begin with a service's, and those that are not known.
    fn of_service(&mut self, condition: &'c str, value: &'c str) -> Result<(), Refusal> {
        let service = |suffix| {
            let name = condition.strip_suffix(suffix)?;
            self.is_named(name).then_some(name)
        };
        if let Some(service) = service(CAPABILITIES_SUFFIX) {
            return self.capabilities(service, condition, value);
        }
        if let Some(service) = service(VALID_UNTIL_SUFFIX) {
            return self.valid_until(service, condition, value);
        }
        match self.mode {
            Mode::Strict => Err(Refusal::Unknown(brief(condition, 60))),
            Mode::Lenient => Ok(()),
        }
    }

    /// Whether a condition may speak of this service: that of the request, or one that the token
    /// names.
    fn is_named(&self, service: &str) -> bool {
        let named = self.seen.services.iter().flatten();
        service == self.request.service || named.into_iter().any(|known| known.name == service)
    }

    fn services(&mut self, value: &str) -> Result<(), Refusal> {
        let services = caveat::parse_services(value).map_err(|why| malformed(SERVICES, why))?;
        if let Some(before) = &self.seen.services {
            let is_strict = self.mode == Mode::Strict;
            let is_narrower = |new: &Service| {
                let old = before.iter().find(|old| old.name == new.name);
                old.is_some_and(|old| !is_strict || new.tier <= old.tier)
            };
            if !services.iter().all(is_narrower) {
                return Err(widened(SERVICES));
            }
        }
        let ours = services
            .iter()
            .find(|service| service.name == self.request.service)
            .ok_or(Refusal::Elsewhere("service"))?;
        let tier = self.grant.tier.map_or(ours.tier, |old| old.min(ours.tier));
        self.grant.tier = Some(tier);
        self.seen.services = Some(services);
        Ok(())
    }

    fn capabilities(
        &mut self,
        service: &'c str,
        condition: &str,
        value: &'c str,
    ) -> Result<(), Refusal> {
        let list = caveat::parse_list(value).map_err(|why| malformed(condition, why))?;
        if let Some(before) = self.seen.capabilities.get(service)
            && !list.iter().all(|name| before.contains(name))
        {
            return Err(widened(condition));
        }
        let asked = self.request.capability;
        if service == self.request.service && asked.is_some_and(|asked| !list.contains(&asked)) {
            return Err(Refusal::Elsewhere("capability"));
        }
        self.seen.capabilities.insert(service, list);
        Ok(())
    }

    fn valid_until(
        &mut self,
        service: &str,
        condition: &'c str,
        value: &str,
    ) -> Result<(), Refusal> {
        let at_s = self.limit(condition, value)?;
        if service == self.request.service {
            if self.request.now_s >= at_s {
                return Err(Refusal::Expired { at_s });
            }
            self.grant.valid_until_s = Some(at_s);
        }
        Ok(())
    }

    fn constraint(&mut self, condition: &'c str, value: &str) -> Result<(), Refusal> {
        let limit = self.limit(condition, value)?;
        let known = self.grant.constraints.iter_mut();
        match known.into_iter().find(|(name, _)| name == condition) {
            Some((_, old)) => *old = limit,
            None => self.grant.constraints.push((condition.to_owned(), limit)),
        }
        Ok(())
    }

    fn uses(&mut self, value: &str) -> Result<(), Refusal> {
        let uses = match value {
            UNLIMITED => Uses::Unlimited,
            number => {
                Uses::Times(caveat::parse_number(number).map_err(|why| malformed(USES, why))?)
            }
        };
        if self.grant.uses.is_some_and(|before| uses > before) {
            return Err(widened(USES));
        }
        self.grant.uses = Some(uses);
        Ok(())
    }

    fn fixed(&mut self, condition: &'c str, value: &'c str) -> Result<(), Refusal> {
        let before = self.seen.fixed.insert(condition, value);
        if before.is_some_and(|before| before != value) {
            return Err(widened(condition));
        }
        let (ours, what) = match condition {
            ROUTE => (Some(self.request.route), "route"),
            ORIGIN => (Some(self.request.origin), "origin"),
            TENANT => (self.request.tenant, "tenant"),
            _ => {
                let price = caveat::parse_number(value).map_err(|why| malformed(PRICE, why))?;
                self.grant.price_msat = Some(price);
                return Ok(());
            }
        };
        if ours != Some(value) {
            return Err(Refusal::Elsewhere(what));
        }
        Ok(())
    }

    fn methods(&mut self, value: &'c str) -> Result<(), Refusal> {
        let list = caveat::parse_list(value).map_err(|why| malformed(METHOD, why))?;
        if let Some(before) = &self.seen.methods
            && !list.iter().all(|method| is_among(before, method))
        {
            return Err(widened(METHOD));
        }
        if !is_among(&list, self.request.method) {
            return Err(Refusal::Elsewhere("method"));
        }
        self.seen.methods = Some(list);
        Ok(())
    }

    fn path(&mut self, value: &'c str) -> Result<(), Refusal> {
        if !value.starts_with('/') {
            return Err(malformed(PATH, ValueError::Text(brief(value, 40))));
        }
        if self
            .seen
            .path
            .is_some_and(|before| !is_below(before, value))
        {
            return Err(widened(PATH));
        }
        if !is_below(value, self.request.path) {
            return Err(Refusal::Elsewhere("path"));
        }
        self.seen.path = Some(value);
        Ok(())
    }

    fn preimage(&self, value: &str) -> Result<(), Refusal> {
        let preimage = Preimage::from_hex(value).map_err(|_| Refusal::Preimage)?;
        if preimage.payment_hash() != self.request.payment_hash {
            return Err(Refusal::Preimage);
        }
        Ok(())
    }

    /// A number that may not rise.
    fn limit(&mut self, condition: &'c str, value: &str) -> Result<u64, Refusal> {
        let limit = caveat::parse_number(value).map_err(|why| malformed(condition, why))?;
        let before = self.seen.limits.insert(condition, limit);
        if before.is_some_and(|before| limit > before) {
            return Err(widened(condition));
        }
        Ok(limit)
    }
}

/// As routes are matched: who may `GET` may ask for the head alone.
fn is_among<T: AsRef<str>>(methods: &[T], method: &str) -> bool {
    let has = |wanted: &str| methods.iter().any(|method| method.as_ref() == wanted);
    has(method) || (method == "HEAD" && has("GET"))
}

fn widened(condition: &str) -> Refusal {
    Refusal::Widened(brief(condition, 60))
}

fn malformed(condition: &str, why: ValueError) -> Refusal {
    Refusal::Malformed {
        condition: brief(condition, 60),
        why,
    }
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
