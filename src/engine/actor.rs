//! Carries out actions on proxies and the world, one at a time.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::world::{Operation, Seizure, Undo, World};
use super::world_task::WorldTask;
use super::{EngineError, Reply, Settings};
use crate::action::{Action, Injection, Order, ProxySpec};
use crate::event::{AskedBy, Edge, Fact, Name, OpenConnection, Recorder};
use crate::fault::world::Grip;
use crate::fault::{self, Armed, WorldOp};
use crate::proxy::{Proxy, Stats, Workers};
use crate::units::Moment;

pub(super) type Answer<T> = oneshot::Sender<Result<T, EngineError>>;

#[derive(Debug)]
pub(super) enum Request {
    Apply(Box<Order>, Answer<Reply>),
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
    outside: BTreeMap<Name, WorldTask>,
}

/// A fault in force at the proxies.
#[derive(Debug)]
struct InForce {
    /// What was asked for.
    injection: Injection,
    /// Its parameters when they were last recorded.
    recorded: Value,
    /// Proxies on whose connections it acts.
    armed: Vec<Name>,
    /// Proxies whose ports it took.
    seized: Vec<Name>,
    /// The ports that it holds.
    ports: Vec<Seizure>,
}

/// What is recorded of an order besides what it asks for.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    by: AskedBy,
    planned: Option<Moment>,
    decided: Moment,
}

