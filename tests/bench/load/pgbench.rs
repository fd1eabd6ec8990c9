//! The benchmark that comes with PostgreSQL.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use chaosproxy::lab::Database;

use super::Outcome;

/// pgbench and the database that it works on.
#[derive(Debug)]
pub(crate) struct Pgbench {
    program: PathBuf,
    database: Database,
}

impl Pgbench {
    /// Fills `database`: 100,000 rows, all of which stay in memory.
    pub(crate) fn prepare(programs: &Path, database: Database) -> anyhow::Result<Self> {
        let beside = programs.join("pgbench");
        let program = if beside.exists() {
            beside
        } else {
            "pgbench".into()
        };
        let pgbench = Self { program, database };
        let at = pgbench.address();
        pgbench.run(at, &["--initialize", "--quiet"])?;
        Ok(pgbench)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.database
            .address
            .parse()
            .expect("an IP address and a port")
    }

    /// Runs it through `at`, which leads to the database, for whole seconds.
    pub(crate) fn work(
        &self,
        at: SocketAddr,
        args: &[&str],
        seconds: u64,
    ) -> anyhow::Result<Outcome> {
        let seconds = seconds.to_string();
        let mut all = vec!["--no-vacuum", "--select-only", "--time", &seconds];
        all.extend(args);
        let said = self.run(at, &all)?;
        let figure = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        let count = figure("number of transactions actually processed: ");
        let (count, rate) = count
            .zip(figure("tps = "))
            .with_context(|| format!("pgbench gave no figures:\n{said}"))?;
        Ok(Outcome {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            units: count as u64,
            time: Duration::from_secs_f64(count / rate),
            p99: None,
        })
    }

    fn run(&self, at: SocketAddr, args: &[&str]) -> anyhow::Result<String> {
        let url = &self.database.url;
        let url = url.replace(&self.database.address, &at.to_string());
        let output = Command::new(&self.program)
            .args(args)
            .arg(url)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench {args:?}: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
