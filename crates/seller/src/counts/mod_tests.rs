//! What a payment's change of state counts for.

use std::time::Duration;

use farebox_core::ledger::{Payment, PaymentId, SellerSide};
use farebox_core::payment::{Event, Role, State, step};
use farebox_core::rail::Terms;
use farebox_wire::caip::ChainId;
use farebox_wire::money::{Amount, UsdMicros};

use super::{Counts, Histogram, States};

fn payment(route: &str, state: State) -> Payment {
    let network = ChainId::eip155(84532);
    let token = "0x036cbd53842c5426634e7929541ec2318f3dcf7e";
    Payment {
        id: PaymentId("pay_1".to_owned()),
        role: Role::Seller,
        state,
        terms: Terms {
            protocol: "x402".to_owned(),
            rail: "evm".to_owned(),
            asset: format!("{network}/erc20:{token}")
                .parse()
                .expect("an asset"),
            network,
            scheme: "exact".to_owned(),
            symbol: "USDC".to_owned(),
            decimals: 6,
            amount: Amount::from_atomic(1_000),
            fee_max: Amount::ZERO,
            cost: UsdMicros(999),
            payee: "payee".to_owned(),
            payer: None,
        },
        identity: None,
        created_ms: 0,
        updated_ms: 0,
        valid_before_s: None,
        handle: None,
        sent: Vec::new(),
        receipt: None,
        buyer: None,
        seller: Some(SellerSide {
            route: route.to_owned(),
            payload_digest: [0; 32],
            request_digest: [0; 32],
            body_digest: None,
        }),
    }
}

/// Counts a payment through these events, each of them twice.
fn walk(events: &[Event]) -> (States, u128, u128) {
    let counts = Counts::default();
    let mut state = State::reserved();
    counts.claimed(&payment("r", state.clone()));
    for event in events {
        for _ in 0..2 {
            let Ok(next) = step(&state, event) else {
                continue;
            };
            counts.moved(&state, &payment("r", next.state.clone()));
            state = next.state;
        }
    }
    let money = counts.money();
    let revenue = money.revenue.first();
    (
        money.payments[0].states,
        revenue.map_or(0, |line| line.settled),
        revenue.map_or(0, |line| line.undone),
    )
}

fn settled() -> Event {
    Event::Settled {
        transaction: "0x1".to_owned(),
        is_final: false,
    }
}

fn sending() -> Event {
    Event::Sending { transaction: None }
}

fn reason() -> String {
    "reason".to_owned()
}

#[test]
fn each_change_of_a_payment_counts_once_however_often_it_is_said() {
    let silent = || Event::NoReply { reason: reason() };
    let failed = Event::Failed { reason: reason() };
    let abandoned = Event::Abandoned { reason: reason() };
    let undone = |resendable| Event::Undone { resendable };
    // Settled, unproven, rejected, released, unknown, undone; earned and lost payments.
    let rows = [
        (vec![sending(), settled()], [1, 0, 0, 0, 0, 0], 1, 0),
        (vec![abandoned], [0, 0, 0, 1, 0, 0], 0, 0),
        (vec![sending(), failed], [0, 0, 1, 0, 0, 0], 0, 0),
        (
            vec![sending(), silent(), settled()],
            [1, 0, 0, 0, 1, 0],
            1,
            0,
        ),
        (
            vec![sending(), silent(), Event::Expired],
            [0, 0, 0, 1, 1, 0],
            0,
            0,
        ),
        (
            vec![sending(), silent(), Event::ExpiredUnasked],
            [0, 1, 0, 0, 1, 0],
            1,
            0,
        ),
        (
            vec![sending(), settled(), undone(true), settled()],
            [2, 0, 0, 0, 0, 1],
            2,
            1,
        ),
        (
            vec![sending(), settled(), undone(false)],
            [1, 0, 0, 0, 0, 1],
            1,
            1,
        ),
    ];
    for (events, [settled, unproven, rejected, released, unknown, undone], earned, lost) in rows {
        let states = States {
            claimed: 1,
            settled,
            unproven,
            rejected,
            released,
            unknown,
            undone,
        };
        let expected = (states, earned * 1_000, lost * 1_000);
        assert_eq!(walk(&events), expected, "{events:?}");
    }
}

#[test]
fn names_beyond_the_limit_share_one_line() {
    let counts = Counts::default();
    for n in 0..1_100 {
        counts.claimed(&payment(&format!("route {n}"), State::reserved()));
    }
    let lines = counts.money().payments;
    assert!(lines.len() <= 1_001, "{}", lines.len());
    let other = lines.iter().find(|line| line.route == "(other)");
    assert_eq!(other.expect("the rest").states.claimed, 100);
}

#[test]
fn a_time_falls_into_the_bucket_that_is_long_enough() {
    let histogram = Histogram::default();
    histogram.observe(Duration::from_micros(100));
    histogram.observe(Duration::from_micros(101));
    histogram.observe(Duration::from_secs(3_600));
    let observed = histogram.read();
    assert_eq!(observed.at_most[..2], [1, 2]);
    assert_eq!(observed.at_most.last(), Some(&2));
    assert_eq!(observed.count, 3);
    assert_eq!(observed.sum_us, 201 + 3_600_000_000);
}
