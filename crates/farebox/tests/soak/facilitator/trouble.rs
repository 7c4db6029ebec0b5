//! A node and a chain that misbehave, by seed: lost and refused transactions, silence, and what each kind of chain adds.
//!
//! Every disturbance ends by itself or at the next one, so that a facilitator that does right gets through.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy_primitives::{Address, U256};

use crate::luck::Luck;
use crate::nets::{Evm, Net, PRICE_ATOMIC, Solana, Trouble};

/// The longest time between two disturbances.
const CALM: Duration = Duration::from_millis(500);
/// How long fees stay high, or blocks stay away.
const SPELL: Duration = Duration::from_millis(1500);
/// The base fee of a quiet chain and of a busy one: what was sent in quiet times waits in busy ones.
const QUIET_WEI: u64 = 1_000_000_000;
const BUSY_WEI: u64 = 20_000_000_000;
/// How long a slow node thinks.
const SLOW: Duration = Duration::from_millis(400);

/// A network that can be made to misbehave in ways of its own.
pub(crate) trait Trying: Net {
    /// Forgets some of the transactions that wait for a block. `None`: there were none.
    fn drop_some(&self, luck: &mut Luck) -> Option<&'static str>;

    /// What no other kind of chain does, one thing of it. `None`: it could not be done now.
    fn do_its_own(&self, luck: &mut Luck) -> Option<&'static str>;

    /// Ends what [`Trying::do_its_own`] has begun.
    fn calm(&self);

    /// When nobody signs any more: makes the chain sure of what has died in the trouble, so that whoever still asks about
    /// it is told.
    fn bury(&self);

    /// Of a payer, whether he may have spent money that the chain had given back to him; asked after the run.
    fn may_be_broke(&self, used: &HashMap<String, String>) -> Box<dyn Fn(&str) -> bool>;
}

/// What is done to the chain, one thing after the other, until told to stop. Returns how often each was done.
pub(crate) fn make<N: Trying>(
    net: &N,
    mut luck: Luck,
    stop: &AtomicBool,
) -> BTreeMap<&'static str, usize> {
    let mut made = BTreeMap::new();
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(luck.below(CALM));
        if let Some(what) = one(net, &mut luck) {
            *made.entry(what).or_default() += 1;
        }
    }
    net.clear();
    net.calm();
    made
}

fn one<N: Trying>(net: &N, luck: &mut Luck) -> Option<&'static str> {
    let times = 1 + u32::try_from(luck.index(4)).expect("a few");
    let sends = |trouble| net.trouble(Some(N::SEND), trouble, times);
    match luck.index(10) {
        0..=2 => net.drop_some(luck),
        3 => {
            sends(Trouble::Refuse);
            Some("refused to take transactions")
        }
        4 => {
            sends(Trouble::LoseReply);
            Some("took transactions and lost the reply")
        }
        5 => {
            let trouble = [Trouble::Unavailable, Trouble::Disconnect, Trouble::Garbage];
            net.trouble(None, trouble[luck.index(3)], times);
            Some("answered nothing of use")
        }
        6 => {
            net.trouble(None, Trouble::Delay(SLOW), times);
            Some("was slow")
        }
        8 => {
            net.hold();
            std::thread::sleep(luck.below(SPELL));
            net.release();
            Some("made no blocks")
        }
        _ => net.do_its_own(luck),
    }
}

impl Trying for Evm {
    fn drop_some(&self, luck: &mut Luck) -> Option<&'static str> {
        let waiting = self.chain.waiting_hashes();
        let all = luck.once_in(4);
        let chosen = waiting.get(luck.index(waiting.len().max(1)))?;
        let dropped = waiting
            .iter()
            .filter(|hash| all || *hash == chosen)
            .filter(|hash| self.chain.drop_transaction(**hash))
            .count();
        (dropped > 0).then_some("dropped transactions")
    }

    /// High fees, or one or two blocks undone, and what was in them forgotten or kept.
    fn do_its_own(&self, luck: &mut Luck) -> Option<&'static str> {
        if luck.once_in(2) {
            self.chain.set_base_fee(BUSY_WEI);
            std::thread::sleep(luck.below(SPELL));
            self.chain.set_base_fee(QUIET_WEI);
            return Some("asked for high fees");
        }
        let keeps = luck.once_in(2);
        let depth = 1 + u64::try_from(luck.index(2)).expect("a few");
        self.chain.reorg(depth, keeps).ok()?;
        Some(match keeps {
            true => "reorganised",
            false => "reorganised and forgot",
        })
    }

    fn calm(&self) {
        self.chain.set_base_fee(QUIET_WEI);
    }

    /// Nothing has: an authorization lives longer than any disturbance.
    fn bury(&self) {}

    /// Whoever cannot pay for anything any more may have, where blocks are undone.
    fn may_be_broke(&self, used: &HashMap<String, String>) -> Box<dyn Fn(&str) -> bool> {
        let payers: HashSet<&str> = used
            .keys()
            .filter_map(|identity| identity.rsplit(':').nth(1))
            .collect();
        let is_broke = |payer: &&str| {
            let address: Address = payer.parse().expect("an address");
            let balance = self.chain.token_balance(address);
            balance.expect("the token answers") < U256::from(PRICE_ATOMIC)
        };
        let broke = payers.into_iter().filter(is_broke);
        let broke: HashSet<String> = broke.map(str::to_lowercase).collect();
        Box::new(move |payer| broke.contains(&payer.to_lowercase()))
    }
}

impl Trying for Solana {
    /// All of them: a leader that goes away takes its whole queue along.
    fn drop_some(&self, _: &mut Luck) -> Option<&'static str> {
        (self.chain.drop_waiting() > 0).then_some("dropped transactions")
    }

    /// So many blocks at once that whatever is on its way can never land; or transactions that are taken and never seen
    /// again. There are no other fees: who pays the fee has agreed to it beforehand, and nothing waits for cheaper times.
    /// Nothing that is confirmed is undone: two thirds of the stake have voted for it, and nobody has seen it happen.
    fn do_its_own(&self, luck: &mut Luck) -> Option<&'static str> {
        if luck.once_in(3) {
            self.chain.expire_blockhashes();
            return Some("expired what was on its way");
        }
        self.swallow();
        std::thread::sleep(luck.below(SPELL));
        self.clear();
        Some("swallowed transactions")
    }

    fn calm(&self) {}

    /// Whatever was on its way when its block expired. Our collector is sure a minute after it saw a payment.
    fn bury(&self) {
        self.outlive();
    }

    /// Nobody: what is confirmed stays.
    fn may_be_broke(&self, _: &HashMap<String, String>) -> Box<dyn Fn(&str) -> bool> {
        Box::new(|_| false)
    }
}
