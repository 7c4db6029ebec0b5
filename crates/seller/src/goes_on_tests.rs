//! Work ends, whoever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::*;

/// Work that waits for a word, and says when it has ended.
struct Work {
    word: Arc<Notify>,
    has_ended: Arc<AtomicBool>,
    tasks: TaskTracker,
}

impl Work {
    fn new() -> Self {
        Self {
            word: Arc::default(),
            has_ended: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    fn begin(&self) -> GoesOn<impl Future<Output = u8> + Send + use<>> {
        let (word, has_ended) = (Arc::clone(&self.word), Arc::clone(&self.has_ended));
        let work = async move {
            word.notified().await;
            has_ended.store(true, Ordering::SeqCst);
            7
        };
        GoesOn::new(work, &self.tasks)
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn who_waits_gets_the_result_and_no_task_is_left() {
    let work = Work::new();
    work.word.notify_one();
    assert_eq!(work.begin().await, 7);
    assert!(work.has_ended());
    assert!(work.tasks.is_empty());
}

#[tokio::test]
async fn work_whose_caller_goes_away_comes_to_its_end() {
    let work = Work::new();
    let mut begun = work.begin();
    let poll = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut begun).poll(cx)));
    assert!(poll.await.is_pending());
    drop(begun);
    assert_eq!(work.tasks.len(), 1);
    assert!(!work.has_ended());
    work.word.notify_one();
    work.tasks.close();
    work.tasks.wait().await;
    assert!(work.has_ended());
}

#[test]
fn without_a_runtime_it_is_only_dropped() {
    let work = Work::new();
    drop(work.begin());
    assert!(work.tasks.is_empty());
    assert!(!work.has_ended());
}
