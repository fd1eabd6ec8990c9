//! Carries out what faults do outside the byte stream, and takes it back.

mod seizure;

use seizure::Knocking;
pub(super) use seizure::Seizure;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::EngineError;
use crate::event::{Fact, Impact, Name, Recorder};
use crate::fault::world::{CommandLine, Grip, Halt};
use crate::lab::guard::Promise;
use crate::lab::{Lab, LabError};
use crate::units::Moment;

/// The hands of the engine outside the byte stream.
#[derive(Debug, Clone)]
pub(super) struct World {
    lab: Arc<Lab>,
    recorder: Recorder,
}

/// What may take long.
#[derive(Debug)]
pub(super) enum Operation {
    /// Brings processes down or to a standstill.
    Halt(Halt),
    /// Runs a command.
    Run(CommandLine),
}

/// How a fault that is in force is taken back.
#[derive(Debug)]
pub(super) enum Undo {
    /// Starts services and servers.
    Start(Vec<Name>),
    /// Continues services.
    Resume(Vec<Name>),
    /// Runs a command.
    Run {
        command: Vec<String>,
        timeout: Duration,
        promise: Promise,
    },
    /// There is nothing to take back.
    Nothing,
}

impl World {
    pub(super) const fn new(lab: Arc<Lab>, recorder: Recorder) -> Self {
        Self { lab, recorder }
    }

    /// The present moment.
    pub(super) fn now(&self) -> Moment {
        self.recorder.clock().now()
    }

    /// Where a service is to listen.
    pub(super) async fn addresses(
        &self,
        fault: &Name,
        service: &str,
    ) -> Result<Vec<SocketAddr>, EngineError> {
        let addresses = self.lab.addresses(service).await;
        addresses.map_err(|source| failed(fault, source))
    }

    /// Holds ports, each under the name of whose it is.
    pub(super) async fn seize(
        &self,
        fault: &Name,
        ports: Vec<(Name, SocketAddr)>,
        grip: Grip,
    ) -> Vec<Seizure> {
        let seizures = ports.into_iter().map(|(target, address)| {
            let (world, fault) = (self.clone(), fault.clone());
            Seizure::begin(
                self.lab.ports(),
                address,
                grip,
                move |knocking| match knocking {
                    Knocking::Seen => world.hit(&fault, &target, Impact::Refused),
                    Knocking::Unseen => world.recorder.record(Fact::RefusalsUncounted {
                        fault: fault.clone(),
                        proxy: target.clone(),
                    }),
                },
            )
        });
        join_all(seizures).await
    }

    /// Lets go of ports.
    pub(super) async fn release(&self, fault: &Name, seizures: Vec<Seizure>) {
        for released in join_all(seizures.into_iter().map(Seizure::release)).await {
            if let Err(never) = released {
                self.trouble(fault, &never);
            }
        }
    }

    /// Does what may take long. What was done before an error can be undone all the same. In a
    /// hurry, a command is ended.
    pub(super) async fn operate(
        &self,
        fault: &Name,
        targets: &[Name],
        operation: Operation,
        hurry: &CancellationToken,
    ) -> (Undo, Result<(), EngineError>) {
        let (undo, result) = match operation {
            Operation::Halt(halt) => self.halt(fault, targets, halt).await,
            Operation::Run(line) => self.run(fault, line, hurry).await,
        };
        (undo, result.map_err(|source| failed(fault, source)))
    }

    /// Takes a fault back. What fails for one target is tried for the others all the same.
    pub(super) async fn undo(&self, fault: &Name, undo: Undo) -> Result<(), EngineError> {
        let undone = self.take_back(fault, undo).await;
        undone.map_err(|source| failed(fault, source))
    }

