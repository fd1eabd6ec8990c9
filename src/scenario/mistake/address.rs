//! The words for addresses: what is wrong with one, and the one that was probably meant.

use std::net::SocketAddr;

use serde_json::Value;

use crate::diag::{Diagnostic, Span};
use crate::scenario::address::{host_and_port, within};
use crate::scenario::block::Block;

/// A text at `path` that is no `host:port`.
pub(in crate::scenario) fn host(block: &Block, path: &str) -> Diagnostic {
    let text = text(block, path);
    let address = within(text);
    let why = match &address {
        None => NONE,
        Some(_) if text.contains("://") => "a URL, not an address",
        Some(_) if text.contains('/') => "an address has no path",
        Some(_) => "an IPv6 address stands in brackets",
    };
    refused(block, path, why, address, "127.0.0.1:5432")
}

/// A text at `path` that is no IP address with a port.
pub(in crate::scenario) fn listener(block: &Block, path: &str) -> Diagnostic {
    let text = text(block, path);
    let address = within(text);
    let named = host_and_port(text).is_some();
    let why = match &address {
        None => NONE,
        Some(_) if named => "the name of a host; an IP address is needed here",
        Some(_) if text.contains("://") => "a URL, not an address",
        Some(_) => "not an IP address with a port",
    };
    let address = address.map(|address| {
        if address.parse::<SocketAddr>().is_ok() {
            return address;
        }
        let port = host_and_port(&address).map_or(0, |(_, port)| port);
        format!("127.0.0.1:{port}")
    });
    refused(block, path, why, address, "127.0.0.1:0")
}

/// A `url` that is no base URL.
pub(in crate::scenario) fn base_url(block: &Block) -> Diagnostic {
    let text = text(block, "url");
    let address = within(text);
    let rest = text.strip_prefix("http://");
    let why = match &address {
        None => NONE,
        Some(_) if text.starts_with("https://") => "https is not supported",
        Some(_) if text.contains("://") && rest.is_none() => "not an http URL",
        Some(_) if rest.is_none() => "`http://` is missing",
        Some(_) if rest.is_some_and(|rest| rest.contains(['/', '?', '#'])) => {
            "a base URL has no path"
        }
        Some(_) => "an IPv6 address stands in brackets",
    };
    let url = address.map(|address| format!("http://{address}"));
    refused(block, "url", why, url, "http://127.0.0.1:8000")
}

/// A `url` in which something is filled in that has no address when the proxies are started.
pub(in crate::scenario) fn placeholder(block: &Block) -> Diagnostic {
    let why = "only the whole address of a proxy is filled in here";
    refused(block, "url", why, None, "http://{{proxy.NAME.address}}")
}

/// Port 0 where somebody must listen.
pub(in crate::scenario) fn nowhere(block: &Block, path: &str) -> Diagnostic {
    let message = format!("`{path}` names port 0, on which no server listens");
    Diagnostic::error(block.span(path), message, "where does the server listen?")
        .help("write the port of the server")
}

/// A second listener at one address.
pub(in crate::scenario) fn taken(second: &Block, first: Span) -> Diagnostic {
    let address = text(second, "listen");
    let message = format!("two proxies cannot both listen on {address}");
    let message = second.redact("listen", &message);
    Diagnostic::error(second.span("listen"), message, "taken")
        .related(first, "by this proxy")
        .help("give this proxy a port of its own; port 0 takes a free one")
}

const NONE: &str = "not an address with a port";

fn refused(
    block: &Block,
    path: &str,
    why: &str,
    meant: Option<String>,
    example: &str,
) -> Diagnostic {
    let text = block.redact(path, text(block, path));
    // A value from the environment may be a secret, and so may what is made of it.
    let meant = meant.filter(|_| !block.written.contains_key(path));
    let help = match meant {
        Some(meant) => format!("write `{meant}`"),
        None => format!("write an address such as `{example}`"),
    };
    Diagnostic::error(
        block.span(path),
        format!("`{path}` cannot be `{text}`"),
        why,
    )
    .help(help)
}

fn text<'a>(block: &'a Block, path: &str) -> &'a str {
    block
        .value(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
