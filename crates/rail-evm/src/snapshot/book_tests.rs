//! The table of the module, row by row, and any mixture of it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const KEY: Key = Key {
    token: EvmAddress([1; 20]),
    from: EvmAddress([2; 20]),
};
const NONCE: Word = Word([3; 32]);
const OTHER: Word = Word([4; 32]);
const BLOCK: Duration = Duration::from_secs(1);

fn account(atomic: u128) -> Option<Seen> {
    Some(Seen {
        has_code: false,
        balance: Amount::from_atomic(atomic),
    })
}

fn amount(atomic: u128) -> Amount {
    Amount::from_atomic(atomic)
}

fn book() -> Book {
    let mut book = Book::default();
    book.set_valid_for(BLOCK);
    book
}

fn begin(book: &mut Book, now: Instant) -> Fetch {
    book.begin(KEY, NONCE, Why::Asked, now)
}

/// A book that knows a payer who has 10.
fn known(now: Instant) -> Book {
    let mut book = book();
    let fetch = begin(&mut book, now);
    assert_eq!(book.end(fetch, account(10), now), account(10));
    book
}

#[test]
fn an_entry_is_good_for_one_block_from_the_moment_of_asking() {
    let start = Instant::now();
    let mut book = book();
    let fetch = begin(&mut book, start);
    book.end(fetch, account(10), start + BLOCK / 2);
    let last = start + BLOCK - Duration::from_millis(1);
    assert_eq!(book.ask(&KEY, NONCE, last), account(10));
    assert_eq!(book.ask(&KEY, NONCE, start + BLOCK), None);
    // The way to settle may still be chosen by it.
    assert_eq!(book.has_code(&KEY), Some(false));
}

#[test]
fn a_settlement_is_taken_off_what_is_known() {
    let now = Instant::now();
    let mut book = known(now);
    book.settled(KEY, amount(7), OTHER);
    assert_eq!(book.ask(&KEY, NONCE, now), account(3));
    assert!(book.has(&KEY, amount(3)) && !book.has(&KEY, amount(4)));
    book.settled(KEY, amount(7), OTHER);
    assert_eq!(book.ask(&KEY, NONCE, now), account(0));
}

#[test]
fn an_answer_from_before_a_settlement_does_not_bring_the_money_back() {
    let now = Instant::now();
    let mut book = known(now);
    let early = begin(&mut book, now);
    book.settled(KEY, amount(4), OTHER);
    let late = begin(&mut book, now);
    book.settled(KEY, amount(1), OTHER);
    assert_eq!(book.end(early, account(10), now), account(5));
    assert_eq!(book.ask(&KEY, NONCE, now), account(5));
    // Begun after the first settlement, so only the second one is missing in it.
    assert_eq!(book.end(late, account(6), now), account(5));
    assert_eq!(book.ask(&KEY, NONCE, now), account(5));
    assert!(book.watched.is_empty());
}

#[test]
fn doubt_drops_what_is_known_and_what_is_being_asked() {
    let now = Instant::now();
    let mut book = known(now);
    let early = begin(&mut book, now);
    book.forget(KEY);
    assert_eq!(book.ask(&KEY, NONCE, now), None);
    let late = begin(&mut book, now);
    assert_eq!(book.end(early, account(10), now), None);
    assert_eq!(book.ask(&KEY, NONCE, now), None);
    assert_eq!(book.end(late, account(8), now), account(8));
    assert_eq!(book.ask(&KEY, NONCE, now), account(8));
}

#[test]
fn of_two_fetches_that_cross_the_later_one_stands() {
    let start = Instant::now();
    let mut book = book();
    let early = begin(&mut book, start);
    let late = begin(&mut book, start + BLOCK / 4);
    book.end(late, account(2), start + BLOCK / 2);
    book.end(early, account(10), start + BLOCK / 2);
    assert_eq!(book.ask(&KEY, NONCE, start + BLOCK / 2), account(2));
}

#[test]
fn a_fetch_without_an_answer_leaves_what_was_known() {
    let now = Instant::now();
    let mut book = known(now);
    let fetch = begin(&mut book, now);
    assert_eq!(book.end(fetch, None, now), None);
    assert_eq!(book.ask(&KEY, NONCE, now), account(10));
    assert!(book.watched.is_empty());
}

#[test]
fn an_authorization_that_was_seen_used_is_asked_about() {
    let now = Instant::now();
    let mut book = known(now);
    book.settled(KEY, amount(1), NONCE);
    assert_eq!(book.ask(&KEY, NONCE, now), None);
    assert_eq!(book.ask(&KEY, OTHER, now), account(9));
    let fetch = book.begin(KEY, OTHER, Why::Asked, now);
    book.used(&fetch);
    book.end(fetch, account(9), now);
    assert_eq!(book.ask(&KEY, OTHER, now), None);
}

#[test]
fn a_refresh_keeps_nobody_in_use() {
    let start = Instant::now();
    let mut book = known(start);
    let later = start + BLOCK;
    let fetch = book.begin(KEY, NONCE, Why::Refresh, later);
    book.end(fetch, account(9), later);
    assert_eq!(book.in_use(later), []);
    assert_eq!(book.ask(&KEY, OTHER, later), account(9));
    assert_eq!(book.in_use(later), [(KEY, OTHER)]);
    // Nor does it bring back whom the book has let go.
    let gone = Key {
        from: EvmAddress([9; 20]),
        ..KEY
    };
    let fetch = book.begin(gone, NONCE, Why::Refresh, later);
    book.end(fetch, account(9), later);
    assert_eq!(book.has_code(&gone), None);
}

