//! Carries out actions on proxies and the world, one at a time.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::strand::Strand;
use super::world::{Operation, Seizure, Undo, World};
use super::{EngineError, Reply, Settings};
use crate::action::{Action, Injection, ProxySpec};
use crate::event::{Name, OpenConnection, Recorder};
use crate::fault::world::Grip;
use crate::fault::{self, Armed, WorldOp};
use crate::proxy::{Proxy, Stats, Workers};
use crate::units::Moment;

pub(super) type Answer<T> = oneshot::Sender<Result<T, EngineError>>;

#[derive(Debug)]
pub(super) enum Request {
    Apply(Action, Answer<Reply>),
    Stats(Name, Answer<Stats>),
    Connections(Name, usize, Answer<Vec<OpenConnection>>),
    Shutdown,
}

#[derive(Debug)]
pub(super) struct Actor {
    recorder: Recorder,
    seed: u64,
    workers: Workers,
    proxies: BTreeMap<Name, Proxy>,
    world: Option<World>,
    faults: BTreeMap<Name, InForce>,
    /// Faults outside the byte stream, also those that are no longer in force.
    strands: BTreeMap<Name, Strand>,
}

/// A fault in force at the proxies.
#[derive(Debug)]
struct InForce {
    /// What was asked for.
    injection: Injection,
    /// Proxies on whose connections it acts.
    armed: Vec<Name>,
    /// Proxies whose ports it took.
    seized: Vec<Name>,
    /// The ports that it holds.
    ports: Vec<Seizure>,
}

impl Actor {
    pub(super) fn new(settings: Settings, workers: Workers) -> Self {
        let recorder = settings.recorder;
        Self {
            world: settings.lab.map(|lab| World::new(lab, recorder.clone())),
            recorder,
            seed: settings.seed,
            workers,
            proxies: BTreeMap::new(),
            faults: BTreeMap::new(),
            strands: BTreeMap::new(),
        }
    }

