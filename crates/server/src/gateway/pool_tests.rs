//! Beyond many open connections, a moment is waited for one that is given back.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::{Carrier, MANY, Patience, Pool, Upstream};

/// A pool that waits for `moment`, as many open connections as are many, and their other ends.
async fn busy(moment: Duration) -> (Pool, TcpListener, Vec<Carrier>, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let upstream: Upstream = format!("http://{address}").parse().expect("an upstream");
    let hour = Duration::from_secs(3600);
    let patience = Patience {
        connect: hour,
        head: hour,
        idle: hour,
    };
    let pool = Pool::new(&upstream, patience).expect("a pool");
    let mut pool = Arc::into_inner(pool).expect("nobody else has it");
    pool.moment = moment;
    let mut carriers = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..MANY {
        carriers.push(pool.wait_or_open().await.expect("a connection"));
        ends.push(listener.accept().await.expect("accepted").0);
    }
    (pool, listener, carriers, ends)
}

#[tokio::test]
async fn beyond_many_a_request_waits_for_a_connection_that_is_given_back() {
    let (pool, _listener, mut carriers, _ends) = busy(Duration::from_secs(3600)).await;
    let pool = Arc::new(pool);
    let mut waiting = pin!(pool.wait_or_open());
    let is_pending = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending()));
    assert!(is_pending.await);
    let Some(Carrier::Lane(lane, false)) = carriers.pop() else {
        panic!("not a new connection");
    };
    pool.put_back(lane);
    assert!(matches!(waiting.await, Ok(Carrier::Lane(_, true))));
}

#[tokio::test]
async fn beyond_many_another_connection_is_opened_when_none_is_given_back() {
    let (pool, listener, _carriers, _ends) = busy(Duration::ZERO).await;
    let opened = pool.wait_or_open().await;
    assert!(matches!(opened, Ok(Carrier::Lane(_, false))));
    listener.accept().await.expect("one more");
}

#[tokio::test]
async fn a_connection_that_is_gone_does_not_count() {
    let (pool, listener, mut carriers, _ends) = busy(Duration::from_secs(3600)).await;
    drop(carriers.pop());
    let opened = pool.wait_or_open().await;
    assert!(matches!(opened, Ok(Carrier::Lane(_, false))));
    listener.accept().await.expect("one more");
}
