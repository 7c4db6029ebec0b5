//! The seller's side: claims, upstream, settlement, delivery; with a crash between any two. A
//! facilitator is a seller whose answer is written down before it leaves.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use farebox_core::claim::{Presented, Repeat, repeat};
use farebox_core::payment::{Delivery, Event, Phase};
use farebox_core::rail::SentTransaction;

use super::books::{Books, Id};
use super::chain::{Answer, Authorization, Chain};
use super::rng::Rng;
use super::world::{Net, Reply, Seen};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The chain was asked: what the payer had, and what we had seen settled before asking.
    Verified {
        balance: i128,
        mark: i128,
    },
    Claimed,
    /// `Sent` is on disk, the transaction has not left.
    Signed,
    Waiting,
    /// May be served.
    Ready,
    /// The answer has left; that is not on disk yet.
    Served,
    /// That the answer was given is on disk; it has not left yet.
    Told,
}

struct Handler {
    id: Id,
    task: usize,
    authorization: Authorization,
    stage: Stage,
}

pub(crate) struct Seller {
    pub(crate) books: Books,
    pub(crate) claims: BTreeMap<Id, Authorization>,
    handlers: Vec<Handler>,
    /// Answers handed over, by payment.
    pub(crate) served: BTreeMap<Id, u32>,
    /// A facilitator: one caller at most hears of the success of one payment.
    pub(crate) is_facilitator: bool,
}

impl Seller {
    pub(crate) fn new(is_facilitator: bool) -> Self {
        Self {
            is_facilitator,
            books: Books::default(),
            claims: BTreeMap::new(),
            handlers: vec![],
            served: BTreeMap::new(),
        }
    }

    pub(crate) fn busy(&self) -> usize {
        self.handlers.len()
    }

    /// A credential arrives: the table of law 6.
    pub(crate) fn request(
        &mut self,
        task: usize,
        auth: Authorization,
        chain: &Chain,
        net: &mut Net,
        seen: &mut Seen,
    ) {
        let id = auth.id;
        let in_flight = self.handlers.iter().any(|h| h.id == id);
        if !self.claims.contains_key(&id) {
            return self.verify(task, auth, chain, net);
        }
        let expired = chain.now_s >= auth.valid_before_s;
        let state = self.books.state(id);
        match repeat(&Presented {
            state,
            same_request: true,
            in_flight,
            expired,
        }) {
            Repeat::AsNew if in_flight => net.reply(task, id, Reply::Refused),
            Repeat::AsNew => self.verify(task, auth, chain, net),
            Repeat::LetThrough => {
                seen.let_through += 1;
                let mut stage = Stage::Ready;
                if self.is_facilitator {
                    self.books.apply(id, &Event::Delivered).unwrap();
                    stage = Stage::Told;
                }
                self.handlers.push(Handler {
                    id,
                    task,
                    authorization: auth,
                    stage,
                });
            }
            Repeat::Delivered if self.is_facilitator => net.reply(task, id, Reply::Refused),
            Repeat::Delivered => {
                seen.repeated_delivered += 1;
                net.reply(task, id, Reply::Receipt);
            }
            Repeat::Pending => net.reply(task, id, Reply::Pending),
            Repeat::InFlight | Repeat::Rejected | Repeat::UsedElsewhere => {
                net.reply(task, id, Reply::Refused);
            }
        }
    }

    fn verify(&mut self, task: usize, auth: Authorization, chain: &Chain, net: &mut Net) {
        // The mark is read before the chain is asked.
        let mark = self.books.balance("spent");
        let balance = chain.balance();
        if chain.used(auth.id) || chain.now_s + 6 > auth.valid_before_s || balance < auth.amount {
            return net.reply(task, auth.id, Reply::Refused);
        }
        let stage = Stage::Verified { balance, mark };
        self.handlers.push(Handler {
            id: auth.id,
            task,
            authorization: auth,
            stage,
        });
    }

    /// One step of one request.
    pub(crate) fn step(
        &mut self,
        h: usize,
        chain: &mut Chain,
        net: &mut Net,
        rng: &mut Rng,
        seen: &mut Seen,
    ) {
        let (id, task, auth) = (
            self.handlers[h].id,
            self.handlers[h].task,
            self.handlers[h].authorization,
        );
        let next = match self.handlers[h].stage {
            Stage::Verified { balance, mark } => self.claim(&auth, balance, mark, seen),
            Stage::Claimed if rng.chance(15) => {
                self.books
                    .apply(
                        id,
                        &Event::Abandoned {
                            reason: "upstream".into(),
                        },
                    )
                    .unwrap();
                seen.upstream_failed += 1;
                Err(Reply::Refused)
            }
            Stage::Claimed => {
                self.books
                    .apply(
                        id,
                        &Event::Sending {
                            transaction: Some(SentTransaction::by_stranger(format!("tx{id}"))),
                        },
                    )
                    .unwrap();
                Ok(Some(Stage::Signed))
            }
            Stage::Signed => {
                // The node may lose it, and may even say so.
                if rng.chance(85) {
                    chain.broadcast(auth);
                }
                Ok(Some(Stage::Waiting))
            }
            Stage::Waiting => self.wait(&auth, chain, rng, seen),
            Stage::Ready => self.serve(id, chain, net, task),
            Stage::Told => {
                *self.served.entry(id).or_default() += 1;
                net.reply(task, id, Reply::Receipt);
                seen.told += 1;
                Ok(None)
            }
            Stage::Served => {
                self.books.apply(id, &Event::Delivered).unwrap();
                Ok(None)
            }
        };
        match next {
            Ok(Some(stage)) => self.handlers[h].stage = stage,
            Ok(None) => drop(self.handlers.remove(h)),
            Err(reply) => {
                net.reply(task, id, reply);
                self.handlers.remove(h);
            }
        }
    }

