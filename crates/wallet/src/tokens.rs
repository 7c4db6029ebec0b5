//! What was bought before and lets a request in, without paying again.
//!
//! The rule of what becomes of a token is [`farebox_core::token::after`]; here is which one is
//! shown, and by whom. A fresh one is its payer's alone until that has seen the answer: shown by a
//! twin first, a price that buys one request would be gone, and the payer would have paid for
//! nothing.

use farebox_core::fault::Fault;
use farebox_core::ledger::Payment;
use farebox_core::purse::{Pass, PassRequest, Passes};
use farebox_core::rail::Credential;
use farebox_core::token::{Scope, Token, TokenId, TokenNews, TokenState};
use farebox_wire::l402::{caveat, conditions, credential, describe};

use crate::desk::{Desk, is_alive, ledger_fault};

/// What comes before the name of a payment in that of its token.
const TOKEN: &str = "tok_";
const PAYMENT: &str = "pay_";

/// The token that a payment has bought; `None` where it was for no address that can be read.
pub(crate) fn of_payment(payment: &Payment, credential: &Credential, now_ms: u64) -> Option<Token> {
    let side = payment.buyer.as_ref()?;
    let place = Place::of(&side.url)?;
    let said = Limits::of(credential);
    let name = payment.id.0.strip_prefix(PAYMENT).unwrap_or(&payment.id.0);
    Some(Token {
        id: TokenId([TOKEN, name].concat()),
        payment: Some(payment.id.clone()),
        scope: Scope {
            origin: place.origin,
            method: side.method.clone(),
            path: literal(place.path)?,
        },
        agent: side.agent.clone(),
        credential: credential.clone(),
        created_ms: now_ms,
        updated_ms: now_ms,
        expires_s: said.expires_s,
        uses_left: said.uses_left,
        state: TokenState::Fresh,
    })
}

/// What a credential says of its own limits, where it can be read: for a buyer a token is opaque.
#[derive(Default)]
struct Limits {
    expires_s: Option<u64>,
    uses_left: Option<u64>,
}

impl Limits {
    fn of(credential: &Credential) -> Self {
        let value = credential.value.as_bytes();
        let header = |name: &str| (name == credential.header).then_some(value);
        let read = credential::read(header).ok().flatten();
        let Some(macaroon) = read.and_then(|read| read.macaroon().ok()) else {
            return Self::default();
        };
        let uses = macaroon
            .first_party_caveats()
            .filter_map(caveat::split)
            .filter(|(name, _)| *name == conditions::USES)
            .filter_map(|(_, value)| caveat::parse_number(value).ok());
        Self {
            expires_s: describe::of(&macaroon).valid_until_s,
            uses_left: uses.min(),
        }
    }
}

/// See [`farebox_core::purse::Purse::pass`].
pub(crate) async fn pass(desk: &Desk, request: &PassRequest) -> Result<Passes, Fault> {
    let Some(place) = Place::of(&request.url) else {
        return Ok(Passes::Nothing);
    };
    let kept = desk.ledger.tokens(Some(&place.origin)).await;
    let mut fitting: Vec<Token> = kept.map_err(ledger_fault)?;
    let now_s = desk.clock.now_s();
    fitting.retain(|token| {
        token.state.is_alive()
            && token.agent == request.agent
            && token.expires_s.is_none_or(|end| now_s < end)
            && token
                .scope
                .covers(&place.origin, &request.method, place.path)
    });
    // Stable: the newest first within a rank.
    fitting.sort_by_key(|token| match token.state {
        TokenState::Fresh => 0,
        TokenState::Used => 1,
        _ => 2,
    });
    for token in fitting {
        match try_one(desk, request, token).await? {
            Passes::Nothing => {}
            other => return Ok(other),
        }
    }
    Ok(Passes::Nothing)
}

/// See [`farebox_core::purse::Purse::shown`].
pub(crate) async fn shown(desk: &Desk, id: &TokenId, news: Option<TokenNews>) -> Result<(), Fault> {
    let token = match news {
        Some(news) => {
            let now_ms = desk.clock.now_ms();
            desk.ledger.note_token(id, news, now_ms).await
        }
        None => desk.ledger.token(id).await,
    };
    let payment = token.map_err(ledger_fault)?.and_then(|token| token.payment);
    match payment {
        Some(payment) => desk.let_go(&payment).await,
        None => Ok(()),
    }
}

/// Whether this one may be shown now, and by us.
async fn try_one(desk: &Desk, request: &PassRequest, token: Token) -> Result<Passes, Fault> {
    let payment = match &token.payment {
        Some(id) => desk.ledger.payment(id).await.map_err(ledger_fault)?,
        None => None,
    };
    // What has been used already is shown by everybody at once.
    let is_fresh = token.state == TokenState::Fresh;
    let lease = payment
        .as_ref()
        .filter(|_| is_fresh)
        .and_then(|payment| Some((payment.id.clone(), payment.buyer.clone()?)));
    let Some((id, side)) = lease else {
        return Ok(Passes::Show(Box::new(Pass { token, payment })));
    };
    let now_ms = desk.clock.now_ms();
    let is_ours = !is_alive(&side, now_ms) && {
        let lease = desk.lease_from(now_ms);
        let taken = desk.ledger.take_lease(&id, &side.lease, lease).await;
        taken.map_err(ledger_fault)?
    };
    Ok(match payment {
        payment if is_ours => Passes::Show(Box::new(Pass { token, payment })),
        Some(payment) if side.call == request.call => Passes::Busy(Box::new(payment)),
        _ => Passes::Nothing,
    })
}

/// Where a URL leads, as tokens are kept by it.
struct Place<'a> {
    /// Scheme, host and port.
    origin: String,
    /// Without the query.
    path: &'a str,
}

impl<'a> Place<'a> {
    /// Of a URL in its normal form, as the buyer's loop writes it: lower case, no user name, no
    /// default port.
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let port = match scheme {
            "https" => "443",
            "http" => "80",
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end)?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let port = if has_port { "" } else { port };
        let colon = if has_port { "" } else { ":" };
        Some(Self {
            origin: format!("{scheme}://{host}{colon}{port}"),
            path: if path.is_empty() { "/" } else { path },
        })
    }
}

/// A path as a pattern that fits nothing else; `None` where it has a star, which would fit more.
fn literal(path: &str) -> Option<String> {
    (!path.contains('*')).then(|| path.to_owned())
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
