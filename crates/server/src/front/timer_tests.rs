//! What comes of many sleeps and one timer.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::rt::Timer as _;

use super::OneTimer;

const SHORT: Duration = Duration::from_millis(20);
const FOR_EVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_sleep_does_not_end_with_the_one_before() {
    let timer = OneTimer::new();
    timer.sleep(SHORT).await;
    let began = Instant::now();
    timer.sleep(SHORT).await;
    assert!(began.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_sleep_that_was_given_up_holds_nobody_back() {
    let timer = OneTimer::new();
    let mut long = timer.sleep(FOR_EVER);
    poll_fn(|cx| {
        assert!(long.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(long);
    // It would take an hour.
    timer.sleep(SHORT).await;
}
