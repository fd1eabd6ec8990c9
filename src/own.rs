//! The connections that chaosproxy opens for itself: to look, to prepare, to read back.
//!
//! They may lead through a proxy and meet its faults, but are not clients of the experiment. A proxy
//! recognises them by their local address, which is registered before they connect.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};

use crate::sys::syn::{Syn, SynCapture};
use crate::units::{Clock, Moment};

/// How long after its connect an address stays registered: the listener may be slow to accept. No
/// client gets the address meanwhile, even if the connection is closed: Linux gives
/// sockets that connect unbound the other half of the ports first.
const KEPT: Duration = Duration::from_secs(10);

/// The addresses of this process. They are its own like its descriptors are: so there is one
/// register for all runs.
static OURS: LazyLock<Mutex<Ours>> = LazyLock::new(|| {
    Mutex::new(Ours {
        clock: Clock::start(),
        until: HashMap::new(),
    })
});

/// Local addresses that count as ours.
struct Ours {
    clock: Clock,
    /// Until when each does; `None` while it connects.
    until: HashMap<SocketAddr, Option<Moment>>,
}

/// Connects for chaosproxy itself. Cancel safe.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(SocketAddr::new(source(address)?, 0))?;
    let _known = Known::new(socket.local_addr()?);
    socket.connect(address).await
}

/// The same at whichever address of `host` (`name:port` or a pair) answers first.
pub async fn connect_to(host: impl tokio::net::ToSocketAddrs) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in lookup_host(host).await? {
        match connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Whether chaosproxy itself connects, or just connected, from this address.
pub fn is_ours(peer: SocketAddr) -> bool {
    let ours = ours();
    let now = ours.clock.now();
    let until = ours.until.get(&canonical(peer));
    until.is_some_and(|until| until.is_none_or(|until| now < until))
}

/// The local address from which `address` is reached. Nothing is sent.
fn source(address: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip())
}

/// As a listener for both families and one for IPv4 alike see it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// An address from before the connect until [`KEPT`] after it.
struct Known(SocketAddr);

impl Known {
    fn new(address: SocketAddr) -> Self {
        let address = canonical(address);
        let mut ours = ours();
        let now = ours.clock.now();
        ours.until
            .retain(|_, until| until.is_none_or(|until| now < until));
        ours.until.insert(address, None);
        Self(address)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut ours = ours();
        let until = ours.clock.now() + KEPT;
        ours.until.insert(self.0, Some(until));
    }
}

fn ours() -> MutexGuard<'static, Ours> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Clients that are counted one by one at a shut port.
pub const MOST_STRANGERS: usize = 10_000;

/// The clients that connect to a shut port, without chaosproxy itself. The kernel refuses them
/// unseen, so their packets are read.
#[derive(Debug)]
pub struct Strangers {
    capture: SynCapture,
    address: SocketAddr,
    seen: HashSet<Syn>,
}

impl Strangers {
    /// Looks from now on. Needs `CAP_NET_RAW`, and a runtime.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            capture: SynCapture::at(address.port())?,
            address,
            seen: HashSet::new(),
        })
    }

    /// Waits for the next one; `None` behind the first 10,000. An error means that no more can be
    /// seen. Cancel safe.
    pub async fn next(&mut self) -> io::Result<Option<()>> {
        while self.seen.len() < MOST_STRANGERS {
            let syn = self.capture.next().await?;
            let address = self.address.ip();
            let is_here = address.is_unspecified() || address.to_canonical() == syn.at;
            if is_here && !is_ours(syn.from) && self.seen.insert(syn) {
                return Ok(Some(()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn who_listens_knows_our_connections_from_those_of_others() {
        for (listen, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "127.0.0.1")] {
            let listener = TcpListener::bind(listen).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let stream = connect_to((host, port)).await.unwrap();
            drop(stream);
            let (_, peer) = listener.accept().await.unwrap();
            assert!(is_ours(peer), "closed before it was accepted: {peer}");
            let _client = TcpStream::connect((host, port)).await.unwrap();
            let (_, peer) = listener.accept().await.unwrap();
            assert!(!is_ours(peer), "{peer}");
        }
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_is_an_error() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let error = connect(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
