//! Addresses as people write them: hosts and ports, and what was probably meant where there are
//! none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::template::Template;

/// Whether nothing in it is to be filled in.
pub(super) fn is_plain(template: &Template) -> bool {
    template.names().next().is_none()
}

/// `host:port` of an `http` URL without a path.
pub(super) fn of_url(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://")?;
    Some(rest.strip_suffix('/').unwrap_or(rest))
}

/// The host, without brackets, and the port.
pub(super) fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_host = match bare {
        Some(bare) => is_ipv6(bare),
        None => !host.is_empty() && !host.contains([':', '/', '?', '#', '@', '[', ']', ' ']),
    };
    is_host.then_some((bare.unwrap_or(host), port.parse().ok()?))
}

/// With or without a zone, as in `fe80::1%eth0`.
fn is_ipv6(host: &str) -> bool {
    let address = host.split('%').next().unwrap_or(host);
    address.parse::<Ipv6Addr>().is_ok()
}

/// The address in a text that holds more, or lacks the brackets of IPv6.
pub(super) fn within(text: &str) -> Option<String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let address = rest.split(['/', '?', '#']).next()?;
    let (host, port) = address.rsplit_once(':')?;
    let address = if is_ipv6(host) {
        format!("[{host}]:{port}")
    } else {
        address.to_owned()
    };
    host_and_port(&address).is_some().then_some(address)
}

/// Whether `host` can only be this machine, however it is written.
pub(super) fn is_loopback(host: &str) -> bool {
    if let Some(ip) = ip(host) {
        return ip.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The address that a host is, if it is no name. The resolver takes IPv4 addresses in all forms of
/// `inet_aton`: of one to four numbers, each decimal, octal or hexadecimal, as in `0x7f.1`.
fn ip(host: &str) -> Option<IpAddr> {
    let host = host.split('%').next().unwrap_or(host);
    if let Ok(ip) = host.parse() {
        return Some(ip);
    }
    let numbers = host.split('.').map(|text| match text.strip_prefix('0') {
        Some("") => Some(0),
        Some(rest) => match rest.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => u32::from_str_radix(rest, 8).ok(),
        },
        None => text.parse().ok(),
    });
    let numbers: Vec<u32> = numbers.collect::<Option<_>>()?;
    let (last, bytes) = numbers.split_last()?;
    let room = 32 - 8 * u32::try_from(bytes.len()).ok().filter(|bytes| *bytes < 4)?;
    let fits = u64::from(*last) < 1 << room && bytes.iter().all(|byte| *byte < 256);
    let high = (bytes.iter().zip([24, 16, 8])).fold(0, |high, (byte, by)| high | (byte << by));
    fits.then(|| Ipv4Addr::from_bits(high | last).into())
}

/// Whether who connects to `upstream` meets the one that listens there.
pub(super) fn meets(upstream: &str, listen: SocketAddr) -> bool {
    let Some((host, port)) = host_and_port(upstream) else {
        return false;
    };
    let everywhere = listen.ip().is_unspecified();
    let is_there = match host.parse::<IpAddr>() {
        Ok(ip) => ip == listen.ip() || (everywhere && ip.is_loopback()),
        Err(_) => is_loopback(host) && (everywhere || listen.ip().is_loopback()),
    };
    port != 0 && port == listen.port() && is_there
}

/// Whether two cannot listen there at once.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = [one, other].iter().any(|each| each.ip().is_unspecified());
    let alike = one.is_ipv4() == other.is_ipv4();
    let same_port = one.port() != 0 && one.port() == other.port();
    same_port && (one.ip() == other.ip() || (everywhere && alike))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_nothing_else() {
        assert_eq!(host_and_port("localhost:80"), Some(("localhost", 80)));
        assert_eq!(host_and_port("[::1]:80"), Some(("::1", 80)));
        assert_eq!(host_and_port("[fe80::1%lo]:80"), Some(("fe80::1%lo", 80)));
        for text in [
            "::1:80",
            "http://a:80",
            "a:80/x",
            "a:b@c:80",
            ":80",
            "a",
            "a:",
            "a:70000",
            "[a]:80",
        ] {
            assert_eq!(host_and_port(text), None, "{text}");
        }
    }

    #[test]
    fn this_machine_has_many_spellings_and_no_other_has_one_of_them() {
        let here = [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "db.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "0x7f.1",
            "127.1",
            "0177.0.0.1",
            "2130706433",
        ];
        for host in here {
            assert!(is_loopback(host), "{host}");
        }
        let elsewhere = [
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "0xc0.0.2.1",
            "3221225985",
            "0.0.0.0",
            "::",
            "db",
            "",
            "localhost.example",
            "127.0.0.1.example",
            "1.2.3.4.127.0.0.1",
            "127.0.0.256",
            "0x.1",
            ".",
        ];
        for host in elsewhere {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn the_address_in_a_longer_text_is_found() {
        for (text, expected) in [
            ("https://web:443/health?deep", Some("web:443")),
            ("::1:5432", Some("[::1]:5432")),
            ("http://[::1]:80", Some("[::1]:80")),
            ("127.0.0.1", None),
            ("http://user@web:80", None),
        ] {
            assert_eq!(within(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_listener_is_met_at_its_port_and_stands_alone_there() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (upstream, listen, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("localhost:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:81", "127.0.0.1:80", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("web:80", "0.0.0.0:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(meets(upstream, at(listen)), expected, "{upstream} {listen}");
        }
        assert!(collide(at("127.0.0.1:80"), at("0.0.0.0:80")));
        assert!(!collide(at("127.0.0.1:80"), at("127.0.0.2:80")));
        assert!(!collide(at("127.0.0.1:0"), at("127.0.0.1:0")));
        assert!(!collide(at("[::]:80"), at("127.0.0.1:80")));
    }
}
