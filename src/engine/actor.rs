use std::collections::BTreeMap;

use futures_util::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::{EngineError, Reply};
use crate::action::{Action, Injection, ProxySpec};
use crate::event::{Name, Recorder};
use crate::fault::{self, Armed, ListenerPolicy};
use crate::proxy::{Proxy, Stats, Workers};
use crate::units::Share;

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
    /// Faults in force, each with its proxy.
    faults: BTreeMap<Name, Name>,
}

impl Actor {
    pub(super) const fn new(recorder: Recorder, seed: u64, workers: Workers) -> Self {
        Self {
            recorder,
            seed,
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
        self.faults.retain(|_, proxy| proxy != name);
        Ok(())
    }

    async fn inject(&mut self, injection: Injection) -> Result<(), EngineError> {
        if self.faults.contains_key(&injection.fault) {
            return Err(EngineError::FaultExists(injection.fault));
        }
        let name = injection.proxy.clone();
        self.proxy(&name)?;
        let armed = build(injection)?;
        self.faults.insert(armed.fault.clone(), name.clone());
        self.proxy(&name)?
            .arm(armed)
            .await
            .map_err(|source| EngineError::Port {
                proxy: name,
                source,
            })
    }

    async fn lift(&mut self, fault: Name) -> Result<(), EngineError> {
        let Some(name) = self.faults.remove(&fault) else {
            return Err(EngineError::UnknownFault(fault));
        };
        self.proxy(&name)?
            .lift(&fault)
            .await
            .map_err(|source| EngineError::Port {
                proxy: name,
                source,
            })
    }

    /// Tries every proxy before it reports the first that failed.
    async fn heal_all(&mut self) -> Result<(), EngineError> {
        self.faults.clear();
        let healed = self.proxies.iter_mut().map(|(name, proxy)| async move {
            proxy.heal().await.map_err(|source| EngineError::Port {
                proxy: name.clone(),
                source,
            })
        });
        let results = join_all(healed).await;
        results.into_iter().collect()
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
        proxy: _,
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
    if effects.listener == Some(ListenerPolicy::Refuse) && scope.percent < Share::ALL {
        return Err(bad(
            "a port refuses everybody or nobody: leave `percent` out, or reject instead".to_owned(),
        ));
    }
    Ok(Armed {
        fault,
        occurrence,
        scope,
        first_new: 0,
        effects,
    })
}
