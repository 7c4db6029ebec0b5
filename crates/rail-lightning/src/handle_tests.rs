//! What is stored beside a payment, and what it says of its cost.

use super::*;

fn handle() -> LightningHandle {
    LightningHandle {
        network: "lightning:regtest".parse().unwrap(),
        invoice: "lnbcrt1".to_owned(),
        payment_hash: PaymentHash([7; 32]),
        token: "AgE".to_owned(),
        is_lsat: true,
        amount: Amount::from_atomic(90_000),
        fee_max: Amount::from_atomic(10_000),
        cost: UsdMicros(60_000),
        expires_s: 5,
        begun_s: 1,
    }
}

#[test]
fn a_handle_comes_back_from_the_books() {
    let written = Arc::new(handle()).write().unwrap();
    let stored = Handle::new(written.text().to_owned());
    assert_eq!(*LightningHandle::read(&stored).unwrap(), handle());
    assert_eq!(handle().scheme(), Scheme::Lsat);
    let other = Handle::new("{\"chain\":\"eip155:1\"}".to_owned());
    let why = LightningHandle::read(&other).unwrap_err();
    assert_eq!(why.code, "handle_unreadable");
}

#[test]
fn what_a_payment_cost_is_its_share_of_what_was_held_rounded_up() {
    let fee = |msat| handle().cost_with(Amount::from_atomic(msat)).0;
    assert_eq!(fee(10_000), 60_000);
    assert_eq!(fee(0), 54_000);
    assert_eq!(fee(1), 54_001);
    // A node that took more than it was allowed is not hidden in the cost of this payment.
    assert_eq!(fee(20_000), 60_000);
    assert_eq!(fee(u128::MAX), 60_000);
}