    /// Serves requests until it is told to shut down, or nobody is left who could ask.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            // Whoever asked may have gone: then nobody needs the answer.
            match request {
                Request::Apply(action, reply) => {
                    if let Some((action, reply)) = self.beside(action, reply) {
                        drop(reply.send(self.apply(action).await));
                    }
                }
                Request::Stats(name, reply) => {
                    drop(reply.send(self.proxy(&name).map(|proxy| proxy.stats())));
                }
                Request::Connections(name, most, reply) => {
                    let proxy = self.proxy(&name);
                    drop(reply.send(proxy.map(|proxy| proxy.connections(most))));
                }
                Request::Shutdown => break,
            }
        }
        join_all(self.proxies.values_mut().map(Proxy::disable)).await;
        drop(self.proxies);
        self.workers.stop().await;
    }

    /// Takes on what is done outside the byte stream and may take long; gives back everything else.
    fn beside(&mut self, action: Action, reply: Answer<Reply>) -> Option<(Action, Answer<Reply>)> {
        match action {
            Action::Inject(injection) => match operation(&injection) {
                Some(operation) if !self.is_in_force(&injection.fault) => {
                    self.operate(injection, operation, reply);
                    None
                }
                _ => Some((Action::Inject(injection), reply)),
            },
            Action::Lift { fault } if !self.faults.contains_key(&fault) => {
                self.take_back(fault, reply);
                None
            }
            other => Some((other, reply)),
        }
    }

    async fn apply(&mut self, action: Action) -> Result<Reply, EngineError> {
        let mut since = None;
        match action {
            Action::AddProxy(spec) => return self.add(&spec).await,
            Action::RemoveProxy { proxy } => self.remove(&proxy).await?,
            Action::Inject(injection) => since = Some(self.inject(injection).await?),
            Action::Reconfigure { fault, params } => {
                since = Some(self.reconfigure(&fault, params).await?);
            }
            Action::Lift { fault } => since = Some(self.lift(&fault).await?),
            Action::HealAll => self.heal_all().await?,
            Action::Enable { proxy } => self.proxy(&proxy)?.enable().await?,
            Action::Disable { proxy } => self.proxy(&proxy)?.disable().await,
            Action::CloseConnections { proxy } => self.proxy(&proxy)?.close_connections().await,
        }
        Ok(Reply::Done(since.unwrap_or_else(|| self.now())))
    }

    async fn add(&mut self, spec: &ProxySpec) -> Result<Reply, EngineError> {
        if self.proxies.contains_key(&spec.name) {
            return Err(EngineError::ProxyExists(spec.name.clone()));
        }
        let recorder = self.recorder.clone();
        let proxy = Proxy::start(spec, &self.workers, recorder, self.seed).await?;
        let addr = proxy.addr();
        self.proxies.insert(spec.name.clone(), proxy);
        Ok(Reply::Listening(addr))
    }

    async fn remove(&mut self, name: &Name) -> Result<(), EngineError> {
        self.proxy(name)?.disable().await;
        self.proxies.remove(name);
        for fault in self.faults.values_mut() {
            fault.armed.retain(|proxy| proxy != name);
            fault.seized.retain(|proxy| proxy != name);
        }
        Ok(())
    }

    async fn inject(&mut self, injection: Injection) -> Result<Moment, EngineError> {
        if self.is_in_force(&injection.fault) {
            return Err(EngineError::FaultExists(injection.fault));
        }
        let armed = build(&injection)?;
        match armed.effects.world {
            Some(WorldOp::Seize(grip)) => self.seize(injection, grip).await,
            _ => self.arm(injection, armed).await,
        }
    }

    fn is_in_force(&self, fault: &Name) -> bool {
        let beside = self.strands.get(fault);
        self.faults.contains_key(fault) || beside.is_some_and(|strand| strand.in_force)
    }

    /// Puts a fault in force on the connections of proxies. Tries every one before it reports the
    /// first that failed.
    async fn arm(&mut self, injection: Injection, armed: Armed) -> Result<Moment, EngineError> {
        let proxies = injection.targets.clone();
        for name in &proxies {
            self.proxy(name)?;
        }
        let in_force = InForce {
            injection,
            armed: proxies.clone(),
            seized: Vec::new(),
            ports: Vec::new(),
        };
        self.faults.insert(armed.fault.clone(), in_force);
        let mut result = Ok(Moment::ZERO);
        for name in proxies {
            let armed = self.proxy(&name)?.arm(armed.clone()).await;
            let armed = armed.map_err(port(&name));
            result = result.and_then(|since| Ok(since.max(armed?)));
        }
        result
    }

    async fn reconfigure(&mut self, fault: &Name, params: Value) -> Result<Moment, EngineError> {
        let Some(in_force) = self.faults.get_mut(fault) else {
            return Err(EngineError::UnknownFault(fault.clone()));
        };
        let changed = Injection {
            params,
            ..in_force.injection.clone()
        };
        let Armed { effects, .. } = build(&changed)?;
        if !fault::kind(&changed.kind).is_some_and(|kind| kind.ramps) {
            let message = format!("a `{}` cannot change while it is in force", changed.kind);
            let fault = fault.clone();
            return Err(EngineError::BadFault { fault, message });
        }
        in_force.injection = changed;
        let mut result = Ok(Moment::ZERO);
        for name in in_force.armed.clone() {
            let revised = self.proxy(&name)?.revise(fault, &effects).await;
            let revised = revised.map_err(port(&name));
            result = result.and_then(|since| Ok(since.max(revised?)));
        }
        result
    }

    /// Takes ports, those of proxies from themselves.
    async fn seize(&mut self, injection: Injection, grip: Grip) -> Result<Moment, EngineError> {
        let fault = injection.fault.clone();
        let world = self.world(&fault)?.clone();
        let mut seized = Vec::new();
        let mut ports = Vec::new();
        for target in &injection.targets {
            let addresses = match self.proxies.get(target) {
                Some(proxy) => {
                    seized.push(target.clone());
                    vec![proxy.addr()]
                }
                None => world.addresses(&fault, target).await?,
            };
            ports.extend(addresses.into_iter().map(|one| (target.clone(), one)));
        }
        for name in &seized {
            self.proxy(name)?.disable().await;
        }
        let in_force = InForce {
            injection,
            armed: Vec::new(),
            seized,
            ports: world.seize(&fault, ports, grip).await,
        };
        self.faults.insert(fault, in_force);
        Ok(self.now())
    }

    /// Puts a fault in force outside the byte stream, beside everything else.
    fn operate(&mut self, injection: Injection, operation: Operation, reply: Answer<Reply>) {
        let world = match self.world(&injection.fault) {
            Ok(world) => world.clone(),
            Err(error) => return drop(reply.send(Err(error))),
        };
        let strand = self.strands.entry(injection.fault.clone()).or_default();
        strand.in_force = true;
        let hurry = strand.hurry.clone();
        strand.then(move |_nothing| async move {
            let Injection { fault, targets, .. } = injection;
            let (undo, result) = world.operate(&fault, &targets, operation, &hurry).await;
            drop(reply.send(result.map(|()| Reply::Done(world.now()))));
            undo
        });
    }

    /// Ends a fault outside the byte stream, beside everything else.
    fn take_back(&mut self, fault: Name, reply: Answer<Reply>) {
        let strand = self.strands.get_mut(&fault);
        let (Some(strand), Some(world)) = (strand.filter(|one| one.in_force), &self.world) else {
            return drop(reply.send(Err(EngineError::UnknownFault(fault))));
        };
        let world = world.clone();
        strand.in_force = false;
        strand.then(move |undo| async move {
            let undone = world.undo(&fault, undo).await;
            drop(reply.send(undone.map(|()| Reply::Done(world.now()))));
            Undo::Nothing
        });
    }

    /// Tries everything before it reports the first that failed.
    async fn lift(&mut self, fault: &Name) -> Result<Moment, EngineError> {
        let Some(in_force) = self.faults.remove(fault) else {
            return Err(EngineError::UnknownFault(fault.clone()));
        };
        let mut result = Ok(Moment::ZERO);
        if let Some(world) = self.world.as_ref().filter(|_| !in_force.ports.is_empty()) {
            world.release(fault, in_force.ports).await;
            result = Ok(world.now());
        }
        for name in in_force.seized {
            // Who seized the port as well gives it back at the end.
            if self
                .faults
                .values()
                .any(|other| other.seized.contains(&name))
            {
                continue;
            }
            let enabled = self.proxy(&name)?.enable().await;
            result = result.and(enabled.map(|()| self.now()).map_err(Into::into));
        }
        for name in in_force.armed {
            let lifted = self.proxy(&name)?.lift(fault).await;
            let lifted = lifted.map_err(port(&name));
            result = result.and_then(|since| Ok(since.max(lifted?)));
        }
        result
    }

    /// Tries every fault before it reports the first that failed; what is done outside the byte
    /// stream is done all at once.
    async fn heal_all(&mut self) -> Result<(), EngineError> {
        let mut answers = Vec::new();
        self.strands
            .values()
            .for_each(|strand| strand.hurry.cancel());
        let outside = self.strands.iter().filter(|(_, strand)| strand.in_force);
        let outside: Vec<Name> = outside.map(|(fault, _)| fault.clone()).collect();
        for fault in outside {
            let (reply, answer) = oneshot::channel();
            self.take_back(fault, reply);
            answers.push(answer);
        }
        let mut result = Ok(());
        let faults: Vec<Name> = self.faults.keys().cloned().collect();
        for fault in faults {
            result = result.and(self.lift(&fault).await.map(drop));
        }
        for answer in join_all(answers).await {
            let answer = answer.unwrap_or(Err(EngineError::Stopped));
            result = result.and(answer.map(drop));
        }
        // Also those that were on their way already.
        for (_, strand) in std::mem::take(&mut self.strands) {
            strand.ended().await;
        }
        result
    }

    fn now(&self) -> Moment {
        self.recorder.clock().now()
    }

    fn world(&self, fault: &Name) -> Result<&World, EngineError> {
        self.world.as_ref().ok_or_else(|| EngineError::BadFault {
            fault: fault.clone(),
            message: "there is no lab that it could act on".to_owned(),
        })
    }

    fn proxy(&mut self, name: &Name) -> Result<&mut Proxy, EngineError> {
        if !self.proxies.contains_key(name) {
            return Err(EngineError::UnknownProxy {
                name: name.clone(),
                known: self.proxies.keys().cloned().collect(),
            });
        }
        Ok(self
            .proxies
            .get_mut(name)
            .expect("its presence was just checked"))
    }
}

