//! The words for mistakes of what a scenario stands on: databases, proxies, services.

use crate::diag::{Diagnostic, Span};
use crate::scenario::block::Block;

/// Port 0 for a server that is not started here.
pub(in crate::scenario) fn port_zero(block: &Block) -> Diagnostic {
    Diagnostic::error(
        block.span("url"),
        "port 0 takes a free port only for a server that chaosproxy starts",
        "where does the server listen?",
    )
    .help("write the port of the running server, or the `command` that starts it")
}

/// The output of a process that somebody else started.
pub(in crate::scenario) fn log_of_attached(block: &Block) -> Diagnostic {
    Diagnostic::error(
        block.span("log"),
        "the output of a server can be read only if chaosproxy starts it",
        "there is no `command`",
    )
    .help("write `log = { file = \"…\" }`, or give the `command`")
}

/// A start or an end of something that chaosproxy does not start; `block` describes it.
pub(in crate::scenario) fn not_ours(span: Span, block: &Block) -> Diagnostic {
    let name = block.name().unwrap_or_default();
    let help = match block.kind {
        "database" => "write `managed = true` for a server that chaosproxy starts",
        _ => "give it a `command`, so that chaosproxy starts it",
    };
    Diagnostic::error(
        span,
        format!("chaosproxy can start and end only what is its own; `{name}` is not"),
        "started by somebody else",
    )
    .related(block.source.block, "described here")
    .help(help)
}

/// A fault on messages through a proxy that does not follow them.
pub(in crate::scenario) fn not_followed(span: Span, proxy: &Block, protocol: &str) -> Diagnostic {
    let name = proxy.name().unwrap_or_default();
    Diagnostic::error(
        span,
        format!("the fault acts on messages that `{name}` does not follow"),
        "would touch nobody",
    )
    .related(proxy.source.block, "the proxy")
    .help(format!("write `protocol = \"{protocol}\"` in the proxy"))
}

/// A database that is to be reached over TLS.
pub(in crate::scenario) fn encrypted(block: &Block, path: &str) -> Diagnostic {
    Diagnostic::error(
        block.span(path),
        format!("`{path}` asks for TLS, which chaosproxy does not speak yet"),
        "cannot be connected to",
    )
    .help("write `sslmode=disable` or `sslmode=prefer`, if the server takes sessions without TLS")
}

/// A database that is to be reached through a socket of the file system.
pub(in crate::scenario) fn socket(block: &Block, path: &str) -> Diagnostic {
    Diagnostic::error(
        block.span(path),
        format!("`{path}` names a unix socket, which chaosproxy does not connect to yet"),
        "not a host and a port",
    )
    .help("write the host and the port at which the server listens, for example `127.0.0.1:5432`")
}
