//! An engine with proxies, and both ends of what goes through them, in the hands of a test.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chaosproxy::action::{Action, Injection, Protocol, ProxySpec};
use chaosproxy::engine::{EngineError, EngineHandle, Reply, Settings};
use chaosproxy::event::{Event, Fact, Name, Recorder, Stream, bus};
use chaosproxy::fault::Scope;
use chaosproxy::units::{Clock, Reach};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    pub(crate) engine: EngineHandle,
    pub(crate) recorder: Recorder,
    facts: Stream,
}

/// A server that a test accepts on by itself, and the proxy in front of it.
pub(crate) struct Path {
    pub(crate) proxy: SocketAddr,
    pub(crate) server: TcpListener,
}

pub(crate) fn spec(name: &str, upstream: impl Display) -> ProxySpec {
    ProxySpec {
        name: name.into(),
        protocol: Protocol::Tcp,
        listen: "127.0.0.1:0".parse().unwrap(),
        upstream: upstream.to_string(),
        reach: Reach::Loopback,
        dial_timeout: Duration::from_secs(5),
        keepalive: None,
        max_connections: 10_000,
    }
}

impl Rig {
    pub(crate) fn new() -> Self {
        let (recorder, facts) = bus(Clock::start());
        let engine = EngineHandle::start(Settings {
            recorder: recorder.clone(),
            seed: 7,
            workers: None,
            lab: None,
        });
        Self {
            engine: engine.unwrap(),
            recorder,
            facts,
        }
    }

    /// Adds a proxy, and returns where it listens.
    pub(crate) async fn add(&self, spec: ProxySpec) -> Result<SocketAddr, EngineError> {
        match self.engine.apply(Action::AddProxy(spec)).await? {
            Reply::Listening(addr) => Ok(addr),
            Reply::Done(_) => panic!("a proxy was added, but nobody says where it listens"),
        }
    }

    /// A plain proxy `db` in front of a server of the test's own.
    pub(crate) async fn path(&self) -> Path {
        self.path_on(Ipv4Addr::LOCALHOST).await
    }

    /// The same, both listening at `ip`.
    pub(crate) async fn path_on(&self, ip: Ipv4Addr) -> Path {
        let server = TcpListener::bind((ip, 0)).await.unwrap();
        let spec = ProxySpec {
            listen: (ip, 0).into(),
            ..spec("db", server.local_addr().unwrap())
        };
        let proxy = self.add(spec).await.unwrap();
        Path { proxy, server }
    }

    /// Injects a fault, named after its kind, into the proxy `db`.
    pub(crate) async fn inject(&self, kind: &str, params: Value, scope: Scope) {
        let injection = Injection {
            fault: kind.into(),
            occurrence: 0,
            kind: kind.to_owned(),
            params,
            targets: vec!["db".into()],
            scope,
        };
        let action = Action::Inject(injection);
        assert!(matches!(
            self.engine.apply(action).await,
            Ok(Reply::Done(_))
        ));
    }

    /// The same under a name of its own, on every connection.
    pub(crate) async fn inject_as(&self, fault: &Name, kind: &str, params: Value) {
        let injection = Injection {
            fault: fault.clone(),
            occurrence: 0,
            kind: kind.to_owned(),
            params,
            targets: vec!["db".into()],
            scope: Scope::default(),
        };
        let action = Action::Inject(injection);
        assert!(matches!(
            self.engine.apply(action).await,
            Ok(Reply::Done(_))
        ));
    }

    pub(crate) async fn lift(&self, fault: &str) {
        let fault = fault.into();
        let action = Action::Lift { fault };
        assert!(matches!(
            self.engine.apply(action).await,
            Ok(Reply::Done(_))
        ));
    }

    /// Waits for the next fact that `wanted` makes something of; others are passed over, but
    /// trouble fails the test.
    pub(crate) async fn fact<T>(&mut self, mut wanted: impl FnMut(&Fact) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.facts.next().await.expect("the recorder is kept");
                if let Fact::Trouble { message } = &event.fact {
                    panic!("the proxy was in trouble: {message}");
                }
                if let Some(found) = wanted(&event.fact) {
                    return found;
                }
            }
        };
        patiently(search).await
    }

    /// The facts recorded so far and not yet looked at.
    pub(crate) fn facts(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.facts.try_next()).collect()
    }
}

impl Path {
    /// Both ends of a new connection: the client's and the server's.
    pub(crate) async fn connect(&self) -> (TcpStream, TcpStream) {
        let client = patiently(TcpStream::connect(self.proxy)).await.unwrap();
        let (server, _) = patiently(self.server.accept()).await.unwrap();
        (client, server)
    }
}

/// What `future` comes to; a test that waits for long has failed.
pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .expect("something that was waited for did not come")
}
