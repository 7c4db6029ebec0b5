//! Collects payments while others are under way, and sends them on together.
//!
//! One task per chain. A payment that finds nothing under way is sent at once, so that a lone
//! caller never waits for company.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use farebox_wire::evm::EvmAddress;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::traffic::Ended;
use super::{PAYMENTS_MAX, Traffic};
use crate::settle::Settler;
use crate::settle::payment::Ticket;

/// How long a payment waits for company while others are under way: a few percent of what a block
/// takes, and long enough that most of what arrives during one transaction fits into the next.
const WINDOW: Duration = Duration::from_millis(10);
/// The callers of a transaction that has just ended come back together, so that the first of them
/// waits for the others, or until as many are there: at least so long.
const LINGER_MIN: Duration = Duration::from_millis(2);
/// It waits this part of what that transaction took, because where each costs the node much, an early
/// one with few payments holds up the many behind it; never longer than [`WINDOW`].
const LINGER_PART: u32 = 4;
/// Payments that wait to be collected: several full blocks. Beyond it callers are refused.
const WAITING_MAX: usize = 10_000;

/// The door to the collector.
pub(in crate::settle) type Arrivals = Sender<Arc<Ticket>>;

/// A door and what comes in by it.
pub(in crate::settle) fn arrivals() -> (Arrivals, Receiver<Arc<Ticket>>) {
    channel(WAITING_MAX)
}

/// Collects for as long as there is a settler.
pub(in crate::settle) async fn collect(
    settler: Weak<Settler>,
    traffic: Arc<Traffic>,
    mut arrivals: Receiver<Arc<Ticket>>,
) {
    let mut heap = Heap::default();
    while let Some(first) = arrivals.recv().await {
        heap.add(first);
        heap.fill(&mut arrivals);
        while let Some(until) = heap.waits_until(&traffic) {
            tokio::select! {
                more = arrivals.recv() => match more {
                    Some(ticket) => heap.add(ticket),
                    None => break,
                },
                () = traffic.one_ended() => {}
                () = tokio::time::sleep_until(until.into()) => {}
            }
            heap.fill(&mut arrivals);
        }
        let Some(settler) = settler.upgrade() else {
            return;
        };
        for tickets in heap.take() {
            let underway = traffic.begin(tickets.len());
            tokio::spawn(settler.share(tickets, false, Some(underway)));
        }
    }
}

/// What has been collected.
#[derive(Default)]
struct Heap {
    by_token: HashMap<EvmAddress, Vec<Arc<Ticket>>>,
    count: usize,
    first_at: Option<Instant>,
}

impl Heap {
    fn add(&mut self, ticket: Arc<Ticket>) {
        self.first_at.get_or_insert_with(Instant::now);
        self.count = self.count.saturating_add(1);
        self.by_token
            .entry(ticket.token())
            .or_default()
            .push(ticket);
    }

    /// Takes what is there already.
    fn fill(&mut self, arrivals: &mut Receiver<Arc<Ticket>>) {
        while self.count < WAITING_MAX
            && let Ok(ticket) = arrivals.try_recv()
        {
            self.add(ticket);
        }
    }

    /// Until when to wait for more; `None` where it is time to go.
    fn waits_until(&self, traffic: &Traffic) -> Option<Instant> {
        let first_at = self.first_at?;
        if self.by_token.values().any(|t| t.len() >= PAYMENTS_MAX) {
            return None;
        }
        let patience = match traffic.last() {
            _ if !traffic.is_idle() => WINDOW,
            Some(last) if self.count < last.payments && last.at.elapsed() < linger(last) => {
                linger(last)
            }
            _ => return None,
        };
        let until = first_at.checked_add(patience)?;
        (until > Instant::now()).then_some(until)
    }

    /// Everything, as the transactions that it makes.
    fn take(&mut self) -> Vec<Vec<Arc<Ticket>>> {
        (self.count, self.first_at) = (0, None);
        let mut loads = Vec::new();
        for mut tickets in std::mem::take(&mut self.by_token).into_values() {
            while tickets.len() > PAYMENTS_MAX {
                let rest = tickets.split_off(PAYMENTS_MAX);
                loads.push(std::mem::replace(&mut tickets, rest));
            }
            loads.push(tickets);
        }
        loads
    }
}

/// How long to wait for those who come back.
fn linger(last: Ended) -> Duration {
    (last.took / LINGER_PART).clamp(LINGER_MIN, WINDOW)
}
