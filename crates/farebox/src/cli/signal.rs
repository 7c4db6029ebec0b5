//! Ctrl-C and SIGTERM: the two ways in which a person or a service manager says stop.
//!
//! Used by the commands that run until then. The listeners are installed at once, so that a signal
//! that comes early is not lost. The first lets what has begun come to its end; a second ends the
//! process at once, which loses nothing that is on record.

use std::future::Future;

use crate::failure::{EXIT_FAILED, Failure};
use crate::output;

/// Listens from now on; the future ends with the first signal.
///
/// # Errors
/// Exit 1 where the system gives no signals.
pub(crate) fn stop() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    listen().map_err(|error| {
        Failure::internal("signals", format!("cannot listen for signals: {error}"))
    })
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
