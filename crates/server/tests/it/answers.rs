//! Reads answers from the bytes of a connection, as strictly as they must be written.

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Header lines, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter().filter(|(known, _)| known == name);
        let first = all.next().map(|(_, value)| value.as_str());
        assert!(all.next().is_none(), "{name} twice in {self:?}");
        first
    }
}

/// Takes one answer off the front of `bytes`. `Ok(None)` where more is to come; an error where what
/// is there is no answer. `is_over` is whether nothing more can come.
pub(crate) fn take(
    bytes: &mut Vec<u8>,
    is_to_head: bool,
    is_over: bool,
) -> Result<Option<Answer>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|error| error.to_string())?;
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .or(line.strip_prefix("HTTP/1.0 "));
    let status = status.and_then(|rest| rest.get(..3)?.parse().ok());
    let status: u16 = status.ok_or_else(|| format!("no status line: {line:?}"))?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(": ")
            .ok_or_else(|| format!("no header: {line:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    let body = &bytes[end + 4..];
    let Some(taken) = body_of(&mut answer, body, is_to_head, is_over)? else {
        return Ok(None);
    };
    bytes.drain(..end + 4 + taken);
    Ok(Some(answer))
}

/// Fills in the body; how many bytes it took.
fn body_of(
    answer: &mut Answer,
    bytes: &[u8],
    is_to_head: bool,
    is_over: bool,
) -> Result<Option<usize>, String> {
    let length = answer.header("content-length");
    let is_chunked = answer.header("transfer-encoding") == Some("chunked");
    if is_chunked && length.is_some() {
        return Err(format!("a length beside chunks: {answer:?}"));
    }
    if is_to_head || answer.status < 200 || matches!(answer.status, 204 | 304) {
        return Ok(Some(0));
    }
    if is_chunked {
        return Ok(chunks(bytes)?.map(|(body, taken)| {
            answer.body = body;
            taken
        }));
    }
    let taken = match length {
        Some(length) => length.parse().map_err(|_| format!("length {length:?}"))?,
        None if is_over => bytes.len(),
        None => return Ok(None),
    };
    let Some(body) = bytes.get(..taken) else {
        return Ok(None);
    };
    answer.body = body.to_vec();
    Ok(Some(taken))
}

/// The data of a chunked body at the front of `bytes`, and how many bytes it took. `Ok(None)` where
/// more is to come.
pub(crate) fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&bytes[at..at + line]).map_err(|e| e.to_string())?;
        let size = usize::from_str_radix(size, 16).map_err(|_| format!("size {size:?}"))?;
        at += line + 2;
        if size == 0 {
            // Trailers, and the empty line.
            let end = find(&bytes[at - 2..], b"\r\n\r\n");
            return Ok(end.map(|end| (data, at + end + 2)));
        }
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk without an end".to_owned());
        }
        data.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
}

/// Where `what` begins.
pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
