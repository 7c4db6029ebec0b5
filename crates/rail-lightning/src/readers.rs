//! Strangers' bytes through every reader of this crate, with what must hold whatever they are.
//!
//! Called by `fuzz/` (feature `fuzzing`) and by the tests of damage, never by the product. A panic
//! in here is a finding.

use crate::invoice::Bolt11;
use crate::lnd::{answers, stream};
use crate::network::MSAT_MAX;
use crate::node::InvoiceFate;

/// Characters of a sentence about a node's answer: a line for a log, whatever it sent.
const WHY_CHARS_MAX: usize = 400;

/// An invoice.
///
/// # Panics
/// Where a rule is broken.
pub fn invoice(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(read) = Bolt11::read(text) else {
        return;
    };
    assert!((1..=MSAT_MAX).contains(&read.amount_msat));
    assert_eq!(read.payee.len(), 66);
    for network in crate::network::Network::ALL {
        let payable = Bolt11::payable(text, network, 0);
        assert!(payable.is_err() || network == read.network);
    }
    assert!(Bolt11::payable(text, read.network, u64::MAX).is_err());
}

/// Every answer of lnd.
///
/// # Panics
/// Where a rule is broken.
pub fn lnd(data: &[u8]) {
    let hash = [1; 32];
    let _ = answers::identity(data);
    let _ = answers::state(data);
    let _ = answers::liquidity(data);
    let _ = answers::created(data);
    if let Err(why) = answers::invoice(data, &hash) {
        assert!(why.chars().count() <= WHY_CHARS_MAX);
    }
    if let Ok(InvoiceFate::Settled(settled)) = answers::invoice(data, &hash) {
        assert_eq!(settled.payment_hash, hash);
        assert!(settled.index > 0);
    }
    let _ = answers::page(data);
    let mut cut = stream::Cut::new(1_000);
    for part in data.chunks(7) {
        if cut.push(part).is_err() {
            return;
        }
        while let Some(line) = cut.line() {
            assert!(line.len() <= 1_000);
            let _ = answers::payment_line(&line, &hash);
            let _ = answers::settled_line(&line);
        }
    }
}
