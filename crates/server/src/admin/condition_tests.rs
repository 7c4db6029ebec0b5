//! What makes a server not ready, and what does not.

use farebox_core::rail::{NetworkHealth, SignerHealth};
use farebox_wire::caip::ChainId;
use farebox_wire::money::Amount;

use super::{Seen, reasons};

fn key(settlements_left: Option<u64>) -> SignerHealth {
    SignerHealth {
        address: "0x1".to_owned(),
        gas_money: Some(Amount::from_atomic(1)),
        settlements_left,
        in_flight: 0,
        gas_spent_today: Amount::ZERO,
    }
}

fn network(is_reachable: bool, keys: &[Option<u64>]) -> NetworkHealth {
    NetworkHealth {
        network: ChainId::eip155(1),
        is_reachable,
        head: None,
        signers: keys.iter().map(|left| key(*left)).collect(),
        complaints: Vec::new(),
    }
}

fn codes(networks: Option<Vec<NetworkHealth>>, books: Result<(), String>) -> Vec<&'static str> {
    let seen = Seen { networks, books };
    reasons(&seen, false).iter().map(|why| why.code).collect()
}

#[test]
fn it_is_ready_with_books_one_chain_and_one_key_with_money() {
    let well = network(true, &[Some(20)]);
    assert!(codes(Some(vec![well.clone()]), Ok(())).is_empty());
    let away = network(false, &[]);
    assert!(codes(Some(vec![well, away.clone()]), Ok(())).is_empty());
    // Nothing has a price.
    assert!(codes(Some(vec![]), Ok(())).is_empty());
    // Somebody else settles, or nobody knows what the key has.
    assert!(codes(Some(vec![network(true, &[])]), Ok(())).is_empty());
    assert!(codes(Some(vec![network(true, &[None])]), Ok(())).is_empty());
    assert!(codes(Some(vec![network(true, &[Some(3), Some(30)])]), Ok(())).is_empty());
}

#[test]
fn every_reason_is_told() {
    let books = || Err("read-only".to_owned());
    assert_eq!(codes(Some(vec![]), books()), ["ledger_unwritable"]);
    assert_eq!(codes(None, Ok(())), ["rpc_unreachable"]);
    let away = network(false, &[None]);
    assert_eq!(codes(Some(vec![away]), Ok(())), ["rpc_unreachable"]);
    let empty = network(true, &[Some(19), Some(0)]);
    assert_eq!(codes(Some(vec![empty]), Ok(())), ["gas_low"]);
    let seen = Seen {
        networks: None,
        books: books(),
    };
    assert_eq!(reasons(&seen, true).len(), 3);
}
