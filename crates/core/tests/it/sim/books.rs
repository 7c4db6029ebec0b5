//! A ledger in memory: payments and double-entry accounts, written only through `step`.

use std::collections::BTreeMap;

use farebox_core::payment::{Effect, Event, IllegalEvent, State, step};

/// Index of a payment; also its nonce on chain.
pub(crate) type Id = usize;

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) amount: i128,
    pub(crate) alerts: u32,
}

/// One side's durable memory. It survives crashes; nothing else does.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) payments: BTreeMap<Id, Record>,
    accounts: BTreeMap<&'static str, i128>,
}

impl Books {
    pub(crate) fn open(&mut self, id: Id, amount: i128) {
        let record = Record {
            state: State::reserved(),
            amount,
            alerts: 0,
        };
        assert!(
            self.payments.insert(id, record).is_none(),
            "one payment, one row"
        );
        self.post(Effect::Reserve, amount);
    }

    /// What the real ledger does in one transaction.
    pub(crate) fn apply(&mut self, id: Id, event: &Event) -> Result<Vec<Effect>, IllegalEvent> {
        let record = self.payments.get_mut(&id).unwrap();
        let transition = step(&record.state, event)?;
        record.state = transition.state;
        let amount = record.amount;
        record.alerts += transition
            .effects
            .iter()
            .filter(|e| **e == Effect::Alert)
            .count() as u32;
        let mut rest = Vec::new();
        for effect in transition.effects {
            if !self.post(effect, amount) {
                rest.push(effect);
            }
        }
        self.check();
        Ok(rest)
    }

    pub(crate) fn state(&self, id: Id) -> &State {
        &self.payments[&id].state
    }

    pub(crate) fn balance(&self, account: &'static str) -> i128 {
        self.accounts.get(account).copied().unwrap_or(0)
    }

    fn post(&mut self, effect: Effect, amount: i128) -> bool {
        let (from, to) = match effect {
            Effect::Reserve => ("free", "held"),
            Effect::Commit => ("held", "spent"),
            Effect::Release => ("held", "free"),
            Effect::CommitReturned => ("free", "spent"),
            Effect::Reopen => ("spent", "held"),
            Effect::WriteOff => ("spent", "free"),
            _ => return false,
        };
        *self.accounts.entry(from).or_default() -= amount;
        *self.accounts.entry(to).or_default() += amount;
        true
    }

    /// The sum is zero, nothing is held or spent twice, and states agree with postings.
    fn check(&self) {
        use farebox_core::payment::Hold;
        assert_eq!(
            self.accounts.values().sum::<i128>(),
            0,
            "the books must sum to zero"
        );
        let sum = |hold| -> i128 {
            self.payments
                .values()
                .filter(|r| r.state.hold == hold)
                .map(|r| r.amount)
                .sum()
        };
        assert_eq!(
            self.balance("held"),
            sum(Hold::Held),
            "held agrees with the states"
        );
        assert_eq!(
            self.balance("spent"),
            sum(Hold::Spent),
            "spent agrees with the states"
        );
    }
}
