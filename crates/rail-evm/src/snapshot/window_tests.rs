//! Who leaves when, and with whom.

use farebox_wire::evm::{EvmAddress, Word};

use super::*;

fn question(token: u8) -> Question {
    let (answer, _) = oneshot::channel();
    let from = EvmAddress([9; 20]);
    Question {
        key: Key {
            token: EvmAddress([token; 20]),
            from,
        },
        query: Query {
            payer: from,
            nonce: Word::ZERO,
        },
        answer,
    }
}

fn left(next: Next) -> usize {
    match next {
        Next::Leave(questions) => questions.len(),
        Next::StartTimer | Next::Wait | Next::Full => 0,
    }
}

#[test]
fn the_first_leaves_at_once_and_the_others_leave_together() {
    let mut window = Window::default();
    assert_eq!(left(window.enter(question(1))), 1);
    assert!(matches!(window.enter(question(1)), Next::StartTimer));
    assert!(matches!(window.enter(question(1)), Next::Wait));
    window.came_back();
    assert_eq!(window.leave().unwrap().len(), 2);
    assert!(window.leave().is_none());
    // The timer still runs, and finds nobody.
    window.timer_ended();
    assert!(window.leave().is_none());
    window.came_back();
    assert_eq!(left(window.enter(question(1))), 1);
}

#[test]
fn a_call_asks_about_one_token_and_so_many_payers() {
    let mut window = Window::default();
    window.enter(question(1));
    for _ in 0..=QUERIES_MAX {
        window.enter(question(2));
    }
    window.enter(question(3));
    window.enter(question(2));
    let calls: Vec<(u8, usize)> = std::iter::from_fn(|| window.leave())
        .map(|questions| {
            let token = questions[0].key.token;
            assert!(questions.iter().all(|q| q.key.token == token));
            (token.0[0], questions.len())
        })
        .collect();
    assert_eq!(calls, [(2, QUERIES_MAX), (2, 2), (3, 1)]);
}

#[test]
fn no_more_calls_are_under_way_than_may_be() {
    let mut window = Window::default();
    window.enter(question(0));
    for _ in 1..CALLS_MAX {
        window.enter(question(0));
        assert!(window.leave().is_some());
    }
    window.enter(question(0));
    assert!(window.leave().is_none());
    window.came_back();
    assert!(window.leave().is_some());
}

#[test]
fn whoever_finds_too_many_waiting_is_sent_away() {
    let mut window = Window::default();
    window.enter(question(0));
    for _ in 0..WAITING_MAX {
        assert!(!matches!(window.enter(question(0)), Next::Full));
    }
    assert!(matches!(window.enter(question(0)), Next::Full));
}
