//! Ports that a fault holds.
//!
//! A probe or readiness check that connects to such a port would reach chaosproxy itself: it would
//! count as a hit of the fault and mistake chaosproxy for the service. So chaosproxy does not connect
//! to a port while a fault holds it.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{RwLock, watch};

use crate::own;

/// The ports that faults hold. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    held: watch::Sender<BTreeSet<SocketAddr>>,
    /// Read-locked while connecting; taking a port waits for the write lock.
    connecting: Arc<RwLock<()>>,
}

/// Keeps chaosproxy from connecting to a port until it is dropped.
#[derive(Debug)]
pub struct Hold {
    ports: Ports,
    address: SocketAddr,
}

impl Ports {
    /// Connects to a server, but never to a port that is held. Gives up when a port begins or
    /// ceases to be held, whichever it is: the caller will try again. Cancel safe.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let _connecting = self.connecting.read().await;
        let mut held = self.held.subscribe();
        if held
            .borrow_and_update()
            .iter()
            .any(|one| covers(*one, address))
        {
            return Err(io::Error::other("a fault holds its port"));
        }
        tokio::select! {
            biased;
            _ = held.changed() => Err(io::ErrorKind::Interrupted.into()),
            connected = own::connect(address) => connected,
        }
    }

    /// The same at whichever address of a host answers first.
    pub(super) async fn connect_to_host(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in tokio::net::lookup_host((host, port)).await? {
            match self.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Keeps chaosproxy from connecting to a port. Once this returns, no attempt is under way: the
    /// port may be listened on.
    pub async fn hold(&self, address: SocketAddr) -> Hold {
        let hold = Hold {
            ports: self.clone(),
            address,
        };
        self.held.send_modify(|held| {
            held.insert(address);
        });
        drop(self.connecting.write().await);
        hold
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.ports.held.send_modify(|held| {
            held.remove(&self.address);
        });
    }
}

/// Whether a listener at `held` is reached at `address`.
fn covers(held: SocketAddr, address: SocketAddr) -> bool {
    held == address || held.ip().is_unspecified() && held.port() == address.port()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::sys::net;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_asks_all_the_time_never_meets_a_port_that_is_held() {
        const ROUNDS: usize = 200;
        let ports = Ports::default();
        // Clients connect from 127.0.0.1, so none can use this very port as its own.
        let address = net::bind((Ipv4Addr::new(127, 0, 0, 2), 0).into()).unwrap();
        let address = address.local_addr().unwrap().as_socket().unwrap();
        let refused = Arc::new(AtomicU32::new(0));
        let ask = || {
            let (ports, refused) = (ports.clone(), Arc::clone(&refused));
            tokio::spawn(async move {
                loop {
                    if ports.connect(address).await.is_err() {
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::task::yield_now().await;
                }
            })
        };
        let asking: Vec<_> = std::iter::repeat_with(ask).take(4).collect();
        let mut met = 0;
        for _ in 0..ROUNDS {
            let socket = net::bind(address).unwrap();
            let hold = ports.hold(address).await;
            let listener = net::start_listening(socket).unwrap();
            let before = refused.load(Ordering::Relaxed);
            while refused.load(Ordering::Relaxed) < before + 8 {
                tokio::task::yield_now().await;
            }
            met += usize::from(net::accept(&listener).is_ok());
            drop(listener);
            drop(hold);
        }
        asking.iter().for_each(tokio::task::JoinHandle::abort);
        assert_eq!(met, 0);
    }

    #[tokio::test]
    async fn a_question_that_hangs_keeps_no_port_from_being_taken() {
        let full = net::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let _plug = net::ignore(&full).unwrap();
        let ports = Ports::default();
        let asking = {
            let (ports, address) = (ports.clone(), full.local_addr().unwrap());
            tokio::spawn(async move { ports.connect(address).await })
        };
        tokio::task::yield_now().await;
        let taken = ports.hold((Ipv4Addr::LOCALHOST, 1).into());
        let taken = tokio::time::timeout(Duration::from_secs(5), taken).await;
        drop(taken.unwrap());
        let error = asking.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

    #[tokio::test]
    async fn a_port_held_at_every_address_is_held_at_each_and_others_are_not() {
        let listener = net::listen((Ipv4Addr::UNSPECIFIED, 0).into()).unwrap();
        let other = net::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let ports = Ports::default();
        let hold = ports.hold(listener.local_addr().unwrap()).await;
        let one = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert!(ports.connect(one).await.is_err());
        ports.connect(other.local_addr().unwrap()).await.unwrap();
        drop(hold);
        ports.connect(one).await.unwrap();
    }
}
