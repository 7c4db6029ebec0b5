//! The admin server and the request log of a gate or facilitator, and where each of them is in its
//! life.
//!
//! Opened with the server that it tells of, and closed after it.

use std::sync::Arc;
use std::time::Duration;

use farebox_server::{Admin, Course, Tls};

use super::service;
use crate::config::Operation;
use crate::failure::Failure;
use crate::request_log::LogWriter;

/// How long what was begun may go on after the stop, where nobody says: as the servers have it.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// What is open beside a server for the one who looks after it.
pub(super) struct Oversight {
    pub(super) admin: Option<Admin>,
    pub(super) course: Arc<Course>,
    pub(super) files: Files,
    /// How long what was begun may go on after the stop.
    pub(super) stop_timeout: Duration,
}

/// What SIGHUP reads or opens anew, beside the configuration.
#[derive(Clone)]
pub(super) struct Files {
    /// The request log.
    pub(super) log: Option<Arc<LogWriter>>,
    /// The certificates.
    tls: Option<Tls>,
}

impl Files {
    /// Opens the log anew and looks whether certificates have changed.
    pub(super) async fn again(&self) {
        if let Some(log) = &self.log {
            log.reopen();
        }
        if let Some(tls) = &self.tls {
            tls.look().await;
        }
    }
}

impl Oversight {
    /// Refuses what [`Oversight::open`] would refuse before it listens.
    ///
    /// # Errors
    /// Exit 2: the address can be reached by others.
    pub(super) fn check(operation: &Operation) -> Result<(), Failure> {
        let Some(wanted) = operation.admin else {
            return Ok(());
        };
        Admin::permits(wanted, operation.admin_open).map_err(refused)
    }

    /// Listens where the owner asks, and opens the request log, if there is to be one.
    ///
    /// # Errors
    /// Exit 2.
    pub(super) async fn open(operation: &Operation, tls: Option<Tls>) -> Result<Self, Failure> {
        Self::check(operation)?;
        let admin = match operation.admin {
            None => None,
            Some(wanted) => {
                let listener = service::bind(wanted, "--admin").await?;
                Some(Admin::new(listener, operation.admin_open).map_err(refused)?)
            }
        };
        let log = operation.log.as_ref().map(LogWriter::open).transpose()?;
        Ok(Self {
            admin,
            course: Arc::default(),
            files: Files { log, tls },
            stop_timeout: operation.stop_timeout.unwrap_or(STOP_TIMEOUT),
        })
    }
}

fn refused(why: farebox_server::AdminError) -> Failure {
    Failure::config("config_invalid", why.to_string())
}

/// How long answers may go on after the stop: as configured, or as usual.
pub(super) fn drain_ms(operation: &Operation, usual_ms: u64) -> u64 {
    let configured = operation
        .stop_timeout
        .map(|span: Duration| span.as_millis());
    configured.map_or(usual_ms, |ms| u64::try_from(ms).unwrap_or(u64::MAX))
}
