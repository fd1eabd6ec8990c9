//! Questions and answers of fixed length, each connection with one question under way.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use chaosproxy::units::{Clock, Moment};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::{JoinSet, spawn_local};

use super::{Outcome, pause};

/// What is said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    pub(crate) question: &'static [u8],
    pub(crate) answer: &'static [u8],
}

/// 64 bytes each way.
pub(crate) const ECHO: Script = Script {
    question: &[b'q'; 64],
    answer: &[b'a'; 64],
};

/// A small request on a connection that is kept.
pub(crate) const HTTP: Script = Script {
    question: b"GET /items/1 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
    answer: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 64\r\n\r\n\
        {\"id\":1,\"name\":\"an item of a plain length\",\"tags\":[\"one\",\"two\"]}",
};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection whose questions are timed, one after the other.
pub(crate) struct Caller {
    stream: std::net::TcpStream,
    script: Script,
    clock: Clock,
}

impl Caller {
    /// Connected, up to the server.
    pub(crate) fn connect(at: SocketAddr, script: Script) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let clock = Clock::start();
        let mut caller = Self {
            stream,
            script,
            clock,
        };
        caller.ask()?;
        Ok(caller)
    }

    /// From the question to the end of the answer.
    pub(crate) fn ask(&mut self) -> io::Result<Duration> {
        let mut answer = [0; 512];
        let sent = self.clock.now();
        self.stream.write_all(self.script.question)?;
        self.stream
            .read_exact(&mut answer[..self.script.answer.len()])?;
        Ok(self.clock.now().since(sent))
    }
}

/// Sends `count` questions, one every `every`, without waiting; gives the time of each answer.
pub(crate) fn pipelined(
    at: SocketAddr,
    script: Script,
    count: usize,
    every: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let clock = Clock::start();
    let mut stream = std::net::TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reading = stream.try_clone()?;
    let reader = thread::spawn(move || {
        let mut answer = vec![0; script.answer.len()];
        let mut read = || {
            reading.read_exact(&mut answer)?;
            Ok(clock.now())
        };
        (0..count).map(|_| read()).collect::<io::Result<Vec<_>>>()
    });
    let mut sent = Vec::new();
    for _ in 0..count {
        sent.push(clock.now());
        stream.write_all(script.question)?;
        pause(every);
    }
    let read = reader
        .join()
        .map_err(|_| anyhow!("the reader panicked"))??;
    let both = read.into_iter().zip(sent);
    Ok(both.map(|(read, sent)| read.since(sent)).collect())
}

/// Answers, on a thread of its own, until the program ends.
pub(crate) fn serve(script: Script) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || runtime()?.block_on(accept(listener, script)))?;
    Ok(address)
}

/// Asks over `connections` connections for `time`, on a thread of its own.
pub(crate) fn talk(
    at: SocketAddr,
    script: Script,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Outcome> {
    let clients =
        thread::spawn(move || runtime()?.block_on(ask_all(at, script, connections, time)));
    clients
        .join()
        .map_err(|_| anyhow!("the clients panicked"))?
}

async fn ask_all(
    at: SocketAddr,
    script: Script,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Outcome> {
    let clock = Clock::start();
    let mut streams = Vec::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        ask(&mut stream, script).await?;
        streams.push(stream);
    }
    let times = Rc::new(RefCell::new(Histogram::<u64>::new(3)?));
    let begun = clock.now();
    let mut tasks = JoinSet::new();
    for stream in streams {
        let asking = keep_asking(stream, script, clock, begun + time, Rc::clone(&times));
        tasks.spawn_local(asking);
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let times = times.borrow();
    Ok(Outcome {
        units: times.len(),
        time: clock.now().since(begun),
        p99: Some(Duration::from_nanos(times.value_at_quantile(0.99))),
    })
}

async fn keep_asking(
    mut stream: TcpStream,
    script: Script,
    clock: Clock,
    until: Moment,
    times: Rc<RefCell<Histogram<u64>>>,
) -> anyhow::Result<()> {
    let mut sent = clock.now();
    while sent < until {
        ask(&mut stream, script).await?;
        let answered = clock.now();
        let nanos = u64::try_from(answered.since(sent).as_nanos())?;
        times.borrow_mut().record(nanos)?;
        sent = answered;
    }
    Ok(())
}

/// One question and its answer.
async fn ask(stream: &mut TcpStream, script: Script) -> io::Result<()> {
    let mut answer = [0; 512];
    stream.write_all(script.question).await?;
    let answer = &mut answer[..script.answer.len()];
    stream.read_exact(answer).await?;
    Ok(())
}

async fn accept(listener: std::net::TcpListener, script: Script) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        spawn_local(async move {
            let mut question = [0; 512];
            let question = &mut question[..script.question.len()];
            // Ends with its client.
            while stream.read_exact(question).await.is_ok() {
                if stream.write_all(script.answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
}
