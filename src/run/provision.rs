use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::bindings::Bindings;
use super::board::Board;
use super::clients::Clients;
use super::halt::{Halt, Halted};
use super::programs::LabPrograms;
use super::{Options, RunError, system, traffic};
use crate::action::{Action, Protocol, ProxySpec};
use crate::engine::{EngineHandle, Reply, Settings};
use crate::event::{AskedBy, Fact, Name, Recorder};
use crate::lab::spec::{Expectation, ServiceSpec};
use crate::lab::{Lab, port};
use crate::load::spec::WorkloadKind;
use crate::probe::Programs;
use crate::scenario::Plan;

/// Everything that a scenario stands up, and what is needed to take it down again.
pub(super) struct Stage<'a> {
    plan: &'a Plan,
    recorder: Recorder,
    board: Board,
    lab: Arc<Lab>,
    engine: EngineHandle,
    proxies: BTreeMap<Name, (SocketAddr, Protocol)>,
    bindings: Bindings,
    clients: Clients,
    /// Tells what the proxies carry.
    traffic: Option<AbortOnDropHandle<()>>,
    healed: bool,
}

impl<'a> Stage<'a> {
    /// Starts the guard, the engine and the clients' threads; nothing of the scenario yet.
    pub(super) async fn prepare(
        plan: &'a Plan,
        options: &Options,
        recorder: &Recorder,
        board: &Board,
    ) -> Result<Self, RunError> {
        let lab = Lab::start(&options.executable, recorder.clone(), &options.directory).await?;
        let lab = Arc::new(lab);
        Ok(Self {
            plan,
            recorder: recorder.clone(),
            board: board.clone(),
            lab: Arc::clone(&lab),
            engine: EngineHandle::start(Settings {
                recorder: recorder.clone(),
                seed: plan.seed,
                workers: None,
                lab: Some(lab),
            })
            .map_err(|source| system("start the worker threads", source))?,
            proxies: BTreeMap::new(),
            bindings: Bindings::default(),
            clients: Clients::new()
                .map_err(|source| system("start the clients' threads", source))?,
            traffic: None,
            healed: false,
        })
    }

    /// Databases, then proxies and the services' addresses.
    pub(super) async fn open_paths(&mut self) -> Result<(), RunError> {
        self.start_databases().await?;
        self.start_proxies().await?;
        self.bind_services()?;
        self.declare_services()
    }

    /// Services in the order of their dependencies, then clients.
    pub(super) async fn start(&mut self, halt: &Halt) -> Result<(), RunError> {
        self.start_services().await?;
        self.start_clients(halt)
    }

    async fn start_databases(&mut self) -> Result<(), RunError> {
        let lab = &self.lab;
        let starts = self.plan.databases.iter().map(|spec| lab.database(spec));
        for database in try_join_all(starts).await? {
            let (name, address) = (&database.name, database.address);
            self.bindings.bind("database", name, "url", database.url);
            self.bindings.bind("database", name, "address", address);
        }
        Ok(())
    }

    async fn start_proxies(&mut self) -> Result<(), RunError> {
        for (spec, upstream) in &self.plan.proxies {
            self.bind_services()?;
            let spec = ProxySpec {
                upstream: self.bindings.render(upstream)?,
                ..spec.clone()
            };
            let (name, protocol) = (spec.name.clone(), spec.protocol);
            let reply = self.engine.apply(Action::AddProxy(spec)).await?;
            if let Reply::Listening(address) = reply {
                self.bindings
                    .bind("proxy", &name, "address", address.to_string());
                self.proxies.insert(name, (address, protocol));
            }
        }
        let names = self.proxies.keys().cloned().collect();
        let watch = traffic::watch(self.engine.clone(), names, self.recorder.clone());
        self.traffic = Some(AbortOnDropHandle::new(watch));
        Ok(())
    }

    /// Gives services their URLs, so that others may name them: all but those behind a proxy that
    /// is not there yet.
    fn bind_services(&mut self) -> Result<(), RunError> {
        for service in &self.plan.services {
            let bound = format!("service.{}.url", service.name);
            let Ok(url) = self.bindings.render(&service.url) else {
                continue;
            };
            if self.bindings.get(&bound).is_some() {
                continue;
            }
            let url = with_free_port(&url).map_err(|source| system("find a free port", source))?;
            let url = url.trim_end_matches('/');
            let address = url.split_once("://").map_or(url, |(_, address)| address);
            self.bindings
                .bind("service", &service.name, "address", address);
            self.bindings.bind("service", &service.name, "url", url);
        }
        Ok(())
    }

    fn declare_services(&self) -> Result<(), RunError> {
        for service in &self.plan.services {
            let url = self.service_url(&service.name);
            self.lab
                .declare(service, &url, |name| self.bindings.get(name))?;
        }
        Ok(())
    }

