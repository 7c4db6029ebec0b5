//! Reads `WWW-Authenticate` and `Authorization` (RFC 9110 §11): the grammar that L402, LSAT and
//! other schemes of HTTP authentication share.
//!
//! Called by the dialects that are carried in these headers. It knows no scheme and gives no
//! parameter a meaning. A challenge that cannot be read does not hide those before it, nor those of
//! other header lines.

use crate::text::brief;

/// Bytes of one header value that are read, as for a payment header: an invoice and a token with
/// twenty restrictions have two kilobytes.
pub const VALUE_BYTES_MAX: usize = 32 * 1024;
/// Header values that are read. A gate sends two to four.
pub const VALUES_MAX: usize = 32;
/// Challenges in all values together.
pub const CHALLENGES_MAX: usize = 64;
/// Parameters of one challenge. The dialects that we know have at most ten.
pub const PARAMS_MAX: usize = 32;

/// One challenge of a `WWW-Authenticate` header, as it was said: text of a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthChallenge {
    /// The scheme in the letters that came; compare it with [`AuthChallenge::is`].
    pub scheme: String,
    /// What stands in the place of parameters, where a scheme has but one text.
    pub token68: Option<String>,
    /// Names in lower case, and values without their quotes, in the order that they came.
    pub params: Vec<(String, String)>,
}

/// A part of a header that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The scheme of the challenge that breaks off, where one had begun.
    pub scheme: Option<String>,
    /// Why.
    pub why: AuthError,
}

/// Why a header could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Longer than [`VALUE_BYTES_MAX`].
    #[error("the header has {bytes} bytes, more than the {VALUE_BYTES_MAX} that are read")]
    TooLong {
        /// Bytes that came.
        bytes: usize,
    },
    /// More than [`VALUES_MAX`].
    #[error("the header stands there more than {VALUES_MAX} times")]
    TooManyValues,
    /// More than [`CHALLENGES_MAX`].
    #[error("the header has more than the {CHALLENGES_MAX} challenges that are read")]
    TooManyChallenges,
    /// More than [`PARAMS_MAX`].
    #[error("a challenge has more than the {PARAMS_MAX} parameters that are read")]
    TooManyParams,
    /// No scheme or parameter where one must begin.
    #[error("no scheme and no parameter begins at byte {at} of the header")]
    Name {
        /// Where, from 0.
        at: usize,
    },
    /// A value that is neither a token nor in quotes, or that something follows.
    #[error("the parameter that ends at byte {at} of the header cannot be read")]
    Value {
        /// Where, from 0.
        at: usize,
    },
    /// A quote that is never closed, or a control character inside.
    #[error("the text in quotes at byte {at} of the header does not end")]
    Quote {
        /// Where, from 0.
        at: usize,
    },
    /// One parameter with two values: two readers would see two challenges.
    #[error("the parameter {name} stands there twice with different values")]
    Twice {
        /// Its name.
        name: String,
    },
}

/// Everything that `WWW-Authenticate` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenges {
    /// The readable challenges, in their order.
    pub challenges: Vec<AuthChallenge>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// What one `Authorization` value says, not yet read further: whoever holds it can use it, so it
/// has no `Debug`.
pub struct Authorization<'a> {
    /// The scheme in the letters that came.
    pub scheme: &'a str,
    /// What follows it, without the blanks around.
    pub rest: &'a str,
}

impl AuthChallenge {
    /// Whether it is of this scheme, whatever the case of its letters.
    #[must_use]
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter, by its lower-case name.
    ///
    /// # Errors
    /// [`AuthError::Twice`] where it stands there with two values.
    pub fn param(&self, name: &str) -> Result<Option<&str>, AuthError> {
        let mut values = self
            .params
            .iter()
            .filter(|(theirs, _)| theirs == name)
            .map(|(_, value)| value.as_str());
        let first = values.next();
        if values.any(|other| Some(other) != first) {
            return Err(AuthError::Twice {
                name: brief(name, 40),
            });
        }
        Ok(first)
    }
}

/// Reads all values of `WWW-Authenticate`, each of which may hold several challenges.
///
/// Unquoted values may have the letters of base64, which RFC 9110 asks to be quoted: servers send
/// them, and they cannot be read in two ways.
pub fn challenges<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Challenges {
    let mut read = Challenges::default();
    for (count, value) in values.into_iter().enumerate() {
        if count >= VALUES_MAX {
            read.unreadable.push(nameless(AuthError::TooManyValues));
            break;
        }
        if let Err(broken) = read_value(value, &mut read.challenges) {
            read.unreadable.push(broken);
        }
    }
    read
}

/// Splits one `Authorization` value into its scheme and the rest.
///
/// `None` where it is too long, is not printable ASCII, or has no scheme: it is then no credential
/// of any dialect.
#[must_use]
pub fn authorization(value: &[u8]) -> Option<Authorization<'_>> {
    if value.len() > VALUE_BYTES_MAX {
        return None;
    }
    // Without an early end, so that many bytes are looked at in one step.
    let is_printable = value.iter().fold(true, |all, b| {
        all & (b.is_ascii_graphic() | matches!(b, b' ' | b'\t'))
    });
    if !is_printable {
        return None;
    }
    let text = str::from_utf8(value).ok()?.trim_matches(is_blank);
    let (scheme, rest) = text.split_once(is_blank).unwrap_or((text, ""));
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(is_token);
    is_scheme.then(|| Authorization {
        scheme,
        rest: rest.trim_matches(is_blank),
    })
}

