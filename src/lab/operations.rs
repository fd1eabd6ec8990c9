//! What faults do to the lab from outside the byte stream: to the processes of services, to managed
//! database servers, by commands. Only what the lab itself started is ever touched.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::guard::{Child, Kind, Launch, Promise};
use super::postgres::Server;
use super::{Lab, LabError, LogTail, lock};
use crate::event::Fact;
use crate::sys::net;

/// How long a command that took too long may take to end.
const COMMAND_GRACE: Duration = Duration::from_secs(1);

impl Lab {
    /// Where a service is to listen: at every address that its host stands for and this machine has;
    /// at all of them if it has none.
    pub async fn addresses(&self, service: &str) -> Result<Vec<SocketAddr>, LabError> {
        let service = self.find_service(service)?;
        let (host, port) = service.address();
        let looking = || LabError::io(format!("look up `{host}`"));
        let found = tokio::net::lookup_host((host, port)).await;
        let mut found: Vec<SocketAddr> = found.map_err(looking())?.collect();
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(looking()(io::ErrorKind::AddrNotAvailable.into()));
        }
        let is_here = |address: &&SocketAddr| net::bind((address.ip(), 0).into()).is_ok();
        let here: Vec<SocketAddr> = found.iter().filter(is_here).copied().collect();
        Ok(if here.is_empty() { found } else { here })
    }

    /// The process of a service or of a managed database server; `None` if it is down, or was not
    /// started here.
    pub fn process(&self, name: &str) -> Result<Option<Child>, LabError> {
        match self.find_server(name) {
            Some(server) => Ok(server.running()),
            None => Ok(self.find_service(name)?.running()),
        }
    }

    /// Starts a service or a managed database server again once its process has ended, which is
    /// enforced after a while. A server is waited for until it accepts connections; a service is
    /// not, but that it becomes ready is recorded.
    pub async fn start_again(&self, name: &str) -> Result<(), LabError> {
        let Some(server) = self.find_server(name) else {
            let service = self.find_service(name)?;
            service.start_again(&self.guard).await?;
            // If it does not become ready, nothing is recorded.
            tokio::spawn(async move { service.ready().await.ok() });
            return Ok(());
        };
        let clock = self.recorder.clock();
        let begun = clock.now();
        server.start_again(&self.guard).await?;
        let took = clock.now().since(begun).as_millis();
        self.recorder.record(Fact::Database {
            database: name.into(),
            change: format!("ready again after {took} ms"),
        });
        Ok(())
    }

    /// Checks in the background whether a service becomes ready that is not expected to: without a
    /// check its absence is not known. Only with a readiness path: a bare connection may reach
    /// another process that holds the port.
    pub fn watch_readiness(&self, service: &str) -> Result<(), LabError> {
        let service = self.find_service(service)?;
        if service.is_asked() {
            tokio::spawn(async move { service.ready().await.ok() });
        }
        Ok(())
    }

    /// Waits until a service or a database answers, for as long as it takes. Cancel safe.
    pub async fn answers(&self, name: &str) -> Result<(), LabError> {
        let database = lock(&self.databases).get(name).cloned();
        match database {
            Some(database) => drop(database.accepts().await),
            None => self.find_service(name)?.answers().await,
        }
        Ok(())
    }

    /// Runs a command to its end, or until `hurry` is cancelled; its output goes to the file `log` in
    /// the report's folder.
    pub async fn run(
        &self,
        command: &[String],
        log: &str,
        timeout: Duration,
        hurry: &CancellationToken,
    ) -> Result<(), LabError> {
        let launch = self.command(command, log);
        let said = launch.stdout.clone();
        let failed = |why| LabError::Command {
            command: command.join(" "),
            why,
            log: LogTail::of_file(&said),
        };
        if hurry.is_cancelled() {
            return Err(failed("everything was healed before it began".to_owned()));
        }
        let child = self.guard.launch(launch).await?;
        let overdue = tokio::select! {
            exit = child.ended() => return match exit? {
                exit if exit.is_success() => Ok(()),
                exit => Err(failed(format!("it ended with {exit}"))),
            },
            () = tokio::time::sleep(timeout) => format!("it took longer than {timeout:?}"),
            () = hurry.cancelled() => "it was not done when everything was healed".to_owned(),
        };
        child.stop(COMMAND_GRACE).await?;
        Err(failed(overdue))
    }

    /// Lets the guard run a command if this process goes away.
    pub async fn promise(&self, command: &[String], log: &str) -> Result<Promise, LabError> {
        self.guard.promise(self.command(command, log)).await
    }

    /// Takes a promise back.
    pub async fn forget(&self, promise: Promise) -> Result<(), LabError> {
        self.guard.forget(promise).await
    }

    pub(super) fn command(&self, command: &[String], log: &str) -> Launch {
        let (program, args) = match command.split_first() {
            Some((own, args)) if own == "chaosproxy" => (self.exe.clone(), args),
            Some((program, args)) => (program.into(), args),
            // The empty program cannot be started, and the log will say so.
            None => Default::default(),
        };
        let log = self.logs.join(format!("{log}.log"));
        Launch {
            program,
            args: args.to_vec(),
            env: [].into(),
            directory: None,
            stdout: log.clone(),
            stderr: log,
            account: None,
            kind: Kind::Program,
        }
    }

    fn find_server(&self, name: &str) -> Option<Arc<Server>> {
        lock(&self.servers).get(name).map(Arc::clone)
    }
}
