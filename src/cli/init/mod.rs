//! `chaosproxy init`: a scenario to begin with, for servers that are there already. Asks nothing.

mod template;
mod write;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use super::input::{self, BAD_INPUT};
use super::output::Printer;
use crate::diag::Source;
use template::Template;

/// What is written unless another template is named.
const USUAL: &str = "db-partition";

/// Arguments of `chaosproxy init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A server that runs already, and where; may be given several times. Without any, the template
    /// is written as it is, for the reference servers.
    #[arg(long = "service", value_name = "NAME=URL", value_parser = service)]
    services: Vec<Service>,
    /// The database behind the servers, as a connection URL; write `${NAME}` to take it from the
    /// environment. Without it, a throwaway cluster.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The path at which every server says how it is.
    #[arg(long, value_name = "PATH", default_value = "/health")]
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
    let name = args.output.as_deref().map_or_else(
        || template.name.to_owned(),
        |path| path.display().to_string(),
    );
    let source = Source {
        name,
        text: text.as_str().into(),
    };
    if input::resolve(&source, "nothing was written", printer).is_none() {
        return Ok(false);
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

/// Writes a file that is not there yet.
fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    match opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} exists already; nothing was written", path.display())
        }
        result => result.with_context(|| format!("cannot write {}", path.display())),
    }
}
