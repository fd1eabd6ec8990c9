//! A demo server as a process, its log, and requests to it.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::eventually;

/// Longer than anything here takes; the scaled-down deadlines are far below.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Vec<Value>>>,
    client: Client<HttpConnector, Full<Bytes>>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

/// `chaosproxy demo …`, with its log to be read.
pub(super) fn command(args: &[&str]) -> Command {
    let mut command = Command::from(crate::support::chaosproxy());
    command.arg("demo").args(args).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// A server with a database, on a free port, with all times scaled down.
pub(super) fn scaled(kind: &str, database_url: &str, flags: &[&str]) -> Command {
    const SCALED: [&str; 12] = [
        "--query-timeout=200ms",
        "--connect-timeout=200ms",
        "--heartbeat=50ms",
        "--heartbeat-timeout=200ms",
        "--operation-timeout=400ms",
        "--backoff-base=20ms",
        "--backoff-factor=2",
        "--backoff-max=100ms",
        "--backoff-jitter=20%",
        "--retries=3",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut args = vec![kind, "--database-url", database_url];
    args.extend(SCALED.iter().filter(|scaled| {
        let name = scaled.split('=').next().unwrap();
        !flags.iter().any(|flag| flag.starts_with(name))
    }));
    args.extend(flags);
    command(&args)
}

impl Server {
    /// Starts a server with a database and waits until it listens.
    pub(super) async fn start(kind: &str, database_url: &str, flags: &[&str]) -> Self {
        Self::run(scaled(kind, database_url, flags)).await
    }

    /// Starts what `command` says and waits until it listens.
    pub(super) async fn run(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().unwrap().push(line);
            }
        });
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
            client: Client::builder(TokioExecutor::new()).build_http(),
        };
        let listening = server.logged("listening on").await;
        server.address = listening["address"].as_str().unwrap().parse().unwrap();
        server
    }

    /// Waits for a line of the log whose message begins with `message`.
    pub(super) async fn logged(&self, message: &str) -> Value {
        let log = eventually(message, async || {
            let log = self.log_of(message);
            (!log.is_empty()).then_some(log)
        });
        log.await.remove(0)
    }

    /// The lines so far whose message begins with `message`.
    pub(super) fn log_of(&self, message: &str) -> Vec<Value> {
        let log = self.log.lock().unwrap();
        let is_it = |line: &&Value| {
            let found = line["message"].as_str();
            found.is_some_and(|found| found.starts_with(message))
        };
        log.iter().filter(is_it).cloned().collect()
    }

    /// The value of a metric without labels that counts.
    pub(super) async fn metric(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics").await.text;
        let mut lines = metrics.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(found, _)| *found == name);
        found.unwrap().1.parse().unwrap()
    }

    /// Waits until `/health` says `status`.
    pub(super) async fn is(&self, status: &str) -> Answer {
        eventually(status, async || {
            let answer = self.get("/health").await;
            (answer.json()["status"] == status).then_some(answer)
        })
        .await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, String::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, body.to_string()).await
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    pub(super) async fn exit(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
    }

    async fn request(&self, method: &str, path: &str, body: String) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url()))
            .body(Full::new(body.into()))
            .unwrap();
        let response = timeout(PATIENCE, self.client.request(request));
        let (head, body) = response.await.unwrap().unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}