#[test]
fn a_full_book_lets_those_go_that_were_not_asked_for_longest() {
    let start = Instant::now();
    let mut book = book();
    let key = |index: usize| {
        let mut from = [0; 20];
        from[..8].copy_from_slice(&index.to_be_bytes());
        Key {
            token: KEY.token,
            from: EvmAddress(from),
        }
    };
    for index in 0..=PAYERS_MAX {
        let now = start + Duration::from_micros(u64::try_from(index).unwrap());
        let fetch = book.begin(key(index), NONCE, Why::Asked, now);
        book.end(fetch, account(1), now);
        // The first one is asked for again and again.
        assert!(book.ask(&key(0), NONCE, now).is_some());
    }
    assert_eq!(book.entries.len(), PAYERS_MAX - PAYERS_CUT + 1);
    assert!(book.has_code(&key(0)).is_some());
    assert!(book.has_code(&key(1)).is_none());
    assert!(book.has_code(&key(PAYERS_MAX)).is_some());
    assert!(book.watched.is_empty());
}

#[test]
fn as_many_used_authorizations_are_remembered_as_fit() {
    let mut used = Used::default();
    for index in 0..USED_MAX * 2 {
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&index.to_be_bytes());
        used.add(&KEY, Word(nonce));
        assert!(used.may_have(&KEY, Word(nonce)));
    }
    assert_eq!((used.set.len(), used.order.len()), (USED_MAX, USED_MAX));
}

/// Something that happens to a payer.
#[derive(Clone, Debug)]
enum Step {
    FetchBegins(Why),
    /// The node reads its state for the fetch at this place.
    NodeReads(usize),
    FetchEnds(usize),
    FetchFails(usize),
    /// A payment of ours gets into a block.
    Mined(u8),
    /// Its outcome is about to be told.
    Settled(usize),
    /// A payment that somebody else settles for us gets into a block, and `check` finds it.
    Checked(usize),
    Failed,
    ForeignSpend(u8),
    Deposit(u8),
    TimePasses(u16),
    Asked,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop_oneof![Just(Why::Asked), Just(Why::Refresh)].prop_map(Step::FetchBegins),
        (0_usize..4).prop_map(Step::NodeReads),
        (0_usize..4).prop_map(Step::FetchEnds),
        (0_usize..4).prop_map(Step::FetchFails),
        any::<u8>().prop_map(Step::Mined),
        (0_usize..4).prop_map(Step::Settled),
        (0_usize..4).prop_map(Step::Checked),
        Just(Step::Failed),
        any::<u8>().prop_map(Step::ForeignSpend),
        any::<u8>().prop_map(Step::Deposit),
        (0_u16..700).prop_map(Step::TimePasses),
        Just(Step::Asked),
    ]
}

/// The chain, and what the books of this process count.
struct World {
    now: Instant,
    balance: u128,
    /// Ours, in a block, and not told yet: the ledger still holds them.
    mined: Vec<u128>,
    foreign: Vec<(Instant, u128)>,
    fetches: Vec<(Fetch, u128)>,
}

impl World {
    /// The most that may be believed by somebody whose answer was asked for at `since`.
    fn most(&self, since: Instant) -> u128 {
        let late = self.foreign.iter().filter(|(at, _)| *at >= since);
        let late: u128 = late.map(|(_, value)| value).sum();
        self.balance + self.mined.iter().sum::<u128>() + late
    }

    fn take(&mut self, step: Step, book: &mut Book) -> Result<(), TestCaseError> {
        let spend = |balance: &mut u128, value: u8| {
            let value = u128::from(value).min(*balance);
            *balance -= value;
            value
        };
        match step {
            Step::FetchBegins(why) if self.fetches.len() < 4 => {
                let fetch = book.begin(KEY, NONCE, why, self.now);
                self.fetches.push((fetch, self.balance));
            }
            Step::NodeReads(at) if at < self.fetches.len() => self.fetches[at].1 = self.balance,
            Step::FetchEnds(at) if at < self.fetches.len() => {
                let (fetch, read) = self.fetches.remove(at);
                let began = fetch.began;
                if let Some(seen) = book.end(fetch, account(read), self.now) {
                    prop_assert!(seen.balance.atomic() <= self.most(began));
                }
            }
            Step::FetchFails(at) if at < self.fetches.len() => {
                let (fetch, _) = self.fetches.remove(at);
                prop_assert_eq!(book.end(fetch, None, self.now), None);
            }
            Step::Mined(value) => {
                let value = spend(&mut self.balance, value);
                self.mined.push(value);
            }
            Step::Settled(at) if at < self.mined.len() => {
                let value = self.mined.remove(at);
                book.settled(KEY, amount(value), OTHER);
            }
            Step::Checked(at) if at < self.mined.len() => {
                self.mined.remove(at);
                book.forget(KEY);
            }
            Step::Failed => book.forget(KEY),
            Step::ForeignSpend(value) => {
                let value = spend(&mut self.balance, value);
                self.foreign.push((self.now, value));
            }
            Step::Deposit(value) => self.balance += u128::from(value),
            Step::TimePasses(millis) => self.now += Duration::from_millis(millis.into()),
            _ => {}
        }
        let block_ago = self.now.checked_sub(BLOCK).unwrap();
        if let Some(seen) = book.ask(&KEY, NONCE, self.now) {
            prop_assert!(seen.balance.atomic() <= self.most(block_ago));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nobody_is_ever_richer_than_the_chain_less_what_was_settled(
        start in 0_u16..1_000,
        steps in vec(step(), 1..60),
    ) {
        let mut book = book();
        let mut world = World {
            now: Instant::now() + BLOCK,
            balance: start.into(),
            mined: Vec::new(),
            foreign: Vec::new(),
            fetches: Vec::new(),
        };
        for step in steps {
            world.take(step, &mut book)?;
        }
    }
}
