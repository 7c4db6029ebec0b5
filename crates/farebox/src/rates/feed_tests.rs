//! Sources on this machine, good and bad ones.

use farebox_core::rates::Rates as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::rates::Board;

fn bounds() -> Bounds {
    Bounds {
        max_age_ms: 300_000,
        max_jump_ppm: 100_000,
        min: UsdMicros(20_000_000_000),
        max: UsdMicros(500_000_000_000),
    }
}

/// A source that answers so, each request anew.
async fn source(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/rate", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 2048];
            let _ = socket.read(&mut request).await;
            let head = format!(
                "HTTP/1.1 {status}\r\nlocation: /other\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = socket.write_all(head.as_bytes()).await;
            let _ = socket.write_all(body.as_bytes()).await;
        }
    });
    url
}

async fn read(status: &'static str, body: &str) -> Result<UsdMicros, String> {
    let url = source(status, body.to_owned()).await;
    Feed::new(&url, "/price", bounds()).unwrap().read().await
}

#[tokio::test]
async fn a_price_is_read_and_everything_else_is_an_error() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    assert_eq!(
        read("200 OK", r#"{"price":"60000"}"#).await,
        Ok(UsdMicros(60_000_000_000))
    );
    let endless = format!(r#"{{"price":1,"more":"{}"}}"#, "x".repeat(ANSWER_BYTES_MAX));
    for (status, body, said) in [
        ("500 Oops", r#"{"price":"60000"}"#, "HTTP 500"),
        ("302 Found", r#"{"price":"60000"}"#, "HTTP 302"),
        ("200 OK", "<html>", "not JSON"),
        ("200 OK", "{}", "nothing at"),
        ("200 OK", endless.as_str(), "more than"),
    ] {
        let why = read(status, body).await.unwrap_err();
        assert!(why.contains(said), "{why}");
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(
        Feed::new(&url, "/price", bounds())
            .unwrap()
            .read()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_source_is_followed_from_the_start_and_the_first_reading_can_be_waited_for() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = source("200 OK", r#"{"price":61000.5}"#.to_owned()).await;
    let mut board = Board::new(Arc::new(farebox_core::clock::SystemClock));
    assert_eq!(board.rate("BTC/USD").unwrap_err().code, "rate_missing");
    board.follow("BTC/USD", Feed::new(&url, "/price", bounds()).unwrap());
    board.first("BTC/USD", Duration::from_secs(20)).await;
    assert_eq!(
        board.rate("BTC/USD").unwrap().per_unit(),
        UsdMicros(61_000_500_000)
    );
    board.fix("ETH/USD", UsdMicros(3_000_000_000));
    assert_eq!(
        board.rate("ETH/USD").unwrap().per_unit(),
        UsdMicros(3_000_000_000)
    );
}

#[tokio::test]
async fn a_source_in_the_clear_or_without_a_pointer_is_refused() {
    let error = |url: &str, pointer: &str| Feed::new(url, pointer, bounds()).err();
    assert_eq!(
        error("http://rates.example.com/btc", "/price"),
        Some(FeedError::Url)
    );
    assert_eq!(error("rates.example.com", "/price"), Some(FeedError::Url));
    assert_eq!(error("file:///etc/passwd", "/price"), Some(FeedError::Url));
    assert_eq!(
        error("http://127.0.0.1:1/", "price"),
        Some(FeedError::Pointer)
    );
}
