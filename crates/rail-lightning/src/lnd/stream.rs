//! Cuts an endless answer of lnd into its lines, each a JSON object, and keeps what has come of the
//! next one, so that waiting can be broken off at any time.

use reqwest::Response;

use super::http::{NoAnswer, causes};

/// The lines of one answer.
pub(crate) struct Lines {
    response: Response,
    cut: Cut,
}

impl Lines {
    pub(super) fn of(response: Response, line_bytes_max: usize) -> Self {
        Self {
            response,
            cut: Cut::new(line_bytes_max),
        }
    }

    /// The next line; `None` at the end. May be dropped and called again: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, NoAnswer> {
        loop {
            if let Some(line) = self.cut.line() {
                return Ok(Some(line));
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| NoAnswer::MaybeSent(causes(&error.without_url())))? {
                Some(chunk) => self.cut.push(&chunk).map_err(NoAnswer::MaybeSent)?,
                None => return Ok(self.cut.rest()),
            }
        }
    }

    /// A line that has come already.
    pub(super) fn ready(&mut self) -> Option<Vec<u8>> {
        self.cut.line()
    }
}

/// Bytes into lines.
pub(crate) struct Cut {
    buffer: Vec<u8>,
    line_bytes_max: usize,
}

impl Cut {
    pub(crate) const fn new(line_bytes_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            line_bytes_max,
        }
    }

    /// Takes what has come.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.buffer.extend_from_slice(bytes);
        let longest = self.buffer.split(|b| *b == b'\n').map(<[u8]>::len).max();
        match longest > Some(self.line_bytes_max) {
            true => Err(format!("a line of more than {} bytes", self.line_bytes_max)),
            false => Ok(()),
        }
    }

    /// The first whole line that is not empty.
    pub(crate) fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = self.buffer.iter().position(|b| *b == b'\n')?;
            let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
            line.pop();
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }

    /// What stands behind the last line's end.
    fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.buffer);
        (!rest.trim_ascii().is_empty()).then_some(rest)
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
