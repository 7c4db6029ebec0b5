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

/// Has a common one made by a client that may have none of its own.
fn make_common(invoices: &Arc<Invoices>, product: &Arc<Product>, client: u32, n: u32) {
    match invoices.look(product, prefix(client), NOW_S) {
        Look::Make(making) if making.is_common => finish(making, n, NOW_S),
        _ => panic!("client {client} may not have common invoice {n} made"),
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
    assert!(invoices.common(&dearer, NOW_S).is_none());
}

#[test]
fn one_client_has_three_of_its_own_and_then_what_is_common() {
    let invoices = limits(3, 100);
    for n in 0..3 {
        make(&invoices, &product(&format!("route {n}")), 7, n);
    }
    let fourth = product("route 3");
    make_common(&invoices, &fourth, 7, 3);
    let common = invoices.common(&fourth, NOW_S).expect("an invoice");
    assert_eq!(&*common.text, "lnbcrt3");
    // It is nobody's: the same client is not kept from one of its own later.
    let later = NOW_S + LIFE_S;
    assert_eq!(shown(&invoices, &fourth, 7, later), "make");
    assert_eq!(invoices.count(), 0);
}

#[test]
fn an_invoice_of_a_client_is_never_lent() {
    let invoices = limits(3, 2);
    let route = product("one");
    make(&invoices, &route, 7, 1);
    assert!(invoices.common(&route, NOW_S).is_none());
    make_common(&invoices, &route, 8, 2);
    for _ in 0..3 {
        let common = invoices.common(&route, NOW_S).expect("an invoice");
        assert_eq!(&*common.text, "lnbcrt2");
    }
    assert_eq!(shown(&invoices, &route, 7, NOW_S), "lnbcrt1");
}

/// Whatever strangers take, somebody who comes later has an invoice: at any time, and on any route.
#[test]
fn a_flood_takes_no_route_s_last_invoice_at_any_time() {
    let invoices = limits(3, 100);
    let (flooded, quiet) = (product("flooded"), product("quiet"));
    let mut next = 0;
    let mut ask = |product: &Arc<Product>, client: u32, now_s: u64| match invoices.look(
        product,
        prefix(client),
        now_s,
    ) {
        Look::Make(making) => {
            next += 1;
            finish(making, next, now_s);
            true
        }
        Look::Full => invoices.common(product, now_s).is_some(),
        Look::Open(_) => true,
        Look::Coming(_) => false,
    };
    for now_s in NOW_S..NOW_S + 3 * LIFE_S {
        for n in 0..20 {
            let client = u32::try_from(now_s * 20 + n).expect("a small number");
            assert!(ask(&flooded, client, now_s), "a stranger at {now_s}");
        }
        assert!(ask(&quiet, u32::MAX, now_s), "somebody honest at {now_s}");
        assert!(invoices.count() <= 100, "{} at {now_s}", invoices.count());
    }
}

#[test]
fn every_route_has_its_share_of_what_is_common() {
    let invoices = limits(1, 100);
    // One client with nothing of its own left has common ones made on route after route.
    make(&invoices, &product("first"), 7, 0);
    let (mut n, mut made) = (1, Vec::new());
    for route in 0..20 {
        let product = product(&format!("route {route}"));
        let mut of_route = 0;
        while let Look::Make(making) = invoices.look(&product, prefix(7), NOW_S) {
            finish(making, n, NOW_S);
            (n, of_route) = (n + 1, of_route + 1);
        }
        made.push(of_route);
    }
    // Half of the tenth goes to whoever asks first; after that each route has one.
    assert_eq!(made[0], 5);
    assert!(made[1..].iter().all(|of_route| *of_route == 1), "{made:?}");
}

#[test]
fn what_is_common_goes_round_until_it_is_paid() {
    let invoices = limits(1, 1_000);
    let route = product("one");
    make(&invoices, &product("other"), 7, 9);
    for n in 0..3 {
        make_common(&invoices, &route, 7, n);
    }
    let texts: Vec<String> = (0..4)
        .filter_map(|_| invoices.common(&route, NOW_S))
        .map(|open| open.text.to_string())
        .collect();
    assert_eq!(texts, ["lnbcrt0", "lnbcrt1", "lnbcrt2", "lnbcrt0"]);
    invoices.paid(&hash(1));
    for _ in 0..6 {
        let open = invoices.common(&route, NOW_S).expect("an invoice");
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
fn no_more_than_some_are_made_at_once_and_some_of_them_are_common() {
    let invoices = limits(3, 10_000);
    let route = product("one");
    let made: Vec<Making> = (0..MAKING_MAX + MAKING_COMMON_MAX)
        .map(|n| match invoices.look(&route, prefix(n), NOW_S) {
            Look::Make(making) => making,
            _ => panic!("{n} may be made"),
        })
        .collect();
    let common = made.iter().filter(|making| making.is_common).count();
    assert_eq!(common, COMMON_MAX);
    assert_eq!(shown(&invoices, &route, 1_000, NOW_S), "full");
    assert_eq!(invoices.count(), MAKING_MAX + MAKING_COMMON_MAX);
    drop(made);
    assert_eq!(shown(&invoices, &route, 1_000, NOW_S), "make");
    assert_eq!(invoices.count(), 0, "rights that were not used are back");
}

#[test]
fn without_an_address_each_has_its_own_below_the_limit() {
    let invoices = limits(1, 3);
    let route = product("one");
    for n in 0..2 {
        match invoices.look(&route, None, NOW_S) {
            Look::Make(making) if !making.is_common => finish(making, n, NOW_S),
            _ => panic!("each has its own"),
        }
    }
    match invoices.look(&route, None, NOW_S) {
        Look::Make(making) if making.is_common => finish(making, 2, NOW_S),
        _ => panic!("one is kept for all"),
    }
    assert!(matches!(invoices.look(&route, None, NOW_S), Look::Full));
    let common = invoices.common(&route, NOW_S).expect("an invoice");
    assert_eq!(&*common.text, "lnbcrt2");
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
    for n in 0..9_000 {
        make(&invoices, &route, n, n);
    }
    for n in 0..16 {
        make_common(&invoices, &route, 10_000, 9_000 + n);
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
    assert_eq!(ended, 9_016);
    let book = invoices.lock();
    assert!(book.offered.is_empty() && book.by_prefix.is_empty() && book.coming.is_empty());
    assert!(book.shelves.is_empty() && book.order.is_empty());
    assert_eq!((book.common, book.making_common), (0, 0));
}
