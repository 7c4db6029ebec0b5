//! What the numbers were measured on.

use std::fmt;
use std::fs;

/// The machine at the start of a run.
pub(crate) struct Machine {
    model: String,
    cores: usize,
    system: String,
    /// Processes that waited for a core in the last minute: what else was going on.
    load: String,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("an unknown processor", |(_, model)| model.trim());
        Self {
            model: model.to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            system: format!(
                "{} {}",
                read("/proc/sys/kernel/ostype").trim(),
                read("/proc/sys/kernel/osrelease").trim()
            ),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores of {}, {}, load {} at the start",
            self.cores, self.model, self.system, self.load
        )
    }
}
