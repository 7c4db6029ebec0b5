//! The table of ARCHITECTURE law 6, row by row.

use farebox_core::claim::{Presented, Repeat, repeat};
use farebox_core::payment::{Delivery, Hold, Phase, State};

fn state(phase: Phase, delivery: Delivery) -> State {
    State {
        phase,
        delivery,
        hold: Hold::Held,
        ..State::reserved()
    }
}

fn ask(phase: Phase, delivery: Delivery) -> Repeat {
    repeat(&Presented {
        state: &state(phase, delivery),
        same_request: true,
        in_flight: false,
        expired: false,
    })
}

#[test]
fn each_row_has_its_answer() {
    use Delivery::{Aborted, Delivered, Undelivered};
    let rows = [
        (Phase::Settled, Undelivered, Repeat::LetThrough),
        (Phase::Settled, Delivered, Repeat::Delivered),
        (Phase::Settled, Aborted, Repeat::Delivered),
        (Phase::Rejected, Undelivered, Repeat::Rejected),
        (Phase::Lost, Delivered, Repeat::Rejected),
        (Phase::Unknown, Undelivered, Repeat::Pending),
        (Phase::Sent, Undelivered, Repeat::Pending),
        (Phase::Reserved, Undelivered, Repeat::Pending),
        (Phase::Released, Undelivered, Repeat::AsNew),
    ];
    for (phase, delivery, answer) in rows {
        assert_eq!(ask(phase, delivery), answer, "{phase:?} {delivery:?}");
    }
}

#[test]
fn another_request_is_told_that_it_was_used_unless_the_claim_was_released() {
    for phase in [
        Phase::Reserved,
        Phase::Sent,
        Phase::Unknown,
        Phase::Settled,
        Phase::Rejected,
    ] {
        let presented = Presented {
            state: &state(phase, Delivery::Undelivered),
            same_request: false,
            in_flight: true,
            expired: false,
        };
        assert_eq!(repeat(&presented), Repeat::UsedElsewhere, "{phase:?}");
    }
    let released = state(Phase::Released, Delivery::Undelivered);
    let presented = Presented {
        state: &released,
        same_request: false,
        in_flight: false,
        expired: false,
    };
    assert_eq!(repeat(&presented), Repeat::AsNew);
}

#[test]
fn while_it_is_served_a_repeat_waits() {
    for phase in [Phase::Reserved, Phase::Sent, Phase::Settled] {
        let presented = Presented {
            state: &state(phase, Delivery::Undelivered),
            same_request: true,
            in_flight: true,
            expired: false,
        };
        assert_eq!(repeat(&presented), Repeat::InFlight, "{phase:?}");
    }
}

#[test]
fn an_expired_credential_is_not_let_through_again() {
    let settled = state(Phase::Settled, Delivery::Undelivered);
    let presented = Presented {
        state: &settled,
        same_request: true,
        in_flight: false,
        expired: true,
    };
    assert_eq!(repeat(&presented), Repeat::Delivered);
}
