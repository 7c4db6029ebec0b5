//! Child processes: started, watched through /proc, and ended with this one's values.
//!
//! A process is ready when it has written the first line of its standard output. It ends when its
//! [`Process`] is dropped, however this program leaves.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::Fallible;

/// Linux counts processor time in hundredths of a second, whatever the kernel was built with.
const TICK: Duration = Duration::from_millis(10);

/// A running child.
pub(crate) struct Process {
    child: Child,
    name: &'static str,
    /// Kept open: a child that writes into a closed pipe may end.
    _output: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a command whose first line says that it is ready; gives the line. What it says on
    /// standard error goes to `log`, and its end into the error if it does not start.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
    ) -> Fallible<(Self, String)> {
        let mut process = Self::spawn(name, command.stdout(Stdio::piped()), log)?;
        let mut output = BufReader::new(process.child.stdout.take().ok_or("no pipe")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        if line.trim().is_empty() {
            let said = fs::read_to_string(log).unwrap_or_default();
            return Err(format!("{name} did not start: {}", said.trim()).into());
        }
        process._output = Some(output);
        Ok((process, line))
    }

    /// Starts a command that does not say when it is ready.
    pub(crate) fn spawn(name: &'static str, command: &mut Command, log: &Path) -> Fallible<Self> {
        let child = command
            .stdin(Stdio::null())
            .stderr(File::create(log)?)
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        Ok(Self {
            child,
            name,
            _output: None,
        })
    }

    /// Processor time so far, of all its threads.
    pub(crate) fn cpu(&self) -> Fallible<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .map_err(|error| format!("{} has ended: {error}", self.name))?;
        cpu_of(&stat).ok_or_else(|| format!("/proc of {} is unreadable", self.name).into())
    }

    /// Memory that it has, in bytes.
    pub(crate) fn rss(&self) -> Fallible<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .map_err(|error| format!("{} has ended: {error}", self.name))?;
        rss_of(&status).ok_or_else(|| format!("/proc of {} is unreadable", self.name).into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a line of /proc/PID/stat, whose second field may hold blanks.
fn cpu_of(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11);
    let ticks = times.next()?.parse::<u32>().ok()? + times.next()?.parse::<u32>().ok()?;
    TICK.checked_mul(ticks)
}

fn rss_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_a_name_with_blanks_and_brackets() {
        let stat = "12 (a) b (c) S 1 1 1 0 -1 4 0 0 0 0 150 50 0 0 20 0 3 0 1 2 3";
        assert_eq!(cpu_of(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_of("12 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(
            rss_of("VmPeak:\t9 kB\nVmRSS:\t    2048 kB\n"),
            Some(2 * 1024 * 1024)
        );
        assert_eq!(rss_of("Name:\ta\n"), None);
    }

    #[test]
    fn a_process_that_says_nothing_is_an_error_with_its_own_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such file >&2; exit 2"]);
        let started = Process::start("it", &mut command, &folder.path().join("log"));
        let error = started.err().expect("not started").to_string();
        assert!(error.contains("it did not start: no such file"), "{error}");
    }
}
