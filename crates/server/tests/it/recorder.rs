//! An upstream that keeps every byte that reaches it, and answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::answers::{chunks, find};

/// What every answer of it begins with, so that it is known wherever it shows up.
pub(crate) const MARK: &str = "upstream saw ";

/// See the module.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

/// What has happened since it was last asked, and what it is to say.
#[derive(Default)]
struct Book {
    bytes: Vec<u8>,
    /// The head of each request.
    heads: Vec<String>,
    /// Header lines for every answer.
    says: String,
    /// A whole answer in place of its own.
    sends: Option<Vec<u8>>,
}

/// What has reached it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) bytes: Vec<u8>,
    /// The head of each request.
    pub(crate) heads: Vec<String>,
}

impl Seen {
    /// Method and target of each request.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.heads.iter().map(|head| request_of(head)).collect()
    }
}

fn request_of(head: &str) -> String {
    head.split(" HTTP/").next().unwrap_or_default().to_owned()
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let recorder = Self {
            address: listener.local_addr().expect("an address"),
            book: Arc::default(),
        };
        let serving = recorder.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        recorder
    }

    /// Forgets everything, and says this from now on. Gives what it has forgotten.
    pub(crate) fn begin(&self, says: &str, sends: Option<Vec<u8>>) -> Seen {
        let begun = Book {
            says: says.to_owned(),
            sends,
            ..Book::default()
        };
        let book = std::mem::replace(&mut *self.book(), begun);
        Seen {
            bytes: book.bytes,
            heads: book.heads,
        }
    }

    /// What has reached it since.
    pub(crate) fn seen(&self) -> Seen {
        let book = self.book();
        Seen {
            bytes: book.bytes.clone(),
            heads: book.heads.clone(),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no test has failed with it")
    }

    /// Answers request after request; `None` is the end of the connection.
    async fn serve(self, mut stream: TcpStream) -> Option<()> {
        let mut left = Vec::new();
        loop {
            let end = loop {
                match find(&left, b"\r\n\r\n") {
                    Some(end) => break end + 4,
                    None => self.read(&mut stream, &mut left).await?,
                }
            };
            let head: Vec<u8> = left.drain(..end).collect();
            let head = String::from_utf8_lossy(&head).into_owned();
            let request = request_of(&head);
            self.book().heads.push(head.clone());
            self.read_body(&head.to_ascii_lowercase(), &mut stream, &mut left)
                .await?;
            let (answer, is_own) = self.answer(&request);
            stream.write_all(&answer).await.ok()?;
            if !is_own {
                return None;
            }
        }
    }

    fn answer(&self, request: &str) -> (Vec<u8>, bool) {
        let book = self.book();
        if let Some(sends) = &book.sends {
            return (sends.clone(), false);
        }
        let body = format!("{MARK}{request}");
        let says = &book.says;
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{says}\r\n",
            body.len()
        );
        if !request.starts_with("HEAD ") {
            answer.push_str(&body);
        }
        (answer.into_bytes(), true)
    }

    async fn read(&self, stream: &mut TcpStream, left: &mut Vec<u8>) -> Option<()> {
        let before = left.len();
        stream
            .read_buf(left)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        self.book().bytes.extend_from_slice(&left[before..]);
        Some(())
    }

    async fn read_body(
        &self,
        head: &str,
        stream: &mut TcpStream,
        left: &mut Vec<u8>,
    ) -> Option<()> {
        if head.contains("\r\ntransfer-encoding: chunked\r\n") {
            loop {
                if let Some((_, taken)) = chunks(left).ok()? {
                    left.drain(..taken);
                    return Some(());
                }
                self.read(stream, left).await?;
            }
        }
        let length = head.split("\r\ncontent-length: ").nth(1);
        let length = length.and_then(|rest| rest.split('\r').next()?.parse().ok());
        let length: usize = length.unwrap_or(0);
        while left.len() < length {
            self.read(stream, left).await?;
        }
        left.drain(..length);
        Some(())
    }
}
