//! Every way to write a request, cut everywhere, and hyper as the judge.

use std::convert::Infallible;
use std::sync::Mutex;

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const BOTH: &str =
    "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

fn watched<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Watch {
    let mut watch = Watch::default();
    for piece in pieces {
        watch.read(piece);
    }
    watch
}

/// The first ambiguous request of `bytes`, and how many heads they hold; the same however the
/// network cuts them.
fn seen(bytes: &str) -> (Option<u64>, u64) {
    let bytes = bytes.as_bytes();
    let whole = watched([bytes]);
    let seen = (whole.ambiguous, whole.heads);
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        let cut_once = watched([head, tail]);
        assert_eq!((cut_once.ambiguous, cut_once.heads), seen, "cut at {cut}");
    }
    let one_by_one = watched(bytes.chunks(1));
    assert_eq!((one_by_one.ambiguous, one_by_one.heads), seen);
    seen
}

#[test]
fn both_headers_in_either_order_and_any_case_are_ambiguous() {
    for head in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "CONTENT-LENGTH:4\r\nHost: a\r\ntRANSFER-eNCODING:chunked",
        "content-length: 4\r\ncontent-length: 4\r\ntransfer-encoding: chunked",
        "content-length:\r\ntransfer-encoding:",
        "content-length: 4\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 0",
    ] {
        let request = format!("POST / HTTP/1.1\r\n{head}\r\n\r\n0\r\n\r\n");
        assert_eq!(seen(&request), (Some(0), 1), "{head:?}");
    }
    assert_eq!(seen(&BOTH.replace("\r\n", "\n")), (Some(0), 1));
}

#[test]
fn one_header_is_not_ambiguous_whatever_the_others_are_called() {
    for head in [
        "content-length: 5",
        "content-length: 5\r\nx-transfer-encoding: chunked",
        "content-length: 5\r\ntransfer-encodings: chunked",
        "content-length: 5\r\ntransfer-encodin: chunked",
        "content-length: 5\r\nte: trailers\r\nx: transfer-encoding: chunked",
        "content-length: 5\r\nx: \r\n transfer-encoding: chunked",
    ] {
        let request = format!("POST / HTTP/1.1\r\n{head}\r\n\r\nhello");
        assert_eq!(seen(&request.repeat(2)), (None, 2), "{head:?}");
    }
}

#[test]
fn headers_of_two_requests_are_not_added_up() {
    let requests = "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n\
                    POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
                    POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(seen(requests), (None, 3));
}

#[test]
fn a_head_that_has_not_ended_is_not_judged() {
    let head = BOTH.strip_suffix("\r\n0\r\n\r\n").expect("a head");
    assert_eq!(seen(head), (None, 0));
}

#[test]
fn bodies_are_not_read_as_heads() {
    let length = BOTH.len();
    let sized = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{BOTH}");
    assert_eq!(seen(&sized.repeat(2)), (None, 2));
    let chunked = format!(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
         {length:x};name=\"{length}\"\r\n{BOTH}\r\n{length:X} \t\r\n{BOTH}\r\n00\r\n\
         Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    assert_eq!(seen(&chunked.repeat(2)), (None, 2));
    assert_eq!(seen(&format!("{sized}{chunked}{BOTH}")), (Some(2), 3));
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    assert_eq!(seen(&format!("\r\n\n\r\n{BOTH}")), (Some(0), 1));
}

#[test]
fn the_first_ambiguous_request_is_the_one_that_is_told() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(seen(&format!("{get}{get}{BOTH}{get}{BOTH}")), (Some(2), 5));
}

#[test]
fn lengths_beyond_every_number_end_in_no_request() {
    let digits = "9".repeat(40);
    let sized = format!("POST / HTTP/1.1\r\nContent-Length: {digits}\r\n\r\n{BOTH}");
    assert_eq!(seen(&sized), (None, 1));
    let size = "f".repeat(40);
    let chunked =
        format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{BOTH}{BOTH}");
    assert_eq!(seen(&chunked), (None, 1));
}

#[tokio::test]
async fn requests_are_refused_from_the_ambiguous_one_on_and_no_byte_is_changed() {
    let bytes = format!("GET / HTTP/1.1\r\n\r\n{BOTH}GET / HTTP/1.1\r\n\r\n");
    let (mut stream, framings) = guard(bytes.as_bytes());
    let mut read = String::new();
    stream.read_to_string(&mut read).await.expect("read");
    assert_eq!(read, bytes);
    let refused: Vec<bool> = (0..3).map(|_| framings.next_is_ambiguous()).collect();
    assert_eq!(refused, [false, true, true]);
}

