//! Bounded, shared, and given back.

use std::net::{IpAddr, Ipv4Addr};

use farebox_wire::l402::preimage::PaymentHash;
use farebox_wire::money::Amount;

use super::super::TokenTerms;
use super::super::offer::Asking;
use super::*;

const NOW_S: u64 = 1_000;
const LIFE_S: u64 = 300;

fn product(route: &str) -> Arc<Product> {
    priced(route, 1_000)
}

fn priced(route: &str, msat: u128) -> Arc<Product> {
    let asking = Asking::Native(Amount::from_atomic(msat));
    Arc::new(Product::new(route, asking, TokenTerms::default()).expect("a product"))
}

fn prefix(n: u32) -> Option<Prefix> {
    Some(Prefix::of(IpAddr::V4(Ipv4Addr::from_bits(n))))
}

fn limits(per_prefix: u32, total: u32) -> Arc<Invoices> {
    Invoices::new(InvoiceLimits { per_prefix, total }, Arc::default())
}

fn hash(n: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    hash
}

fn finish(making: Making, n: u32, now_s: u64) {
    let paying = Paying {
        payment_hash: PaymentHash(hash(n)),
        price_msat: 1_000,
        valid_until_s: u64::MAX,
    };
    making.done(format!("lnbcrt{n}"), paying, now_s + LIFE_S);
}

/// Has one made, which must be allowed.
fn make(invoices: &Arc<Invoices>, product: &Arc<Product>, client: u32, n: u32) {
    match invoices.look(product, prefix(client), NOW_S) {
        Look::Make(making) => finish(making, n, NOW_S),
        _ => panic!("client {client} may not have invoice {n} made"),
    }
}

fn shown(invoices: &Arc<Invoices>, product: &Arc<Product>, client: u32, now_s: u64) -> String {
    match invoices.look(product, prefix(client), now_s) {
        Look::Open(open) => open.text.to_string(),
        Look::Coming(_) => "coming".to_owned(),
        Look::Make(_) => "make".to_owned(),
        Look::Full => "full".to_owned(),
    }
}

#[test]
fn an_open_invoice_is_offered_again_until_it_is_near_its_end() {
    let invoices = limits(3, 10);
    let (one, two) = (product("one"), product("two"));
    make(&invoices, &one, 7, 1);
    assert_eq!(shown(&invoices, &one, 7, NOW_S), "lnbcrt1");
    assert_eq!(shown(&invoices, &two, 7, NOW_S), "make");
    assert_eq!(shown(&invoices, &one, 8, NOW_S), "make");
    let near_end = NOW_S + LIFE_S - NEAR_END_S;
    assert_eq!(shown(&invoices, &one, 7, near_end - 1), "lnbcrt1");
    assert_eq!(shown(&invoices, &one, 7, near_end), "make");
    assert_eq!(invoices.count(), 1, "rights that were not used are back");
}

#[test]
fn another_price_is_another_invoice() {
    let invoices = limits(3, 10);
    make(&invoices, &product("one"), 7, 1);
    let dearer = priced("one", 2_000);
    assert_eq!(shown(&invoices, &dearer, 7, NOW_S), "make");
    assert!(invoices.borrowed(&dearer, NOW_S).is_none());
}

#[test]
fn one_client_has_three_and_all_have_so_many() {
    let invoices = limits(3, 4);
    for n in 0..3 {
        make(&invoices, &product(&format!("route {n}")), 7, n);
    }
    let fourth = product("route 3");
    assert_eq!(shown(&invoices, &fourth, 7, NOW_S), "full");
    make(&invoices, &fourth, 8, 3);
    assert_eq!(invoices.count(), 4);
    assert_eq!(shown(&invoices, &product("route 4"), 9, NOW_S), "full");
    // The same route is shown what was made for somebody else.
    let borrowed = invoices.borrowed(&fourth, NOW_S).expect("an invoice");
    assert_eq!(&*borrowed.text, "lnbcrt3");
    // Their end makes room.
    let later = NOW_S + LIFE_S;
    assert_eq!(shown(&invoices, &fourth, 7, later), "make");
    assert_eq!(invoices.count(), 0);
}

