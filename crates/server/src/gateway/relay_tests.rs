//! What a relay carries, and when it ends.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::{Side, Silence, run};

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(20);
/// Smaller than what is sent, so that writes have to wait.
const PIPE_BYTES: usize = 64;

type Relay = JoinHandle<std::io::Result<()>>;

fn relay(
    early: &'static [u8],
    of_both: Duration,
    of_one: Duration,
) -> (DuplexStream, DuplexStream, Relay) {
    let (a, near_a) = duplex(PIPE_BYTES);
    let (b, near_b) = duplex(PIPE_BYTES);
    let first = Side {
        stream: near_a,
        early: Bytes::new(),
    };
    let second = Side {
        stream: near_b,
        early: Bytes::from_static(early),
    };
    let silence = Silence { of_both, of_one };
    (a, b, tokio::spawn(run(first, second, silence)))
}

#[tokio::test]
async fn every_byte_arrives_in_its_order_both_ways_and_the_end_after_them() {
    let (a, b, relay) = relay(b"early ", LONG, LONG);
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n.to_be_bytes()[3]).collect();
    let talk = |stream: DuplexStream, say: Vec<u8>| async move {
        let (mut read, mut write) = tokio::io::split(stream);
        let mut heard = Vec::new();
        let speak = async {
            write.write_all(&say).await.expect("written");
            write.shutdown().await.expect("shut");
        };
        let (_, heard_bytes) = tokio::join!(speak, read.read_to_end(&mut heard));
        heard_bytes.expect("read");
        heard
    };
    let (at_a, at_b) = tokio::join!(talk(a, sent.clone()), talk(b, sent.clone()));
    assert!(at_b == sent);
    assert!(at_a == [b"early ".as_slice(), &sent].concat());
    assert!(relay.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn silence_ends_it() {
    let (_a, _b, relay) = relay(b"", SHORT, LONG);
    let ended = relay.await.expect("no panic").expect_err("it was silent");
    assert_eq!(ended.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn who_is_left_alone_has_a_time_of_its_own() {
    let (a, mut b, relay) = relay(b"", LONG, SHORT);
    drop(a);
    assert_eq!(b.read(&mut [0; 1]).await.expect("the end"), 0);
    let ended = relay.await.expect("no panic").expect_err("b has stayed");
    assert_eq!(ended.kind(), ErrorKind::TimedOut);
}
