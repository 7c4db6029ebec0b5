//! The chain as the handle, the RPC server and the beat share it: the world behind a lock, and who is told of changes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use solana_transaction::versioned::VersionedTransaction;
use tokio::sync::broadcast;

use crate::beat::Beat;
use crate::options::DevnetSvmOptions;
use crate::world::{Commitment, World};

/// Events that a slow listener may be behind.
const EVENT_BACKLOG: usize = 1024;

/// What has happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A slot began.
    Slot {
        /// Its number.
        slot: u64,
        /// The newest final slot.
        root: u64,
    },
    /// A transaction was sent; perhaps it was executed.
    Transaction,
}

/// The chain.
#[derive(Debug)]
pub(crate) struct Chain {
    world: Mutex<World>,
    pub(crate) beat: Beat,
    events: broadcast::Sender<Event>,
    at_once: bool,
}

impl Chain {
    pub(crate) fn new(world: World, options: &DevnetSvmOptions) -> Self {
        Self {
            world: Mutex::new(world),
            beat: Beat::new(options.slot_time),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            at_once: options.at_once,
        }
    }

    /// The world, locked. Held for as long as one method takes.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what happens from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Makes blocks now.
    pub(crate) fn advance(&self, slots: u64) {
        for _ in 0..slots {
            self.advance_one(self.world());
        }
    }

    /// Makes a block because its time has come, unless somebody has stopped the beat meanwhile.
    pub(crate) fn tick(&self) {
        let world = self.world();
        if self.beat.is_running() {
            self.advance_one(world);
        }
    }

    /// Takes a transaction: it is executed now, or waits for the next slot.
    pub(crate) fn submit(&self, tx: VersionedTransaction) {
        let mut world = self.world();
        if self.at_once && !self.beat.is_held() {
            world.execute(tx);
        } else {
            world.wait(tx);
        }
        drop(world);
        self.tell(Event::Transaction);
    }

    /// Stops the beat, and execution at once, or takes both up again.
    pub(crate) fn hold(&self, is_held: bool) {
        self.beat.hold(is_held);
        // A tick that is under way ends before this returns; none comes after it.
        drop(self.world());
        if !is_held && self.at_once {
            self.world().execute_waiting();
            self.tell(Event::Transaction);
        }
    }

    /// A slot each so often from now on.
    pub(crate) fn set_slot_time(&self, every: Option<Duration>) {
        self.beat.set(every);
        drop(self.world());
    }

    fn advance_one(&self, mut world: MutexGuard<'_, World>) {
        world.advance(1);
        let event = Event::Slot {
            slot: world.block(Commitment::Processed).slot,
            root: world.block(Commitment::Finalized).slot,
        };
        drop(world);
        self.tell(event);
    }

    fn tell(&self, event: Event) {
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }
}
