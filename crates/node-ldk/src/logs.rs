//! LDK's log lines become events of `tracing`. It calls errors what is ordinary here (an unknown peer, no route), so each
//! line is a level quieter than LDK says, and its finest levels are dropped.

use ldk_node::logger::{LogLevel, LogRecord, LogWriter};

/// Hands the lines on.
pub(crate) struct ToTracing;

impl LogWriter for ToTracing {
    fn log<'a>(&self, record: LogRecord<'a>) {
        let (module, text) = (record.module_path, record.args);
        match record.level {
            LogLevel::Error => tracing::warn!(target: "ldk", module, "{text}"),
            LogLevel::Warn => tracing::info!(target: "ldk", module, "{text}"),
            LogLevel::Info => tracing::debug!(target: "ldk", module, "{text}"),
            LogLevel::Debug => tracing::trace!(target: "ldk", module, "{text}"),
            _ => {}
        }
    }
}
