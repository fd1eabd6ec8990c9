//! Free ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// A free port on the address of `near`, for a server that is about to be started.
///
/// The port is free at this moment; nothing holds it.
pub fn free(near: SocketAddr) -> io::Result<SocketAddr> {
    TcpListener::bind(SocketAddr::new(near.ip(), 0))?.local_addr()
}

/// A port on 127.0.0.1 that is held for a server that listens with `SO_REUSEADDR`, as PostgreSQL
/// does: that server can take it, the kernel gives it to nobody else.
#[derive(Debug)]
pub(super) struct Held {
    socket: Socket,
}

impl Held {
    pub(super) fn new() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        Ok(Self { socket })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        let address = self.socket.local_addr()?.as_socket();
        address.ok_or_else(|| io::Error::other("the port has no address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_port_can_be_listened_on_by_its_server_and_is_given_to_nobody_else() {
        let held = Held::new().unwrap();
        let address = held.address().unwrap();
        let server = TcpListener::bind(address).unwrap();
        assert_eq!(server.local_addr().unwrap(), address);
        assert!(TcpListener::bind(address).is_err());
        assert_ne!(free(address).unwrap(), address);
    }
}
