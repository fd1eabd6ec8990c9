//! The stages around a run, from outside: suites, repetitions, replays, recordings, and what CI
//! systems are told. The scenarios are tiny: a proxy in front of a server of the test's own.

mod baseline;
mod evidence;
mod folders;
mod init;
mod live;
mod log;
mod logs;
mod mistakes;
mod pipelines;
mod replay;
mod secrets;
mod server;
mod suite;
mod unreached;
mod windows;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use chaosproxy::units::{Clock, Moment};
use server::{Answer, Server, Then};

use crate::support::{chaosproxy, exe};

/// A folder with scenario files, in which the program is run.
struct Desk {
    dir: tempfile::TempDir,
}

struct Finished {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Desk {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn run(&self, args: &[&str]) -> Finished {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], env: &[(&str, &Path)]) -> Finished {
        let mut command = self.command(args);
        Finished::new(command.envs(env.iter().copied()).output().unwrap())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = chaosproxy();
        command
            .args(args)
            .current_dir(self.dir.path())
            .env("NO_COLOR", "1")
            .env_remove("GITHUB_ACTIONS")
            .env_remove("GITHUB_STEP_SUMMARY")
            .stdin(Stdio::null());
        command
    }
}

impl Finished {
    fn new(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Asserts the exit code, and shows everything if it is another.
    fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// A server that is always well, a new connection for each request.
fn well() -> Server {
    Server::start(|_, _| Answer {
        status: 200,
        then: Then::Close,
    })
}

/// A scenario of 1 s on `server`: a proxy, two probes through it, a fault from 0.2 s to 0.6 s,
/// and a check that `/work` is answered during the fault.
fn scenario(server: &Server, fault: &str) -> String {
    let proxy = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let server = server.address();
    format!(
        r#"
[scenario]
title    = "a small one"
seed     = 7
duration = "1s"
settle   = "1s"

[[proxy]]
name     = "edge"
listen   = "{proxy}"
upstream = "{server}"

[[service]]
name  = "web"
url   = "http://{proxy}"
ready = "/ready"

[[probe]]
name    = "health"
http    = {{ service = "web", path = "/health" }}
every   = "10ms"
timeout = "3s"

[[probe]]
name    = "work"
http    = {{ service = "web", path = "/work" }}
every   = "10ms"
timeout = "3s"

[steady_state]
window  = "200ms"
require = ["health.ok_ratio == 100%"]

[[fault]]
name   = "trouble"
target = "edge"
at     = "200ms"
for    = "400ms"
{fault}

{CHECK}"#
    )
}

const CHECK: &str = r#"[[check]]
name   = "answers"
type   = "health"
probe  = "work"
during = "fault:trouble"
that   = ["work.ok_ratio == 100%"]
"#;

/// Nobody is hurt by it.
const SLOW: &str = "type = \"latency\"\nlatency = \"5ms\"";
/// Every request fails.
const REJECTED: &str = "type = \"partition\"\nmode = \"reject\"";

/// A scenario whose service does not listen.
const NOBODY: &str = r#"
[scenario]
title    = "a service that is not there"
duration = "1s"

[[service]]
name          = "gone"
url           = "http://127.0.0.1:1"
ready_timeout = "200ms"
"#;

#[test]
fn a_service_is_reached_through_a_proxy_on_a_free_port() {
    for (fault, code) in [(SLOW, 0), (REJECTED, 1)] {
        let (desk, server) = (Desk::new(), well());
        let text = scenario(&server, fault);
        let listen = text.lines().find(|line| line.starts_with("listen"));
        let (_, proxy) = listen.unwrap().split_once(" = ").unwrap();
        let proxy = proxy.trim_matches('"');
        let text = text
            .replace(&format!("\"{proxy}\""), "\"127.0.0.1:0\"")
            .replace(proxy, "{{proxy.edge.address}}");
        assert!(text.contains("\"http://{{proxy.edge.address}}\""), "{text}");
        desk.write("a.toml", &text);
        desk.run(&["run", "a.toml"]).exits_with(code);
    }
}

#[test]
fn the_plan_of_a_full_schedule_is_shown_in_time() {
    let desk = Desk::new();
    let fault = "[[fault]]\nname = 'often'\ntype = 'disconnect'\ntarget = 'db'\nat = '0s'\n";
    let text = format!(
        "[scenario]\ntitle = 'full'\nduration = '100000s'\n\
         [[proxy]]\nname = 'db'\nupstream = '127.0.0.1:5432'\n\
         {fault}every = '1s'\ncount = 100000\n"
    );
    desk.write("full.toml", &text);
    let clock = Clock::start();
    let plan = desk.run(&["plan", "full.toml"]).exits_with(0).stdout;
    assert_eq!(plan.matches("often ends").count(), 100_000);
    // In proportion to the schedule it takes a second or two, and to its square minutes.
    let took = clock.now().since(Moment::ZERO);
    assert!(took < Duration::from_secs(60), "it took {took:?}");
}

#[test]
fn every_shell_gets_a_script_and_every_command_a_page() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.run(&["completions", shell]).exits_with(0).stdout;
        assert!(script.contains("retry-inconclusive"), "{shell}: {script}");
    }
    desk.run(&["man", "--dir", "man"]).exits_with(0);
    let mut pages: Vec<_> = fs::read_dir(desk.path("man"))
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for page in [
        "chaosproxy.1",
        "chaosproxy-run.1",
        "chaosproxy-demo-codebase.1",
    ] {
        assert!(pages.iter().any(|name| name == page), "{pages:?}");
    }
    assert!(
        pages.iter().all(|name| !name.contains("__guard")),
        "{pages:?}"
    );
    assert!(
        desk.read("man/chaosproxy-run.1")
            .contains("retry\\-inconclusive")
    );
    let all = desk.run(&["man"]).exits_with(0).stdout;
    assert_eq!(all.matches(".TH ").count(), pages.len());
}
