use std::collections::BTreeMap;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::world::{Undo, World};
use super::{EngineError, Reply, Settings};
use crate::action::{Action, Injection, ProxySpec};
use crate::event::{Name, Recorder};
use crate::fault::{self, Armed, WorldOp};
use crate::proxy::{Proxy, Stats, Workers};
use crate::units::Moment;

type Answer<T> = oneshot::Sender<Result<T, EngineError>>;

#[derive(Debug)]
pub(super) enum Request {
    Apply(Action, Answer<Reply>),
    Stats(Name, Answer<Stats>),
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
}

/// A fault in force.
#[derive(Debug)]
struct InForce {
    /// Proxies on whose connections it acts.
    armed: Vec<Name>,
    /// Proxies whose ports it took.
    seized: Vec<Name>,
    /// How the rest is taken back.
    undo: Undo,
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
        }
    }

    /// Serves requests until it is told to shut down, or nobody is left who could ask.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            // Whoever asked may have gone: then nobody needs the answer.
            match request {
                Request::Apply(action, reply) => drop(reply.send(self.apply(action).await)),
                Request::Stats(name, reply) => {
                    drop(reply.send(self.proxy(&name).map(|proxy| proxy.stats())));
                }
                Request::Shutdown => break,
            }
        }
        join_all(self.proxies.values_mut().map(Proxy::disable)).await;
        drop(self.proxies);
        self.workers.stop().await;
    }

    async fn apply(&mut self, action: Action) -> Result<Reply, EngineError> {
        match action {
            Action::AddProxy(spec) => return self.add(&spec),
            Action::RemoveProxy { proxy } => self.remove(&proxy).await?,
            Action::Inject(injection) => self.inject(injection).await?,
            Action::Lift { fault } => self.lift(fault).await?,
            Action::HealAll => self.heal_all().await?,
            Action::Enable { proxy } => self.proxy(&proxy)?.enable().await?,
            Action::Disable { proxy } => self.proxy(&proxy)?.disable().await,
            Action::CloseConnections { proxy } => self.proxy(&proxy)?.close_connections().await,
        }
        Ok(Reply::Done)
    }

    fn add(&mut self, spec: &ProxySpec) -> Result<Reply, EngineError> {
        if self.proxies.contains_key(&spec.name) {
            return Err(EngineError::ProxyExists(spec.name.clone()));
        }
        let proxy = Proxy::start(spec, &self.workers, self.recorder.clone(), self.seed)?;
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

    async fn inject(&mut self, injection: Injection) -> Result<(), EngineError> {
        if self.faults.contains_key(&injection.fault) {
            return Err(EngineError::FaultExists(injection.fault));
        }
        let targets = injection.targets.clone();
        let mut armed = build(injection)?;
        match armed.effects.world.take() {
            Some(op) => self.operate(armed.fault, targets, op).await,
            None => self.arm(armed, targets).await,
        }
    }

    /// Puts a fault in force on the connections of proxies.
    async fn arm(&mut self, armed: Armed, proxies: Vec<Name>) -> Result<(), EngineError> {
        for name in &proxies {
            self.proxy(name)?;
        }
        let in_force = InForce {
            armed: proxies.clone(),
            seized: Vec::new(),
            undo: Undo::Nothing,
        };
        self.faults.insert(armed.fault.clone(), in_force);
        for name in proxies {
            let armed = self.proxy(&name)?.arm(armed.clone()).await;
            armed.map_err(|source| EngineError::Port {
                proxy: name,
                source,
            })?;
        }
        Ok(())
    }

    /// Puts a fault in force outside the byte stream.
    async fn operate(
        &mut self,
        fault: Name,
        targets: Vec<Name>,
        op: WorldOp,
    ) -> Result<(), EngineError> {
        let Some(world) = self.world.clone() else {
            let message = "there is no lab that it could act on".to_owned();
            return Err(EngineError::BadFault { fault, message });
        };
        let failed = |source| EngineError::Lab {
            fault: fault.clone(),
            source,
        };
        let mut seized = Vec::new();
        let (undo, result) = match op {
            WorldOp::Seize(grip) => {
                let mut ports = Vec::new();
                for target in targets {
                    let address = match self.proxies.get(&target) {
                        Some(proxy) => {
                            seized.push(target.clone());
                            proxy.addr()
                        }
                        None => world.address(&target).await.map_err(failed)?,
                    };
                    ports.push((target, address));
                }
                for name in &seized {
                    self.proxy(name)?.disable().await;
                }
                (world.seize(&fault, ports, grip), Ok(()))
            }
            WorldOp::Halt(halt) => world.halt(&fault, &targets, halt).await,
            WorldOp::Run(line) => world.run(&fault, line).await,
        };
        let in_force = InForce {
            armed: Vec::new(),
            seized,
            undo,
        };
        self.faults.insert(fault.clone(), in_force);
        result.map_err(failed)
    }

    async fn lift(&mut self, fault: Name) -> Result<(), EngineError> {
        let Some(in_force) = self.faults.remove(&fault) else {
            return Err(EngineError::UnknownFault(fault));
        };
        self.take_back(&fault, in_force).await
    }

    /// Tries everything before it reports the first that failed.
    async fn take_back(&mut self, fault: &Name, in_force: InForce) -> Result<(), EngineError> {
        let mut result = Ok(());
        if let Some(world) = &self.world {
            let undone = world.undo(fault, in_force.undo).await;
            result = undone.map_err(|source| EngineError::Lab {
                fault: fault.clone(),
                source,
            });
        }
        for name in in_force.seized {
            let enabled = self.proxy(&name)?.enable().await;
            result = result.and(enabled.map_err(Into::into));
        }
        for name in in_force.armed {
            let lifted = self.proxy(&name)?.lift(fault).await;
            result = result.and(lifted.map_err(|source| EngineError::Port {
                proxy: name,
                source,
            }));
        }
        result
    }

    /// Tries every fault before it reports the first that failed.
    async fn heal_all(&mut self) -> Result<(), EngineError> {
        let mut result = Ok(());
        for (fault, in_force) in std::mem::take(&mut self.faults) {
            result = result.and(self.take_back(&fault, in_force).await);
        }
        result
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

/// Turns a wish into a fault that can be armed, or says why it cannot be.
fn build(injection: Injection) -> Result<Armed, EngineError> {
    let Injection {
        fault,
        occurrence,
        kind,
        params,
        targets: _,
        scope,
    } = injection;
    let Some(found) = fault::kind(&kind) else {
        return Err(EngineError::UnknownKind(kind));
    };
    let bad = |message: String| EngineError::BadFault {
        fault: fault.clone(),
        message,
    };
    let effects = (found.build)(&params).map_err(|error| bad(error.to_string()))?;
    if let Some(why) = fault::objection(&effects, &scope) {
        return Err(bad(why.to_owned()));
    }
    Ok(Armed {
        fault,
        occurrence,
        scope,
        first_new: 0,
        since: Moment::ZERO,
        effects,
    })
}
