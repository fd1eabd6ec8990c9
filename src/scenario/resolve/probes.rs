//! What is looked at beside the traffic.

use serde_json::Value;

use super::{above_zero, stage, unhurried};
use crate::diag::Diagnostic;
use crate::event::Name;
use crate::jsonpath;
use crate::load::HttpOk;
use crate::probe::spec::{MetricOk, ProbeKind, ProbeSpec};
use crate::scenario::address::is_plain;
use crate::scenario::block::Block;
use crate::scenario::{fit, mistake, shape};
use crate::template::Template;

pub(super) fn probe(block: &Block, out: &mut Vec<Diagnostic>) -> Option<ProbeSpec> {
    let (shape, whole) = fit::shape::<shape::Probe>(block, out)?;
    let shape::Probe {
        name,
        http: to_http,
        tcp: to_tcp,
        sql: to_sql,
        prometheus: to_prometheus,
        command: to_command,
        log: to_log,
        every,
        timeout,
        ok,
    } = shape;
    unhurried(block, "every", every, out);
    above_zero(block, "timeout", timeout, out);
    for at in ["http.path", "prometheus.path"] {
        out.extend(mistake::path(block, at));
        let path = block.value(at).and_then(Value::as_str);
        if path.is_some_and(|path| path.contains("{{")) {
            out.push(mistake::refused(block, at, "nothing is filled in here"));
        }
    }
    if ok.is_some() && to_http.is_none() {
        out.push(mistake::refused(
            block,
            "ok",
            "says what counts as ok for `http` only",
        ));
    }
    let kinds = [
        to_http.map(|to| http(to, ok.unwrap_or_default(), block, out)),
        to_log.map(|to| log(to, block, out)),
        to_tcp.and_then(|to| tcp(to, block, out)),
        to_sql.and_then(|to| sql(to, block, out)),
        to_prometheus.map(prometheus),
        to_command.map(|to| command(to, block, out)),
    ];
    let mut kinds = kinds.into_iter().flatten();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        out.push(mistake::one_of(
            block,
            &["http", "tcp", "sql", "prometheus", "command", "log"],
            "write for example `http = { service = \"…\", path = \"…\" }` or `log = { service = \"…\", pattern = \"…\" }`",
        ));
        return None;
    };
    whole.then(|| ProbeSpec {
        name: name.into(),
        kind,
        every: *every,
        timeout: *timeout,
    })
}

fn http(to: shape::HttpTarget, ok: HttpOk, block: &Block, out: &mut Vec<Diagnostic>) -> ProbeKind {
    demands(&ok, block, out);
    ProbeKind::Http {
        service: to.service.into(),
        path: to.path,
        ok,
    }
}

/// Reports what cannot be used of what counts as ok.
pub(super) fn demands(ok: &HttpOk, block: &Block, out: &mut Vec<Diagnostic>) {
    for path in ok.json.keys() {
        json_path(path, &format!("ok.json.{path}"), block, out);
    }
    if let Some(status) = ok.status.unknown() {
        let why = format!("expected a status from 100 to 599, found {status}");
        out.push(mistake::refused(block, "ok.status", &why));
    }
    for (name, pattern) in &ok.headers {
        let place = format!("ok.headers.{name}");
        if let Err(error) = regex::Regex::new(pattern) {
            out.push(mistake::regex(block, &place, &error));
        }
        if name.parse::<hyper::header::HeaderName>().is_err() {
            let why = format!("`{name}` is no name of a header");
            out.push(mistake::refused(block, &place, &why));
        }
    }
}

fn log(to: shape::LogTarget, block: &Block, out: &mut Vec<Diagnostic>) -> ProbeKind {
    if let Err(error) = regex::Regex::new(&to.pattern) {
        out.push(mistake::regex(block, "log.pattern", &error));
    }
    ProbeKind::Log {
        service: to.service.into(),
        pattern: to.pattern,
    }
}

fn tcp(to: shape::TcpTarget, block: &Block, out: &mut Vec<Diagnostic>) -> Option<ProbeKind> {
    let (service, address): (Option<Name>, Template) = match (to.service, to.address) {
        (Some(service), None) => {
            let address = placeholder("service", &service, "address")?;
            (Some(service.into()), address)
        }
        (None, Some(address)) => {
            stage::reachable(block, "tcp.address", &address, out);
            (None, address)
        }
        _ => {
            let why = "takes one of `service` and `address`";
            out.push(mistake::refused(block, "tcp", why));
            return None;
        }
    };
    Some(ProbeKind::Tcp { service, address })
}

fn sql(to: shape::SqlTarget, block: &Block, out: &mut Vec<Diagnostic>) -> Option<ProbeKind> {
    let url = match (to.database, to.url) {
        (Some(database), None) => placeholder("database", &database, "url")?,
        (None, Some(url)) => {
            if is_plain(&url) {
                stage::connectable(block, "sql.url", url.as_str(), out);
            }
            url
        }
        _ => {
            let why = "takes one of `database` and `url`";
            out.push(mistake::refused(block, "sql", why));
            return None;
        }
    };
    Some(ProbeKind::Sql {
        url,
        query: to.query,
        equals: to.equals,
    })
}

fn prometheus(to: shape::MetricTarget) -> ProbeKind {
    ProbeKind::Prometheus {
        service: to.service.into(),
        path: to.path,
        metric: to.metric,
        labels: to.labels,
        ok: MetricOk {
            below: to.below,
            above: to.above,
        },
    }
}

fn command(to: shape::CommandTarget, block: &Block, out: &mut Vec<Diagnostic>) -> ProbeKind {
    if to.run.is_empty() && block.value("command.run").is_some() {
        out.push(mistake::refused(block, "command.run", "names no program"));
    }
    if let Some(path) = &to.value {
        json_path(path, "command.value", block, out);
    }
    for path in to.json.keys() {
        json_path(path, &format!("command.json.{path}"), block, out);
    }
    ProbeKind::Command {
        run: to.run,
        exit: to.exit,
        value: to.value,
        bounds: MetricOk {
            below: to.below,
            above: to.above,
        },
        json: to.json,
    }
}

/// Reports a path into JSON that is none.
fn json_path(path: &str, place: &str, block: &Block, out: &mut Vec<Diagnostic>) {
    if let Err(error) = jsonpath::Path::parse(path) {
        out.push(mistake::refused(block, place, &error.to_string()));
    }
}

/// `None` only for a name that is none, which is reported where names are.
fn placeholder(kind: &str, name: &str, attribute: &str) -> Option<Template> {
    Template::parse(&format!("{{{{{kind}.{name}.{attribute}}}}}")).ok()
}
