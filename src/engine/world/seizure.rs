//! A port held as by a stranger.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::fault::world::Grip;
use crate::lab::knock::{Hold, Ports};
use crate::own::Strangers;
use crate::sys::net;

/// Time between two tries to get a port; no server starts as fast.
const TRY_EVERY: Duration = Duration::from_millis(1);
/// How a server of the wrong protocol greets.
const GREETING: &[u8] = b"SSH-2.0-OpenSSH_9.2\r\n";

/// A port that is held, or will be as soon as it is free, until [`Seizure::release`].
#[derive(Debug)]
pub(in crate::engine) struct Seizure {
    address: SocketAddr,
    release: CancellationToken,
    task: JoinHandle<Result<(), NeverHeld>>,
}

/// What is known of clients at a port that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knocking {
    /// One knocked.
    Seen,
    /// They cannot be counted: chaosproxy lacks the permission.
    Unseen,
}

/// The port did not become free in time, or cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the port {address} was never held: {why}")]
pub(in crate::engine) struct NeverHeld {
    address: SocketAddr,
    why: io::Error,
}

impl Seizure {
    /// Takes the port: at once if it is free, otherwise as soon as it is. `knock` is called for each
    /// client that knocks, or once to say that they cannot be seen. What we ask ourselves stays
    /// away.
    pub(super) async fn begin(
        ports: &Ports,
        address: SocketAddr,
        grip: Grip,
        knock: impl Fn(Knocking) + Send + Sync + 'static,
    ) -> Self {
        let release = CancellationToken::new();
        let held = take(ports, address).await;
        let (ports, until) = (ports.clone(), release.clone());
        let task = tokio::spawn(async move {
            let never = |why| NeverHeld { address, why };
            let Taken { listener, _hold } = acquire(&ports, address, held, &until)
                .await
                .map_err(never)?;
            let (release, knock) = (until.cancelled(), &knock);
            match grip {
                Grip::Bound => {
                    net::refuse(&listener).map_err(never)?;
                    tokio::select! {
                        () = count(address, knock) => {}
                        () = release => {}
                    }
                }
                Grip::Silent | Grip::Close | Grip::Foreign => {
                    let listener = TcpListener::from_std(listener).map_err(never)?;
                    tokio::select! {
                        () = receive(&listener, grip, knock) => {}
                        () = release => {}
                    }
                }
            }
            Ok(())
        });
        Self {
            address,
            release,
            task,
        }
    }

    /// Lets go of the port and of every client; tells if it was never held.
    pub(super) async fn release(self) -> Result<(), NeverHeld> {
        self.release.cancel();
        let address = self.address;
        let panicked = |panic| NeverHeld {
            address,
            why: io::Error::other(panic),
        };
        self.task.await.map_err(panicked)?
    }
}

/// A port that nobody else has. What we ask ourselves comes back after the listener is gone.
struct Taken {
    _hold: Hold,
    listener: std::net::TcpListener,
}

/// Takes the port if it is free; nothing of ours asks there from before it can be asked.
async fn take(ports: &Ports, address: SocketAddr) -> io::Result<Taken> {
    let socket = net::bind(address)?;
    Ok(Taken {
        _hold: ports.hold(address).await,
        listener: net::start_listening(socket)?,
    })
}

/// Takes the port once it is free.
async fn acquire(
    ports: &Ports,
    address: SocketAddr,
    first: io::Result<Taken>,
    until: &CancellationToken,
) -> io::Result<Taken> {
    let mut tried = first;
    loop {
        match tried {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let pause = tokio::time::sleep(TRY_EVERY);
                if until.run_until_cancelled(pause).await.is_none() {
                    return Err(error);
                }
            }
            done => return done,
        }
        tried = take(ports, address).await;
    }
}

/// Counts the clients that the port refuses, for ever.
async fn count(address: SocketAddr, knock: &impl Fn(Knocking)) {
    let counted = async {
        let mut strangers = Strangers::at(address)?;
        while strangers.next().await?.is_some() {
            knock(Knocking::Seen);
        }
        io::Result::Ok(())
    };
    if counted.await.is_err() {
        knock(Knocking::Unseen);
    }
    std::future::pending::<()>().await;
}

/// Receives clients, for ever.
async fn receive(listener: &TcpListener, grip: Grip, knock: &impl Fn(Knocking)) {
    let mut guests = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                knock(Knocking::Seen);
                if grip != Grip::Close {
                    guests.spawn(entertain(stream, grip));
                }
            }
            // Out of descriptors: those who wait may wait.
            Err(_) => tokio::time::sleep(TRY_EVERY).await,
        }
        while guests.try_join_next().is_some() {}
    }
}

/// Keeps a client for as long as it stays.
async fn entertain(mut stream: TcpStream, grip: Grip) -> io::Result<()> {
    if grip == Grip::Foreign {
        stream.write_all(GREETING).await?;
    }
    tokio::io::copy(&mut stream, &mut tokio::io::sink())
        .await
        .map(drop)
}