#[test]
fn what_is_borrowed_goes_round() {
    let invoices = limits(3, 3);
    let route = product("one");
    for n in 0..3 {
        make(&invoices, &route, n, n);
    }
    let texts: Vec<String> = (0..4)
        .filter_map(|_| invoices.borrowed(&route, NOW_S))
        .map(|open| open.text.to_string())
        .collect();
    assert_eq!(texts, ["lnbcrt0", "lnbcrt1", "lnbcrt2", "lnbcrt0"]);
    invoices.paid(&hash(1));
    for _ in 0..6 {
        let open = invoices.borrowed(&route, NOW_S).expect("an invoice");
        assert_ne!(&*open.text, "lnbcrt1", "it was paid");
    }
}

#[test]
fn twins_wait_for_one_invoice() {
    let invoices = limits(3, 10);
    let route = product("one");
    let Look::Make(making) = invoices.look(&route, prefix(7), NOW_S) else {
        panic!("the first may have one made");
    };
    let Look::Coming(coming) = invoices.look(&route, prefix(7), NOW_S) else {
        panic!("the second waits");
    };
    assert_eq!(invoices.count(), 1);
    finish(making, 1, NOW_S);
    let came = coming.borrow().clone().expect("an invoice");
    assert_eq!(&*came.text, "lnbcrt1");
    assert_eq!(invoices.count(), 1);
}

#[test]
fn what_a_node_does_not_make_counts_for_nothing() {
    let invoices = limits(1, 1);
    let route = product("one");
    for _ in 0..5 {
        let Look::Make(making) = invoices.look(&route, prefix(7), NOW_S) else {
            panic!("nothing is open");
        };
        drop(making);
    }
    assert_eq!(invoices.count(), 0);
}

#[test]
fn no_more_than_some_are_made_at_once() {
    let invoices = limits(3, 10_000);
    let route = product("one");
    let made: Vec<Making> = (0..MAKING_MAX)
        .map(|n| match invoices.look(&route, prefix(n), NOW_S) {
            Look::Make(making) => making,
            _ => panic!("{n} may be made"),
        })
        .collect();
    assert_eq!(shown(&invoices, &route, 1_000, NOW_S), "full");
    drop(made);
    assert_eq!(shown(&invoices, &route, 1_000, NOW_S), "make");
}

#[test]
fn without_an_address_nothing_is_shared_below_the_limit() {
    let invoices = limits(1, 2);
    let route = product("one");
    for n in 0..2 {
        match invoices.look(&route, None, NOW_S) {
            Look::Make(making) => finish(making, n, NOW_S),
            _ => panic!("each has its own"),
        }
    }
    assert!(matches!(invoices.look(&route, None, NOW_S), Look::Full));
    assert!(invoices.borrowed(&route, NOW_S).is_some());
}

#[test]
fn a_paid_invoice_is_forgotten_once() {
    let invoices = limits(3, 10);
    let route = product("one");
    make(&invoices, &route, 7, 1);
    assert!(invoices.find(&hash(1)).is_some());
    for _ in 0..2 {
        invoices.paid(&hash(1));
        assert_eq!(invoices.count(), 0);
    }
    assert!(invoices.find(&hash(1)).is_none());
    assert_eq!(shown(&invoices, &route, 7, NOW_S), "make");
    let ended = invoices.forget_ended(NOW_S + LIFE_S, usize::MAX);
    assert!(ended.is_empty(), "it did not end, it was paid");
}

#[test]
fn ten_thousand_end_in_parts_and_leave_nothing() {
    let invoices = limits(3, 10_000);
    let route = product("one");
    for n in 0..10_000 {
        make(&invoices, &route, n, n);
    }
    assert_eq!(shown(&invoices, &route, 10_000, NOW_S), "full");
    let later = NOW_S + LIFE_S;
    let mut ended = 0;
    loop {
        match invoices.forget_ended(later, 300).len() {
            0 => break,
            some => ended += some,
        }
    }
    assert_eq!(ended, 10_000);
    let book = invoices.lock();
    assert!(book.offered.is_empty() && book.by_prefix.is_empty() && book.coming.is_empty());
    assert!(book.shelves.is_empty() && book.order.is_empty());
}
