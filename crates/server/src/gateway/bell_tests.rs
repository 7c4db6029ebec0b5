//! Who is woken, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::Bell;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn bell() -> (Arc<Bell>, Waker, Arc<Count>) {
    let (bell, count) = (Arc::new(Bell::default()), Arc::new(Count::default()));
    bell.listen(&Waker::from(Arc::clone(&count)));
    let rope = Waker::from(Arc::clone(&bell));
    (bell, rope, count)
}

#[test]
fn a_ring_from_outside_wakes_the_listener() {
    let (bell, rope, count) = bell();
    bell.enter();
    assert!(bell.leave());
    rope.wake_by_ref();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_ring_while_polling_is_seen_at_the_end_and_wakes_nobody() {
    let (bell, rope, count) = bell();
    bell.enter();
    rope.wake_by_ref();
    rope.wake_by_ref();
    assert!(!bell.leave());
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    // It is seen once.
    bell.enter();
    assert!(bell.leave());
}

#[test]
fn an_idle_connection_wakes_nobody() {
    let (bell, rope, count) = bell();
    bell.forget();
    rope.wake();
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
}

#[test]
fn no_ring_is_lost_between_two_threads() {
    const RINGS: usize = 20_000;
    let (bell, rope, count) = bell();
    let rung = Arc::new(AtomicUsize::new(0));
    let ringer = std::thread::spawn({
        let rung = Arc::clone(&rung);
        move || {
            for _ in 0..RINGS {
                rung.fetch_add(1, Ordering::SeqCst);
                rope.wake_by_ref();
            }
        }
    });
    // Like a task: looks when it is woken, and again when it rang while it looked.
    let (mut seen, mut looked_at) = (0, 0);
    while seen < RINGS {
        let woken = count.0.load(Ordering::SeqCst);
        if woken == looked_at && looked_at > 0 {
            std::hint::spin_loop();
            continue;
        }
        looked_at = woken.max(1);
        loop {
            bell.enter();
            seen = rung.load(Ordering::SeqCst);
            if bell.leave() {
                break;
            }
        }
    }
    ringer.join().expect("no panic");
}
