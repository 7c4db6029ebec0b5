//! What is remembered, and what is forgotten.

use super::Memory;

#[test]
fn the_oldest_is_forgotten_first() {
    let memory = Memory::new(2);
    for n in 0..3 {
        memory.put(n, n);
    }
    assert_eq!([0, 1, 2].map(|n| memory.get(&n)), [None, Some(1), Some(2)]);
}

#[test]
fn what_is_taken_is_taken_once() {
    let memory = Memory::new(2);
    memory.put("a", 1);
    assert_eq!((memory.take(&"a"), memory.take(&"a")), (Some(1), None));
}

#[test]
fn what_came_again_is_not_forgotten_with_its_older_self() {
    let memory = Memory::new(2);
    memory.put("a", 1);
    memory.put("a", 2);
    memory.put("b", 3);
    assert_eq!((memory.get(&"a"), memory.get(&"b")), (Some(2), Some(3)));
}

#[test]
fn it_never_holds_more_than_it_may() {
    let memory = Memory::new(3);
    for n in 0..100 {
        memory.put(n, ());
        memory.take(&n);
    }
    let inner = memory.lock();
    assert!(inner.order.len() <= 3 && inner.known.is_empty());
}
