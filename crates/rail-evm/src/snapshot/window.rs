//! Lets questions to the node share calls: the first leaves at once, what comes while it is under
//! way leaves together as soon as it is back, or a moment later.
//!
//! Called by [`Payers::ask`](super::Payers::ask). Asks nothing by itself.

use std::time::Duration;

use tokio::sync::oneshot;

use super::book::Key;
use super::fetch::{QUERIES_MAX, Query, Told};
use crate::rpc::RpcError;

/// How long a question waits for company while others are under way: short beside any round trip
/// that is worth saving.
pub(super) const COMPANY: Duration = Duration::from_millis(2);
/// Calls under way at once. With a node 40 ms away one can leave in every [`COMPANY`].
const CALLS_MAX: usize = 20;
/// Questions that wait; the node is far behind where there are more. A question takes 200 bytes.
const WAITING_MAX: usize = 10_000;

/// What one caller waits for: `None` where the answer cannot be believed and must be asked anew.
pub(super) type Answer = Result<Option<Told>, RpcError>;

/// Somebody wants to know.
pub(super) struct Question {
    pub(super) key: Key,
    pub(super) query: Query,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// Questions that wait, and how many calls are under way.
#[derive(Default)]
pub(super) struct Window {
    waiting: Vec<Question>,
    under_way: usize,
    has_timer: bool,
}

/// What to do after a question came in.
pub(super) enum Next {
    /// Ask these now.
    Leave(Vec<Question>),
    /// Call [`Window::leave`] after [`COMPANY`].
    StartTimer,
    /// Nothing: somebody will call.
    Wait,
    /// Too many wait.
    Full,
}

impl Window {
    pub(super) fn enter(&mut self, question: Question) -> Next {
        if self.waiting.len() >= WAITING_MAX {
            return Next::Full;
        }
        self.waiting.push(question);
        if self.under_way == 0 {
            return self.leave().map_or(Next::Wait, Next::Leave);
        }
        if self.has_timer {
            return Next::Wait;
        }
        self.has_timer = true;
        Next::StartTimer
    }

    /// Those who leave in one call now, all of one token. Give [`Window::came_back`] afterwards.
    pub(super) fn leave(&mut self) -> Option<Vec<Question>> {
        let token = self.waiting.first()?.key.token;
        if self.under_way >= CALLS_MAX {
            return None;
        }
        let mut leaving = Vec::new();
        let mut staying = Vec::new();
        for question in self.waiting.drain(..) {
            if question.key.token == token && leaving.len() < QUERIES_MAX {
                leaving.push(question);
            } else {
                staying.push(question);
            }
        }
        self.waiting = staying;
        self.under_way = self.under_way.saturating_add(1);
        Some(leaving)
    }

    /// The timer has run out.
    pub(super) const fn timer_ended(&mut self) {
        self.has_timer = false;
    }

    /// A call is no longer under way.
    pub(super) const fn came_back(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
