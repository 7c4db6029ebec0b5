//! Who is woken, and what is left behind.

use std::sync::Arc;

use farebox_core::rail::Terms;
use farebox_wire::money::{Amount, UsdMicros};
use futures_util::FutureExt;

use super::Turns;

fn of(payer: Option<&str>) -> Terms {
    Terms {
        protocol: "x402".into(),
        rail: "evm".into(),
        network: "eip155:84532".parse().expect("a chain"),
        scheme: "exact".into(),
        asset: "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e"
            .parse()
            .expect("an asset"),
        symbol: "USDC".into(),
        decimals: 6,
        amount: Amount::from_atomic(1),
        fee_max: Amount::ZERO,
        cost: UsdMicros(1),
        payee: "0x01".into(),
        payer: payer.map(str::to_owned),
    }
}

#[test]
fn an_end_wakes_one_who_waits_for_this_payer_and_nobody_else() {
    let turns = Arc::new(Turns::default());
    let mine = of(Some("a"));
    let first = turns.wait_for(&mine).expect("a place");
    let second = turns.wait_for(&mine).expect("a place");
    let other = turns.wait_for(&of(Some("b"))).expect("a place");
    let (mut one, mut two) = (Box::pin(first.comes()), Box::pin(second.comes()));
    assert!((&mut one).now_or_never().is_none());
    assert!((&mut two).now_or_never().is_none());
    turns.ended(&mine);
    assert!(other.comes().now_or_never().is_none());
    assert!((&mut one).now_or_never().is_some());
    assert!((&mut two).now_or_never().is_none());
}

#[test]
fn whoever_leaves_wakes_the_next_and_the_last_leaves_nothing_behind() {
    let turns = Arc::new(Turns::default());
    let mine = of(Some("a"));
    let first = turns.wait_for(&mine).expect("a place");
    let second = turns.wait_for(&mine).expect("a place");
    drop(first);
    assert!(second.comes().now_or_never().is_some());
    drop(second);
    assert!(turns.lock().is_empty());
    assert!(turns.wait_for(&of(None)).is_none());
}
