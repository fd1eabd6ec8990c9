//! The real `chaosproxy`, run as a user would run it, and what it leaves behind.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Every process of one run inherits this variable with a value of its own, so that whatever is
/// left of the run can be found.
const MARK: &str = "CHAOSPROXY_TEST_MARK";

/// A folder for one run, and the mark of its processes.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    mark: String,
}

/// A finished `chaosproxy run`.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) report: Option<Value>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            mark: uuid::Uuid::new_v4().to_string(),
        }
    }

    pub(crate) fn report_dir(&self) -> PathBuf {
        self.dir.path().join("report")
    }

    /// Writes a scenario file for the run.
    pub(crate) fn scenario(&self, text: &str) -> PathBuf {
        let path = self.dir.path().join("scenario.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, scenario: &Path) -> Command {
        let mut command = super::chaosproxy();
        command
            .arg("run")
            .arg(scenario)
            .arg("--report-dir")
            .arg(self.report_dir())
            .env(MARK, &self.mark)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a scenario to its end.
    pub(crate) fn run(&self, scenario: &Path) -> Finished {
        let output = self.command(scenario).output().unwrap();
        self.finished(&output)
    }

    /// Starts a run whose talk can be read line by line.
    pub(crate) fn start(&self, scenario: &Path) -> Running {
        Self::spawn(self.command(scenario))
    }

    /// The same through a line of shell, which has the command in `"$@"`.
    pub(crate) fn start_through(&self, line: &str, scenario: &Path) -> Running {
        let command = self.command(scenario);
        let mut shell = super::bound("sh");
        let set =
            |(name, value): (&OsStr, Option<&OsStr>)| Some((name.to_owned(), value?.to_owned()));
        shell.args(["-c", line, "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(set));
        Self::spawn(shell)
    }

    fn spawn(mut command: Command) -> Running {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let talk = BufReader::new(child.stderr.take().unwrap());
        Running { child, talk }
    }

    fn finished(&self, output: &Output) -> Finished {
        let report = fs::read_to_string(self.report_dir().join("report.json"));
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            report: report.ok().map(|text| serde_json::from_str(&text).unwrap()),
        }
    }

    /// The run's processes that still live.
    pub(crate) fn survivors(&self) -> Vec<u32> {
        super::processes::with(&self.mark)
    }
}

/// A run under way.
pub(crate) struct Running {
    child: Child,
    talk: BufReader<std::process::ChildStderr>,
}

impl Running {
    /// Reads the run's talk until a line contains `text`; gives all lines read.
    pub(crate) fn wait_for(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.talk.read_line(&mut line).unwrap();
            assert!(
                read > 0,
                "the run ended before it said `{text}`:\n{}",
                lines.concat()
            );
            let found = line.contains(text);
            lines.push(line);
            if found {
                return lines;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end; gives the exit code, or nothing after a signal.
    pub(crate) fn wait(mut self) -> Option<i32> {
        // Keeps reading, so that the run is never held up by a full pipe.
        std::io::copy(&mut self.talk, &mut std::io::sink()).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Finished {
    /// The verdict of each check, by name.
    pub(crate) fn verdicts(&self) -> BTreeMap<String, String> {
        self.of_each_check("verdict")
    }

    /// What each check says in a line, by name.
    pub(crate) fn summaries(&self) -> BTreeMap<String, String> {
        self.of_each_check("summary")
    }

    fn of_each_check(&self, key: &str) -> BTreeMap<String, String> {
        let report = self.report.as_ref().unwrap_or_else(|| {
            panic!(
                "no report; exit code {:?}\n{}\n{}",
                self.code, self.stdout, self.stderr
            )
        });
        let checks = report["checks"].as_array().unwrap();
        let pairs = checks.iter().map(|check| {
            let text = |key: &str| check[key].as_str().unwrap().to_owned();
            (text("name"), text(key))
        });
        pairs.collect()
    }
}
