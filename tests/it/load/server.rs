//! An HTTP server that does to each request what its script says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// What the server does once it has read a request.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// Answers and keeps the connection.
    Answer(u16, String),
    /// Answers after a while.
    Late(Duration, u16, String),
    /// Answers, then closes the connection.
    AnswerAndClose(u16, String),
    /// Answers with 200, then closes the connection once it is told to.
    AnswerUntil(CancellationToken),
    /// Writes these bytes and keeps the connection.
    Raw(&'static str),
    /// Says nothing and keeps the connection.
    Silence,
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

type Script = dyn Fn(usize, &Received) -> Reaction + Send + Sync;

/// Runs until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    count: watch::Receiver<usize>,
    _task: AbortOnDropHandle<()>,
}

struct State {
    script: Box<Script>,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    connections: AtomicUsize,
    closed: AtomicUsize,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Server {
    /// A server on a free port; the script gets the ordinal of the request and the request.
    pub(crate) async fn start(
        script: impl Fn(usize, &Received) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, count) = watch::channel(0);
        let state = Arc::new(State {
            script: Box::new(script),
            received: Mutex::default(),
            count: sender,
            connections: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            count,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until so many requests have arrived.
    pub(crate) async fn received(&self, count: usize) {
        let mut seen = self.count.clone();
        seen.wait_for(|seen| *seen >= count).await.unwrap();
    }

    /// Every request that has arrived.
    pub(crate) fn requests(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Connections that are closed.
    pub(crate) fn closed(&self) -> usize {
        self.state.closed.load(Ordering::SeqCst)
    }

    /// The largest number of requests that waited for their answer at once.
    pub(crate) fn most_under_way(&self) -> usize {
        self.state.most_under_way.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        state.connections.fetch_add(1, Ordering::SeqCst);
        let state = Arc::clone(&state);
        connections.spawn(async move {
            serve(stream, &state).await;
            state.closed.fetch_add(1, Ordering::SeqCst);
        });
    }
}

/// Ends when either side closed the connection.
async fn serve(mut stream: TcpStream, state: &State) -> Option<()> {
    stream.set_nodelay(true).unwrap();
    loop {
        let request = read(&mut stream).await?;
        let now = state.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        state.most_under_way.fetch_max(now, Ordering::SeqCst);
        let ordinal = {
            let mut received = state.received.lock().unwrap();
            received.push(request.clone());
            received.len() - 1
        };
        state.count.send_modify(|count| *count += 1);
        let goes_on = react(&mut stream, (state.script)(ordinal, &request)).await;
        state.under_way.fetch_sub(1, Ordering::SeqCst);
        goes_on?;
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let length: usize = head
        .lines()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received {
        line: head.lines().next()?.to_owned(),
        body: String::from_utf8(bytes[head_end..].to_vec()).unwrap(),
        head,
    })
}

/// `None` if the connection is over.
async fn react(stream: &mut TcpStream, reaction: Reaction) -> Option<()> {
    let answer = |status, body: &str| {
        format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    match reaction {
        Reaction::Answer(status, body) => write(stream, &answer(status, &body)).await,
        Reaction::Late(by, status, body) => {
            tokio::time::sleep(by).await;
            write(stream, &answer(status, &body)).await
        }
        Reaction::AnswerAndClose(status, body) => {
            write(stream, &answer(status, &body)).await?;
            None
        }
        Reaction::AnswerUntil(told) => {
            write(stream, &answer(200, "")).await?;
            told.cancelled().await;
            None
        }
        Reaction::Raw(text) => write(stream, text).await,
        Reaction::Silence => {
            // Until the client gives up.
            let mut rest = [0; 64];
            while stream.read(&mut rest).await.ok()? > 0 {}
            None
        }
        Reaction::Close => None,
        Reaction::Reset => {
            stream.set_zero_linger().unwrap();
            None
        }
    }
}

async fn write(stream: &mut TcpStream, text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).await.ok()
}
