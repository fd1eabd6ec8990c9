//! A tiny HTTP server that knows in which run it is: each run asks `/ready` once.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

/// What the server answers.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) then: Then,
}

/// What becomes of the connection.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Then {
    Keep,
    Close,
}

/// What is answered in which run (from 1) at which path.
type Behaviour = fn(u32, &str) -> Answer;

pub(super) struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Server {
    pub(super) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        thread::spawn(move || {
            let run = Arc::new(AtomicU32::new(0));
            for stream in listener.incoming() {
                if until.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), run) = (stream, run.clone()) else {
                    continue;
                };
                thread::spawn(move || serve(&stream, &run, behaviour));
            }
        });
        Self { address, ended }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the accepting thread.
        TcpStream::connect(self.address).ok();
    }
}

/// Answers requests until the other end closes; whatever goes wrong is the end of the connection.
fn serve(stream: &TcpStream, run: &AtomicU32, behaviour: Behaviour) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let request = lines.next()?.ok()?;
        let path = request.split(' ').nth(1)?;
        if path == "/ready" {
            run.fetch_add(1, Ordering::AcqRel);
        }
        let Answer { status, then } = behaviour(run.load(Ordering::Acquire), path);
        while !lines.next()?.ok()?.is_empty() {}
        let connection = if then == Then::Close {
            "connection: close\r\n"
        } else {
            ""
        };
        let answer = format!("HTTP/1.1 {status} Answer\r\n{connection}content-length: 2\r\n\r\nok");
        (&mut &*stream).write_all(answer.as_bytes()).ok()?;
        if then == Then::Close {
            return None;
        }
    }
}