/// A request, and whether it is ambiguous.
fn request() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let body = prop_oneof![
        vec(any::<u8>(), 0..40),
        Just(BOTH.as_bytes().to_vec()),
        Just(b"\r\n0\r\n\r\n".to_vec()),
    ];
    let headers = "(X-[a-z]{0,20}: [a-z:;]{0,20}\r\n){0,3}";
    let line_end = prop_oneof![Just("\r\n"), Just("\n")];
    let sized = (headers, body.clone(), line_end).prop_map(|(headers, body, end)| {
        let length = body.len();
        let head = format!("POST / HTTP/1.1{end}{headers}Content-Length: {length}{end}{end}");
        ([head.as_bytes(), &body].concat(), false)
    });
    let chunks = vec((body, "(;[a-z=\"]{0,9})?"), 0..4);
    let trailers = "(Content-Length: [0-9]{1,3}\r\n|X: [a-z]{0,9}\r\n){0,2}";
    let chunked =
        (headers, any::<bool>(), chunks, trailers).prop_map(|(headers, both, chunks, trailers)| {
            let length = if both { "content-length: 3\r\n" } else { "" };
            let mut bytes =
                format!("POST / HTTP/1.1\r\n{length}{headers}transfer-encoding: chunked\r\n\r\n")
                    .into_bytes();
            for (data, extension) in chunks.iter().filter(|(data, _)| !data.is_empty()) {
                bytes.extend(format!("{:x}{extension}\r\n", data.len()).bytes());
                bytes.extend(data);
                bytes.extend(b"\r\n");
            }
            bytes.extend(format!("0\r\n{trailers}\r\n").bytes());
            (bytes, both)
        });
    let bare = headers.prop_map(|headers| {
        let head = format!("GET / HTTP/1.1\r\n{headers}\r\n");
        (head.into_bytes(), false)
    });
    prop_oneof![sized, chunked, bare]
}

/// Pieces of requests, most of which fit together. Each Content-Length has a witness beside it,
/// because hyper may drop it.
const PIECES: [&str; 21] = [
    "POST / HTTP/1.1\r\nx-length: 1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5 ;a=b\r\n\nGET \r\n0\r\na: b\r\n\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 5\r\nx-length: 1\r\n\r\nh@llo",
    "POST / HTTP/1.1\r\n",
    "POST / HTTP/1.1\nHost: a\r\n",
    "content-length: 5\r\nx-length: 1\r\n",
    "Content-Length: 5\nX-Length: 1\n",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding:chunked\n",
    "transfer-encoding: gzip, chunked\r\n",
    "x-transfer-encoding: chunked\r\n",
    "\r\n",
    "\n",
    "h@llo",
    "5\r\nh@llo\r\n",
    "5 ;a=b\r\n\r\n\r\n\n\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "a: b\r\n",
    "GET / HTTP/1.1\r\n\r\n",
];

/// For each request that hyper hands out: whether the guard calls it ambiguous, and whether it is.
async fn handed_out(bytes: &[u8], size: usize) -> Vec<(bool, bool)> {
    let (mut client, server) = tokio::io::duplex(size);
    let (stream, framings) = guard(server);
    let seen = Mutex::new(Vec::new());
    let service = service_fn(|request: Request<Incoming>| {
        let told = framings.next_is_ambiguous();
        let has = |name| request.headers().contains_key(name);
        let is = has("x-length") && has("transfer-encoding");
        seen.lock().expect("one task").push((told, is));
        async move {
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let client = async {
        // hyper hangs up on what it refuses.
        let (mut answers, mut requests) = tokio::io::split(&mut client);
        let send = async {
            let _ = requests.write_all(bytes).await;
            let _ = requests.shutdown().await;
        };
        let mut read = Vec::new();
        let _ = tokio::join!(send, answers.read_to_end(&mut read));
    };
    let _ = tokio::join!(client, serving);
    seen.into_inner().expect("one task")
}

proptest! {
    // Most cases are refused early by hyper, and each takes microseconds.
    #![proptest_config(ProptestConfig::with_cases(5_000))]
    #[test]
    fn the_guard_and_hyper_agree_on_where_requests_begin(
        pieces in vec(select(PIECES.as_slice()), 0..24),
        size in 1_usize..200,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for (told, is) in runtime.block_on(handed_out(pieces.concat().as_bytes(), size)) {
            prop_assert_eq!(told, is);
        }
    }

    #[test]
    fn a_request_is_ambiguous_only_if_it_has_both_wherever_it_is_cut(
        requests in vec(request(), 1..8),
        sizes in vec(1_usize..50, 1..20),
    ) {
        let bytes: Vec<u8> = requests.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let first = requests.iter().position(|(_, both)| *both);
        let mut watch = Watch::default();
        let mut left = bytes.as_slice();
        for size in sizes.iter().cycle() {
            let (piece, rest) = left.split_at((*size).min(left.len()));
            watch.read(piece);
            left = rest;
            if left.is_empty() {
                break;
            }
        }
        prop_assert_eq!(watch.ambiguous, first.map(|index| index as u64));
        prop_assert_eq!(watch.heads, requests.len() as u64);
    }
}
