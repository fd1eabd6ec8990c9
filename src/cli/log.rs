//! chaosproxy's own diagnostics, through `tracing`. Off unless asked for.

use std::io;

use tracing_subscriber::EnvFilter;

use super::output::Printer;

/// What to log.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// Log on stderr what chaosproxy itself does. A level (`debug`) or directives by module
    /// (`chaosproxy::lab=debug`).
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", global = true, value_parser = valid)]
    log: Option<String>,
}

fn valid(filter: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    EnvFilter::builder()
        .parse(filter)
        .map(|_| filter.to_owned())
}

/// Installs the log, if it is asked for.
pub fn start(args: &LogArgs, printer: Printer) {
    if let Some(filter) = &args.log {
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_ansi(printer.colours_talk())
            .with_writer(move || Lines(printer))
            .init();
    }
}

/// Prints whole lines on stderr, with secrets masked.
struct Lines(Printer);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.error(&String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
