//! What a scenario stands on: databases, proxies, services.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::{above_zero, each};
use crate::action::{Keepalive, ProxySpec};
use crate::diag::Diagnostic;
use crate::lab::spec::{DatabaseSpec, Expectation, LogSource, Origin, ServiceSpec};
use crate::scenario::address::{self, host_and_port, is_plain};
use crate::scenario::block::Block;
use crate::scenario::{fit, mistake, shape};
use crate::template::Template;
use crate::units::Reach;

pub(super) fn database(block: &Block, out: &mut Vec<Diagnostic>) -> Option<DatabaseSpec> {
    let (shape, _) = fit::shape::<shape::Database>(block, out)?;
    let origin = match (shape.managed, shape.url) {
        (true, None) => Origin::Managed,
        (false, Some(url)) => {
            connectable(block, "url", &url, out);
            Origin::Url(url)
        }
        _ => {
            out.push(mistake::one_of(
                block,
                &["managed", "url"],
                "write `managed = true` for a throwaway cluster, or the `url` of a database that exists",
            ));
            return None;
        }
    };
    Some(DatabaseSpec {
        name: shape.name.into(),
        origin,
        setup: shape.setup,
    })
}

/// Reports a connection URL that is none, or that asks for what chaosproxy cannot do yet.
pub(super) fn connectable(block: &Block, path: &str, url: &str, out: &mut Vec<Diagnostic>) {
    if ["sslmode=verify", "sslrootcert", "sslcert", "sslkey"]
        .iter()
        .any(|key| url.contains(key))
    {
        return out.push(mistake::stage::encrypted(block, path));
    }
    let config = match url.parse::<Config>() {
        Ok(config) => config,
        Err(error) => return out.push(mistake::refused(block, path, &error.to_string())),
    };
    let hosts = config.get_hosts();
    if matches!(config.get_ssl_mode(), SslMode::Require) {
        out.push(mistake::stage::encrypted(block, path));
    } else if hosts.iter().any(|host| matches!(host, Host::Unix(_))) {
        out.push(mistake::stage::socket(block, path));
    } else if hosts.is_empty() && config.get_hostaddrs().is_empty() {
        out.push(
            mistake::refused(block, path, "names no host")
                .help("write `postgres://USER@HOST:PORT/NAME`"),
        );
    }
}

/// Every proxy, as far as the mistakes allow.
pub(super) fn proxies(
    blocks: &[Block],
    reach: Reach,
    out: &mut Vec<Diagnostic>,
) -> Vec<(ProxySpec, Template)> {
    listeners(blocks, out);
    each(blocks, "proxy", out, |block, out| proxy(block, reach, out))
}

fn proxy(block: &Block, reach: Reach, out: &mut Vec<Diagnostic>) -> Option<(ProxySpec, Template)> {
    let (shape, _) = fit::shape::<shape::Proxy>(block, out)?;
    let listen = shape.listen.parse::<SocketAddr>().ok();
    if listen.is_none() {
        out.push(mistake::address::listener(block, "listen"));
    }
    reachable(block, "upstream", &shape.upstream, out);
    above_zero(block, "dial_timeout", shape.dial_timeout, out);
    if shape.max_connections == 0 {
        let why = "no connection could be served";
        out.push(mistake::refused(block, "max_connections", why));
    }
    let spec = ProxySpec {
        name: shape.name.into(),
        protocol: shape.protocol,
        listen: listen?,
        upstream: shape.upstream.as_str().to_owned(),
        reach,
        dial_timeout: *shape.dial_timeout,
        keepalive: shape
            .keepalive
            .map(|keepalive| watchful(&keepalive, block, out)),
        max_connections: usize::try_from(shape.max_connections).unwrap_or(usize::MAX),
    };
    Some((spec, shape.upstream))
}

/// Reports an address at which no server can listen.
pub(super) fn reachable(block: &Block, path: &str, address: &Template, out: &mut Vec<Diagnostic>) {
    if is_plain(address) && block.value(path).is_some() {
        match host_and_port(address.as_str()) {
            None => out.push(mistake::address::host(block, path)),
            Some((_, 0)) => out.push(mistake::address::nowhere(block, path)),
            Some(_) => {}
        }
    }
}

/// Reports proxies that listen where another one does.
fn listeners(blocks: &[Block], out: &mut Vec<Diagnostic>) {
    let mut taken = HashMap::<u16, Vec<(SocketAddr, &Block)>>::new();
    for block in blocks.iter().filter(|block| block.kind == "proxy") {
        let Some(Ok(listen)) = block.text("listen").map(str::parse::<SocketAddr>) else {
            continue;
        };
        let at_port = taken.entry(listen.port()).or_default();
        let mut others = at_port.iter();
        match others.find(|(other, _)| address::collide(*other, listen)) {
            Some((_, first)) => {
                out.push(mistake::address::taken(block, first.span("listen")));
            }
            None => at_port.push((listen, block)),
        }
    }
}