impl Stamp {
    fn edge(self, edge: Edge, fault: &Name, occurrence: u32) -> Fact {
        Fact::FaultEdge {
            fault: fault.clone(),
            edge,
            occurrence,
            planned: self.planned,
            decided: self.decided,
            by: self.by,
        }
    }
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
            outside: BTreeMap::new(),
        }
    }

    /// Serves requests until it is asked to shut down, or the last handle is gone.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            // Whoever asked may have gone: then nobody needs the answer.
            match request {
                Request::Apply(order, reply) => self.take(*order, reply).await,
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

    /// Carries out an order and answers it. What is done outside the byte stream may take long: it
    /// goes on beside what comes next.
    async fn take(&mut self, order: Order, reply: Answer<Reply>) {
        let stamp = Stamp {
            by: order.by,
            planned: order.planned,
            decided: self.now(),
        };
        match order.action {
            Action::Inject(injection) => self.inject(injection, stamp, reply).await,
            Action::Lift { fault } if !self.faults.contains_key(&fault) => {
                self.take_back(fault, stamp, reply);
            }
            other => drop(reply.send(self.apply(other, stamp).await)),
        }
    }

    async fn apply(&mut self, action: Action, stamp: Stamp) -> Result<Reply, EngineError> {
        let mut since = None;
        match action {
            Action::AddProxy(spec) => return self.add(&spec).await,
            Action::RemoveProxy { proxy } => self.remove(&proxy).await?,
            Action::Inject(_) => unreachable!("injections are answered where they are taken up"),
            Action::Reconfigure {
                fault,
                params,
                minor,
            } => since = Some(self.reconfigure(&fault, params, minor, stamp).await?),
            Action::Lift { fault } => since = Some(self.lift(&fault, stamp).await?),
            Action::HealAll => self.heal_all(stamp).await?,
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

    async fn inject(&mut self, injection: Injection, stamp: Stamp, reply: Answer<Reply>) {
        let built = if self.is_in_force(&injection.fault) {
            Err(EngineError::FaultExists(injection.fault.clone()))
        } else {
            build(&injection)
        };
        let mut armed = match built {
            Ok(armed) => armed,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let (fault, occurrence) = (injection.fault.clone(), injection.occurrence);
        let done = match armed.effects.world.take() {
            Some(WorldOp::Halt(halt)) => {
                return self.operate(injection, Operation::Halt(halt), stamp, reply);
            }
            Some(WorldOp::Run(line)) => {
                return self.operate(injection, Operation::Run(line), stamp, reply);
            }
            Some(WorldOp::Seize(grip)) => self.seize(injection, grip, stamp).await,
            None => self.arm(injection, armed, stamp).await,
        };
        if let Ok(since) = done {
            let in_force = Fact::FaultInForce { fault, occurrence };
            self.recorder.record_at(since, in_force);
        }
        drop(reply.send(done.map(Reply::Done)));
    }

    fn record_injection(&self, injection: &Injection, stamp: Stamp) {
        let edge = stamp.edge(Edge::Inject, &injection.fault, injection.occurrence);
        self.recorder.record_at(stamp.decided, edge);
    }

    fn is_in_force(&self, fault: &Name) -> bool {
        let outside = self.outside.get(fault);
        self.faults.contains_key(fault) || outside.is_some_and(|task| task.in_force)
    }

    /// Puts a fault in force on the connections of proxies. Tries every one before it reports the
    /// first that failed.
    async fn arm(
        &mut self,
        injection: Injection,
        armed: Armed,
        stamp: Stamp,
    ) -> Result<Moment, EngineError> {
        let proxies = injection.targets.clone();
        for name in &proxies {
            self.proxy(name)?;
        }
        self.record_injection(&injection, stamp);
        let in_force = InForce {
            recorded: injection.params.clone(),
            injection,
            armed: proxies.clone(),
            seized: Vec::new(),
            ports: Vec::new(),
        };
        self.faults.insert(armed.fault.clone(), in_force);
        let mut result = Ok(stamp.decided);
        for name in proxies {
            let armed = self.proxy(&name)?.arm(armed.clone()).await;
            let armed = armed.map_err(port(&name));
            result = result.and_then(|since| Ok(since.max(armed?)));
        }
        result
    }

    async fn reconfigure(
        &mut self,
        fault: &Name,
        params: Value,
        minor: bool,
        stamp: Stamp,
    ) -> Result<Moment, EngineError> {
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
        let occurrence = changed.occurrence;
        let values = differing(&in_force.recorded, &changed.params);
        let record = !minor && !values.is_empty();
        if record {
            in_force.recorded = changed.params.clone();
        }
        in_force.injection = changed;
        let mut result = Ok(stamp.decided);
        for name in in_force.armed.clone() {
            let revised = self.proxy(&name)?.revise(fault, &effects).await;
            let revised = revised.map_err(port(&name));
            result = result.and_then(|since| Ok(since.max(revised?)));
        }
        if let (Ok(since), true) = (&result, record) {
            let moved = Fact::FaultMoved {
                fault: fault.clone(),
                occurrence,
                values,
                planned: stamp.planned,
                by: stamp.by,
            };
            self.recorder.record_at(*since, moved);
        }
        result
    }

    /// Takes ports, those of proxies from themselves.
    async fn seize(
        &mut self,
        injection: Injection,
        grip: Grip,
        stamp: Stamp,
    ) -> Result<Moment, EngineError> {
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
        self.record_injection(&injection, stamp);
        for name in &seized {
            self.proxy(name)?.disable().await;
        }
        let in_force = InForce {
            recorded: injection.params.clone(),
            injection,
            armed: Vec::new(),
            seized,
            ports: world.seize(&fault, ports, grip).await,
        };
        self.faults.insert(fault, in_force);
        Ok(self.now())
    }

    /// Puts a fault in force outside the byte stream, beside everything else.
    fn operate(
        &mut self,
        injection: Injection,
        operation: Operation,
        stamp: Stamp,
        reply: Answer<Reply>,
    ) {
        let world = match self.world(&injection.fault) {
            Ok(world) => world.clone(),
            Err(error) => return drop(reply.send(Err(error))),
        };
        self.record_injection(&injection, stamp);
        let recorder = self.recorder.clone();
        let occurrence = injection.occurrence;
        let task = self.outside.entry(injection.fault.clone()).or_default();
        (task.in_force, task.occurrence) = (true, occurrence);
        let hurry = task.hurry.clone();
        task.then(move |_nothing| async move {
            let Injection { fault, targets, .. } = injection;
            let (undo, result) = world.operate(&fault, &targets, operation, &hurry).await;
            let done = result.map(|()| world.now());
            if let Ok(since) = done {
                recorder.record_at(since, Fact::FaultInForce { fault, occurrence });
            }
            drop(reply.send(done.map(Reply::Done)));
            undo
        });
    }

    /// Ends a fault outside the byte stream, beside everything else.
    fn take_back(&mut self, fault: Name, stamp: Stamp, reply: Answer<Reply>) {
        let task = self.outside.get_mut(&fault);
        let (Some(task), Some(world)) = (task.filter(|one| one.in_force), &self.world) else {
            return drop(reply.send(Err(EngineError::UnknownFault(fault))));
        };
        let world = world.clone();
        task.in_force = false;
        let (recorder, edge) = (
            self.recorder.clone(),
            stamp.edge(Edge::Lift, &fault, task.occurrence),
        );
        task.then(move |undo| async move {
            let undone = world.undo(&fault, undo).await.map(|()| world.now());
            if let Ok(gone) = undone {
                recorder.record_at(gone, edge);
            }
            drop(reply.send(undone.map(Reply::Done)));
            Undo::Nothing
        });
    }

    /// Tries everything before it reports the first that failed.
    async fn lift(&mut self, fault: &Name, stamp: Stamp) -> Result<Moment, EngineError> {
        let Some(in_force) = self.faults.remove(fault) else {
            return Err(EngineError::UnknownFault(fault.clone()));
        };
        let edge = stamp.edge(Edge::Lift, fault, in_force.injection.occurrence);
        let mut result = Ok(stamp.decided);
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
        if let Ok(gone) = result {
            self.recorder.record_at(gone, edge);
        }
        result
    }

    /// Tries every fault before it reports the first that failed; what is done outside the byte
    /// stream is done all at once.
    async fn heal_all(&mut self, stamp: Stamp) -> Result<(), EngineError> {
        let mut answers = Vec::new();
        self.outside.values().for_each(|task| task.hurry.cancel());
        let outside = self.outside.iter().filter(|(_, task)| task.in_force);
        let outside: Vec<Name> = outside.map(|(fault, _)| fault.clone()).collect();
        for fault in outside {
            let (reply, answer) = oneshot::channel();
            self.take_back(fault, stamp, reply);
            answers.push(answer);
        }
        let mut result = Ok(());
        let faults: Vec<Name> = self.faults.keys().cloned().collect();
        for fault in faults {
            result = result.and(self.lift(&fault, stamp).await.map(drop));
        }
        for answer in join_all(answers).await {
            let answer = answer.unwrap_or(Err(EngineError::Stopped));
            result = result.and(answer.map(drop));
        }
        // Also those that were on their way already.
        for (_, task) in std::mem::take(&mut self.outside) {
            task.ended().await;
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

/// The parameters whose values differ from those `before`.
fn differing(before: &Value, now: &Value) -> BTreeMap<String, Value> {
    let now = now.as_object().into_iter().flatten();
    let moved = now.filter(|(name, value)| before.get(name) != Some(value));
    moved
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
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
