//! The text of a scenario for given servers, with the faults of a template.

use anyhow::bail;
use hyper::Uri;

use super::template::Template;
use super::{Args, Service};
use crate::scenario::holds_password;

/// The scenario; whether it is valid is for the reader of scenarios to say.
pub(super) fn scenario(args: &Args, template: &Template) -> anyhow::Result<String> {
    let names = template.names("fault");
    if names.is_empty() {
        bail!(
            "the template `{}` has no faults to take over",
            template.name
        );
    }
    let listed: Vec<_> = args.services.iter().map(|one| &*one.name).collect();
    let parts = [
        head(template, &listed.join(" and ")),
        database(args.database.as_deref()),
        PROXY.to_owned(),
        args.services
            .iter()
            .map(|one| service(one, &args.health))
            .collect(),
        steady_state(&args.services),
        faults(template, &args.services[0]),
        blast_radius(args),
        args.services
            .iter()
            .map(|one| checks(one, &names))
            .collect(),
    ];
    Ok(parts.join("\n"))
}

fn head(template: &Template, services: &str) -> String {
    let title = quoted(&format!("{services}: {}", template.name));
    let duration = quoted(template.head("duration"));
    format!(
        "\
# Written by `chaosproxy init`, with the faults of the shipped scenario {}. Read it, adapt it, then:
#   chaosproxy plan FILE    shows what would be done, and when
#   chaosproxy run FILE     does it and gives a verdict
[scenario]
title      = {title}
hypothesis = \"its health endpoint answers throughout, and it is well again within 10 s of each fault\"
seed       = 1                          # of every die: the same seed gives the same run
duration   = {duration}                      # from the confirmed steady state to the end of the schedule
",
        template.name
    )
}

fn database(url: Option<&str>) -> String {
    let origin = match url {
        Some(url) if holds_password(url) => format!("url  = {}", quoted(VARIABLE)),
        Some(url) => format!(
            "url  = {}          # take passwords from the environment: \"${{DATABASE_URL}}\"",
            quoted(url)
        ),
        None => "managed = true                          # a throwaway cluster; or `url` for one that exists"
            .to_owned(),
    };
    format!("[[database]]\nname = \"main\"\n{origin}\n")
}

/// What is written for a connection URL that holds a password.
pub(super) const VARIABLE: &str = "${DATABASE_URL}";

const PROXY: &str = "\
[[proxy]]                               # the point of interception
name     = \"db\"
protocol = \"postgres\"
listen   = \"127.0.0.1:6020\"             # let your servers connect here instead of to the database
upstream = \"{{database.main.address}}\"
";

fn service(service: &Service, health: &str) -> String {
    let (name, url, health) = (&service.name, quoted(&service.url), quoted(health));
    format!(
        "\
[[service]]                             # runs already; with a `command`, chaosproxy starts and stops it
name  = {quoted}
url   = {url}
ready = {health}
# command = [\"path/to/{name}\"]
# env     = {{ DATABASE_URL = \"postgres://user@{{{{proxy.db.address}}}}/name\" }}

[[probe]]                               # how it says it is, ten times a second
name  = \"{name}-health\"
http  = {{ service = {quoted}, path = {health} }}
every = \"100ms\"
ok    = {{ status = 200 }}

# [[workload]]                          # requests at fixed arrivals; the more like real ones the better
# name    = \"{name}-reads\"
# service = {quoted}
# rate    = \"20/s\"
# timeout = \"3s\"
# request = {{ method = \"GET\", path = \"/\" }}

",
        quoted = quoted(name)
    )
}

fn steady_state(services: &[Service]) -> String {
    let lines = services
        .iter()
        .map(|one| format!("  \"{}-health.ok_ratio == 100%\",\n", one.name));
    let lines: String = lines.collect();
    format!(
        "[steady_state]                          # must hold before anything is injected, and again at the end\n\
         window  = \"5s\"\nrequire = [\n{lines}]\n"
    )
}

/// The template's faults, aimed at what this scenario has.
fn faults(template: &Template, first: &Service) -> String {
    let mut text = template.blocks("fault") + &template.blocks("chaos");
    for (kind, ours) in [
        ("proxy", "db"),
        ("service", &*first.name),
        ("database", "main"),
    ] {
        for theirs in template.names(kind) {
            text = text.replace(&quoted(theirs), &quoted(ours));
        }
    }
    text
}

fn blast_radius(args: &Args) -> String {
    let urls = args.services.iter().map(|one| &*one.url);
    let local = urls.chain(args.database.as_deref()).all(is_local);
    format!(
        "[blast_radius]\nloopback_only = {local:<5}                   # whether every address must be this machine's\n"
    )
}

/// Whether `url` names this machine; one that names no host does.
fn is_local(url: &str) -> bool {
    let host = url
        .parse::<Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_owned));
    let Some(host) = host else { return true };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    bare == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn checks(service: &Service, faults: &[&str]) -> String {
    let (name, quoted_name) = (&service.name, quoted(&service.name));
    let faults: Vec<_> = faults.iter().map(|name| quoted(name)).collect();
    let faults = faults.join(", ");
    format!(
        "\
[[check]]                               # an endpoint that hangs with its database says nothing
name   = \"{name}-health-answers\"
type   = \"health\"
probe  = \"{name}-health\"
during = \"all\"
that   = [\"{name}-health.timeouts == 0\"]

[[check]]                               # well again soon after each fault; add what your users feel
name    = \"{name}-recovers\"
type    = \"recovery\"
service = {quoted_name}
fault   = [{faults}]
within  = \"10s\"
that    = [\"{name}-health.ok_ratio == 100%\"]

"
    )
}

/// A text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_local() {
        for url in [
            "http://127.0.0.1:80",
            "http://[::1]:80",
            "postgres://a:b@localhost/x",
            "${URL}",
        ] {
            assert!(is_local(url), "{url}");
        }
        assert!(!is_local("http://db.example:80"));
    }
}
