//! The world: who moves next, what is lost on the way, and the laws at the end.

use farebox_core::payment::{Hold, Phase};

use super::books::Id;
use super::buyer::{Buyer, Stage};
use super::chain::{Authorization, Chain};
use super::rng::Rng;
use super::seller::Seller;

/// Steps of chaos in one world.
const CHAOS_STEPS: usize = 160;
/// Rounds of peace after it; far more than anything needs to be decided.
const PEACE_ROUNDS: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Receipt,
    Refused,
    Pending,
}

/// Messages under way, in no order.
#[derive(Default)]
pub(crate) struct Net {
    pub(crate) to_seller: Vec<(usize, Authorization)>,
    to_buyer: Vec<(usize, Id, Reply)>,
}

impl Net {
    pub(crate) fn reply(&mut self, task: usize, id: Id, reply: Reply) {
        self.to_buyer.push((task, id, reply));
    }
}

macro_rules! corners {
    ($($name:ident),+ $(,)?) => {
        /// How often each dangerous corner was reached.
        #[derive(Default, Debug, PartialEq, Eq)]
        pub(crate) struct Seen {
            $(pub(crate) $name: u64),+
        }

        impl Seen {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }

            pub(crate) fn assert_every_corner_was_reached(&self) {
                $(assert!(self.$name > 0, concat!("never reached: ", stringify!($name)));)+
            }
        }
    };
}

corners! {
    twin_waited, re_presented, denied, lease_lost, expired, expired_unasked, let_through,
    repeated_delivered, insufficient, claim_lost_race, upstream_failed, pending, resent, reorged,
    lost, foreign, lies, dropped, repeated,
    buyer_crash_holding, buyer_crash_armed, buyer_crash_waiting,
    seller_crash_verified, seller_crash_claimed, seller_crash_signed, seller_crash_waiting,
    seller_crash_ready, seller_crash_served, seller_crash_told, served, told,
}

