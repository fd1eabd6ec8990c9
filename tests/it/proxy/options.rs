//! How a proxy's sockets are set, and how its upstream is found by name.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::time::Duration;

use chaosproxy::action::{Keepalive, ProxySpec};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::Socket;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, lookup_host};

use super::read_n;
use crate::support::rig::{Path, Rig, patiently, spec};

/// The kernel's line about the socket of this process between two IPv4 addresses, in its fields.
fn line(local: SocketAddr, remote: SocketAddr) -> Vec<String> {
    let hex = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => {
            let ip = u32::from_ne_bytes(ip.octets());
            format!("{ip:08X}:{:04X}", address.port())
        }
        IpAddr::V6(ip) => panic!("{ip} is in another table"),
    };
    let (local, remote) = (hex(local), hex(remote));
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
    let mut lines = table
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect());
    lines
        .find(|fields: &Vec<_>| fields[1] == local && fields[2] == remote)
        .unwrap()
}

/// Another handle of that socket.
fn handle(line: &[String]) -> Socket {
    let name = format!("socket:[{}]", line[9]);
    let held = fs::read_dir("/proc/self/fd").unwrap().find_map(|entry| {
        let entry = entry.unwrap();
        let target = fs::read_link(entry.path()).ok()?;
        let number = entry.file_name().to_str()?.parse::<RawFd>().ok()?;
        (target.to_str() == Some(&name)).then_some(number)
    });
    let process = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let socket = pidfd_getfd(process, held.unwrap(), PidfdGetfdFlags::empty()).unwrap();
    socket.into()
}

/// Both legs of a new connection through a proxy.
async fn legs(rig: &Rig, keepalive: Option<Keepalive>) -> [Vec<String>; 2] {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let name = if keepalive.is_some() {
        "alive"
    } else {
        "plain"
    };
    let spec = ProxySpec {
        keepalive,
        ..spec(name, server.local_addr().unwrap())
    };
    let proxy = rig.add(spec).await.unwrap();
    let (mut client, mut server) = Path { proxy, server }.connect().await;
    // Once a byte is through, both legs are as they will stay.
    client.write_all(b"!").await.unwrap();
    read_n(&mut server, 1).await;
    let lines = [
        line(proxy, client.local_addr().unwrap()),
        line(server.peer_addr().unwrap(), server.local_addr().unwrap()),
    ];
    for leg in lines.each_ref().map(|line| handle(line)) {
        assert!(leg.tcp_nodelay().unwrap());
        assert_eq!(leg.keepalive().unwrap(), keepalive.is_some());
        if let Some(asked) = keepalive {
            assert_eq!(leg.tcp_keepalive_time().unwrap(), asked.idle);
            assert_eq!(leg.tcp_keepalive_interval().unwrap(), asked.interval);
            assert_eq!(leg.tcp_keepalive_retries().unwrap(), asked.retries);
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn both_legs_send_at_once_and_ask_silent_peers_if_the_proxy_is_to() {
    const KEEPALIVE: &str = "02:";
    let rig = Rig::new();
    let asking = Keepalive {
        idle: Duration::from_secs(61),
        interval: Duration::from_secs(7),
        retries: 3,
    };
    for leg in legs(&rig, Some(asking)).await {
        assert!(leg[5].starts_with(KEEPALIVE), "the timer is {}", leg[5]);
    }
    for leg in legs(&rig, None).await {
        assert!(!leg[5].starts_with(KEEPALIVE), "the timer is {}", leg[5]);
    }
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_given_by_name_is_found_at_whichever_address_it_listens() {
    let rig = Rig::new();
    let addresses: Vec<_> = lookup_host("localhost:0").await.unwrap().collect();
    assert!(!addresses.is_empty());
    for address in addresses {
        let server = TcpListener::bind(address).await.unwrap();
        let port = server.local_addr().unwrap().port();
        let name = format!("at-{}", address.is_ipv6());
        let proxy = rig.add(spec(&name, format_args!("localhost:{port}")));
        let proxy = proxy.await.unwrap();
        let mut client = patiently(TcpStream::connect(proxy)).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let (mut server, _) = patiently(server.accept()).await.unwrap();
        assert_eq!(read_n(&mut server, 5).await, b"hello");
    }
    rig.engine.shutdown().await;
}
