//! How many sockets and files this process may have open.
//!
//! Called before a server listens. Systems allow a process some thousand by default and many more
//! if it asks; ten thousand clients and their upstreams need them. Without, connections wait in the
//! system's queue, and the log says so.

/// Asks for as many as the system allows.
pub(super) fn ask_for_all() {
    #[cfg(unix)]
    if let Err(error) = raise() {
        tracing::debug!(%error, "the number of open files stays as it is");
    }
}

#[cfg(unix)]
fn raise() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let now = getrlimit(Resource::Nofile);
    if now.current == now.maximum {
        return Ok(());
    }
    Ok(setrlimit(
        Resource::Nofile,
        Rlimit {
            current: now.maximum,
            maximum: now.maximum,
        },
    )?)
}
