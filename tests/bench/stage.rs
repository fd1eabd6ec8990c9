//! What is set up for the bench. The guard of chaosproxy starts all of it, so that nothing is left
//! however the bench ends.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::bail;
use chaosproxy::event::bus;
use chaosproxy::lab::guard::{Child, Guard, Kind, Launch};
use chaosproxy::lab::postgres::Places;
use chaosproxy::lab::spec::{DatabaseSpec, Origin};
use chaosproxy::lab::{Lab, port};
use chaosproxy::sys::net;
use chaosproxy::units::Clock;

use crate::load::bulk::{Depot, Way};
use crate::load::pgbench::Pgbench;
use crate::load::talk;
use crate::machine::Family;
use crate::options::Options;
use crate::peers::{PEERS, Peer, Route, Setting};

/// How long a peer may take until it listens.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long one may take to end when it is asked to.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Descriptors of a proxy beside those of its connections.
const OTHER_DESCRIPTORS: u64 = 500;

/// Servers, and the ways to them.
pub(crate) struct Stage {
    guard: Guard,
    lab: Option<Lab>,
    /// Counts peers, so that each has a folder of its own.
    started: AtomicU64,
    pub(crate) servers: Servers,
    pub(crate) targets: Vec<Target>,
    /// Peers that are not on this machine.
    pub(crate) missing: Vec<&'static str>,
    /// Connections that descriptors suffice for.
    pub(crate) connections: u64,
}

/// The other ends.
pub(crate) struct Servers {
    pub(crate) echo: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) sink: Depot,
    pub(crate) source: Depot,
    pub(crate) pgbench: Option<Pgbench>,
}

/// A running peer.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    folder: PathBuf,
    routes: Vec<Route>,
    child: Child,
}

impl Target {
    /// Where it listens for `server`.
    pub(crate) fn toward(&self, server: SocketAddr) -> SocketAddr {
        let route = self.routes.iter().find(|route| route.upstream == server);
        route.map_or(server, |route| route.listen)
    }
}

impl Servers {
    async fn start(lab: Option<&Lab>) -> anyhow::Result<Self> {
        let pgbench = match lab {
            Some(lab) => {
                let spec = DatabaseSpec {
                    name: "bench".into(),
                    origin: Origin::Managed,
                    setup: Vec::new(),
                };
                let programs = Places::of_this_machine().find().await?;
                Some(Pgbench::prepare(&programs, lab.database(&spec).await?)?)
            }
            None => None,
        };
        Ok(Self {
            echo: talk::serve(talk::ECHO)?,
            http: talk::serve(talk::HTTP)?,
            sink: Depot::serve(Way::Up)?,
            source: Depot::serve(Way::Down)?,
            pgbench,
        })
    }

    /// A way to each through one proxy, on free ports.
    fn routes(&self) -> anyhow::Result<Vec<Route>> {
        let database = self.pgbench.as_ref().map(Pgbench::address);
        let named = [
            ("echo", Some(self.echo)),
            ("http", Some(self.http)),
            ("sink", Some(self.sink.address)),
            ("source", Some(self.source.address)),
            ("postgres", database),
        ];
        let near = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        named
            .into_iter()
            .filter_map(|(name, upstream)| {
                Some(Route {
                    name,
                    listen: near,
                    upstream: upstream?,
                })
            })
            .map(|route| {
                Ok(Route {
                    listen: port::free(near)?,
                    ..route
                })
            })
            .collect()
    }
}

impl Stage {
    pub(crate) async fn set_up(options: &Options) -> anyhow::Result<Self> {
        let guard = Guard::start(exe()).await?;
        let lab = if ["pgbench", "messages", "faults"]
            .iter()
            .any(|part| options.wants(part))
        {
            let (recorder, _nobody_reads) = bus(Clock::start());
            Some(Lab::start(exe(), recorder, guard.directory()).await?)
        } else {
            None
        };
        let descriptors = net::raise_descriptor_limit()?;
        let mut stage = Self {
            servers: Servers::start(lab.as_ref()).await?,
            guard,
            lab,
            started: AtomicU64::new(0),
            targets: Vec::new(),
            missing: Vec::new(),
            connections: descriptors.saturating_sub(OTHER_DESCRIPTORS) / 2,
        };
        for peer in &PEERS {
            match peer.find() {
                Some(program) => {
                    let target = stage.start(peer, &program, peer.name, ("", false)).await?;
                    stage.targets.push(target);
                }
                None => stage.missing.push(peer.name),
            }
        }
        Ok(stage)
    }

