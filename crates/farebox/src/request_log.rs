//! Writes the request log: a thread of its own adds lines to a file or to stderr.
//!
//! Whoever answers requests hands a line over and goes on: where the disk is slower than the
//! requests, lines are lost and counted, never requests. A file is opened anew when it was moved
//! away, on SIGHUP.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use farebox_server::{RequestLine, RequestLog};
use serde::Serialize;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::config::{LogFormat, RequestLogPlan};
use crate::failure::Failure;

/// How long the last lines may take at the end.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks whether they are written.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Lines that may wait for the disk: about 2 MiB, 16 MiB where all paths are long.
const WAITING_MAX: usize = 8_192;

/// See the module.
pub(crate) struct LogWriter {
    format: LogFormat,
    lines: SyncSender<Job>,
    lost: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Job {
    Line(String),
    /// Open the file anew.
    Reopen,
    /// Write what there is, and end.
    Close,
}

impl LogWriter {
    /// Opens the log.
    ///
    /// # Errors
    /// Exit 2 where the file cannot be written.
    pub(crate) fn open(plan: &RequestLogPlan) -> Result<Arc<Self>, Failure> {
        let target = Target::open(plan.file.clone())?;
        let (lines, jobs) = sync_channel(WAITING_MAX);
        let lost = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&lost);
        let thread = std::thread::Builder::new()
            .name("request-log".to_owned())
            .spawn(move || work(target, &jobs, &counted))
            .map_err(|error| {
                Failure::internal("threads", format!("no thread for the request log: {error}"))
            })?;
        Ok(Arc::new(Self {
            format: plan.format,
            lines,
            lost,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Opens the file anew: the old one was moved away.
    pub(crate) fn reopen(&self) {
        // A queue that is full is asked again at the next signal.
        let _ = self.lines.try_send(Job::Reopen);
    }

    /// Writes what waits, and ends; a disk that takes too long is left to itself. It waits, so not
    /// on a thread of the runtime.
    pub(crate) fn close(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = thread.take() else {
            return;
        };
        let began = Instant::now();
        let mut is_told = false;
        while !thread.is_finished() {
            is_told = is_told || self.lines.try_send(Job::Close).is_ok();
            if began.elapsed() > CLOSED_WITHIN {
                tracing::warn!("the request log takes too long; its last lines are lost");
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        // What it had to say is on stderr.
        let _ = thread.join();
    }
}

impl RequestLog for LogWriter {
    fn write(&self, line: &RequestLine<'_>) {
        let text = match self.format {
            LogFormat::Text => as_text(line),
            LogFormat::Json => as_json(line),
        };
        if self.lines.try_send(Job::Line(text)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where lines go.
enum Target {
    Stderr,
    File {
        path: PathBuf,
        file: BufWriter<File>,
    },
}

impl Target {
    fn open(path: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::Stderr);
        };
        let file = append(&path).map_err(|error| {
            Failure::config(
                "log_unwritable",
                format!(
                    "cannot write the request log {}: {error}; name another file in [log]",
                    path.display()
                ),
            )
        })?;
        Ok(Self::File {
            path,
            file: BufWriter::new(file),
        })
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        match self {
            Self::Stderr => std::io::stderr().lock().write_all(line.as_bytes()),
            Self::File { file, .. } => file.write_all(line.as_bytes()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Stderr => Ok(()),
            Self::File { file, .. } => file.flush(),
        }
    }

    /// What cannot be opened anew goes on as it was.
    fn reopen(&mut self) {
        let Self::File { path, file } = self else {
            return;
        };
        match append(path) {
            Ok(new) => *file = BufWriter::new(new),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the request log cannot be opened anew");
            }
        }
    }
}

/// Only its owner reads who bought what.
fn append(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn work(mut target: Target, jobs: &Receiver<Job>, lost: &AtomicU64) {
    let mut is_failing = false;
    while let Ok(first) = jobs.recv() {
        let mut next = Some(first);
        let mut written = Ok(());
        let mut is_closing = false;
        while let Some(job) = next {
            match job {
                Job::Line(line) => written = written.and_then(|()| target.write(&line)),
                Job::Reopen => {
                    written = written.and_then(|()| target.flush());
                    target.reopen();
                }
                Job::Close => is_closing = true,
            }
            next = jobs.try_recv().ok();
        }
        // Nothing waits: what is written now may be read now.
        let written = written.and_then(|()| target.flush());
        if let Err(error) = &written
            && !is_failing
        {
            tracing::error!(%error, "the request log cannot be written");
        }
        is_failing = written.is_err();
        let gone = lost.swap(0, Ordering::Relaxed);
        if gone > 0 {
            tracing::warn!(lines = gone, "the request log was too slow; lines are lost");
        }
        if is_closing {
            return;
        }
    }
}

/// The moment, in UTC, as RFC 3339 has it.
fn now() -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[derive(Serialize)]
struct Written<'a> {
    time: String,
    method: &'a str,
    path: &'a str,
    route: Option<&'a str>,
    status: u16,
    duration_us: u64,
    payment: Option<&'a str>,
    credential: Option<String>,
}

impl<'a> Written<'a> {
    fn new(line: &RequestLine<'a>) -> Self {
        Self {
            time: now(),
            method: line.method.as_str(),
            path: line.path,
            route: line.route,
            status: line.status,
            duration_us: u64::try_from(line.took.as_micros()).unwrap_or(u64::MAX),
            payment: line.payment.map(|payment| payment.0.as_str()),
            credential: line.credential.map(hex::encode),
        }
    }
}

fn as_json(line: &RequestLine<'_>) -> String {
    // Our own types always have a JSON form.
    let mut text = serde_json::to_string(&Written::new(line)).unwrap_or_default();
    text.push('\n');
    text
}

/// Texts of strangers stand in quotes, with their quotes and control characters escaped.
fn as_text(line: &RequestLine<'_>) -> String {
    let line = Written::new(line);
    let mut text = format!(
        "{} {} {:?} status={} duration_us={}",
        line.time, line.method, line.path, line.status, line.duration_us
    );
    let mut add = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            // Writing to a string cannot fail.
            let _ = write!(text, " {name}={value}");
        }
    };
    add(
        "route",
        line.route.map(|route| format!("{route:?}")).as_deref(),
    );
    add("payment", line.payment);
    add("credential", line.credential.as_deref());
    text.push('\n');
    text
}

#[cfg(test)]
#[path = "request_log_tests.rs"]
mod tests;
