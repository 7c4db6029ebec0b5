//! Answers that are not read yet, on a connection to an upstream that others share.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::support::{PRICE, Seen, within};
use crate::upstream_http2::{Asked, answer, next, serve, town};

/// A body in so many frames.
fn answer_in_frames((_, mut respond): Asked, frame: &Bytes, frames: usize) {
    let head = respond.send_response(Response::new(()), false);
    let mut stream = head.expect("open");
    for _ in 0..frames {
        stream.send_data(frame.clone(), false).expect("open");
    }
    stream.send_data(Bytes::new(), true).expect("open");
}

#[tokio::test]
async fn many_small_frames_that_wait_for_a_settlement_break_nothing() {
    let (town, mut accepted) = town().await;
    let town = Arc::new(town);
    let credential = town.sign("/weather", &town.payer()).await;
    town.devnet.hold_mining();
    let paying = tokio::spawn({
        let town = Arc::clone(&town);
        async move { town.pay("/weather", &credential).await }
    });
    let (mut requests, _goodbye) = serve(&mut accepted, 100).await;
    let word = Bytes::from_static(b"a word of an answer\n");
    answer_in_frames(next(&mut requests).await, &word, 1_000);
    // It comes after them on the same connection.
    let neighbour = tokio::spawn({
        let town = Arc::clone(&town);
        async move { town.get("/free/x", &[]).await }
    });
    answer(next(&mut requests).await);
    let seen = within(neighbour).await.expect("no panic");
    assert_eq!(seen.status, StatusCode::OK);
    town.devnet.release_mining();
    let paid = within(paying).await.expect("no panic");
    paid.assert_served();
    assert_eq!(paid.body.len(), 1_000 * word.len());
    assert_eq!(town.revenue(), PRICE);
}

#[tokio::test]
async fn an_answer_that_its_client_does_not_read_leaves_the_others_their_room() {
    let (town, mut accepted) = town().await;
    let town = Arc::new(town);
    let asking = tokio::spawn({
        let town = Arc::clone(&town);
        async move { town.open("GET", "/free/slow", &[], "").await }
    });
    let (mut requests, _goodbye) = serve(&mut accepted, 100).await;
    // More than all buffers of sockets on the way to the client.
    let large = Bytes::from(vec![b'x'; 1 << 20]);
    answer_in_frames(next(&mut requests).await, &large, 64);
    let unread = within(asking).await.expect("no panic");
    for _ in 0..20 {
        let neighbour = tokio::spawn({
            let town = Arc::clone(&town);
            async move { town.get("/free/x", &[]).await }
        });
        let part = Bytes::from(vec![b'y'; 10_000]);
        answer_in_frames(next(&mut requests).await, &part, 10);
        let seen: Seen = within(neighbour).await.expect("no panic");
        assert_eq!(seen.body.len(), 100_000);
    }
    assert!(accepted.try_recv().is_err(), "on one connection");
    assert_eq!(unread.status(), StatusCode::OK);
}