pub(crate) struct World {
    rng: Rng,
    chain: Chain,
    net: Net,
    buyer: Buyer,
    seller: Seller,
    /// Whether this seller lies and takes money for nothing.
    liar: bool,
    pub(crate) seen: Seen,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let price = 10;
        let calls: Vec<usize> = (0..2 + rng.below(3)).map(|_| rng.below(2)).collect();
        let limit = price * (1 + rng.below(4) as i128);
        let funds = price * (1 + rng.below(4) as i128);
        let blind = rng.chance(10);
        let liar = rng.chance(10);
        let is_facilitator = rng.chance(30);
        Self {
            chain: Chain::new(funds),
            net: Net::default(),
            buyer: Buyer::new(&calls, limit, price, blind),
            seller: Seller::new(is_facilitator),
            liar,
            seen: Seen::default(),
            rng,
        }
    }

    pub(crate) fn run(&mut self) {
        for _ in 0..CHAOS_STEPS {
            self.chaos();
        }
        for _ in 0..PEACE_ROUNDS {
            self.peace();
        }
        self.check_the_end();
    }

    fn chaos(&mut self) {
        match self.rng.below(100) {
            0..=29 => {
                let t = self.rng.below(self.buyer.tasks.len());
                let impatient = self.rng.chance(4);
                self.buyer
                    .step(t, &self.chain, &mut self.net, impatient, &mut self.seen);
            }
            30..=54 => self.seller_step(),
            55..=69 => self.carry(25),
            70..=79 => self.chain.mine(&mut self.rng),
            80..=83 => self.watch_one(),
            84..=86 => self.resolve_one(),
            87..=88 => {
                let t = self.rng.below(self.buyer.tasks.len());
                self.buyer.crash(t, &mut self.seen);
            }
            89 => self.seller.crash(&mut self.seen),
            90..=92 => {
                let t = self.rng.below(self.buyer.tasks.len());
                self.buyer.time_out(t);
            }
            93..=94 => drop(self.chain.reorg(&mut self.rng)),
            95 => self.stranger_broadcasts(),
            // A wish is made once more: by the same person, or after an answer by the next.
            _ => {
                let t = self.rng.below(self.buyer.tasks.len());
                if self.buyer.tasks[t].stage == Stage::Done {
                    let call = self.buyer.tasks[t].call;
                    self.buyer.crash(t, &mut self.seen);
                    self.buyer.tasks[t] = super::buyer::Task::new(call);
                }
            }
        }
    }

    /// Everything works, nobody wishes anything new, time passes.
    fn peace(&mut self) {
        while !self.net.to_seller.is_empty() || !self.net.to_buyer.is_empty() {
            self.carry(0);
        }
        for t in 0..self.buyer.tasks.len() {
            self.buyer.time_out(t);
            match self.buyer.tasks[t].stage {
                Stage::Holding(_) | Stage::Armed(_) => {
                    self.buyer
                        .step(t, &self.chain, &mut self.net, false, &mut self.seen);
                }
                _ => self.buyer.tasks[t].stage = Stage::Done,
            }
        }
        while self.seller.busy() > 0 {
            self.seller_step();
            self.chain.mine(&mut self.rng);
        }
        self.chain.mine(&mut self.rng);
        for id in self.seller.ids() {
            self.seller.watch(id, &mut self.chain, &mut self.seen);
        }
        for id in self.buyer.ids() {
            self.buyer.resolve(id, &self.chain, &mut self.seen);
        }
    }

    fn seller_step(&mut self) {
        if self.seller.busy() > 0 {
            let h = self.rng.below(self.seller.busy());
            self.seller.step(
                h,
                &mut self.chain,
                &mut self.net,
                &mut self.rng,
                &mut self.seen,
            );
        }
    }

    /// Carries, loses or repeats one message.
    fn carry(&mut self, mischief_percent: u64) {
        let lost = self.rng.chance(mischief_percent);
        let repeated = self.rng.chance(mischief_percent);
        if !self.net.to_seller.is_empty() && (self.rng.chance(50) || self.net.to_buyer.is_empty()) {
            let place = self.rng.below(self.net.to_seller.len());
            let message = self.net.to_seller[place];
            if !repeated || lost {
                self.net.to_seller.swap_remove(place);
            }
            self.seen.dropped += u64::from(lost);
            self.seen.repeated += u64::from(repeated && !lost);
            if !lost {
                self.arrive(message.0, message.1);
            }
        } else if !self.net.to_buyer.is_empty() {
            let place = self.rng.below(self.net.to_buyer.len());
            let (task, id, reply) = self.net.to_buyer.swap_remove(place);
            if !lost {
                self.buyer.reply(task, id, reply);
            }
        }
    }

    fn arrive(&mut self, task: usize, authorization: Authorization) {
        if self.liar {
            self.seen.lies += 1;
            if self.rng.chance(50) {
                self.chain.broadcast(authorization);
            }
            let reply = [Reply::Receipt, Reply::Refused, Reply::Pending][self.rng.below(3)];
            return self.net.reply(task, authorization.id, reply);
        }
        self.seller.request(
            task,
            authorization,
            &self.chain,
            &mut self.net,
            &mut self.seen,
        );
    }

    fn watch_one(&mut self) {
        let ids = self.seller.ids();
        if !ids.is_empty() {
            let id = ids[self.rng.below(ids.len())];
            self.seller.watch(id, &mut self.chain, &mut self.seen);
        }
    }

    fn resolve_one(&mut self) {
        let ids = self.buyer.ids();
        if !ids.is_empty() {
            let id = ids[self.rng.below(ids.len())];
            self.buyer.resolve(id, &self.chain, &mut self.seen);
        }
    }

    /// Authorizations are public once sent: anybody may settle them.
    fn stranger_broadcasts(&mut self) {
        let sent: Vec<_> = self.buyer.signed.values().copied().collect();
        if !sent.is_empty() {
            self.chain.broadcast(sent[self.rng.below(sent.len())]);
        }
    }

    fn check_the_end(&mut self) {
        assert!(
            self.chain.transfers_by_id().values().all(|n| *n == 1),
            "paid twice"
        );
        self.check_buyer();
        if !self.liar {
            self.check_seller();
        }
        self.seen.served += self.seller.served.len() as u64;
    }

    fn check_buyer(&self) {
        let books = &self.buyer.books;
        assert_eq!(
            books.balance("held"),
            0,
            "nothing is stuck: {:?}",
            books.payments
        );
        if self.buyer.blind {
            assert!(
                books.balance("spent") >= self.chain.moved(),
                "spent without being counted"
            );
        } else {
            assert_eq!(
                books.balance("spent"),
                self.chain.moved(),
                "the books equal the chain"
            );
        }
    }

    fn check_seller(&self) {
        let books = &self.seller.books;
        assert_eq!(
            books.balance("held"),
            0,
            "nothing is stuck: {:?}",
            books.payments
        );
        let used = |id: &Id| self.chain.used(*id);
        let earned: i128 = books
            .payments
            .iter()
            .filter(|(id, _)| used(id))
            .map(|(_, r)| r.amount)
            .sum();
        assert_eq!(
            books.balance("spent"),
            earned,
            "the seller's books equal the chain"
        );
        if self.seller.is_facilitator {
            let once = self.seller.served.values().all(|times| *times == 1);
            assert!(once, "success was told twice: {:?}", self.seller.served);
        }
        for id in self.seller.served.keys() {
            let record = &books.payments[id];
            let lost = record.state.phase == Phase::Lost && record.alerts > 0;
            assert!(used(id) || lost, "payment {id} was served unpaid");
            assert!(lost || record.state.hold == Hold::Spent);
        }
    }
}
