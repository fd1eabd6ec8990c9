//! Faults outside the byte stream, on real ports, processes and PostgreSQL servers.

mod processes;
mod programs;
mod seizure;

use std::sync::Arc;
use std::time::Duration;

use chaosproxy::action::{Action, Injection};
use chaosproxy::engine::{EngineHandle, Settings};
use chaosproxy::event::{Fact, Name, ServiceChange, Stream, bus};
use chaosproxy::fault::Scope;
use chaosproxy::lab::spec::{Expectation, LogSource, ServiceSpec};
use chaosproxy::lab::{Lab, port};
use chaosproxy::template::Template;
use chaosproxy::units::Clock;
use serde_json::Value;

use crate::support::exe;
use crate::support::rig::patiently;

/// A lab, and an engine that acts on it.
struct Bench {
    lab: Arc<Lab>,
    engine: EngineHandle,
    stream: Stream,
    report: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let report = tempfile::tempdir().unwrap();
        let (recorder, stream) = bus(Clock::start());
        let lab = Lab::start(exe(), recorder.clone(), report.path()).await;
        let lab = Arc::new(lab.unwrap());
        let engine = EngineHandle::start(Settings {
            recorder,
            seed: 7,
            workers: None,
            lab: Some(Arc::clone(&lab)),
        });
        Self {
            lab,
            engine: engine.unwrap(),
            stream,
            report,
        }
    }

    /// Declares a service on a free port; `{{url}}` and `{{address}}` in its command are its own.
    /// Gives the address.
    fn declare(&self, name: &str, command: &[&str]) -> std::net::SocketAddr {
        let address = port::free("127.0.0.1:0".parse().unwrap()).unwrap();
        self.declare_at(name, address, &address.to_string(), command);
        address
    }

    /// Declares a service whose address is written as `authority`.
    fn declare_at(
        &self,
        name: &str,
        address: std::net::SocketAddr,
        authority: &str,
        command: &[&str],
    ) {
        let word = |word: &&str| Template::parse(word).unwrap();
        let spec = ServiceSpec {
            name: name.into(),
            url: word(&&*format!("http://{authority}")),
            command: (!command.is_empty()).then(|| command.iter().map(word).collect()),
            env: [].into(),
            working_directory: None,
            ready: None,
            ready_timeout: Duration::from_secs(10),
            expect: Expectation::Ready,
            log: LogSource::Both,
            depends_on: Vec::new(),
        };
        let lookup = |_: &str| Some(address.to_string());
        self.lab.declare(&spec, spec.url.as_str(), lookup).unwrap();
    }

    /// Starts the smallest reference server.
    async fn start_server(&self, name: &str) -> std::net::SocketAddr {
        let command = [
            "chaosproxy",
            "demo",
            "embeddings",
            "--listen",
            "{{address}}",
        ];
        let address = self.declare(name, &command);
        self.lab.start_service(name).await.unwrap();
        self.lab.wait_ready(name).await.unwrap();
        address
    }

    /// Injects a fault that has the name of its kind.
    async fn inject(&self, kind: &str, params: Value, targets: &[&str]) {
        self.inject_as(kind, kind, params, targets).await;
    }

    async fn inject_as(&self, fault: &str, kind: &str, params: Value, targets: &[&str]) {
        let injection = Injection {
            fault: fault.into(),
            occurrence: 0,
            kind: kind.to_owned(),
            params,
            targets: targets.iter().map(|target| Name::from(*target)).collect(),
            scope: Scope::default(),
        };
        let action = Action::Inject(injection);
        patiently(self.engine.apply(action)).await.unwrap();
    }

    async fn lift(&self, fault: &str) {
        let fault = fault.into();
        let action = Action::Lift { fault };
        patiently(self.engine.apply(action)).await.unwrap();
    }

    /// Waits for the next fact that `wanted` makes something of.
    async fn fact<T>(&mut self, mut wanted: impl FnMut(&Fact) -> Option<T>) -> T {
        patiently(async {
            loop {
                let event = self.stream.next().await.unwrap();
                if let Some(found) = wanted(&event.fact) {
                    return found;
                }
            }
        })
        .await
    }

    /// The trouble that is reported next, before any other fact but edges.
    async fn trouble(&mut self) -> String {
        self.fact(|fact| match fact {
            Fact::FaultFailed { fault, why } => Some(format!("fault `{fault}`: {why}")),
            Fact::FaultEdge { .. } | Fact::FaultInForce { .. } => None,
            other => panic!("{other:?}"),
        })
        .await
    }

    /// Waits until a service has changed as told.
    async fn change(&mut self, name: &str, expected: &ServiceChange) {
        self.fact(|fact| match fact {
            Fact::Service { service, change } if **service == *name => {
                (change == expected).then_some(())
            }
            _ => None,
        })
        .await;
    }

    /// Waits until a service has ended with exit code 1 and has logged something that contains
    /// `text`; the two come in any order.
    async fn failure(&mut self, text: &str) {
        let failed = ServiceChange::Exited("exit code 1".to_owned());
        let (mut said, mut ended) = (false, false);
        while !(said && ended) {
            self.fact(|fact| {
                match fact {
                    Fact::Log { line, .. } => said |= line.contains(text),
                    Fact::Service { change, .. } => ended |= *change == failed,
                    _ => {}
                }
                Some(())
            })
            .await;
        }
    }

    /// The targets that were hit, among the facts recorded so far and not yet looked at.
    fn hits(&mut self) -> Vec<String> {
        let hits = self.facts().into_iter().filter_map(|fact| match fact {
            Fact::FaultHit { proxy, .. } => Some(proxy.to_string()),
            _ => None,
        });
        hits.collect()
    }

    /// The facts recorded so far and not yet looked at.
    fn facts(&mut self) -> Vec<Fact> {
        let events = std::iter::from_fn(|| self.stream.try_next());
        events.map(|event| event.fact).collect()
    }

    async fn shutdown(self) {
        patiently(self.engine.shutdown()).await;
        patiently(self.lab.shutdown()).await.unwrap();
    }
}
