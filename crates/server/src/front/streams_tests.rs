//! Answers in pieces, and clients that take none of them.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, StreamBody};
use tokio::sync::oneshot;

use super::*;

const PATIENCE: Duration = Duration::from_millis(40);

fn streams() -> Streams {
    Streams::new(PATIENCE, TaskTracker::new())
}

/// Waits until nothing runs any more.
async fn over(streams: &Streams) {
    streams.tasks.close();
    streams.tasks.wait().await;
}

#[tokio::test]
async fn a_body_comes_in_pieces_and_keeps_its_trailers() {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let sent = vec![7; PIECE_BYTES * 2 + 1];
    let frames = [
        Frame::data(Bytes::from(sent.clone())),
        Frame::trailers(trailers.clone()),
    ]
    .map(Ok::<_, Infallible>);
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let mut watched = Watched::new(body);
    let mut sizes = Vec::new();
    let mut whole = Vec::new();
    let mut last = None;
    while let Some(frame) = watched.frame().await {
        match frame.unwrap().into_data() {
            Ok(data) => {
                sizes.push(data.len());
                whole.extend_from_slice(&data);
            }
            Err(other) => last = other.into_trailers().ok(),
        }
    }
    assert_eq!(sizes, [PIECE_BYTES, PIECE_BYTES, 1]);
    assert_eq!(whole, sent);
    assert_eq!(last, Some(trailers));
}

#[tokio::test]
async fn the_length_of_a_body_is_known_whatever_its_pieces() {
    let mut watched = Watched::new(Body::from(vec![0; PIECE_BYTES + 5]));
    assert_eq!(watched.size_hint().exact(), Some(PIECE_BYTES as u64 + 5));
    watched.frame().await.unwrap().unwrap();
    assert_eq!(watched.size_hint().exact(), Some(5));
    assert!(!watched.is_end_stream());
    watched.frame().await.unwrap().unwrap();
    assert!(watched.is_end_stream());
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_broken_off_and_one_that_waits_for_us_is_not() {
    let streams = streams();
    let (dropped, was_dropped) = oneshot::channel::<()>();
    streams.execute(async move {
        let mut watched = Watched::new(Body::from("a"));
        watched.frame().await.unwrap().unwrap();
        // Like hyper, which does not ask again before the piece has found room.
        std::future::pending::<()>().await;
        drop(dropped);
    });
    let (answer, answered) = oneshot::channel::<()>();
    streams.execute(async move {
        // The upstream takes its time.
        let _ = answered.await;
    });
    assert!(was_dropped.await.is_err());
    assert_eq!(streams.shared.running.load(Ordering::Relaxed), 1);
    drop(answer);
    over(&streams).await;
}

#[tokio::test]
async fn each_piece_that_is_taken_gives_new_patience() {
    let streams = streams();
    let (tell, told) = oneshot::channel();
    streams.execute(async move {
        let mut watched = Watched::new(Body::from(vec![0; PIECE_BYTES * 4]));
        while watched.frame().await.is_some() {
            tokio::time::sleep(PATIENCE * 3 / 4).await;
        }
        tell.send(()).unwrap();
    });
    told.await.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_its_requests_back_is_found_out() {
    let streams = streams();
    for _ in 0..10 {
        streams.begin().done();
    }
    for _ in 0..TAKEN_BACK_MAX + 10 {
        drop(streams.begin());
    }
    assert!(!streams.shared.is_enough.is_cancelled());
    drop(streams.begin());
    streams.too_many_taken_back().await;
}

#[tokio::test]
async fn a_connection_is_idle_when_nothing_runs_and_nothing_came() {
    let streams = streams();
    let mut begun = None;
    assert!(streams.is_idle_since(&mut begun));
    streams.begin().done();
    assert!(!streams.is_idle_since(&mut begun), "something came");
    let (end, ended) = oneshot::channel::<()>();
    streams.execute(async move {
        let _ = ended.await;
    });
    assert!(!streams.is_idle_since(&mut begun), "something runs");
    drop(end);
    over(&streams).await;
    assert!(streams.is_idle_since(&mut begun));
}
