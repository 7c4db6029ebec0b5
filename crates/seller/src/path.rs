//! Which request paths are unambiguous (ARCHITECTURE law 12).
//!
//! Asked by the layer before any route is looked up. A path that a server behind the gate could
//! read as another path would be a way around the price, so it is refused and never repaired:
//! the path that is matched is byte for byte the path that is forwarded.

use std::str::Bytes;

use crate::spelling;

/// Bytes of a path that we read. Proxies stop at 8 KiB for the whole request line.
pub const PATH_BYTES_MAX: usize = 8 * 1024;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmbiguousPath {
    /// `*`, an authority, or nothing.
    #[error("the path must start with a slash")]
    NotAbsolute,
    /// Longer than [`PATH_BYTES_MAX`].
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
    /// `//`: some servers see one slash.
    #[error("the path has an empty segment; write one slash instead of two")]
    EmptySegment,
    /// `.` or `..`, also encoded or with parameters.
    #[error("the path has a dot segment; resolve it before you send it")]
    DotSegment,
    /// `\`, `%2f` or `%5c`.
    #[error("the path has a backslash or an encoded slash, which servers read in different ways")]
    Slash,
    /// `%` without two hexadecimal digits.
    #[error("the path has a percent sign without two hexadecimal digits")]
    BadEscape,
    /// An encoded control character.
    #[error("the path has an encoded control character")]
    Control,
    /// A byte beyond ASCII that is not escaped: the path has two spellings.
    #[error("the path has a character beyond ASCII; escape its bytes, like %C3%A9")]
    NotAscii,
    /// Escapes of bytes that are no UTF-8, such as `%c0%af`: some servers make a slash of it.
    #[error("the escapes of the path are not UTF-8")]
    NotUtf8,
    /// An escape of a character that needs none, such as `%61`: two spellings of one path.
    #[error("the path encodes a letter, digit or one of -._~, which must be sent as they are")]
    NeedlessEscape,
}

/// Accepts a path that every server reads in the same way.
///
/// # Errors
/// See [`AmbiguousPath`].
pub fn check(path: &str) -> Result<(), AmbiguousPath> {
    if path.len() > PATH_BYTES_MAX {
        return Err(AmbiguousPath::TooLong);
    }
    let inside = path.strip_prefix('/').ok_or(AmbiguousPath::NotAbsolute)?;
    let mut segments = inside.split('/').peekable();
    while let Some(segment) = segments.next() {
        check_escapes(segment)?;
        // The last one may be empty: `/weather/`.
        if segment.is_empty() && segments.peek().is_some() {
            return Err(AmbiguousPath::EmptySegment);
        }
        if is_dots(segment) {
            return Err(AmbiguousPath::DotSegment);
        }
    }
    match path.contains('%') && spelling::decode(path).is_none() {
        true => Err(AmbiguousPath::NotUtf8),
        false => Ok(()),
    }
}

/// Some servers cut parameters and blanks off before they resolve dots: `/..;x/`, `/..%20/`.
fn is_dots(segment: &str) -> bool {
    let name = segment.split([';', '%']).next().unwrap_or_default();
    let Some(rest) = segment.strip_prefix(name) else {
        return false;
    };
    let rest = rest.trim_start_matches("%20");
    let is_whole = |rest: &str| {
        rest.is_empty()
            || rest.starts_with(';')
            || rest.starts_with("%3b")
            || rest.starts_with("%3B")
    };
    matches!(name, "." | "..") && is_whole(rest)
}

fn check_escapes(segment: &str) -> Result<(), AmbiguousPath> {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => return Err(AmbiguousPath::Slash),
            b'%' => check_escape(bytes.next(), bytes.next(), bytes.clone())?,
            byte if !byte.is_ascii() => return Err(AmbiguousPath::NotAscii),
            _ => {}
        }
    }
    Ok(())
}

/// `after` is what follows: an escaped percent sign may begin an escape for who undoes them twice.
fn check_escape(
    high: Option<u8>,
    low: Option<u8>,
    mut after: Bytes<'_>,
) -> Result<(), AmbiguousPath> {
    let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
    let (Some(high), Some(low)) = (digit(high), digit(low)) else {
        return Err(AmbiguousPath::BadEscape);
    };
    match char::from_u32(high * 16 + low) {
        Some('/' | '\\') => Err(AmbiguousPath::Slash),
        // Encoded dots hide dot segments; like every other needless escape they are refused.
        Some('.') => Err(AmbiguousPath::DotSegment),
        Some(c) if c.is_ascii_control() => Err(AmbiguousPath::Control),
        Some(c) if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~') => {
            Err(AmbiguousPath::NeedlessEscape)
        }
        Some('%') => match check_escape(after.next(), after.next(), after) {
            // It begins none.
            Err(AmbiguousPath::BadEscape) => Ok(()),
            inner => inner,
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
