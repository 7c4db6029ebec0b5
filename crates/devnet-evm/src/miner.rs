//! When blocks are made: at once, on a beat, or only when told. A thread of its own follows the schedule, so that a busy
//! or blocked async runtime never stops the chain. It must never decide what goes into a block: `chain` does.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::chain::Chain;

/// While idle, automine makes an empty block so often, so that chain time moves.
const IDLE_BLOCK_EVERY: Duration = Duration::from_secs(1);
/// Waits end at least so often; nothing depends on it.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// When blocks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Whenever a transaction is ready.
    Automine,
    /// On a beat.
    Interval(Duration),
    /// Only when told.
    Manual,
}

/// The schedule, shared between the thread and those who change it.
#[derive(Debug)]
pub(crate) struct Schedule {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    mode: Mode,
    idle_blocks: bool,
    held: bool,
    work: bool,
    stop: bool,
    /// When the next block of a beat, or the next idle block, is due.
    due: Instant,
}

enum Step {
    MineReady,
    MineAny,
    Stop,
}

impl Schedule {
    pub(crate) fn new(block_time: Option<Duration>, idle_blocks: bool) -> Self {
        let mode = block_time.map_or(Mode::Automine, Mode::Interval);
        let inner = Inner {
            mode,
            idle_blocks,
            held: false,
            work: false,
            stop: false,
            due: Instant::now(),
        };
        let schedule = Self {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        };
        schedule.set_mode(mode);
        schedule
    }

    /// Says that a transaction may be ready. `true` if it is then mined without anyone asking.
    pub(crate) fn wake(&self) -> bool {
        let mut inner = self.lock();
        inner.work = true;
        self.changed.notify_all();
        inner.mode == Mode::Automine && !inner.held
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        let mut inner = self.lock();
        inner.mode = mode;
        inner.work = true;
        inner.due = Instant::now();
        inner.restart();
        self.changed.notify_all();
    }

    pub(crate) fn mode(&self) -> Mode {
        self.lock().mode
    }

    /// Stops or resumes mining, whatever the mode.
    pub(crate) fn hold(&self, held: bool) {
        let mut inner = self.lock();
        inner.held = held;
        inner.work = true;
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
    }

    /// Waits for the next thing to do.
    fn next(&self) -> Step {
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            match inner.mode {
                _ if inner.stop => return Step::Stop,
                _ if inner.held => {}
                Mode::Automine if inner.work => {
                    inner.work = false;
                    return Step::MineReady;
                }
                Mode::Automine if inner.idle_blocks && now >= inner.due => return Step::MineAny,
                Mode::Interval(_) if now >= inner.due => return Step::MineAny,
                Mode::Automine | Mode::Interval(_) | Mode::Manual => {}
            }
            let wait = if inner.held {
                LONGEST_WAIT
            } else {
                inner.wait(now)
            };
            inner = self
                .changed
                .wait_timeout(inner, wait)
                .map_or_else(|lost| lost.into_inner().0, |(inner, _)| inner);
        }
    }

    /// Notes that a block was made. `more` says that there was more than fitted.
    fn made(&self, more: bool) {
        let mut inner = self.lock();
        inner.work |= more;
        inner.restart();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn restart(&mut self) {
        let now = Instant::now();
        self.due = match self.mode {
            // A beat is kept even when a block takes long, but missed beats are not made up for.
            Mode::Interval(every) => (self.due + every).max(now),
            Mode::Automine | Mode::Manual => now + IDLE_BLOCK_EVERY,
        };
    }

    fn wait(&self, now: Instant) -> Duration {
        match self.mode {
            Mode::Automine if self.idle_blocks => self.due.saturating_duration_since(now),
            Mode::Interval(_) => self.due.saturating_duration_since(now),
            Mode::Automine | Mode::Manual => LONGEST_WAIT,
        }
    }
}

/// Starts the thread that mines until the schedule is stopped.
pub(crate) fn start(chain: Arc<Chain>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("devnet-evm-miner".to_owned())
        .spawn(move || follow(&chain))
}

fn follow(chain: &Chain) {
    loop {
        let mined = match chain.schedule.next() {
            Step::Stop => return,
            Step::MineReady => chain.mine(false),
            Step::MineAny => chain.mine(true),
        };
        if mined.is_some() {
            chain.schedule.made(chain.has_ready());
        }
    }
}