/// What Linux takes as options of a socket; anything else it would refuse when the proxy starts.
fn watchful(written: &shape::Keepalive, block: &Block, out: &mut Vec<Diagnostic>) -> Keepalive {
    const SECONDS: RangeInclusive<u64> = 1..=32_767;
    for (key, period) in [
        ("keepalive.idle", written.idle),
        ("keepalive.interval", written.interval),
    ] {
        let is_written = block.value(key).is_some();
        if is_written && (period.subsec_nanos() > 0 || !SECONDS.contains(&period.as_secs())) {
            out.push(mistake::refused(
                block,
                key,
                &format!("expected whole seconds from 1s to 32767s, found `{period}`"),
            ));
        }
    }
    if !(1..=127).contains(&written.retries) {
        out.push(mistake::refused(
            block,
            "keepalive.retries",
            &format!("expected 1 to 127, found {}", written.retries),
        ));
    }
    Keepalive {
        idle: *written.idle,
        interval: *written.interval,
        retries: written.retries,
    }
}

pub(super) fn service(block: &Block, out: &mut Vec<Diagnostic>) -> Option<ServiceSpec> {
    let (shape, _) = fit::shape::<shape::Service>(block, out)?;
    let authority = address::of_url(shape.url.as_str());
    match authority.and_then(host_and_port) {
        _ if authority.is_some_and(is_of_a_proxy) || block.text("url").is_none() => {}
        _ if !is_plain(&shape.url) => out.push(mistake::address::placeholder(block)),
        Some((_, 0)) if shape.command.is_none() => out.push(mistake::stage::port_zero(block)),
        Some(_) => {}
        None => out.push(mistake::address::base_url(block)),
    }
    above_zero(block, "ready_timeout", shape.ready_timeout, out);
    out.extend(mistake::path(block, "ready"));
    if shape.command.as_ref().is_some_and(Vec::is_empty) {
        out.push(mistake::refused(block, "command", "names no program"));
    }
    let started = shape.command.is_some();
    if !started && shape.expect == Expectation::Exit {
        out.push(mistake::stage::not_ours(block.span("expect"), block));
    }
    let log = shape.log.unwrap_or(if started {
        LogSource::Stderr
    } else {
        LogSource::None
    });
    if matches!(&log, LogSource::Command(words) if words.is_empty()) {
        out.push(mistake::refused(block, "log.command", "names no program"));
    }
    if !started && matches!(log, LogSource::Stdout | LogSource::Stderr | LogSource::Both) {
        out.push(mistake::stage::log_of_attached(block));
    }
    Some(ServiceSpec {
        name: shape.name.into(),
        url: shape.url,
        command: shape.command,
        env: shape.env,
        working_directory: shape.working_directory,
        ready: shape.ready,
        ready_timeout: *shape.ready_timeout,
        expect: shape.expect,
        log,
        depends_on: shape.depends_on.into_iter().map(Into::into).collect(),
    })
}

/// `{{proxy.NAME.address}}` and nothing else.
fn is_of_a_proxy(authority: &str) -> bool {
    let inner = authority
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|inner| inner.trim().starts_with("proxy.") && !inner.contains("{{"))
}

/// Hosts that a block reaches or listens on, with the key that says so.
pub(super) fn hosts(block: &Block) -> Vec<(&'static str, String)> {
    let own = |key: &'static str, authority: &str| {
        host_and_port(authority).map(|(host, _)| (key, host.to_owned()))
    };
    let text = |key| block.text(key).map(filled);
    match block.kind {
        "proxy" => ["listen", "upstream"]
            .into_iter()
            .filter_map(|key| own(key, &text(key)?))
            .collect(),
        "service" => text("url")
            .and_then(|url| own("url", address::of_url(&url)?))
            .into_iter()
            .collect(),
        "database" => text("url")
            .map(|url| database_hosts("url", &url))
            .unwrap_or_default(),
        "probe" => {
            let inner = |kind: &str, key: &str| {
                let text = block.values.get(kind)?.get(key)?.as_str()?;
                Some(filled(text))
            };
            let tcp = inner("tcp", "address").and_then(|address| own("tcp.address", &address));
            let sql = inner("sql", "url").map(|url| database_hosts("sql.url", &url));
            tcp.into_iter().chain(sql.into_iter().flatten()).collect()
        }
        _ => Vec::new(),
    }
}

/// A text whose placeholders lead to this machine: what else it says is seen all the same.
fn filled(text: &str) -> String {
    let here = |name: &str| match (name.split('.').next(), name.rsplit('.').next()) {
        (Some("database"), Some("url")) => "postgres://u@127.0.0.1:1/d",
        (_, Some("url")) => "http://127.0.0.1:1",
        _ => "127.0.0.1:1",
    };
    let rendered =
        Template::parse(text).map(|template| template.render(|name| Some(here(name).to_owned())));
    match rendered {
        Ok(Ok(filled)) => filled,
        _ => text.to_owned(),
    }
}

/// The hosts to which a database URL connects, each under the key that names it. Where the URL gives
/// addresses (`hostaddr`), they decide, and its host names do not.
fn database_hosts(key: &'static str, url: &str) -> Vec<(&'static str, String)> {
    let Ok(config) = url.parse::<Config>() else {
        return Vec::new();
    };
    let addresses = config.get_hostaddrs().iter();
    let addresses: Vec<_> = addresses.map(|ip| (key, ip.to_string())).collect();
    if !addresses.is_empty() {
        return addresses;
    }
    let hosts = config.get_hosts().iter();
    let hosts = hosts.filter_map(|host| match host {
        Host::Tcp(host) => Some((key, host.clone())),
        Host::Unix(_) => None,
    });
    hosts.collect()
}
