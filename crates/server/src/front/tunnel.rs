//! What goes on with a connection that has left HTTP.
//!
//! Whoever answers 101 puts a [`Tunnel`] into the answer's extensions; [`super::connections`] runs it
//! once the head has left, in the task of the connection: so it counts as a connection for as long
//! as it lasts, and the deadline of a stop ends it. A tunnel whose answer is dropped never runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs once, whatever is cloned of it: answers carry nothing that cannot be cloned.
#[derive(Clone)]
pub(crate) struct Tunnel(Arc<Mutex<Option<Running>>>);

impl Tunnel {
    /// A tunnel that lasts as long as `running`.
    pub(crate) fn new(running: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(running)))))
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            running.await;
        }
    }
}
