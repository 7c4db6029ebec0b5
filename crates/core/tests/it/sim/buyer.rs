//! The buyer's side: wishes that reserve, sign, send, wait, crash, and look again.

use std::collections::BTreeMap;

use farebox_core::payment::{Event, Phase};
use farebox_core::policy::{Limits, Usage, decide};
use farebox_wire::money::UsdMicros;

use super::books::{Books, Id};
use super::chain::{Answer, Authorization, Chain};
use super::world::{Net, Reply, Seen};

/// How long a credential lives.
const VALID_S: u64 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not running; may start, and start again.
    Idle,
    /// The amount is held, nothing is signed.
    Holding(Id),
    /// `Sent` is on disk, the credential has not left.
    Armed(Id),
    /// The credential has left.
    Waiting(Id),
    /// Answered or refused for good.
    Done,
}

/// One run of one wish in one process.
pub(crate) struct Task {
    pub(crate) call: usize,
    pub(crate) stage: Stage,
    /// New credentials that this wish has signed since it last started from nothing.
    signed: u32,
}

impl Task {
    pub(crate) fn new(call: usize) -> Self {
        Self {
            call,
            stage: Stage::Idle,
            signed: 0,
        }
    }
}

pub(crate) struct Buyer {
    pub(crate) books: Books,
    pub(crate) tasks: Vec<Task>,
    /// Durable: what was signed, by id.
    pub(crate) signed: BTreeMap<Id, Authorization>,
    calls: BTreeMap<Id, usize>,
    limit: i128,
    price: i128,
    /// Without an RPC: nobody can be asked.
    pub(crate) blind: bool,
}

impl Buyer {
    pub(crate) fn new(calls: &[usize], limit: i128, price: i128, blind: bool) -> Self {
        let tasks = calls.iter().map(|&call| Task::new(call)).collect();
        Self {
            books: Books::default(),
            tasks,
            signed: BTreeMap::new(),
            calls: BTreeMap::new(),
            limit,
            price,
            blind,
        }
    }

    /// One step of one task. `impatient` takes a living owner for dead.
    pub(crate) fn step(
        &mut self,
        t: usize,
        chain: &Chain,
        net: &mut Net,
        impatient: bool,
        seen: &mut Seen,
    ) {
        match self.tasks[t].stage {
            Stage::Idle => self.start(t, chain, impatient, seen),
            Stage::Holding(id) => self.arm(t, id, chain, seen),
            Stage::Armed(id) => {
                net.to_seller.push((t, self.signed[&id]));
                self.tasks[t].stage = Stage::Waiting(id);
            }
            Stage::Waiting(_) | Stage::Done => {}
        }
        self.check_budget();
    }

    fn start(&mut self, t: usize, chain: &Chain, impatient: bool, seen: &mut Seen) {
        let call = self.tasks[t].call;
        let Some(id) = self.open_of(call) else {
            return self.reserve(t, call, seen);
        };
        let owned = self.tasks.iter().any(|o| works_on(o.stage) == Some(id));
        if owned && !impatient {
            seen.twin_waited += 1;
            return;
        }
        match self.books.state(id).phase {
            Phase::Reserved => {
                self.books
                    .apply(
                        id,
                        &Event::Abandoned {
                            reason: "owner_lost".into(),
                        },
                    )
                    .unwrap();
            }
            Phase::Sent => {
                self.books
                    .apply(
                        id,
                        &Event::NoReply {
                            reason: "owner_lost".into(),
                        },
                    )
                    .unwrap();
            }
            _ if chain.now_s < self.signed[&id].valid_before_s => {
                self.books
                    .apply(id, &Event::Sending { transaction: None })
                    .unwrap();
                self.tasks[t].stage = Stage::Armed(id);
                seen.re_presented += 1;
            }
            _ => self.resolve(id, chain, seen),
        }
    }

    fn reserve(&mut self, t: usize, call: usize, seen: &mut Seen) {
        let used = micros(self.books.balance("held") + self.books.balance("spent"));
        let limits = Limits {
            total: Some(micros(self.limit)),
            ..Limits::default()
        };
        let usage = Usage {
            day: used,
            total: used,
        };
        if decide(None, &limits, &usage, micros(self.price)).is_err() {
            self.tasks[t].stage = Stage::Done;
            seen.denied += 1;
            return;
        }
        let id = self.books.payments.len() + 1;
        self.books.open(id, self.price);
        self.calls.insert(id, call);
        self.tasks[t].stage = Stage::Holding(id);
    }

    /// Signs and writes `Sent`; a task that lost its lease must not send.
    fn arm(&mut self, t: usize, id: Id, chain: &Chain, seen: &mut Seen) {
        if self
            .books
            .apply(id, &Event::Sending { transaction: None })
            .is_err()
        {
            self.tasks[t].stage = Stage::Idle;
            seen.lease_lost += 1;
            return;
        }
        self.assert_nothing_older_can_be_spent(id, chain);
        self.tasks[t].signed += 1;
        assert!(
            self.tasks[t].signed <= 1,
            "one run of a wish signs at most once"
        );
        let valid_before_s = chain.now_s + VALID_S;
        self.signed.insert(
            id,
            Authorization {
                id,
                amount: self.price,
                valid_before_s,
            },
        );
        self.tasks[t].stage = Stage::Armed(id);
    }

