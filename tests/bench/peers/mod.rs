//! The programs that are compared, each set up to do the same: pass bytes on, on as many threads as
//! there are cores, without delay and without a log.

mod chaosproxy;
mod envoy;
mod haproxy;
mod nginx;
mod toxiproxy;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A way through a proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) name: &'static str,
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: SocketAddr,
}

/// What a peer is set up for.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) routes: &'a [Route],
    /// The peer's own, to write its files to.
    pub(crate) folder: &'a Path,
    pub(crate) threads: usize,
    /// It must be able to hold so many.
    pub(crate) connections: u64,
    /// Blocks of a scenario: what chaosproxy is to do besides. The others do nothing else.
    pub(crate) blocks: &'a str,
    /// Whether chaosproxy is to follow the messages of PostgreSQL and HTTP.
    pub(crate) follows: bool,
}

/// How a peer is started.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Written to the folder.
    pub(crate) file: (&'static str, String),
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(&'static str, String)>,
}

/// A program that passes bytes on.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The program, as it is found on `PATH`.
    program: &'static str,
    pub(crate) order: fn(&Setting<'_>) -> Order,
}

/// chaosproxy first.
pub(crate) const PEERS: [Peer; 6] = [
    Peer {
        name: "chaosproxy",
        program: env!("CARGO_BIN_EXE_chaosproxy"),
        order: chaosproxy::order,
    },
    Peer {
        name: "haproxy",
        program: "haproxy",
        order: haproxy::order,
    },
    Peer {
        name: "nginx",
        program: "nginx",
        order: nginx::order,
    },
    Peer {
        name: "envoy",
        program: "envoy",
        order: envoy::order,
    },
    Peer {
        name: "toxiproxy",
        program: "toxiproxy-server",
        order: toxiproxy::toxiproxy,
    },
    Peer {
        name: "noxious",
        program: "noxious-server",
        order: toxiproxy::noxious,
    },
];

impl Peer {
    /// Its program, if it is on this machine.
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Where package managers put servers; not on the PATH of ordinary users.
        let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), peers_folder()]);
        let mut files = places.map(|place| place.join(self.program));
        files.find(|file| file.is_file())
    }
}

/// Where `scripts/install-peers` puts what no package manager has.
fn peers_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin")
}

/// A path as an argument.
fn text(path: &(impl AsRef<OsStr> + ?Sized)) -> String {
    path.as_ref().to_string_lossy().into_owned()
}
