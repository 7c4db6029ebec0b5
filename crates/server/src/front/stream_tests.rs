//! What was read ahead comes first, and with what there is.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::Prefixed;

#[tokio::test]
async fn one_read_gives_what_was_read_ahead_and_what_has_come_since() {
    let (mut client, ours) = duplex(64);
    client.write_all(b"def").await.expect("written");
    let mut stream = Prefixed::new(Bytes::from_static(b"abc"), ours);
    let mut seen = [0; 16];
    let read = stream.read(&mut seen).await.expect("read");
    assert_eq!(seen.get(..read), Some(&b"abcdef"[..]));
}

#[tokio::test]
async fn what_was_read_ahead_waits_for_nothing() {
    let (mut client, ours) = duplex(64);
    let mut stream = Prefixed::new(Bytes::from_static(b"abc"), ours);
    let mut seen = [0; 16];
    assert_eq!(stream.read(&mut seen).await.expect("read"), 3);
    client.write_all(b"def").await.expect("written");
    assert_eq!(stream.read(&mut seen).await.expect("read"), 3);
    assert_eq!(seen.get(..3), Some(&b"def"[..]));
}

#[tokio::test]
async fn a_small_buffer_loses_nothing_and_the_end_comes_after_it() {
    let (mut client, ours) = duplex(64);
    client.write_all(b"ef").await.expect("written");
    drop(client);
    let mut stream = Prefixed::new(Bytes::from_static(b"abcd"), ours);
    stream.put_back(b"xy");
    let mut all = Vec::new();
    let mut seen = [0; 4];
    loop {
        let read = stream.read(&mut seen).await.expect("read");
        all.extend_from_slice(&seen[..read]);
        if read == 0 {
            break;
        }
    }
    assert_eq!(all, b"xyabcdef");
}
