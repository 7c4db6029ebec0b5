//! Ctrl-C and SIGTERM: the two ways in which a person or a service manager says stop; SIGHUP, which
//! asks to read the configuration again, and the look at its file that does so by itself.
//!
//! Used by the commands that run until then. The listeners are installed at once, so that a signal
//! that comes early is not lost. The first lets what has begun come to its end; a second ends the
//! process at once, which loses nothing that is on record.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::assemble::Changes;
use crate::failure::{EXIT_FAILED, Failure};
use crate::output;

/// Whether the command that runs comes to its end by itself when it is told to stop.
static FOLLOWED: AtomicBool = AtomicBool::new(false);
/// What shells show of a process that SIGINT has ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Ends a command that does not follow signals: what must not be torn off comes to its end first.
pub(crate) async fn end_after<F: Future<Output = ()>>(finish: impl FnOnce() -> F) {
    if FOLLOWED.load(Ordering::Relaxed) {
        return;
    }
    let Ok(told) = listen() else { return };
    told.await;
    if FOLLOWED.load(Ordering::Relaxed) {
        return;
    }
    finish().await;
    std::process::exit(EXIT_INTERRUPTED);
}

/// Listens from now on; the future ends with the first signal.
///
/// # Errors
/// Exit 1 where the system gives no signals.
pub(crate) fn stop() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    FOLLOWED.store(true, Ordering::Relaxed);
    listen().map_err(|error| {
        Failure::internal("signals", format!("cannot listen for signals: {error}"))
    })
}

/// How often the file is looked at. A look costs a microsecond.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// SIGHUP, and a file that is not as it was at this moment.
///
/// # Errors
/// Exit 1 where the system gives no signals.
pub(crate) fn changes(file: Option<&Path>) -> Result<Box<dyn Changes>, Failure> {
    let file = file.map(Path::to_path_buf);
    let taken = file.as_deref().and_then(stamp);
    let hangup = hangup().map_err(|error| {
        Failure::internal("signals", format!("cannot listen for signals: {error}"))
    })?;
    Ok(Box::new(Watch {
        file,
        taken,
        seen: taken,
        hangup,
    }))
}

/// What tells one state of a file from another: when it was written, and how long it is.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}

struct Watch {
    file: Option<PathBuf>,
    /// As it was when it was last read.
    taken: Option<Stamp>,
    /// As it was at the last look.
    seen: Option<Stamp>,
    hangup: Hangup,
}

impl Changes for Watch {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                let is_told = tokio::select! {
                    () = self.hangup.next() => true,
                    () = tokio::time::sleep(LOOK_EVERY) => false,
                };
                let now = self.file.as_deref().and_then(stamp);
                // A file that is being replaced may be away for a moment, and one that changes from
                // look to look is still being written.
                let is_whole = now.is_some() && now == self.seen;
                self.seen = now;
                if is_told || (is_whole && now != self.taken) {
                    self.taken = now;
                    return;
                }
            }
        })
    }
}

#[cfg(unix)]
struct Hangup(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangup {
    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

#[cfg(unix)]
fn hangup() -> std::io::Result<Hangup> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok(Hangup(signal(SignalKind::hangup())?))
}

/// There is no such signal here.
#[cfg(not(unix))]
struct Hangup;

#[cfg(not(unix))]
impl Hangup {
    async fn next(&mut self) {
        std::future::pending().await
    }
}

#[cfg(not(unix))]
fn hangup() -> std::io::Result<Hangup> {
    Ok(Hangup)
}

#[cfg(unix)]
fn listen() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            output::say("farebox: stopped at once; the next start resolves what was cut off");
            std::process::exit(i32::from(EXIT_FAILED));
        });
    })
}

#[cfg(not(unix))]
fn listen() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        // Without a listener there is nothing to wait for.
        let _ = tokio::signal::ctrl_c().await;
    })
}