    /// Law 3: nothing new is signed for a call while an older credential may still be taken and
    /// is not counted as spent.
    fn assert_nothing_older_can_be_spent(&self, id: Id, chain: &Chain) {
        for (older, authorization) in &self.signed {
            let state = self.books.state(*older);
            // What was called settled once, truly or by a lie, has answered its own wish.
            let answered = state.phase == Phase::Settled || state.was_undone;
            if self.calls[older] != self.calls[&id] || answered {
                continue;
            }
            let spent = self.books.state(*older).hold == farebox_core::payment::Hold::Spent;
            let dead = chain.check(authorization) == Answer::NeverWill;
            assert!(
                spent || dead,
                "payment {older} may still be taken while {id} is signed"
            );
        }
    }

    pub(crate) fn reply(&mut self, t: usize, id: Id, reply: Reply) {
        if works_on(self.tasks[t].stage) != Some(id) {
            return;
        }
        let event = match reply {
            Reply::Receipt => Event::Settled {
                transaction: format!("tx{id}"),
                is_final: false,
            },
            Reply::Refused => Event::Refused {
                reason: "refused".into(),
            },
            Reply::Pending => Event::NoReply {
                reason: "settlement_pending".into(),
            },
        };
        // A closed payment takes no more words; the chain has spoken.
        let _ = self.books.apply(id, &event);
        // Unanswered, a run ends with exit 5 or 6, and whoever wished may run it again.
        self.tasks[t] = Task::new(self.tasks[t].call);
        if reply == Reply::Receipt {
            self.tasks[t].stage = Stage::Done;
        }
        self.check_budget();
    }

    pub(crate) fn time_out(&mut self, t: usize) {
        if let Stage::Waiting(id) = self.tasks[t].stage {
            let _ = self.books.apply(
                id,
                &Event::NoReply {
                    reason: "timeout".into(),
                },
            );
            self.tasks[t] = Task::new(self.tasks[t].call);
        }
    }

    /// The process dies: what is not on disk is gone. A person may run the wish again.
    pub(crate) fn crash(&mut self, t: usize, seen: &mut Seen) {
        match self.tasks[t].stage {
            Stage::Holding(_) => seen.buyer_crash_holding += 1,
            Stage::Armed(_) => seen.buyer_crash_armed += 1,
            Stage::Waiting(_) => seen.buyer_crash_waiting += 1,
            Stage::Idle | Stage::Done => return,
        }
        self.tasks[t] = Task::new(self.tasks[t].call);
    }

    /// `payments resume`: asks the chain about one payment that nobody works on.
    pub(crate) fn resolve(&mut self, id: Id, chain: &Chain, seen: &mut Seen) {
        let state = self.books.state(id).clone();
        if self.tasks.iter().any(|o| works_on(o.stage) == Some(id)) {
            return;
        }
        let Some(authorization) = self.signed.get(&id) else {
            if state.phase == Phase::Reserved {
                self.books
                    .apply(
                        id,
                        &Event::Abandoned {
                            reason: "owner_lost".into(),
                        },
                    )
                    .unwrap();
            }
            return;
        };
        let expired = chain.now_s >= authorization.valid_before_s;
        let event = match (self.blind, chain.check(authorization)) {
            (true, _) if state.is_open() && expired => {
                seen.expired_unasked += 1;
                Event::ExpiredUnasked
            }
            (true, _) => return,
            (_, Answer::Settled { is_final }) => Event::Settled {
                transaction: format!("tx{id}"),
                is_final,
            },
            (_, Answer::NeverWill) if state.phase == Phase::Settled => {
                Event::Undone { resendable: false }
            }
            (_, Answer::NeverWill) => {
                seen.expired += 1;
                Event::Expired
            }
            (_, Answer::Open) if state.phase == Phase::Settled => {
                Event::Undone { resendable: true }
            }
            (_, Answer::Open) => return,
        };
        self.books.apply(id, &event).unwrap();
        self.check_budget();
    }

    pub(crate) fn ids(&self) -> Vec<Id> {
        self.books.payments.keys().copied().collect()
    }

    fn open_of(&self, call: usize) -> Option<Id> {
        self.calls
            .iter()
            .filter(|(id, c)| {
                let state = self.books.state(**id);
                **c == call && state.is_open() && state.hold == farebox_core::payment::Hold::Held
            })
            .map(|(id, _)| *id)
            .next_back()
    }

    /// Reserved and spent never pass the limit, except by what the chain took in spite of a
    /// false word (an alert was raised then).
    fn check_budget(&self) {
        let used = self.books.balance("held") + self.books.balance("spent");
        let surprises: i128 = self
            .books
            .payments
            .values()
            .filter(|r| r.alerts > 0)
            .map(|r| r.amount)
            .sum();
        assert!(
            used <= self.limit + surprises,
            "{used} is over the limit {}",
            self.limit
        );
    }
}

fn works_on(stage: Stage) -> Option<Id> {
    match stage {
        Stage::Holding(id) | Stage::Armed(id) | Stage::Waiting(id) => Some(id),
        Stage::Idle | Stage::Done => None,
    }
}

fn micros(amount: i128) -> UsdMicros {
    UsdMicros(u128::try_from(amount).unwrap())
}