    /// Starts services in waves: each wave needs only services of the waves before it.
    async fn start_services(&mut self) -> Result<(), RunError> {
        let services = &self.plan.services;
        let names: BTreeSet<&Name> = services.iter().map(|service| &service.name).collect();
        let mut ready: BTreeSet<&Name> = BTreeSet::new();
        while ready.len() < services.len() {
            let wave: Vec<&ServiceSpec> = services
                .iter()
                .filter(|service| !ready.contains(&service.name))
                .filter(|service| {
                    let needed = service
                        .depends_on
                        .iter()
                        .filter(|name| names.contains(name));
                    needed.into_iter().all(|name| ready.contains(name))
                })
                .collect();
            assert!(!wave.is_empty(), "a plan has no circular dependencies");
            try_join_all(wave.iter().map(|service| self.start_service(service))).await?;
            ready.extend(wave.iter().map(|service| &service.name));
        }
        Ok(())
    }

    async fn start_service(&self, service: &ServiceSpec) -> Result<(), RunError> {
        self.lab.start_service(&service.name).await?;
        match service.expect {
            Expectation::Ready => Ok(self.lab.wait_ready(&service.name).await?),
            Expectation::Exit => Ok(self.lab.watch_readiness(&service.name)?),
        }
    }

    fn start_clients(&mut self, halt: &Halt) -> Result<(), RunError> {
        let plan = self.plan;
        let programs: Arc<dyn Programs> = Arc::new(LabPrograms(Arc::clone(&self.lab)));
        for probe in &plan.probes {
            self.clients
                .probe(probe, &self.bindings, &programs, plan.seed, &self.recorder)?;
        }
        self.start_workloads(|kind| !kind.is_job())?;
        self.clients.watch_aborts(&self.board, &self.recorder, halt);
        Ok(())
    }

    /// Starts the jobs: time zero is theirs, so that the schedule meets them at the same point of
    /// their work in every run.
    pub(super) fn start_jobs(&mut self) -> Result<(), RunError> {
        self.start_workloads(WorkloadKind::is_job)
    }

    fn start_workloads(&mut self, wanted: impl Fn(&WorkloadKind) -> bool) -> Result<(), RunError> {
        let plan = self.plan;
        for workload in plan.workloads.iter().filter(|one| wanted(&one.kind)) {
            let url = self.service_url(&workload.service);
            let ledger = workload
                .kind
                .ledger()
                .and_then(|name| plan.ledgers.iter().find(|ledger| ledger.name == *name));
            self.clients
                .workload(workload, ledger, &url, plan.seed, &self.recorder)?;
        }
        Ok(())
    }

    /// Halts the run if the guard ends.
    pub(super) fn watch_guard(&self, halt: &Halt) -> JoinHandle<()> {
        let (ended, halt) = (self.lab.guard_ended(), halt.clone());
        tokio::spawn(async move {
            ended.await;
            halt.now(Halted::Unguarded);
        })
    }

    /// Lifts every fault. Nothing is injected afterwards.
    pub(super) async fn heal(&mut self, by: AskedBy) -> Result<(), RunError> {
        if std::mem::replace(&mut self.healed, true) {
            return Ok(());
        }
        let heal = Action::HealAll.asked_by(by);
        self.engine.apply(heal).await?;
        self.recorder.record(Fact::HealedAll);
        Ok(())
    }

    /// Ends the traffic, and waits for jobs at most `patience`.
    pub(super) async fn settle(&mut self, patience: Duration, halt: &Halt) {
        self.clients.settle(patience, halt).await;
    }

    /// Takes everything down, in the reverse order of setting up.
    pub(super) async fn strike(self) -> Result<(), RunError> {
        drop(self.traffic);
        self.clients.stop();
        let gone = self.lab.shutdown().await;
        for name in self.proxies.keys() {
            // One that was never added carried nothing.
            if let Ok(totals) = traffic::totals(&self.engine, name).await {
                self.recorder.record(Fact::ProxyTotals(Box::new(totals)));
            }
        }
        self.engine.shutdown().await;
        Ok(gone?)
    }

    pub(super) const fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(super) const fn board(&self) -> &Board {
        &self.board
    }

    pub(super) const fn lab(&self) -> &Arc<Lab> {
        &self.lab
    }

    pub(super) const fn engine(&self) -> &EngineHandle {
        &self.engine
    }

    /// The parameters of a fault with every placeholder filled in.
    pub(super) fn fill_in(&self, params: &Value) -> Result<Value, RunError> {
        Ok(self.bindings.fill_in(params)?)
    }

    /// Where a proxy listens and what it speaks.
    pub(super) fn proxy(&self, name: &str) -> Option<(SocketAddr, Protocol)> {
        self.proxies.get(name).copied()
    }

    fn service_url(&self, name: &str) -> String {
        self.bindings
            .get(&format!("service.{name}.url"))
            .expect("every service was bound")
    }
}

/// `http://127.0.0.1:0/x` with a free port in place of 0; any other URL as it is.
fn with_free_port(url: &str) -> io::Result<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Ok(url.to_owned());
    };
    let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match address.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => {
            Ok(format!("{scheme}://{}{path}", port::free(address)?))
        }
        _ => Ok(url.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_0_becomes_a_free_port_and_other_urls_stay() {
        let filled = with_free_port("http://127.0.0.1:0/x").unwrap();
        let port = filled.strip_prefix("http://127.0.0.1:").unwrap();
        assert_ne!(port.strip_suffix("/x").unwrap().parse::<u16>().unwrap(), 0);
        for url in ["http://127.0.0.1:8020", "http://db.example/x", "nonsense"] {
            assert_eq!(with_free_port(url).unwrap(), url);
        }
    }
}
