//! Throwaway clusters.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio_postgres::Client;
use tracing::info;

use super::{Database, Places};
use crate::event::Name;
use crate::lab::error::LogTail;
use crate::lab::guard::{CLUSTERS, Child, Guard, Kind, Launch};
use crate::lab::{LabError, port};
use crate::sql;
use crate::sys::process::{Account, unprivileged_account};

/// The superuser of every cluster; needs no password.
const USER: &str = "chaos";
/// How long a server may take to accept connections.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long a shutdown may take before it is forced.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Nothing here survives the machine, so nothing is forced to its disk. A commit outlives a crash
/// of the server all the same: `synchronous_commit` stays on. The rest keeps a cluster small.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=100",
    "shared_buffers=32MB",
    "autovacuum=on",
    "log_timezone=UTC",
];

/// What the clusters of one run share.
#[derive(Debug)]
pub(in crate::lab) struct Clusters {
    places: Places,
    template: OnceCell<Template>,
}

/// An initialised data directory that is copied for each cluster: a copy takes a tenth of the time.
#[derive(Debug)]
struct Template {
    programs: PathBuf,
    account: Option<Account>,
    home: PathBuf,
    data: PathBuf,
}

impl Clusters {
    pub(in crate::lab) fn new(places: Places) -> Self {
        Self {
            places,
            template: OnceCell::new(),
        }
    }

    /// Makes and starts a cluster that holds an empty database of the given name.
    pub(in crate::lab) async fn start(
        &self,
        guard: &Guard,
        name: &Name,
    ) -> Result<(Database, Server), LabError> {
        let template = (self.template)
            .get_or_try_init(|| Template::make(&self.places, guard))
            .await?;
        let data = template.copy(guard, name).await?;
        let held = port::Held::new().map_err(LabError::io("find a free port"))?;
        let address = held.address().map_err(LabError::io("find a free port"))?;
        let log = guard.directory().join(format!("{name}.log"));
        let launch = template.launch("postgres", Kind::Postmaster, &log);
        let mut args = vec!["-D".to_owned(), data.display().to_string()];
        args.extend(["-p".to_owned(), address.port().to_string()]);
        for setting in SETTINGS {
            args.extend(["-c".to_owned(), setting.to_owned()]);
        }
        let url = |database: &str| format!("postgres://{USER}@{address}/{database}");
        let launch = Launch { args, ..launch };
        let child = guard.launch(launch.clone()).await?;
        let server = Server {
            maintenance: Database::at(name, &url("postgres"))?,
            launch,
            child: Mutex::new(child),
            _held: held,
        };
        let client = server.ready().await?;
        info!(cluster = %name, pid = server.child().pid(), %address, "cluster started");
        let statement = format!("CREATE DATABASE {}", quoted(name));
        let failed = |error| LabError::SetUp {
            database: Name::clone(name),
            why: sql::describe(&error),
            statement: statement.clone(),
        };
        client.batch_execute(&statement).await.map_err(failed)?;
        Ok((Database::at(name, &url(name))?, server))
    }
}

/// The server of a cluster, which may be shut down and started again.
#[derive(Debug)]
pub(in crate::lab) struct Server {
    maintenance: Database,
    launch: Launch,
    child: Mutex<Child>,
    /// Keeps the port free for this server while it is down.
    _held: port::Held,
}

impl Server {
    /// Its postmaster, if it has not ended.
    pub(in crate::lab) fn running(&self) -> Option<Child> {
        Some(self.child()).filter(|child| child.exit().is_none())
    }

    /// Waits until it has ended, makes it end if that takes too long, starts it again and waits
    /// until it accepts connections.
    pub(in crate::lab) async fn start_again(&self, guard: &Guard) -> Result<(), LabError> {
        let child = self.child();
        if let Ok(exit) = tokio::time::timeout(END_LIMIT, child.ended()).await {
            exit?;
        } else {
            child.terminate().await?;
            child.ended().await?;
        }
        let child = guard.launch(self.launch.clone()).await?;
        info!(cluster = %self.maintenance.name, pid = child.pid(), "cluster started again");
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = child;
        self.ready().await.map(drop)
    }

    fn child(&self) -> Child {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.clone()
    }

    /// Connects as soon as the server accepts.
    async fn ready(&self) -> Result<Client, LabError> {
        let name = &self.maintenance.name;
        let child = self.child();
        let log = || LogTail::of_file(&self.launch.stdout);
        tokio::select! {
            client = self.maintenance.accepts() => Ok(client),
            exit = child.ended() => Err(LabError::ServerExited {
                database: Name::clone(name),
                exit: exit?,
                log: log(),
            }),
            () = tokio::time::sleep(READY_LIMIT) => Err(LabError::ServerNotReady {
                database: Name::clone(name),
                waited: READY_LIMIT,
                log: log(),
            }),
        }
    }
}

impl Template {
    async fn make(places: &Places, guard: &Guard) -> Result<Self, LabError> {
        let programs = places.find().await?;
        let account = unprivileged_account().map_err(LabError::io(
            "find an account for PostgreSQL, which refuses root",
        ))?;
        let home = guard.directory().join(CLUSTERS);
        let making = || LabError::io(format!("make {}", home.display()));
        std::fs::create_dir(&home).map_err(making())?;
        if let Some(account) = account {
            std::os::unix::fs::chown(&home, Some(account.uid), Some(account.gid))
                .map_err(making())?;
        }
        let template = Self {
            programs,
            account,
            data: home.join(".template"),
            home,
        };
        let mut args = vec!["-D".to_owned(), template.data.display().to_string()];
        args.extend(["-U".to_owned(), USER.to_owned()]);
        args.extend(["-E", "UTF8", "--auth=trust", "--no-sync", "--locale=C"].map(str::to_owned));
        template.run(guard, "initdb", Kind::Initdb, args).await?;
        Ok(template)
    }

    async fn copy(&self, guard: &Guard, name: &str) -> Result<PathBuf, LabError> {
        let data = self.home.join(name);
        let paths = [&self.data, &data].map(|path| path.display().to_string());
        let args = std::iter::once("-a".to_owned()).chain(paths).collect();
        self.run(guard, "cp", Kind::Program, args).await?;
        Ok(data)
    }

    /// Runs a tool to its end.
    async fn run(
        &self,
        guard: &Guard,
        program: &str,
        kind: Kind,
        args: Vec<String>,
    ) -> Result<(), LabError> {
        let name = format!("{program}-{}.log", uuid::Uuid::new_v4().simple());
        let log = guard.directory().join(name);
        let launch = self.launch(program, kind, &log);
        let exit = guard
            .launch(Launch { args, ..launch })
            .await?
            .ended()
            .await?;
        if exit.is_success() {
            return Ok(());
        }
        Err(LabError::Tool {
            program: program.to_owned(),
            exit,
            log: LogTail::of_file(&log),
        })
    }

    /// A program of PostgreSQL, or of the system if PostgreSQL has none of that name.
    fn launch(&self, program: &str, kind: Kind, log: &Path) -> Launch {
        let own = self.programs.join(program);
        Launch {
            program: if own.exists() { own } else { program.into() },
            args: Vec::new(),
            // Spares initdb a search through all time zones.
            env: [("TZ".to_owned(), "UTC".to_owned())].into(),
            directory: Some(self.home.clone()),
            stdout: log.to_owned(),
            stderr: log.to_owned(),
            account: self.account,
            kind,
        }
    }
}

/// A name as SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
