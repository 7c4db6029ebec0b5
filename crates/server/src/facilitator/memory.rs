//! What a facilitator remembers besides its books: little, bounded, and gone with the process.
//!
//! Nothing that is forgotten here may cost anybody money: the answer is then the safe one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The newest entries, the oldest forgotten first.
pub(super) struct Memory<K, V> {
    entries_max: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    known: HashMap<K, (u64, V)>,
    /// In the order of their coming; those that were taken out are still named here.
    order: VecDeque<(u64, K)>,
    next: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> Memory<K, V> {
    /// Remembers at most so many.
    pub(super) fn new(entries_max: usize) -> Self {
        Self {
            entries_max,
            inner: Mutex::new(Inner {
                known: HashMap::new(),
                order: VecDeque::new(),
                next: 0,
            }),
        }
    }

    /// Remembers, and forgets the oldest where there are too many.
    pub(super) fn put(&self, key: K, value: V) {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next = number.wrapping_add(1);
        inner.known.insert(key.clone(), (number, value));
        inner.order.push_back((number, key));
        while inner.order.len() > self.entries_max {
            let Some((number, key)) = inner.order.pop_front() else {
                break;
            };
            // Whatever has come under the same key since then stays.
            if inner.known.get(&key).is_some_and(|(n, _)| *n == number) {
                inner.known.remove(&key);
            }
        }
    }

    /// What is remembered.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.lock().known.get(key).map(|(_, value)| value.clone())
    }

    /// The same, once: it is forgotten with that.
    pub(super) fn take(&self, key: &K) -> Option<V> {
        self.lock().known.remove(key).map(|(_, value)| value)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        // An entry that a panic elsewhere has kept from being added is one that is forgotten.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