    /// Brings processes down or to a standstill; one that is down already is left out. What was
    /// done before an error can be undone all the same.
    async fn halt(
        &self,
        fault: &Name,
        targets: &[Name],
        halt: Halt,
    ) -> (Undo, Result<(), LabError>) {
        let mut met = Vec::new();
        let mut result = Ok(());
        for target in targets {
            match self.halt_one(target, halt).await {
                Ok(true) => met.push(target.clone()),
                Ok(false) => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let (impact, undo): (_, fn(_) -> _) = match halt {
            Halt::Stop => (Impact::Withheld, Undo::Resume),
            _ => (Impact::Closed, Undo::Start),
        };
        for target in &met {
            self.hit(fault, target, impact);
        }
        (undo(met), result)
    }

    /// `false`: it is down.
    async fn halt_one(&self, target: &str, halt: Halt) -> Result<bool, LabError> {
        let Some(process) = self.lab.process(target)? else {
            return Ok(false);
        };
        match halt {
            Halt::Kill => process.kill().await?,
            // The guard knows a postmaster and sends it what makes it quit.
            Halt::Terminate | Halt::ImmediateShutdown => process.terminate().await?,
            Halt::Stop => process.pause().await?,
            Halt::FastShutdown => process.interrupt().await?,
        }
        Ok(true)
    }

    /// Runs the command of a fault. One that fails is no fault in force, but its undo stays due.
    async fn run(
        &self,
        fault: &Name,
        line: CommandLine,
        hurry: &CancellationToken,
    ) -> (Undo, Result<(), LabError>) {
        let undo = if line.undo.is_empty() {
            Undo::Nothing
        } else {
            // First of all: from now on there may be something to undo.
            match self.lab.promise(&line.undo, fault).await {
                Err(error) => return (Undo::Nothing, Err(error)),
                Ok(promise) => Undo::Run {
                    command: line.undo,
                    timeout: line.timeout,
                    promise,
                },
            }
        };
        let result = match self.lab.run(&line.run, fault, line.timeout, hurry).await {
            Ok(()) => {
                self.hit(fault, fault, Impact::Altered);
                Ok(())
            }
            other => self.forgive(fault, other),
        };
        (undo, result)
    }

    async fn take_back(&self, fault: &Name, undo: Undo) -> Result<(), LabError> {
        let results = match undo {
            Undo::Start(targets) => {
                join_all(targets.iter().map(|target| self.lab.start_again(target))).await
            }
            Undo::Resume(targets) => {
                join_all(targets.iter().map(|target| self.resume(target))).await
            }
            Undo::Run {
                command,
                timeout,
                promise,
            } => {
                let no_hurry = CancellationToken::new();
                let undone = self.lab.run(&command, fault, timeout, &no_hurry).await;
                self.forgive(fault, undone)?;
                return self.lab.forget(promise).await;
            }
            Undo::Nothing => return Ok(()),
        };
        results.into_iter().collect()
    }

    async fn resume(&self, service: &str) -> Result<(), LabError> {
        match self.lab.process(service)? {
            Some(process) => process.resume().await,
            // It was killed meanwhile: nothing is left to continue.
            None => Ok(()),
        }
    }

    /// Reports a command that failed, and goes on; other errors stay errors.
    fn forgive(&self, fault: &Name, result: Result<(), LabError>) -> Result<(), LabError> {
        match result {
            Err(error @ LabError::Command { .. }) => {
                self.trouble(fault, &error);
                Ok(())
            }
            other => other,
        }
    }

    fn hit(&self, fault: &Name, target: &Name, impact: Impact) {
        self.recorder.record(Fact::FaultHit {
            fault: fault.clone(),
            proxy: target.clone(),
            conn: None,
            impact,
        });
    }

    fn trouble(&self, fault: &Name, error: &dyn std::error::Error) {
        self.recorder.record(Fact::FaultFailed {
            fault: fault.clone(),
            why: error.to_string(),
        });
    }
}

fn failed(fault: &Name, source: LabError) -> EngineError {
    EngineError::Lab {
        fault: fault.clone(),
        source,
    }
}