/// Whether a text may stand in quotes without being escaped: it can then be written and read in
/// one way.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}

fn read_value(value: &[u8], into: &mut Vec<AuthChallenge>) -> Result<(), Unreadable> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(nameless(AuthError::TooLong { bytes: value.len() }));
    }
    Reader { value, at: 0 }.challenges(into)
}

const fn nameless(why: AuthError) -> Unreadable {
    Unreadable { scheme: None, why }
}

struct Reader<'a> {
    value: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn challenges(&mut self, into: &mut Vec<AuthChallenge>) -> Result<(), Unreadable> {
        loop {
            self.skip(|b| is_blank(b.into()) || b == b',');
            if self.peek().is_none() {
                return Ok(());
            }
            if into.len() >= CHALLENGES_MAX {
                return Err(nameless(AuthError::TooManyChallenges));
            }
            let mut challenge = AuthChallenge {
                scheme: self.token().map_err(nameless)?,
                token68: None,
                params: Vec::new(),
            };
            if let Err(why) = self.rest_of(&mut challenge) {
                return Err(Unreadable {
                    scheme: Some(brief(&challenge.scheme, 40)),
                    why,
                });
            }
            into.push(challenge);
        }
    }

    /// What follows a scheme, up to the comma before the next one.
    fn rest_of(&mut self, challenge: &mut AuthChallenge) -> Result<(), AuthError> {
        let after_scheme = self.at;
        self.skip_blanks();
        if matches!(self.peek(), None | Some(b',')) {
            // A scheme alone. What follows the comma begins a challenge, never a parameter.
            return Ok(());
        }
        if self.at == after_scheme {
            return Err(AuthError::Name { at: self.at });
        }
        if let Some(token68) = self.token68() {
            challenge.token68 = Some(token68);
            return Ok(());
        }
        loop {
            let param = self.param()?;
            if challenge.params.len() >= PARAMS_MAX {
                return Err(AuthError::TooManyParams);
            }
            challenge.params.push(param);
            let end = self.at;
            self.skip(|b| is_blank(b.into()) || b == b',');
            if self.peek().is_none() {
                return Ok(());
            }
            if !self.begins_a_param() {
                self.at = end;
                return Ok(());
            }
        }
    }

    /// `name = value`, and after it a comma or the end.
    fn param(&mut self) -> Result<(String, String), AuthError> {
        let name = self.token()?.to_ascii_lowercase();
        self.skip_blanks();
        if self.peek() != Some(b'=') {
            return Err(AuthError::Value { at: self.at });
        }
        self.step();
        self.skip_blanks();
        let value = match self.peek() {
            Some(b'"') => self.quoted()?,
            _ => self.bare()?,
        };
        self.skip_blanks();
        match self.peek() {
            None | Some(b',') => Ok((name, value)),
            Some(_) => Err(AuthError::Value { at: self.at }),
        }
    }

    /// Whether a name and `=` stand here, as opposed to the scheme of the next challenge.
    fn begins_a_param(&mut self) -> bool {
        let start = self.at;
        self.skip(is_token);
        let is_named = self.at > start;
        self.skip_blanks();
        let found = is_named && self.peek() == Some(b'=');
        self.at = start;
        found
    }

    fn quoted(&mut self) -> Result<String, AuthError> {
        let start = self.at;
        self.step();
        let mut text = Vec::new();
        loop {
            let byte = match self.next() {
                Some(b'"') => return Ok(String::from_utf8_lossy(&text).into_owned()),
                Some(b'\\') => self.next(),
                other => other,
            };
            match byte {
                Some(byte) if byte == b'\t' || !byte.is_ascii_control() => text.push(byte),
                _ => return Err(AuthError::Quote { at: start }),
            }
        }
    }

    fn bare(&mut self) -> Result<String, AuthError> {
        let start = self.at;
        self.skip(|b| is_token(b) || b == b'/');
        self.skip(|b| b == b'=');
        if self.at == start {
            return Err(AuthError::Value { at: start });
        }
        Ok(self.text_since(start))
    }

    /// Such a text, where it stands alone before a comma or the end.
    fn token68(&mut self) -> Option<String> {
        let start = self.at;
        self.skip(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b));
        let is_long = self.at > start;
        self.skip(|b| b == b'=');
        let text = self.text_since(start);
        self.skip_blanks();
        if is_long && matches!(self.peek(), None | Some(b',')) {
            return Some(text);
        }
        self.at = start;
        None
    }

    fn token(&mut self) -> Result<String, AuthError> {
        let start = self.at;
        self.skip(is_token);
        if self.at == start {
            return Err(AuthError::Name { at: start });
        }
        Ok(self.text_since(start))
    }

    fn text_since(&self, start: usize) -> String {
        let bytes = self.value.get(start..self.at).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn skip_blanks(&mut self) {
        self.skip(|b| is_blank(b.into()));
    }

    fn skip(&mut self, is_in: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&is_in) {
            self.step();
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.step();
        Some(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.value.get(self.at).copied()
    }

    const fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
