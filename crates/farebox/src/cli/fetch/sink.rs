//! Where the body of an answer goes: stdout, a file, or the object of `--json`.
//!
//! A file is opened before anything is paid, so that a full or forbidden folder costs nothing; what
//! stood in it stays until an answer comes.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use bytes::Bytes;
use farebox_buyer::Fetched;

use crate::failure::Failure;

/// An open place.
pub(super) struct Sink {
    place: Place,
}

enum Place {
    Stdout,
    /// Kept for the JSON object.
    Memory,
    File {
        file: File,
        path: PathBuf,
        is_new: bool,
    },
}

/// Where the body has gone.
pub(super) enum Written {
    Inline(Bytes),
    File(PathBuf),
    Nothing,
    /// Whoever read stdout has read enough.
    ReaderGone,
}

impl Sink {
    /// Opens the place: a file where one is named, else memory for `--json`, else stdout.
    ///
    /// # Errors
    /// Exit 2 where the file cannot be written.
    pub(super) fn open(path: Option<PathBuf>, json: bool) -> Result<Self, Failure> {
        let Some(path) = path else {
            let place = if json { Place::Memory } else { Place::Stdout };
            return Ok(Self { place });
        };
        let is_new = !path.exists();
        let opened = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = opened.map_err(|error| {
            Failure::config(
                "output_failed",
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
        Ok(Self {
            place: Place::File { file, path, is_new },
        })
    }

    /// Moves the body there as it comes. A body that breaks off is in `fetched`'s ending, not an
    /// error here.
    ///
    /// # Errors
    /// The place cannot take it.
    pub(super) async fn take(
        mut self,
        fetched: &mut Fetched,
        with_head: bool,
    ) -> std::io::Result<Written> {
        let head = if with_head { head(fetched) } else { Vec::new() };
        if matches!(self.place, Place::Memory) {
            return Ok(fetched
                .collect()
                .await
                .map_or(Written::Nothing, Written::Inline));
        }
        match self.copy(head, fetched).await {
            Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(Written::ReaderGone),
            Err(why) => Err(why),
            Ok(()) => Ok(self.done()),
        }
    }

    async fn copy(&mut self, head: Vec<u8>, fetched: &mut Fetched) -> std::io::Result<()> {
        if let Place::File { file, is_new, .. } = &mut self.place {
            // A device or a pipe has no length.
            if file.metadata()?.is_file() {
                file.set_len(0)?;
            }
            *is_new = false;
        }
        self.write(&head)?;
        // A broken body ends here; its ending says so.
        while let Ok(Some(chunk)) = fetched.chunk().await {
            self.write(&chunk)?;
        }
        self.flush()
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.place {
            Place::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(bytes)?;
                // Each part as it comes: an answer may be a stream of events.
                out.flush()
            }
            Place::Memory => Ok(()),
            Place::File { file, .. } => file.write_all(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.place {
            Place::File { file, .. } => file.flush(),
            Place::Stdout | Place::Memory => Ok(()),
        }
    }

    fn done(&self) -> Written {
        match &self.place {
            Place::File { path, .. } => Written::File(path.clone()),
            Place::Stdout | Place::Memory => Written::Nothing,
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // A file that was made for an answer which never came.
        if let Place::File {
            path, is_new: true, ..
        } = &self.place
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The head as curl prints it.
fn head(fetched: &Fetched) -> Vec<u8> {
    let reason = fetched.status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", fetched.status.as_u16()).into_bytes();
    for (name, value) in &fetched.headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