/// What a fault does outside the byte stream that may take long; `None` for what it does at the
/// proxies, and for one that cannot be built.
fn operation(injection: &Injection) -> Option<Operation> {
    match build(injection).ok()?.effects.world? {
        WorldOp::Seize(_) => None,
        WorldOp::Halt(halt) => Some(Operation::Halt(halt)),
        WorldOp::Run(line) => Some(Operation::Run(line)),
    }
}

fn port(proxy: &Name) -> impl Fn(std::io::Error) -> EngineError {
    let proxy = proxy.clone();
    move |source| EngineError::Port {
        proxy: proxy.clone(),
        source,
    }
}
/// Turns a wish into a fault that can be armed, or says why it cannot be.
fn build(injection: &Injection) -> Result<Armed, EngineError> {
    let Injection {
        fault,
        occurrence,
        kind,
        params,
        targets: _,
        scope,
    } = injection;
    let Some(found) = fault::kind(kind) else {
        return Err(EngineError::UnknownKind(kind.clone()));
    };
    let bad = |message: String| EngineError::BadFault {
        fault: fault.clone(),
        message,
    };
    let effects = (found.build)(params).map_err(|error| bad(error.to_string()))?;
    if let Some(why) = fault::objection(&effects, scope) {
        return Err(bad(why.to_owned()));
    }
    Ok(Armed {
        fault: fault.clone(),
        occurrence: *occurrence,
        scope: scope.clone(),
        first_new: 0,
        since: Moment::ZERO,
        revision: 0,
        effects,
    })
}
