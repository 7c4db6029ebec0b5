//! A server on a thread of its own, which ends when what it was started for is dropped.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::Fallible;

/// The running server.
pub(crate) struct Aside {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Aside {
    /// Runs what `serve` makes of a listener on a free port.
    pub(crate) fn start<F>(
        name: &str,
        serve: impl FnOnce(TcpListener) -> F + Send + 'static,
    ) -> Fallible<Self>
    where
        F: Future<Output = ()>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            _stop: stop,
        })
    }
}