    fn claim(
        &mut self,
        auth: &Authorization,
        balance: i128,
        mark: i128,
        seen: &mut Seen,
    ) -> Result<Option<Stage>, Reply> {
        let settled_since = self.books.balance("spent") - mark;
        let left = balance - settled_since - self.books.balance("held");
        if left < auth.amount {
            seen.insufficient += 1;
            return Err(Reply::Refused);
        }
        if let Entry::Vacant(first) = self.claims.entry(auth.id) {
            first.insert(*auth);
            self.books.open(auth.id, auth.amount);
        } else if self.books.state(auth.id).phase == Phase::Released {
            self.books.apply(auth.id, &Event::Reclaimed).unwrap();
        } else {
            seen.claim_lost_race += 1;
            return Err(Reply::Refused);
        }
        Ok(Some(Stage::Claimed))
    }

    fn wait(
        &mut self,
        auth: &Authorization,
        chain: &Chain,
        rng: &mut Rng,
        seen: &mut Seen,
    ) -> Result<Option<Stage>, Reply> {
        match chain.check(auth) {
            Answer::Settled { is_final } => {
                let event = Event::Settled {
                    transaction: format!("tx{}", auth.id),
                    is_final,
                };
                self.books.apply(auth.id, &event).unwrap();
                if self.is_facilitator {
                    // The same write: no crash comes between these two.
                    self.books.apply(auth.id, &Event::Delivered).unwrap();
                    return Ok(Some(Stage::Told));
                }
                Ok(Some(Stage::Ready))
            }
            Answer::NeverWill => {
                self.books.apply(auth.id, &Event::Expired).unwrap();
                Err(Reply::Refused)
            }
            Answer::Open if rng.chance(20) => {
                self.books
                    .apply(
                        auth.id,
                        &Event::NoReply {
                            reason: "deadline".into(),
                        },
                    )
                    .unwrap();
                seen.pending += 1;
                Err(Reply::Pending)
            }
            Answer::Open => Ok(Some(Stage::Waiting)),
        }
    }

    fn serve(
        &mut self,
        id: Id,
        chain: &Chain,
        net: &mut Net,
        task: usize,
    ) -> Result<Option<Stage>, Reply> {
        let state = self.books.state(id);
        // A reorg between settlement and this moment: not settled any more, so not served.
        if state.phase != Phase::Settled {
            return Err(Reply::Pending);
        }
        assert_eq!(
            state.delivery,
            Delivery::Undelivered,
            "payment {id} is delivered already"
        );
        if !state.is_final && !chain.used(id) {
            return Err(Reply::Pending);
        }
        *self.served.entry(id).or_default() += 1;
        net.reply(task, id, Reply::Receipt);
        Ok(Some(Stage::Served))
    }

    /// kill -9 and restart: recovery releases what was never sent.
    pub(crate) fn crash(&mut self, seen: &mut Seen) {
        for handler in std::mem::take(&mut self.handlers) {
            match handler.stage {
                Stage::Verified { .. } => seen.seller_crash_verified += 1,
                Stage::Claimed => seen.seller_crash_claimed += 1,
                Stage::Signed => seen.seller_crash_signed += 1,
                Stage::Waiting => seen.seller_crash_waiting += 1,
                Stage::Ready => seen.seller_crash_ready += 1,
                Stage::Served => seen.seller_crash_served += 1,
                Stage::Told => seen.seller_crash_told += 1,
            }
        }
        for id in self.ids() {
            if self.books.state(id).phase == Phase::Reserved {
                self.books
                    .apply(
                        id,
                        &Event::Abandoned {
                            reason: "restart".into(),
                        },
                    )
                    .unwrap();
            }
        }
    }

    /// The background watch: asks the chain about one claim that nobody serves.
    pub(crate) fn watch(&mut self, id: Id, chain: &mut Chain, seen: &mut Seen) {
        if self.handlers.iter().any(|h| h.id == id) {
            return;
        }
        let auth = self.claims[&id];
        let state = self.books.state(id).clone();
        match (state.phase, chain.check(&auth)) {
            (Phase::Reserved, _) => unreachable!("a claim is served or recovered"),
            (Phase::Sent | Phase::Unknown, Answer::Open) => {
                self.books
                    .apply(
                        id,
                        &Event::Sending {
                            transaction: Some(SentTransaction::by_stranger(format!("re{id}"))),
                        },
                    )
                    .unwrap();
                chain.broadcast(auth);
                seen.resent += 1;
            }
            (Phase::Sent | Phase::Unknown, Answer::NeverWill) => {
                self.books.apply(id, &Event::Expired).unwrap();
            }
            (Phase::Settled, Answer::Open) => {
                self.books
                    .apply(id, &Event::Undone { resendable: true })
                    .unwrap();
                seen.reorged += 1;
            }
            (Phase::Settled, Answer::NeverWill) => {
                self.books
                    .apply(id, &Event::Undone { resendable: false })
                    .unwrap();
                seen.lost += 1;
            }
            (phase, Answer::Settled { is_final }) => {
                if phase == Phase::Released {
                    seen.foreign += 1;
                }
                let event = Event::Settled {
                    transaction: format!("tx{id}"),
                    is_final,
                };
                self.books.apply(id, &event).unwrap();
            }
            _ => {}
        }
    }

    pub(crate) fn ids(&self) -> Vec<Id> {
        self.claims.keys().copied().collect()
    }
}
