//! `chaosproxy init`: a scenario to begin with, for servers that are there already. Asks nothing.

mod command_line;
mod template;
mod write;

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::input::{self, BAD_INPUT};
use super::output::Printer;
use crate::diag::{Severity, Source};
use crate::scenario;
use command_line::CommandLine;
use template::Template;

/// What is written unless another template is named.
const USUAL: &str = "db-partition";
/// What a mistake means.
const REFUSAL: &str = "nothing was written";
/// Where servers say how they are, unless told otherwise.
const HEALTH: &str = "/health";

/// Arguments of `chaosproxy init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A server that runs already, and where; may be given several times. With `--template` and
    /// without any, the template is written as it is, for the reference servers.
    #[arg(long = "service", value_name = "NAME=URL", value_parser = service)]
    services: Vec<Service>,
    /// The database behind the servers, as a connection URL; write `${NAME}` to take it from the
    /// environment. Without it, a throwaway cluster.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The path at which every server says how it is.
    #[arg(long, value_name = "PATH", default_value = HEALTH)]
    health: String,
    /// The shipped scenario whose faults are taken over.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// The file to write; it must not exist. Without it, the scenario is printed.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// List the templates.
    #[arg(long, conflicts_with_all = ["services", "database", "template", "output"])]
    list: bool,
}

/// A server and its base URL.
#[derive(Debug, Clone)]
struct Service {
    name: String,
    url: String,
}

fn service(text: &str) -> Result<Service, String> {
    match text.split_once('=') {
        Some((name, url)) if !name.is_empty() && !url.is_empty() => Ok(Service {
            name: name.to_owned(),
            url: url.trim_end_matches('/').to_owned(),
        }),
        _ => Err("write NAME=URL, for example `api=http://127.0.0.1:8000`".to_owned()),
    }
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    if args.list {
        printer.data(&template::list());
        return ExitCode::SUCCESS;
    }
    match init(args, printer) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BAD_INPUT),
        Err(error) => {
            printer.error(&format!("error: {error:#}"));
            ExitCode::from(BAD_INPUT)
        }
    }
}

/// `false`: the scenario would not be valid, which has been told.
fn init(args: &Args, printer: Printer) -> anyhow::Result<bool> {
    if args.services.is_empty() && args.template.is_none() {
        bail!(
            "there is nothing to write a scenario for; give `--service NAME=URL`, or a \
             `--template` to copy (`chaosproxy init --list` lists them)"
        );
    }
    let template = Template::find(args.template.as_deref().unwrap_or(USUAL))?;
    let text = if args.services.is_empty() {
        template.text.to_owned()
    } else {
        write::scenario(args, &template)?
    };
    if !is_usable(args, &text, printer)? {
        return Ok(false);
    }
    if args
        .database
        .as_deref()
        .is_some_and(scenario::holds_password)
    {
        printer.say(&format!(
            "the password of the database is not written: the scenario takes {} from the environment",
            write::VARIABLE
        ));
    }
    match &args.output {
        None => printer.data(&text),
        Some(path) => {
            create(path, &text)?;
            let path = path.display();
            printer.say(&format!(
                "wrote {path}; next: chaosproxy plan {path}, then chaosproxy run {path}"
            ));
        }
    }
    Ok(true)
}

/// Whether the scenario can be used, as far as it can be known before the environment is; and shows
/// what is to be said about it.
fn is_usable(args: &Args, text: &str, printer: Printer) -> anyhow::Result<bool> {
    let output = args.output.as_deref();
    let name = output.map_or_else(
        || "standard output".into(),
        |path| path.display().to_string(),
    );
    let mut source = Source {
        name,
        text: text.into(),
    };
    let asked = RefCell::new(Vec::new());
    let environment = |name: &str| {
        asked.borrow_mut().push(format!("${{{name}"));
        std::env::var(name).ok()
    };
    let (_, mut found) = scenario::load(&source, &environment, &input::catalogue()?);
    let asked = asked.into_inner();
    found.retain(|one| {
        let place = one.primary.as_ref().map(|label| label.span);
        let written = place.and_then(|span| text.get(span.start..span.end));
        // What the environment gives is for whoever runs the scenario to see.
        written.is_none_or(|written| !asked.iter().any(|name| written.contains(name)))
    });
    let usable = !found.iter().any(|one| one.severity == Severity::Error);
    let command_line = CommandLine::new(args);
    let blamed = command_line.blamed(&found, text);
    if usable {
        input::show(&found, &source, true, "", printer);
    } else if blamed.is_empty() {
        source.name.push_str(" (not written)");
        input::show(&found, &source, false, REFUSAL, printer);
    } else {
        let source = command_line.source();
        input::show(&blamed, &source, false, REFUSAL, printer);
    }
    Ok(usable)
}

/// Writes a file that is not there yet.
fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    match opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} exists already; {REFUSAL}", path.display())
        }
        result => result.with_context(|| format!("cannot write {}", path.display())),
    }
}
