//! The payment's state machine: the laws that hold for every sequence of events, and the rows of
//! the table that a reader may look up.

use farebox_core::payment::{Delivery, Effect, Event, Hold, Phase, State, step};
use proptest::prelude::*;

fn reason() -> String {
    "why".into()
}

fn sending() -> Event {
    Event::Sending { transaction: None }
}

fn settled(is_final: bool) -> Event {
    Event::Settled {
        transaction: "0xabc".into(),
        is_final,
    }
}

fn after(events: &[Event]) -> State {
    events.iter().fold(State::reserved(), |state, event| {
        step(&state, event).unwrap().state
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(sending()),
        any::<bool>().prop_map(settled),
        Just(Event::Failed { reason: reason() }),
        Just(Event::Refused { reason: reason() }),
        Just(Event::NoReply { reason: reason() }),
        Just(Event::Expired),
        Just(Event::ExpiredUnasked),
        Just(Event::Abandoned { reason: reason() }),
        Just(Event::Reclaimed),
        any::<bool>().prop_map(|resendable| Event::Undone { resendable }),
        Just(Event::Finalised),
        Just(Event::Delivered),
        Just(Event::Aborted),
    ]
}

/// Where the money is after an effect, if the effect moves it; `None` if it may not be applied.
fn posted(hold: Hold, effect: Effect) -> Option<Hold> {
    match (effect, hold) {
        (Effect::Reserve, Hold::Returned) | (Effect::Reopen, Hold::Spent) => Some(Hold::Held),
        (Effect::Commit, Hold::Held) | (Effect::CommitReturned, Hold::Returned) => {
            Some(Hold::Spent)
        }
        (Effect::Release, Hold::Held) | (Effect::WriteOff, Hold::Spent) => Some(Hold::Returned),
        (
            Effect::Reserve
            | Effect::Reopen
            | Effect::Commit
            | Effect::CommitReturned
            | Effect::Release
            | Effect::WriteOff,
            _,
        ) => None,
        _ => Some(hold),
    }
}

proptest! {
    #[test]
    fn postings_follow_the_hold_and_the_hold_follows_the_phase(
        events in prop::collection::vec(any_event(), 0..40)
    ) {
        let mut state = State::reserved();
        for event in events {
            let Ok(transition) = step(&state, &event) else { continue };
            let mut hold = state.hold;
            for effect in &transition.effects {
                hold = posted(hold, *effect).expect("an effect that moves money twice");
            }
            prop_assert_eq!(hold, transition.state.hold);
            let fits = match transition.state.phase {
                Phase::Reserved | Phase::Sent => hold == Hold::Held,
                Phase::Settled => hold == Hold::Spent,
                Phase::Unknown => hold != Hold::Returned,
                Phase::Rejected | Phase::Released | Phase::Lost => hold == Hold::Returned,
            };
            prop_assert!(fits, "{:?} with {:?}", transition.state.phase, hold);
            state = transition.state;
        }
    }

    #[test]
    fn a_repeated_event_moves_no_money(
        events in prop::collection::vec(any_event(), 0..20),
        event in any_event(),
    ) {
        let mut state = State::reserved();
        for event in events {
            state = step(&state, &event).map(|t| t.state).unwrap_or(state);
        }
        // A reorg may be told of twice as well, but the second time there is nothing to undo.
        if let Ok(first) = step(&state, &event)
            && let Ok(second) = step(&first.state, &event)
        {
            prop_assert_eq!(second.state.hold, first.state.hold);
        }
    }

    #[test]
    fn only_proof_settles(events in prop::collection::vec(any_event(), 0..40)) {
        let mut state = State::reserved();
        for event in events {
            let before = state.phase;
            state = step(&state, &event).map(|t| t.state).unwrap_or(state);
            if state.phase == Phase::Settled && before != Phase::Settled {
                let proof = matches!(event, Event::Settled { .. });
                prop_assert!(proof);
            }
        }
    }
}

#[test]
fn what_has_left_is_not_given_back_on_anybodys_word() {
    for word in [
        Event::Refused { reason: reason() },
        Event::NoReply { reason: reason() },
    ] {
        let state = after(&[sending(), word]);
        assert_eq!((state.phase, state.hold), (Phase::Unknown, Hold::Held));
    }
}

#[test]
fn a_sent_payment_cannot_be_abandoned() {
    for events in [
        vec![sending()],
        vec![sending(), Event::NoReply { reason: reason() }],
    ] {
        let state = after(&events);
        assert!(step(&state, &Event::Abandoned { reason: reason() }).is_err());
    }
}

#[test]
fn the_loser_of_a_takeover_cannot_send() {
    let released = after(&[Event::Abandoned { reason: reason() }]);
    assert!(step(&released, &sending()).is_err());
}

#[test]
fn a_hold_that_was_counted_as_spent_unasked_cannot_be_sent_again() {
    let state = after(&[sending(), Event::ExpiredUnasked]);
    assert_eq!((state.phase, state.hold), (Phase::Unknown, Hold::Spent));
    assert!(step(&state, &sending()).is_err());
    let told = step(&state, &Event::Expired).unwrap();
    assert_eq!(told.state.phase, Phase::Released);
    assert_eq!(told.effects, [Effect::WriteOff]);
}

#[test]
fn proof_outranks_a_release_and_tells_a_person() {
    let released = after(&[sending(), Event::Expired]);
    let late = step(&released, &settled(true)).unwrap();
    assert_eq!(late.state.phase, Phase::Settled);
    assert!(late.effects.contains(&Effect::CommitReturned));
    assert!(late.effects.contains(&Effect::Alert));
}

#[test]
fn a_reorg_holds_again_what_can_be_sent_again_and_writes_off_the_rest() {
    let state = after(&[sending(), settled(false)]);
    let again = step(&state, &Event::Undone { resendable: true }).unwrap();
    assert_eq!(again.state.phase, Phase::Unknown);
    assert_eq!(
        again.effects,
        [Effect::Reopen, Effect::Resend, Effect::Alert]
    );
    let gone = step(&state, &Event::Undone { resendable: false }).unwrap();
    assert_eq!(gone.state.phase, Phase::Lost);
    assert_eq!(gone.effects, [Effect::WriteOff, Effect::Alert]);
}

#[test]
fn a_reorged_payment_that_expires_is_lost_not_released() {
    let state = after(&[
        sending(),
        settled(false),
        Event::Delivered,
        Event::Undone { resendable: true },
        Event::Expired,
    ]);
    assert_eq!(state.phase, Phase::Lost);
    assert_eq!(state.delivery, Delivery::Delivered);
}

#[test]
fn what_is_final_is_not_undone() {
    let state = after(&[sending(), settled(true)]);
    let told = step(&state, &Event::Undone { resendable: true }).unwrap();
    assert_eq!(told.state, state);
    assert_eq!(told.effects, [Effect::Alert]);
}

#[test]
fn serving_what_is_not_settled_raises_an_alert() {
    let state = after(&[sending()]);
    assert_eq!(
        step(&state, &Event::Delivered).unwrap().effects,
        [Effect::Alert]
    );
}

#[test]
fn only_a_released_claim_is_claimed_again() {
    let released = after(&[Event::Abandoned { reason: reason() }]);
    let again = step(&released, &Event::Reclaimed).unwrap();
    assert_eq!(again.state.phase, Phase::Reserved);
    assert_eq!(again.effects, [Effect::Reserve]);
    let rejected = after(&[Event::Failed { reason: reason() }]);
    assert!(step(&rejected, &Event::Reclaimed).is_err());
}