    /// Ends everything, and makes sure that nothing is left.
    pub(crate) async fn strike(self) -> anyhow::Result<()> {
        if let Some(lab) = &self.lab {
            lab.shutdown().await?;
        }
        Ok(self.guard.finish().await?)
    }

    /// One more chaosproxy, with the fault that `blocks` of a scenario describe in force.
    pub(crate) async fn distort(&self, name: &'static str, blocks: &str) -> anyhow::Result<Target> {
        let target = self.start(&PEERS[0], exe(), name, (blocks, false)).await?;
        self.in_force(target).await
    }

    /// One more chaosproxy that follows messages, or one more that does not.
    pub(crate) async fn following(
        &self,
        name: &'static str,
        blocks: &str,
        follows: bool,
    ) -> anyhow::Result<Target> {
        let target = self
            .start(&PEERS[0], exe(), name, (blocks, follows))
            .await?;
        if blocks.is_empty() {
            return Ok(target);
        }
        self.in_force(target).await
    }

    /// Waits until the first fault is in force.
    async fn in_force(&self, target: Target) -> anyhow::Result<Target> {
        let journal = target.folder.join("report/journal.jsonl");
        let in_force = async {
            while !std::fs::read_to_string(&journal)?.contains("fault_edge") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(target)
        };
        tokio::time::timeout(READY_LIMIT, in_force).await?
    }

    async fn start(
        &self,
        peer: &Peer,
        program: &Path,
        name: &'static str,
        (blocks, follows): (&str, bool),
    ) -> anyhow::Result<Target> {
        let nth = self.started.fetch_add(1, Ordering::Relaxed);
        let folder = self.guard.directory().join(format!("{nth}-{name}"));
        std::fs::create_dir(&folder)?;
        let routes = self.servers.routes()?;
        let order = (peer.order)(&Setting {
            routes: &routes,
            folder: &folder,
            threads: std::thread::available_parallelism()?.get(),
            connections: self.connections,
            blocks,
            follows,
        });
        std::fs::write(folder.join(order.file.0), order.file.1)?;
        let said = folder.join("said.log");
        let env = order.env.into_iter();
        let launch = Launch {
            program: program.to_owned(),
            args: order.args,
            env: env.map(|(name, value)| (name.to_owned(), value)).collect(),
            directory: Some(folder.clone()),
            stdout: said.clone(),
            stderr: said.clone(),
            account: None,
            kind: Kind::Program,
        };
        let child = self.guard.launch(launch).await?;
        let target = Target {
            name,
            folder,
            family: Family::of(child.pid()),
            routes,
            child,
        };
        let ready = tokio::time::timeout(READY_LIMIT, target.ready()).await;
        if !matches!(ready, Ok(Ok(()))) {
            let said = std::fs::read_to_string(&said).unwrap_or_default();
            bail!("{name} does not listen; it said:\n{said}");
        }
        Ok(target)
    }
}

/// The program under test.
fn exe() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_chaosproxy"))
}

impl Target {
    /// Ends it.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        self.child.stop(STOP_GRACE).await?;
        Ok(())
    }

    /// Waits until it has ended by itself; then gives the report that it wrote.
    pub(crate) async fn report(&self) -> anyhow::Result<serde_json::Value> {
        self.child.ended().await?;
        let file = self.folder.join("report/report.json");
        Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?)
    }

    /// Waits until every way is open.
    async fn ready(&self) -> anyhow::Result<()> {
        for route in &self.routes {
            while TcpStream::connect(route.listen).is_err() {
                if let Some(exit) = self.child.exit() {
                    bail!("it ended with {exit}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}
