//! Sockets: what the standard library has no words for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// Binds and listens, without blocking. Port 0 takes any free port.
///
/// The port survives [`refuse`] and [`welcome`]: the kernel only keeps a port that was asked for
/// by number, so one that it chose itself is bound a second time.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let mut socket = bind(addr)?;
    if addr.port() == 0 {
        let chosen = socket
            .local_addr()?
            .as_socket()
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        socket = bind(chosen)?;
    }
    start_listening(socket)
}

/// Listens on a socket of [`bind`]; fails if another did so first.
pub fn start_listening(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds without listening: no client can connect yet. Fails if another socket listens there.
pub fn bind(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Without it the port stays busy for a minute after a run. SO_REUSEPORT would be wrong: a
    // second instance could listen on the same port unnoticed.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Makes the kernel answer every SYN with RST while the port stays bound.
///
/// Do not accept on the listener until [`welcome`]: it would fail at once.
pub fn refuse(listener: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(listener);
    // Otherwise a stranger with SO_REUSEADDR could take the port meanwhile.
    socket.set_reuse_address(false)?;
    socket.shutdown(std::net::Shutdown::Read)
}

/// Fills the queue of connections that wait to be accepted: the kernel answers no further SYN while
/// the port stays bound. Ends when the plug is dropped and [`welcome`] is called.
///
/// Do not accept on the listener meanwhile.
pub fn ignore(listener: &TcpListener) -> io::Result<Plug> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // A queue for none still takes one.
    SockRef::from(listener).listen(0)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => return Err(error),
        // If the queue was full already, it need not get in.
        Ok(()) | Err(_) => {}
    }
    let address = socket.local_addr()?.as_socket();
    Ok(Plug {
        address: address.ok_or(io::ErrorKind::AddrNotAvailable)?,
        _socket: socket,
    })
}

fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32)
}

/// The connection that fills a queue, see [`ignore`].
#[derive(Debug)]
pub struct Plug {
    address: SocketAddr,
    _socket: Socket,
}

impl Plug {
    /// Its peer's address, as the one who accepts it will see it.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Ends [`refuse`] and [`ignore`].
pub fn welcome(listener: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_reuse_address(true)?;
    socket.listen(BACKLOG)
}

/// Accepts a connection that waits; it does not block either. The options of the listener are its
/// own from the start: Linux copies them.
pub fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, peer) = rustix::net::acceptfrom_with(listener, flags)?;
    let peer = peer.ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket.into(), peer.try_into()?))
}

/// Begins to connect and does not wait: once the socket can be written to, `take_error` tells
/// whether the server answered.
pub fn begin_to_connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking(), None)?;
    match socket.connect(&addr.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// Sends what is written at once, however little it is (`TCP_NODELAY`).
pub fn send_at_once(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_tcp_nodelay(true)
}

/// Asks the peer for a sign of life after `idle` without one, every `interval`, and resets the
/// connection if `retries` questions got none. Whole seconds count.
pub fn keep_alive(
    socket: &impl AsFd,
    idle: Duration,
    interval: Duration,
    retries: u32,
) -> io::Result<()> {
    let options = TcpKeepalive::new()
        .with_time(idle)
        .with_interval(interval)
        .with_retries(retries);
    SockRef::from(socket).set_tcp_keepalive(&options)
}

/// Makes the coming close send RST instead of FIN. Fails only on a socket that is already dead.
pub fn reset_on_close(stream: &impl AsFd) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// Sends FIN; reading goes on. Fails only on a socket that is already dead.
pub fn finish_writing(stream: &impl AsFd) -> io::Result<()> {
    SockRef::from(stream).shutdown(std::net::Shutdown::Write)
}

/// From now on the socket counts as writable only while everything written to it has been sent
/// (`TCP_NOTSENT_LOWAT`).
pub fn writable_once_sent(stream: &impl AsFd) -> io::Result<()> {
    SockRef::from(stream).set_tcp_notsent_lowat(1)
}

/// Asks the kernel whether the socket is writable; it would block if not.
pub fn can_write(stream: &impl AsFd) -> io::Result<()> {
    let mut asked = [PollFd::new(stream, PollFlags::OUT)];
    match poll(&mut asked, Some(&Timespec::default()))? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// Bytes written to a TCP socket that its peer has not acknowledged. Asks the kernel by `sock_diag`,
/// and fails with `NotFound` if that does not know the socket (any more) or is missing.
pub fn unacknowledged(stream: &impl AsFd) -> io::Result<u32> {
    const ASKED: u32 = 16 + 56;
    const ANSWER: usize = 16 + 72;
    let stream = SockRef::from(stream);
    let ends = [stream.local_addr()?, stream.peer_addr()?].map(|end| end.as_socket());
    let [Some(local), Some(peer)] = ends else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let family = match local {
        // AF_INET and AF_INET6.
        SocketAddr::V4(_) => 2,
        SocketAddr::V6(_) => 10,
    };
    // `struct nlmsghdr`: length, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST.
    let mut question = Vec::new();
    question.extend(ASKED.to_ne_bytes());
    question.extend([20_u16, 1].map(u16::to_ne_bytes).concat());
    question.extend([0; 8]);
    // `struct inet_diag_req_v2`: TCP in any state, whatever interface and cookie.
    question.extend([family, 6, 0, 0]);
    question.extend(u32::MAX.to_ne_bytes());
    question.extend([local.port(), peer.port()].map(u16::to_be_bytes).concat());
    for end in [local, peer] {
        let mut address = [0; 16];
        match end.ip() {
            IpAddr::V4(ip) => address[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => address.copy_from_slice(&ip.octets()),
        }
        question.extend(address);
    }
    question.extend([0; 4]);
    question.extend([0xff; 8]);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let kernel = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        flags,
        Some(netlink::SOCK_DIAG),
    )?;
    rustix::net::send(&kernel, &question, SendFlags::empty())?;
    let mut answer = [0; 256];
    let (length, _) = rustix::net::recv(&kernel, &mut answer, RecvFlags::empty())?;
    // Another type than asked for is an error. `idiag_wqueue` stands behind the header, the state
    // (4 bytes), the socket's identity (48), the timer (4) and `idiag_rqueue` (4).
    if length < ANSWER || answer[4..6] != 20_u16.to_ne_bytes() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let waiting = answer[76..80]
        .try_into()
        .map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(u32::from_ne_bytes(waiting))
}

/// Raises the soft limit of open descriptors to the hard one, and returns it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}
