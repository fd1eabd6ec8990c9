//! A small HTTP/1.1 client, for workloads, probes and the readiness of services.
//!
//! It never judges an answer, and it never sends a request again that may have been received.

mod target;

pub use target::{Target, TargetError};

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::event::Outcome;
use crate::units::{Clock, Moment};

/// How long a connection may lie idle and still be used again. Servers close idle connections
/// after two seconds or more; one that is closed while a request is written costs that request.
const IDLE_LIMIT: Duration = Duration::from_secs(1);

/// Bytes of a body that are hashed at most: it takes time on the thread that measures.
pub const HASHED: u64 = 64 << 20;

/// An HTTP/1.1 client of one target. Connections are kept and used again, by one request at a
/// time; one on which a request failed or ran out of time is closed.
#[derive(Debug)]
pub struct Client {
    target: Target,
    clock: Clock,
    idle: Mutex<Vec<Connection>>,
}

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query, starting with `/`.
    pub path: String,
    /// Headers; `Host` and `Content-Length` are added.
    pub headers: HeaderMap,
    /// The body; may be empty.
    pub body: Bytes,
    /// How many bytes of the answer's body are kept; the rest is read and dropped.
    pub keep: usize,
    /// Whether the whole body is hashed, kept or not.
    pub hash: bool,
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's beginning.
    pub body: Bytes,
    /// Length of the whole body in bytes.
    pub length: u64,
    /// SHA-256 of the whole body, if it was to be hashed and is not longer than [`HASHED`].
    pub sha256: Option<[u8; 32]>,
}

impl Answer {
    /// Whether all of the body was kept.
    pub fn is_whole(&self) -> bool {
        self.length == self.body.len() as u64
    }
}

/// Why there is no complete answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There was no connection: nothing was sent.
    #[error("no connection: {0}")]
    Connect(String),
    /// The deadline passed.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke after something was sent, or the answer was malformed.
    #[error("broken: {0}")]
    Broken(String),
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect(why) => Self::ConnectError { why },
            Failure::Timeout => Self::Timeout,
            Failure::Broken(why) => Self::Broken { why },
        }
    }
}

/// The status of a GET of `path` over a connection that is open.
pub async fn get_status(
    stream: TcpStream,
    target: &Target,
    path: &str,
) -> Result<StatusCode, Failure> {
    let request = target.request(Call::get(path, 0))?;
    let opened = Connection::open(stream, Moment::ZERO).await;
    let mut connection = opened.map_err(|error| Failure::Broken(chain(&error)))?;
    match connection.send(request).await {
        Ok(response) => Ok(response.status()),
        Err(NoResponse::Sent(why) | NoResponse::Unsent(_, why)) => Err(Failure::Broken(why)),
    }
}

impl Call {
    /// A GET request without headers and body, which keeps so many bytes of the answer.
    pub fn get(path: &str, keep: usize) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            keep,
            hash: false,
        }
    }
}

impl Target {
    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, Failure> {
        let unsendable = |error: &dyn Error| Failure::Connect(format!("not sent: {error}"));
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.prefix, call.path))
            .body(Full::new(call.body))
            .map_err(|error| unsendable(&error))?;
        *request.headers_mut() = call.headers;
        let host = HeaderValue::from_str(&self.authority).map_err(|error| unsendable(&error))?;
        request.headers_mut().entry(HOST).or_insert(host);
        Ok(request)
    }
}

impl Client {
    /// A client without connections yet; opens nothing.
    pub const fn new(target: Target, clock: Clock) -> Self {
        Self {
            target,
            clock,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Sends the request and reads the whole answer; the deadline covers the connecting as well.
    ///
    /// The request is sent once at most. Cancel safe in so far as dropping closes the connection;
    /// whether the request was received is then unknown.
    pub async fn call(&self, call: Call, deadline: Duration) -> Result<Answer, Failure> {
        timeout(deadline, self.exchange(call))
            .await
            .unwrap_or(Err(Failure::Timeout))
    }

    async fn exchange(&self, call: Call) -> Result<Answer, Failure> {
        let (keep, hash) = (call.keep, call.hash);
        let mut request = self.target.request(call)?;
        if let Some(mut connection) = self.take_idle() {
            match connection.send(request).await {
                Ok(response) => return self.read(connection, response, keep, hash).await,
                Err(NoResponse::Sent(why)) => return Err(Failure::Broken(why)),
                // The server closed the connection while it lay idle, before a byte was written.
                Err(NoResponse::Unsent(unsent, _)) => request = *unsent,
            }
        }
        let mut connection = self.connect().await?;
        match connection.send(request).await {
            Ok(response) => self.read(connection, response, keep, hash).await,
            Err(NoResponse::Sent(why)) => Err(Failure::Broken(why)),
            Err(NoResponse::Unsent(_, why)) => Err(Failure::Connect(why)),
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let refused = |error: &dyn Error| Failure::Connect(chain(error));
        let address = (self.target.host.as_str(), self.target.port);
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| refused(&error))?;
        stream.set_nodelay(true).map_err(|error| refused(&error))?;
        let opened = Connection::open(stream, self.clock.now()).await;
        opened.map_err(|error| refused(&error))
    }

    async fn read(
        &self,
        connection: Connection,
        response: Response<Incoming>,
        keep: usize,
        hash: bool,
    ) -> Result<Answer, Failure> {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut length) = (BytesMut::new(), 0);
        let mut hasher = hash.then(Sha256::new);
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| Failure::Broken(chain(&error)))?;
            if let Some(data) = frame.data_ref() {
                let room = keep - body.len();
                body.extend_from_slice(&data[..data.len().min(room)]);
                length += data.len() as u64;
                hasher = hasher
                    .filter(|_| length <= HASHED)
                    .map(|hasher| hasher.chain_update(data));
            }
        }
        self.put_idle(connection);
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.freeze(),
            length,
            sha256: hasher.map(|hasher| hasher.finalize().into()),
        })
    }

    /// The connection that was used last among those that are ready; closes what is too old.
    fn take_idle(&self) -> Option<Connection> {
        let now = self.clock.now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| now.since(connection.since) < IDLE_LIMIT);
        let ready = idle
            .iter()
            .rposition(|connection| connection.sender.is_ready())?;
        Some(idle.remove(ready))
    }

    fn put_idle(&self, mut connection: Connection) {
        connection.since = self.clock.now();
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
    }
}

/// A connection; dropping it closes its socket.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// When it was opened or last became idle.
    since: Moment,
    _driver: AbortOnDropHandle<()>,
}

/// Why a request got no response.
enum NoResponse {
    /// Not a byte of it was written.
    Unsent(Box<Request<Full<Bytes>>>, String),
    /// It may have been received.
    Sent(String),
}

impl Connection {
    async fn open(stream: TcpStream, since: Moment) -> hyper::Result<Self> {
        let (sender, driver) = handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move {
            // Whatever goes wrong on the connection is reported to the request on it.
            drop(driver.await);
        });
        Ok(Self {
            sender,
            since,
            _driver: AbortOnDropHandle::new(driver),
        })
    }

    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, NoResponse> {
        self.sender
            .try_send_request(request)
            .await
            .map_err(|mut error| {
                // hyper gives the request back if, and only if, it had not begun to write it.
                let unsent = error.take_message();
                let why = chain(error.error());
                match unsent {
                    Some(request) => NoResponse::Unsent(Box::new(request), why),
                    None => NoResponse::Sent(why),
                }
            })
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
