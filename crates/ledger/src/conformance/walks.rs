//! The rule of rules: whatever happens, in whatever order, the books add up.

use std::collections::HashMap;
use std::sync::Arc;

use farebox_core::ledger::{Claimed, Ledger, LedgerError, Payment};
use farebox_core::payment::{Event, Hold, Role};
use farebox_core::rail::SentTransaction;

use super::kit::{Ask, Store, claim, limits, reason, settled, spend};

/// Payments whose events are mixed.
const PAYMENTS: usize = 12;
/// Events in all.
const EVENTS: usize = 2000;

/// Random events on buyers' and sellers' payments; the illegal ones must change nothing. The
/// balances must be those that the payments' states ask for.
pub async fn random_events_keep_the_books_balanced(store: &dyn Store) {
    let ledger = store.open().await;
    let set = ledger.set_budget(None, limits(None, None, Some(1_000_000)));
    set.await.expect("a working store");
    let mut states: HashMap<String, Payment> = HashMap::new();
    for n in 0..PAYMENTS {
        let payment = if n % 2 == 0 {
            ledger.must_reserve(spend(&format!("payment-{n}"), 5)).await
        } else {
            ledger.must_claim(claim(&format!("payment-{n}"), 5)).await
        };
        states.insert(payment.id.0.clone(), payment);
    }
    let mut random = Random(7);
    for step in 0..EVENTS {
        let name = format!("payment-{}", random.below(PAYMENTS));
        let event = random.event();
        match ledger.take(&name, event.clone()).await {
            Ok(applied) => {
                states.insert(name, applied.payment);
            }
            Err(LedgerError::Illegal(_)) => {}
            Err(error) => panic!("step {step}, {event:?} on {name}: {error}"),
        }
        if random.below(10) == 0 {
            claim_again(&ledger, &mut states, &mut random).await;
        }
        if step % 100 == 0 {
            compare(&ledger, &states, step).await;
        }
    }
    compare(&ledger, &states, EVENTS).await;
}

/// Sellers' credentials come again: released ones as new.
async fn claim_again(
    ledger: &Arc<dyn Ledger>,
    states: &mut HashMap<String, Payment>,
    random: &mut Random,
) {
    let name = format!("payment-{}", random.below(PAYMENTS / 2) * 2 + 1);
    let answer = ledger.claim(claim(&name, 5)).await;
    match answer.expect("a working store") {
        Claimed::First(payment) => {
            states.insert(name, *payment);
        }
        Claimed::Repeat(payment) => {
            assert_eq!(
                Some(&payment.state),
                states.get(&name).map(|known| &known.state)
            );
        }
        Claimed::Insufficient { left } => panic!("only {left} is left"),
        Claimed::OneAtATime => panic!("another claim of this payer is open"),
    }
}

async fn compare(ledger: &Arc<dyn Ledger>, states: &HashMap<String, Payment>, step: usize) {
    ledger.must_add_up().await;
    let count = |role, hold| {
        let fits = |payment: &&Payment| payment.role == role && payment.state.hold == hold;
        i128::try_from(states.values().filter(fits).count()).unwrap_or(i128::MAX) * 5
    };
    let buyers = (
        count(Role::Buyer, Hold::Held),
        count(Role::Buyer, Hold::Spent),
    );
    let sellers = (
        count(Role::Seller, Hold::Held),
        count(Role::Seller, Hold::Spent),
    );
    for (account, expected) in [
        ("buyer/reserved", buyers.0),
        ("buyer/wallet", -buyers.0 - buyers.1),
        ("budget/total/reserved", buyers.0),
        ("budget/total/spent", buyers.1),
        ("budget/day/20000/reserved", buyers.0),
        ("budget/day/20000/spent", buyers.1),
        ("seller/payers", -sellers.0 - sellers.1),
    ] {
        assert_eq!(
            ledger.balance(account).await,
            expected,
            "{account} at {step}"
        );
    }
}

/// SplitMix64: a seed is a walk on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // The highest bits, so that the number fits everywhere.
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap_or_default() % n
    }

    fn event(&mut self) -> Event {
        let coin = self.below(2) == 0;
        match self.below(12) {
            0 => Event::Sending {
                transaction: coin
                    .then(|| SentTransaction::by_stranger(format!("0x{}", self.below(4)))),
            },
            1 => settled(),
            2 => Event::Failed { reason: reason() },
            3 => Event::Refused { reason: reason() },
            4 => Event::NoReply { reason: reason() },
            5 => Event::Expired,
            6 => Event::ExpiredUnasked,
            7 => Event::Abandoned { reason: reason() },
            8 => Event::Undone { resendable: coin },
            9 => Event::Reclaimed,
            10 if self.below(5) == 0 => Event::Finalised,
            _ if coin => Event::Delivered,
            _ => Event::Aborted,
        }
    }
}
