//! Runs the binary in a folder of its own, and keeps the processes that a test starts from
//! outliving it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

/// A user: a current folder, a data directory, and no environment of the person who runs the tests.
pub(crate) struct User {
    dir: TempDir,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) exit: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that runs until it is stopped.
pub(crate) struct Running {
    child: Child,
    /// The first line that it printed, as JSON.
    pub(crate) ready: Value,
    stderr: Option<JoinHandle<String>>,
}

impl User {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder for the test"),
        }
    }

    /// The current folder.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Leaves a file in the current folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the test's file is written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("the file is there")
    }

    /// The command, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farebox"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FAREBOX_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.dir())
            .env("FAREBOX_DATA_DIR", self.path("data"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("farebox starts"))
    }

    /// Runs a command with `--json` to its end, and reads its one object.
    pub(crate) fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let ended = self.run(&[arguments, &["--json"]].concat());
        (ended.exit, ended.json())
    }

    /// Starts a command that goes on, and waits for its first line.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::of(self.command(arguments))
    }

    /// A devnet on a free port, with its files in `net`.
    pub(crate) fn devnet(&self) -> Running {
        self.devnet_with(&[])
    }

    /// The same with more flags.
    pub(crate) fn devnet_with(&self, flags: &[&str]) -> Running {
        let usual = [
            "devnet",
            "--only",
            "evm",
            "--evm-port",
            "0",
            "--write",
            "net",
            "--json",
        ];
        self.start(&[&usual[..], flags].concat())
    }
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            exit: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The one object on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|why| {
            panic!(
                "one JSON object, not {:?} ({why}); stderr: {}",
                self.stdout, self.stderr
            )
        })
    }
}

impl Running {
    /// Starts it and waits until it has printed one line of JSON.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("farebox starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a line of UTF-8");
        let mut stderr = child.stderr.take().expect("piped");
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            // Whatever came before a break is worth showing.
            let _ = stderr.read_to_string(&mut text);
            text
        });
        match serde_json::from_str(&line) {
            Ok(ready) => Self {
                child,
                ready,
                stderr: Some(stderr),
            },
            Err(why) => {
                // It has printed nothing that is of use: let it end, and show what it said.
                let _ = child.kill();
                let _ = child.wait();
                panic!(
                    "a line of JSON, not {line:?} ({why}); stderr: {}",
                    stderr.join().unwrap_or_default()
                )
            }
        }
    }

    /// A text of the first line.
    pub(crate) fn text(&self, pointer: &str) -> String {
        let value = self.ready.pointer(pointer).and_then(Value::as_str);
        value
            .unwrap_or_else(|| panic!("{pointer} in {}", self.ready))
            .to_owned()
    }

    /// Its process, as the system names it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(sent.expect("kill starts").success());
    }

    /// Sends SIGINT, as Ctrl-C does, and waits for the end.
    #[cfg(unix)]
    pub(crate) fn interrupt(self) -> (i32, String) {
        self.signal("INT");
        self.wait()
    }

    /// Waits for its end: exit code and what it has said.
    pub(crate) fn wait(mut self) -> (i32, String) {
        let status = self.child.wait().expect("it ends");
        let stderr = self
            .stderr
            .take()
            .map(|thread| thread.join().expect("stderr is read"));
        (status.code().unwrap_or(-1), stderr.unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
