//! Traces: what is sent to a collector, to which, and how much of it.
//!
//! `plan` reads what is wanted, `recorder` makes spans of what the rooms tell through `tracing`, and
//! `sender` sends them by OTLP. Nobody who answers a request ever waits for any of it: what cannot
//! be sent is lost and counted. Without the feature `telemetry` all of it is refused.

mod plan;
#[cfg(feature = "telemetry")]
mod recorder;
#[cfg(feature = "telemetry")]
mod sender;

pub(crate) use plan::Plan;
#[cfg(feature = "telemetry")]
pub(crate) use recorder::{Traces, flush, start};
#[cfg(not(feature = "telemetry"))]
pub(crate) use without::{Traces, flush, start};

/// What stands in for them in a build without.
#[cfg(not(feature = "telemetry"))]
mod without {
    use std::convert::Infallible;
    use std::time::Duration;

    use tracing_subscriber::EnvFilter;

    use super::Plan;
    use crate::failure::Failure;

    /// There are none.
    pub(crate) struct Traces(Infallible);

    impl Traces {
        /// # Errors
        /// Always: exit 2.
        pub(crate) fn new(_: Plan) -> Result<Self, Failure> {
            Err(Failure::config(
                "feature_missing",
                "this farebox was built without traces; build it with --features telemetry, or remove [telemetry] and --otlp",
            ))
        }

        pub(crate) fn install(self, _: EnvFilter, _: bool) {
            match self.0 {}
        }
    }

    pub(crate) fn start() {}

    pub(crate) async fn flush(_: Duration) {}
}
