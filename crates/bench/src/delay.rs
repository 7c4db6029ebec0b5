//! A node far away: a TCP proxy that hands every byte on half a round trip later, in each direction.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Fallible;
use crate::aside::Aside;

/// Bytes that are moved at once.
const READ_BYTES: usize = 64 * 1024;
/// Pieces on their way in one direction; more wait in the system's buffers.
const PIECES_MAX: usize = 4096;

/// Puts `round_trip` in front of a server.
pub(crate) fn start(server: SocketAddr, round_trip: Duration) -> Fallible<Aside> {
    Aside::start("delay", move |listener| {
        accept(listener, server, round_trip / 2)
    })
}

async fn accept(listener: TcpListener, server: SocketAddr, late: Duration) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(async move {
            let far = TcpStream::connect(server).await.ok()?;
            near.set_nodelay(true).ok()?;
            far.set_nodelay(true).ok()?;
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            tokio::spawn(hand_on(near_read, far_write, late));
            tokio::spawn(hand_on(far_read, near_write, late));
            Some(())
        });
    }
}

async fn hand_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, late: Duration) {
    let (pieces, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let writing = tokio::spawn(async move {
        while let Some((at, piece)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let piece = buffer.get(..read).unwrap_or_default().to_vec();
        if pieces.send((Instant::now() + late, piece)).await.is_err() {
            return;
        }
    }
    drop(pieces);
    // A panic of the writer is the end of the connection.
    let _ = writing.await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn what_goes_through_comes_back_no_earlier_than_a_round_trip() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut buffer = [0; 4];
            while stream.read_exact(&mut buffer).is_ok() {
                stream.write_all(&buffer).expect("an echo");
            }
        });
        let delay = start(server, Duration::from_millis(30)).expect("a proxy");
        let mut stream = std::net::TcpStream::connect(delay.address).expect("a connection");
        for _ in 0..3 {
            let began = std::time::Instant::now();
            stream.write_all(b"ping").expect("sent");
            let mut echo = [0; 4];
            stream.read_exact(&mut echo).expect("echoed");
            assert_eq!(&echo, b"ping");
            assert!(began.elapsed() >= Duration::from_millis(30));
        }
    }
}
