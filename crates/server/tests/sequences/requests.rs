//! Requests of a sequence: what they are, their bytes, and how bytes are spoiled.

use super::choices::Choices;

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// For something free.
    Free,
    /// For something with a price, without a payment.
    Unpaid,
    /// With a credential that was never shown.
    New,
    /// With one that was, for the same request.
    Repeat,
    /// With one that was, for another request.
    Elsewhere,
    /// With a signature that is not good, or something that is no credential.
    Forged,
    /// With two payment headers.
    Two,
    /// For a path or host that is refused, or with framing that is.
    Refused,
    /// What a browser asks in advance.
    Preflight,
}

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) kind: Kind,
    /// Number of the credential that it shows.
    pub(crate) ticket: Option<usize>,
    pub(crate) is_head: bool,
    pub(crate) bytes: Vec<u8>,
    /// Whether the gate ends the connection with its answer.
    pub(crate) closes: bool,
}

/// What stands in a request, before it is bytes.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Body,
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    None,
    /// So many bytes with a length.
    Sized(usize),
    /// So many bytes in two chunks.
    Chunked(usize),
}

impl Body {
    pub(crate) fn any(choices: &mut Choices<'_>) -> Self {
        let size = choices.one_of(&[5, 1, 0, 300, 20_000]);
        match choices.below(4) {
            0 | 1 => Self::None,
            2 => Self::Sized(size),
            _ => Self::Chunked(size.max(2)),
        }
    }
}

impl Draft {
    /// The bytes of it. What marks a payment comes first, so that bytes that cut the head short cut
    /// its credential off too.
    pub(crate) fn bytes(&self, is_last: bool) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nhost: a\r\n", self.method, self.path);
        for header in &self.headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        if is_last {
            text.push_str("connection: close\r\n");
        }
        match self.body {
            Body::None => text.push_str("\r\n"),
            Body::Sized(size) => {
                text.push_str(&format!(
                    "content-length: {size}\r\n\r\n{}",
                    "b".repeat(size)
                ));
            }
            Body::Chunked(size) => {
                let (one, two) = (size / 2, size - size / 2);
                text.push_str(&format!(
                    "transfer-encoding: chunked\r\n\r\n{one:x}\r\n{}\r\n{two:x};x=y\r\n{}\r\n0\r\n\r\n",
                    "c".repeat(one),
                    "c".repeat(two)
                ));
            }
        }
        text.into_bytes()
    }
}

/// What is refused whoever pays: path, further header lines, and whether the connection ends.
pub(crate) fn refused(choices: &mut Choices<'_>) -> (String, Vec<String>, bool) {
    let line = |text: &str| vec![text.to_owned()];
    match choices.below(8) {
        0 => ("/free/../paid/x".to_owned(), Vec::new(), false),
        1 => ("/free//x".to_owned(), Vec::new(), false),
        2 => ("/paid%2fx".to_owned(), Vec::new(), false),
        3 => ("/free/%252e%252e/x".to_owned(), Vec::new(), false),
        4 => (
            "/free/x".to_owned(),
            line("x-http-method-override: PUT"),
            false,
        ),
        5 => ("/free/x".to_owned(), line("host: b"), true),
        6 => (
            "/free/x".to_owned(),
            vec![
                "content-length: 3".to_owned(),
                "transfer-encoding: chunked".to_owned(),
            ],
            true,
        ),
        _ => ("http://a/free/x".to_owned(), Vec::new(), false),
    }
}

/// Spoils bytes a little, but never the line that says to which credential a request belongs.
pub(crate) fn spoil(bytes: &mut Vec<u8>, choices: &mut Choices<'_>) {
    const LIKELY: &[u8] = b"\r\n :/%.;,\0\tAa09\x7f\x80\xff";
    for _ in 0..=choices.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = choices.below(bytes.len());
        if is_in_ticket_line(bytes, at) {
            continue;
        }
        let byte = choices.one_of(LIKELY);
        match choices.below(6) {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            3 => bytes[at] ^= 1 << choices.below(8),
            4 => bytes.truncate(at),
            _ => {
                let copy = bytes[at..].to_vec();
                bytes.extend(copy);
            }
        }
    }
}

fn is_in_ticket_line(bytes: &[u8], at: usize) -> bool {
    const TICKET: &[u8] = b"x-ticket";
    // Two bytes more at either side: the ends of lines.
    let from = at.saturating_sub(60);
    let near = &bytes[from..bytes.len().min(at + 60)];
    let mut starts = near.windows(TICKET.len()).enumerate();
    starts.any(|(start, window)| {
        let start = from + start;
        let length = bytes[start..].iter().position(|byte| *byte == b'\n');
        let end = start + length.unwrap_or(bytes.len() - start);
        window == TICKET && (start.saturating_sub(2)..=end).contains(&at)
    })
}
