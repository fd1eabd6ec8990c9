//! Captures the SYNs for one TCP port, accepted or not.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// `ETH_P_ALL`: IPv4 and IPv6 alike.
const EVERYTHING: u16 = 3;
/// Enough for the headers of IP and TCP.
const HEADERS: usize = 128;

/// A capture of the SYNs for one port.
#[derive(Debug)]
pub struct SynCapture {
    socket: Socket,
    /// Its presence in the runtime, which polls it like a stream.
    ready: TcpStream,
    port: u16,
}

/// One SYN. One that is sent again is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Syn {
    /// The client.
    pub from: SocketAddr,
    /// The address that it is sent to.
    pub at: IpAddr,
    /// The number that its stream begins with.
    pub sequence: u32,
}

impl SynCapture {
    /// Listens from now on. Needs `CAP_NET_RAW`, and a runtime.
    pub fn at(port: u16) -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(EVERYTHING.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
        socket.attach_filter(&filter(port))?;
        socket.set_nonblocking(true)?;
        // What came before the filter was there.
        while (&socket).read(&mut [0; HEADERS]).is_ok() {}
        Ok(Self {
            ready: TcpStream::from_std(socket.try_clone()?.into())?,
            socket,
            port,
        })
    }

    /// The next one. Cancel safe.
    pub async fn next(&self) -> io::Result<Syn> {
        let mut packet = [0; HEADERS];
        loop {
            let read = || (&self.socket).read(&mut packet);
            let length = self.ready.async_io(Interest::READABLE, read).await?;
            if let Some(syn) = parse(&packet[..length], self.port) {
                return Ok(syn);
            }
        }
    }
}

/// Lets pass what comes in (a packet on the loopback device goes out as well) and is a SYN of TCP
/// for the port, without ACK. The targets of jumps are counted from the next line.
fn filter(port: u16) -> [SockFilter; 22] {
    /// Where the filter finds the direction of a packet, and what it is for one that goes out.
    const DIRECTION: u32 = 0xffff_f004;
    const GOES_OUT: u32 = 4;
    let port = u32::from(port);
    let load = |code, from| SockFilter::new(code, 0, 0, from);
    let equals = |value, yes, no| SockFilter::new(0x15, yes, no, value);
    let and = |mask| SockFilter::new(0x54, 0, 0, mask);
    let (byte, half, byte_behind, half_behind) = (0x30, 0x28, 0x50, 0x48);
    [
        load(byte, DIRECTION),
        equals(GOES_OUT, 19, 0),
        load(byte, 0),
        and(0xf0),
        equals(0x40, 0, 7),
        // IPv4: TCP, whose header begins where that of IP ends.
        load(byte, 9),
        equals(6, 0, 14),
        load(0xb1, 0),
        load(half_behind, 2),
        equals(port, 0, 11),
        load(byte_behind, 13),
        SockFilter::new(0x05, 0, 0, 6),
        // IPv6: TCP right behind its header.
        equals(0x60, 0, 8),
        load(byte, 6),
        equals(6, 0, 6),
        load(half, 42),
        equals(port, 0, 4),
        load(byte, 53),
        // SYN without ACK.
        and(0x12),
        equals(0x02, 0, 1),
        SockFilter::new(0x06, 0, 0, 0xffff),
        SockFilter::new(0x06, 0, 0, 0),
    ]
}

/// Reads a packet that the filter let pass.
fn parse(packet: &[u8], port: u16) -> Option<Syn> {
    let (from, at, header): (IpAddr, IpAddr, usize) = match packet.first()? >> 4 {
        4 => {
            let address = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?));
            let length = usize::from(packet.first()? & 0xf) * 4;
            (address(12)?.into(), address(16)?.into(), length)
        }
        6 => {
            let address = |at: usize| Some(Ipv6Addr::from(*packet.get(at..)?.first_chunk::<16>()?));
            (address(8)?.into(), address(24)?.into(), 40)
        }
        _ => return None,
    };
    let tcp = packet.get(header..)?;
    let number = |at: usize| Some(u16::from_be_bytes(*tcp.get(at..)?.first_chunk()?));
    (number(2)? == port).then_some(Syn {
        from: SocketAddr::new(from, number(0)?),
        at,
        sequence: u32::from_be_bytes(*tcp.get(4..)?.first_chunk()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn each_client_that_is_refused_is_seen_once() {
        for host in ["127.0.0.1", "::1"] {
            let Ok(free) = TcpListener::bind((host, 0)) else {
                continue;
            };
            let address = free.local_addr().unwrap();
            drop(free);
            // Not everybody may look.
            let Ok(capture) = SynCapture::at(address.port()) else {
                return;
            };
            for _ in 0..3 {
                assert!(TcpStream::connect(address).is_err());
            }
            let mut seen = std::collections::HashSet::new();
            for _ in 0..3 {
                let syn = capture.next().await.unwrap();
                assert_eq!(syn.at, address.ip());
                seen.insert(syn);
            }
            assert_eq!(seen.len(), 3);
            let more = tokio::time::timeout(std::time::Duration::from_millis(50), capture.next());
            assert!(more.await.is_err(), "what goes out is no second one");
        }
    }
}
