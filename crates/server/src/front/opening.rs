//! What happens on a connection before HTTP: who the client is, whether TLS comes, which version.
//!
//! Called by [`super::connections`] for every socket, within the time that a head may take. In
//! this order: the PROXY header, of trusted proxies only; the TLS handshake, whose ALPN names the
//! version; in the clear, the preface of HTTP/2. Whatever else comes is HTTP/1.1.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;

use super::FrontDoor;
use super::client::Arrival;
use super::proxy_protocol::{self, Header};
use super::stream::{Prefixed, Stream};
use super::tls::ALPN_HTTP_2;

/// What every HTTP/2 connection in the clear begins with (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that is ready for HTTP.
pub(super) struct Opened {
    pub(super) stream: Stream,
    pub(super) arrival: Arrival,
    pub(super) is_http_2: bool,
}

/// Opens a connection that was accepted from `peer`.
///
/// # Errors
/// The client has gone, or speaks none of what is spoken here.
pub(super) async fn open(
    mut tcp: TcpStream,
    mut peer: SocketAddr,
    front: &FrontDoor,
) -> io::Result<Opened> {
    let mut ahead = Bytes::new();
    if front.proxy_protocol && front.trusts(peer.ip()) {
        let (named, rest) = read_proxy_header(&mut tcp).await?;
        peer = named.unwrap_or(peer);
        ahead = rest;
    }
    let mut plain = Prefixed::new(ahead, tcp);
    let (stream, is_http_2) = match &front.tls {
        Some(tls) => {
            let stream = tls.accept(plain).await?;
            let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP_2);
            (Stream::Right(Box::new(stream)), is_http_2)
        }
        None => {
            let is_http_2 = has_preface(&mut plain).await?;
            (Stream::Left(plain), is_http_2)
        }
    };
    Ok(Opened {
        arrival: Arrival {
            peer,
            is_peer_trusted: front.trusts(peer.ip()),
            is_tls: front.tls.is_some(),
        },
        stream,
        is_http_2,
    })
}

/// Whether a connection begins with the preface. No byte is lost, and of HTTP/1.1 no more than one
/// read is made.
async fn has_preface<S: AsyncRead + Unpin>(stream: &mut Prefixed<S>) -> io::Result<bool> {
    let mut seen = [0; PREFACE.len()];
    let mut length = 0_usize;
    while PREFACE.starts_with(seen.get(..length).unwrap_or_default()) && length < PREFACE.len() {
        let read = stream
            .read(seen.get_mut(length..).unwrap_or_default())
            .await?;
        if read == 0 && length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read == 0 {
            break;
        }
        length = length.saturating_add(read);
    }
    stream.put_back(seen.get(..length).unwrap_or_default());
    Ok(seen == *PREFACE)
}

/// The client that a proxy names, if it names one, and what came after its header.
async fn read_proxy_header(tcp: &mut TcpStream) -> io::Result<(Option<SocketAddr>, Bytes)> {
    let mut seen = BytesMut::with_capacity(proxy_protocol::USUAL_BYTES);
    loop {
        match proxy_protocol::parse(&seen) {
            Header::Whole { client, length } => {
                let _ = seen.split_to(length.min(seen.len()));
                return Ok((client, seen.freeze()));
            }
            Header::Broken(why) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            // `parse` calls everything beyond its limits broken, so this ends.
            Header::Unfinished => {}
        }
        if tcp.read_buf(&mut seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
