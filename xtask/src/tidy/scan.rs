//! A small reader of Rust source: splits it into code and comments, and finds the functions.
//! Called by `rules.rs` and `docs.rs`. It does not understand Rust, only where strings, comments and braces are.

/// Source split in two texts of the same lines: what is not code is blank in one, what is not comment in the other.
pub(crate) struct Source {
    /// Code only: comments, strings and character literals are blank.
    pub(crate) code: String,
    /// Comments only.
    pub(crate) comments: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// Line of `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace that hold code.
    pub(crate) lines: usize,
    /// Whether an attribute such as `#[test]` stands above it.
    pub(crate) is_test: bool,
}

enum Kind {
    Code,
    Comment,
    Text,
}

/// Splits a Rust source.
pub(crate) fn split(text: &str) -> Source {
    let chars: Vec<char> = text.chars().collect();
    let mut source = Source {
        code: String::with_capacity(text.len()),
        comments: String::new(),
    };
    let mut at = 0;
    while at < chars.len() {
        let (kind, end) = next_piece(&chars, at);
        for c in chars.get(at..end).unwrap_or_default() {
            let blank = if *c == '\n' { '\n' } else { ' ' };
            source.code.push(if matches!(kind, Kind::Code) {
                *c
            } else {
                blank
            });
            source.comments.push(if matches!(kind, Kind::Comment) {
                *c
            } else {
                blank
            });
        }
        at = end;
    }
    source
}

/// The kind and the end of the piece that starts here.
fn next_piece(chars: &[char], at: usize) -> (Kind, usize) {
    let here = |offset: usize| chars.get(at + offset).copied();
    match (here(0), here(1)) {
        (Some('/'), Some('/')) => (Kind::Comment, find(chars, at, |c| c == '\n')),
        (Some('/'), Some('*')) => (Kind::Comment, block_comment_end(chars, at)),
        (Some('"'), _) => (Kind::Text, quoted_end(chars, at + 1, '"')),
        (Some('\''), Some('\\')) => (Kind::Text, quoted_end(chars, at + 1, '\'')),
        (Some('\''), Some(_)) if here(2) == Some('\'') => (Kind::Text, at + 3),
        (Some(c), _) if is_word(c) => word(chars, at),
        _ => (Kind::Code, at + 1),
    }
}

/// A word, or the raw string that a prefix such as `r#` opens.
fn word(chars: &[char], at: usize) -> (Kind, usize) {
    let end = find(chars, at, |c| !is_word(c));
    let prefix: String = chars.get(at..end).unwrap_or_default().iter().collect();
    if matches!(prefix.as_str(), "r" | "br" | "cr") {
        let quote = find(chars, end, |c| c != '#');
        if chars.get(quote) == Some(&'"') {
            return (Kind::Text, raw_end(chars, quote + 1, quote - end));
        }
    }
    (Kind::Code, end)
}

fn find(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    let rest = chars.get(from..).unwrap_or_default();
    from + rest.iter().position(|c| stop(*c)).unwrap_or(rest.len())
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while let Some(c) = chars.get(at) {
        match *c {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn raw_end(chars: &[char], from: usize, hashes: usize) -> usize {
    let mut at = from;
    while at < chars.len() {
        let quote = find(chars, at, |c| c == '"');
        let closed = chars.get(quote + 1..quote + 1 + hashes);
        if closed.is_some_and(|tail| tail.iter().all(|c| *c == '#')) {
            return quote + 1 + hashes;
        }
        at = quote + 1;
    }
    chars.len()
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while at < chars.len() {
        match (chars.get(at), chars.get(at + 1)) {
            (Some('/'), Some('*')) => (depth, at) = (depth + 1, at + 2),
            (Some('*'), Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every function with a body, in order; `code` is what [`split`] calls code.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut attributes_from) = (0, 0);
    while at < chars.len() {
        let end = find(&chars, at, |c| !is_word(c)).max(at + 1);
        let piece: String = chars.get(at..end).unwrap_or_default().iter().collect();
        if piece == "fn"
            && let Some((name, close)) = body(&chars, end)
        {
            let above = chars.get(attributes_from..at).unwrap_or_default();
            found.push(Function {
                name,
                line: line_of(&chars, at),
                lines: code_lines(&chars, at, close),
                is_test: has_test_attribute(above),
            });
        }
        if matches!(piece.as_str(), ";" | "{" | "}") {
            attributes_from = end;
        }
        at = end;
    }
    found
}

/// The name after `fn` and the end of its body; nothing for function types and declarations.
fn body(chars: &[char], after_fn: usize) -> Option<(String, usize)> {
    let start = find(chars, after_fn, |c| !c.is_whitespace());
    let end = find(chars, start, |c| !(is_word(c) || c == '$'));
    let name: String = chars.get(start..end)?.iter().collect();
    if name.is_empty() {
        return None;
    }
    let open = opening_brace(chars, end)?;
    let mut depth = 0_usize;
    for (at, c) in chars.iter().enumerate().skip(open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((name, at));
        }
    }
    None
}

fn opening_brace(chars: &[char], from: usize) -> Option<usize> {
    let mut nested = 0_usize;
    for (at, c) in chars.iter().enumerate().skip(from) {
        match c {
            '(' | '[' => nested += 1,
            ')' | ']' => nested = nested.checked_sub(1)?,
            '{' if nested == 0 => return Some(at),
            ';' if nested == 0 => return None,
            _ => {}
        }
    }
    None
}

fn line_of(chars: &[char], at: usize) -> usize {
    1 + chars.iter().take(at).filter(|c| **c == '\n').count()
}

fn code_lines(chars: &[char], from: usize, to: usize) -> usize {
    let body: String = chars.get(from..=to).unwrap_or_default().iter().collect();
    body.lines().filter(|line| !line.trim().is_empty()).count()
}

/// `#[test]`, `#[tokio::test]`, `#[tokio::test(flavor = …)]`.
fn has_test_attribute(above: &[char]) -> bool {
    let text: String = above.iter().filter(|c| !c.is_whitespace()).collect();
    text.split("#[").skip(1).any(|attribute| {
        let name = attribute.split(['(', ']']).next().unwrap_or_default();
        name == "test" || name.ends_with("::test")
    })
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
