//! A client of PostgreSQL that sends what it is told to, and shows every answer.

use std::net::SocketAddr;

use chaosproxy::wire::pg;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::rig::patiently;

pub(super) struct Talk {
    stream: TcpStream,
    pub(super) pid: i32,
}

/// A message of the extended protocol, or a Query.
pub(super) fn query(sql: &str) -> Vec<u8> {
    pg::message(b'Q', &[sql.as_bytes(), b"\0"]).to_vec()
}

/// Parse, Bind, Describe and Execute of unnamed things.
pub(super) fn run(sql: &str) -> Vec<u8> {
    [
        pg::message(b'P', &[b"\0", sql.as_bytes(), b"\0", &[0; 2]]),
        pg::message(b'B', &[b"\0\0", &[0; 6]]),
        pg::message(b'D', &[b"P\0"]),
        pg::message(b'E', &[b"\0", &[0; 4]]),
    ]
    .concat()
}

pub(super) fn sync() -> Vec<u8> {
    pg::message(b'S', &[]).to_vec()
}

impl Talk {
    /// Begins a session.
    pub(super) async fn start(address: SocketAddr, database: &str) -> Self {
        let mut stream = patiently(TcpStream::connect(address)).await.unwrap();
        let body = format!("\0\x03\0\0user\0chaos\0database\0{database}\0\0");
        let length = u32::try_from(body.len() + 4).unwrap();
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut talk = Self { stream, pid: 0 };
        loop {
            let (kind, body) = talk.next().await.unwrap();
            match kind {
                b'K' => talk.pid = i32::from_be_bytes(*body.first_chunk().unwrap()),
                b'Z' => return talk,
                b'E' => panic!("{}", String::from_utf8_lossy(&body)),
                _ => {}
            }
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        patiently(self.stream.write_all(bytes)).await.unwrap();
    }

    /// The answers up to the next `ReadyForQuery`, one word each: the tag of what is complete, the
    /// code of an error, the status of the transaction, `row`, or the letter of its kind. `end` is
    /// the end of the connection.
    pub(super) async fn answers(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            let Some((kind, body)) = self.next().await else {
                words.push("end".to_owned());
                return words;
            };
            let text = String::from_utf8_lossy(&body);
            assert!(!text.contains("chaosproxy_"), "a marker leaked: {text}");
            words.push(match kind {
                b'C' => pg::text(&body).into_owned(),
                b'E' => {
                    let code = pg::fields(&body).find(|(code, _)| *code == b'C').unwrap();
                    String::from_utf8_lossy(code.1).into_owned()
                }
                b'D' => "row".to_owned(),
                b'Z' => char::from(body[0]).to_string(),
                _ => char::from(kind).to_string(),
            });
            if kind == b'Z' {
                return words;
            }
        }
    }

    /// Sends, and shows the answers as one line.
    pub(super) async fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes).await;
        self.answers().await.join(" ")
    }

    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 5];
        patiently(self.stream.read_exact(&mut header)).await.ok()?;
        let [kind, length @ ..] = header;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        patiently(self.stream.read_exact(&mut body)).await.unwrap();
        Some((kind, body))
    }
}
