//! Real processes and real PostgreSQL: what is stood up works, and nothing is left behind.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chaosproxy::event::{Event, Fact, LogStream, ServiceChange, Stream, bus};
use chaosproxy::lab::spec::{DatabaseSpec, Expectation, LogSource, Origin, ServiceSpec};
use chaosproxy::lab::{Lab, LabError};
use chaosproxy::template::Template;
use chaosproxy::units::Clock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::support::processes::{self, Postmaster, eventually};
use crate::support::{bound, exe, postgres_is_there, temp_of_a_copy};

/// Everything must be gone this soon after the end of a run.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Set in the environment of a copy of this test that plays a run which is killed.
const PLAY_RUN: &str = "CHAOSPROXY_TEST_PLAY_RUN";

struct Bench {
    lab: Lab,
    stream: Stream,
    report: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let report = tempfile::tempdir().unwrap();
        let (recorder, stream) = bus(Clock::start());
        let lab = Lab::start(exe(), recorder, report.path()).await.unwrap();
        Self {
            lab,
            stream,
            report,
        }
    }

    /// Starts a service that counts as ready once `listener` accepts, which it does.
    async fn start(&self, spec: &ServiceSpec) {
        let lookup = |name: &str| (name == "service.x.url").then(|| spec.url.to_string());
        self.lab
            .service(spec, spec.url.as_str(), lookup)
            .await
            .unwrap();
    }

    async fn until(&mut self, mut wanted: impl FnMut(&Fact) -> bool) -> Event {
        let found = async {
            loop {
                let event = self.stream.next().await.unwrap();
                if wanted(&event.fact) {
                    return event;
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(20), found).await;
        found.expect("the fact arrives")
    }

    /// Shuts down and checks that the run's directory went with it.
    async fn shutdown(&self) {
        let directory = self.lab.directory().to_owned();
        assert!(directory.exists());
        self.lab.shutdown().await.unwrap();
        assert!(!directory.exists());
    }
}

fn managed(name: &str, setup: &[&str]) -> DatabaseSpec {
    DatabaseSpec {
        name: name.into(),
        origin: Origin::Managed,
        setup: setup.iter().map(|&sql| sql.to_owned()).collect(),
    }
}

/// A service `x` that is a shell script, marked in its environment.
fn script(url: &str, script: &str, mark: &str) -> ServiceSpec {
    let command = ["/bin/sh", "-c", script];
    let env = [("MARK", mark), ("OWN_URL", "{{service.x.url}}")];
    ServiceSpec {
        name: "x".into(),
        url: Template::parse(url).unwrap(),
        command: Some(command.map(|word| Template::parse(word).unwrap()).into()),
        env: env
            .map(|(name, value)| (name.to_owned(), Template::parse(value).unwrap()))
            .into(),
        working_directory: None,
        ready: None,
        ready_timeout: Duration::from_secs(10),
        expect: Expectation::default(),
        log: LogSource::Both,
        depends_on: Vec::new(),
    }
}

/// A port that accepts connections, and its URL.
fn open_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn mark() -> String {
    format!("mark-{}", uuid::Uuid::new_v4().simple())
}

#[tokio::test]
async fn two_clusters_start_at_once_and_leave_nothing_behind() {
    if !postgres_is_there().await {
        return;
    }
    let mut bench = Bench::new().await;
    let table = "CREATE TABLE t (k text, n int); INSERT INTO t VALUES ('a', 1), ('a', 2), ('b', 3)";
    let (first, second) = (managed("first", &[table]), managed("sec\"ond", &[]));
    let (first, second) = tokio::join!(bench.lab.database(&first), bench.lab.database(&second));
    let (first, second) = (first.unwrap(), second.unwrap());
    for _ in 0..2 {
        let ready = |fact: &Fact| matches!(fact, Fact::Database { change, .. } if change.starts_with("ready after"));
        let event = bench.until(ready).await;
        assert!(event.at.as_nanos() < 5_000_000_000, "{event:?}");
    }
    let answer = bench.lab.query(
        "first",
        "SELECT sum(n), current_user, current_setting('fsync') || current_setting('synchronous_commit'), true, 0.5::float8, null FROM t",
    );
    assert_eq!(
        answer.await.unwrap(),
        [[
            json!(6),
            json!("chaos"),
            json!("offon"),
            json!(true),
            json!(0.5),
            json!(null)
        ]]
    );
    let ledger = bench
        .lab
        .ledger_rows("first", "SELECT k, count(*) FROM t GROUP BY k");
    assert_eq!(
        ledger.await.unwrap(),
        BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)])
    );
    let error = bench
        .lab
        .query("sec\"ond", "SELECT * FROM t")
        .await
        .unwrap_err();
    assert_eq!(error, "relation \"t\" does not exist");

    let attached = DatabaseSpec {
        name: "attached".into(),
        origin: Origin::Url(first.url.clone()),
        setup: vec![
            "CREATE TABLE u ()".to_owned(),
            "CREATE TABLE u ()".to_owned(),
        ],
    };
    let error = bench.lab.database(&attached).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "set up database `attached`: relation \"u\" already exists; the statement was `CREATE TABLE u ()`"
    );

    let postmasters = Postmaster::all(bench.lab.directory());
    assert_eq!(postmasters.len(), 2);
    assert!(
        postmasters
            .iter()
            .all(|one| one.runs() && one.has_shared_memory())
    );
    bench.shutdown().await;
    assert!(
        !postmasters
            .iter()
            .any(|one| one.runs() || one.has_shared_memory())
    );
    for address in [first.address, second.address] {
        TcpListener::bind(address).unwrap();
    }
}

#[tokio::test]
async fn a_service_is_started_with_its_environment_heard_and_stopped() {
    let mut bench = Bench::new().await;
    let (_listener, url) = open_port();
    let mark = mark();
    let text = "trap 'echo bye; exit 3' TERM; echo out $OWN_URL; echo err >&2; while :; do sleep 0.02; done";
    bench.start(&script(&url, text, &mark)).await;
    bench.lab.wait_ready("x").await.unwrap();
    let (mut lines, mut ready) = (Vec::new(), false);
    while lines.len() < 2 || !ready {
        match bench.until(|_| true).await.fact {
            Fact::Log { stream, line, .. } => lines.push((stream, line)),
            Fact::Service { change, .. } => ready |= change == ServiceChange::Ready,
            other => panic!("{other:?}"),
        }
    }
    lines.sort_by_key(|(stream, _)| *stream == LogStream::Stderr);
    let expected = [
        (LogStream::Stdout, format!("out {url}")),
        (LogStream::Stderr, "err".to_owned()),
    ];
    assert_eq!(lines, expected);
    assert!(!processes::with(&mark).is_empty());

    bench.shutdown().await;
    assert!(processes::with(&mark).is_empty());
    // Its last words and its end come by different ways.
    let (mut bye, mut exit) = (false, None);
    while !bye || exit.is_none() {
        match bench.until(|_| true).await.fact {
            Fact::Log { line, .. } => bye |= line == "bye",
            Fact::Service { change, .. } => exit = Some(change),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(exit, Some(ServiceChange::Exited("exit code 3".to_owned())));
    let kept = std::fs::read_to_string(bench.report.path().join("logs/x.log")).unwrap();
    for line in [&format!("out {url}"), "err", "bye"] {
        assert!(kept.lines().any(|kept| kept == line), "{kept}");
    }
}

#[tokio::test]
async fn a_service_that_ends_before_it_is_ready_is_quoted() {
    let bench = Bench::new().await;
    let (listener, url) = open_port();
    drop(listener);
    let text = "echo starting; echo 'Port 8020 already in use' >&2; exit 1";
    bench.start(&script(&url, text, "")).await;
    let error = bench.lab.wait_ready("x").await.unwrap_err();
    assert!(matches!(error, LabError::ServiceExited { .. }), "{error:?}");
    let message = error.to_string();
    let start =
        "start service `x`: it ended with exit code 1 before it was ready; its log ends with:\n";
    assert!(message.starts_with(start), "{message}");
    assert!(
        message.contains("\n    Port 8020 already in use"),
        "{message}"
    );

    let mut missing = script(&url, "", "");
    missing.name = "y".into();
    missing.command = Some(vec![Template::parse("/no/such/program").unwrap()]);
    bench.start(&missing).await;
    let message = bench.lab.wait_ready("y").await.unwrap_err().to_string();
    let cause = "cannot start `/no/such/program`: No such file or directory";
    assert!(message.contains(cause), "{message}");
    bench.shutdown().await;
}

#[tokio::test]
async fn a_service_is_ready_when_it_answers_2xx_and_not_before() {
    let bench = Bench::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut spec = script(
        &format!("http://{}", listener.local_addr().unwrap()),
        "",
        "",
    );
    spec.command = None;
    spec.ready = Some("/health".to_owned());
    let answers = async {
        for status in ["503 Service Unavailable", "200 OK"] {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            assert_eq!(line, "GET /health HTTP/1.1\r\n");
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    bench.start(&spec).await;
    let (ready, ()) = tokio::join!(bench.lab.wait_ready("x"), answers);
    ready.unwrap();

    spec.ready_timeout = Duration::from_millis(200);
    bench.start(&spec).await;
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        drop((stream, listener));
    };
    let (ready, ()) = tokio::join!(bench.lab.wait_ready("x"), answer);
    let message = ready.unwrap_err().to_string();
    assert!(
        message.starts_with("wait for service `x`: not ready after 200ms: "),
        "{message}"
    );
    bench.shutdown().await;
}

#[tokio::test]
async fn a_log_file_is_followed_from_its_end() {
    let mut bench = Bench::new().await;
    let (_listener, url) = open_port();
    let file = bench.report.path().join("server.log");
    std::fs::write(&file, "old\n").unwrap();
    let mut spec = script(&url, "", "");
    spec.command = None;
    spec.log = LogSource::File(file.clone());
    bench.start(&spec).await;
    for text in ["old\nne", "old\nnew\n", "short\n"] {
        // Lets the follower see each state: it looks every 50 ms.
        tokio::time::sleep(Duration::from_millis(150)).await;
        std::fs::write(&file, text).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    std::fs::rename(&file, file.with_extension("1")).unwrap();
    std::fs::write(&file, "longer than the one before\n").unwrap();
    let (mut lines, mut gaps) = (Vec::new(), Vec::new());
    while lines.len() < 3 {
        match bench.until(|_| true).await.fact {
            Fact::Log { stream, line, .. } => {
                assert_eq!(stream, LogStream::File);
                lines.push(line);
            }
            Fact::LogGap(gap) => gaps.push(gap.to_string()),
            _ => {}
        }
    }
    assert_eq!(lines, ["new", "short", "longer than the one before"]);
    let gap = "part of the log of `x` was not seen: its file was cut or written anew before it was \
               read to its end";
    assert!(
        gaps.iter().all(|told| told == gap) && !gaps.is_empty(),
        "{gaps:?}"
    );
    bench.shutdown().await;
}

/// A service `x` that is not started here, whose log this shell script writes.
fn followed(url: &str, script_text: &str) -> ServiceSpec {
    let mut spec = script(url, "", "");
    spec.command = None;
    let words = ["/bin/sh", "-c", script_text];
    spec.log = LogSource::Command(words.map(|word| Template::parse(word).unwrap()).into());
    spec
}

#[tokio::test]
async fn a_command_can_follow_a_log_and_ends_with_the_run() {
    let mut bench = Bench::new().await;
    let (_listener, url) = open_port();
    let mark = mark();
    // What it complains about is kept for people, and is no line of the log.
    let follow = format!(
        "echo complaint >&2; echo {{{{service.x.url}}}}; echo two; MARK={mark} exec sleep 1000"
    );
    bench.start(&followed(&url, &follow)).await;
    let mut lines = Vec::new();
    while lines.len() < 2 {
        if let Fact::Log { stream, line, .. } = bench.until(|_| true).await.fact {
            assert_eq!(stream, LogStream::Command);
            lines.push(line);
        }
    }
    assert_eq!(lines, [url, "two".to_owned()]);
    let kept = || std::fs::read_to_string(bench.report.path().join("logs/x.log"));
    let complained = || kept().is_ok_and(|kept| kept.contains("complaint\n"));
    assert!(eventually(Duration::from_secs(20), complained).await);
    assert_eq!(processes::with(&mark).len(), 1);
    bench.shutdown().await;
    assert_eq!(processes::with(&mark), Vec::<u32>::new());
}

#[tokio::test]
async fn a_log_that_is_not_followed_any_more_is_reported() {
    for (script, how) in [
        ("echo bye; exit 3", "ended with exit code 3"),
        // A child goes on; nobody knows for how long it would have.
        ("sleep 1000 & exit 0", "ended with exit code 0"),
        ("exec sleep 1000 >&-", "closed its output"),
    ] {
        let mut bench = Bench::new().await;
        let (_listener, url) = open_port();
        bench.start(&followed(&url, script)).await;
        let is_gap = |fact: &Fact| matches!(fact, Fact::LogGap(_));
        let Fact::LogGap(gap) = bench.until(is_gap).await.fact else {
            panic!("it is a gap")
        };
        let expected = format!("the log of `x` ends here: `/bin/sh -c {script}` {how}");
        assert_eq!(gap.to_string(), expected);
        bench.shutdown().await;
    }
}

/// Ignores every polite signal, and so does a grandchild in a session of its own whose parent is
/// gone.
const STUBBORN: &str = "trap '' TERM INT HUP
    (setsid sh -c 'echo grandchild; while :; do sleep 1; done' &)
    while :; do sleep 1; done";

#[tokio::test]
async fn a_run_that_is_killed_leaves_nothing() {
    if !postgres_is_there().await {
        return;
    }
    let (mark, temp) = (mark(), temp_of_a_copy());
    let mut run = tokio::process::Command::from(bound(std::env::current_exe().unwrap()))
        .args(["--exact", "lab::play_a_run_that_is_killed", "--nocapture"])
        .env(PLAY_RUN, &mark)
        .env("TMPDIR", temp.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(run.stdout.take().unwrap()).lines();
    let directory = loop {
        let line = said
            .next_line()
            .await
            .unwrap()
            .expect("the run says where it is");
        if let Some((_, path)) = line.split_once("directory=") {
            break PathBuf::from(path);
        }
    };
    let postmasters = Postmaster::all(&directory);
    assert_eq!(postmasters.len(), 1);
    assert!(directory.exists() && postmasters[0].has_shared_memory());
    // The run, its guard, two shells; not what those wait for just now.
    let all = processes::with(&mark);
    assert!(all.len() >= 4, "{all:?}");

    run.kill().await.unwrap();
    let gone = eventually(GONE_WITHIN, || {
        !directory.exists() && processes::with(&mark).is_empty() && !postmasters[0].runs()
    });
    assert!(gone.await, "left: {:?}", processes::with(&mark));
    assert!(!postmasters[0].has_shared_memory());
}

/// The run of the test above; by itself it does nothing.
#[tokio::test]
async fn play_a_run_that_is_killed() {
    let Ok(mark) = std::env::var(PLAY_RUN) else {
        return;
    };
    let mut bench = Bench::new().await;
    bench.lab.database(&managed("db", &[])).await.unwrap();
    let (_listener, url) = open_port();
    bench.start(&script(&url, STUBBORN, &mark)).await;
    bench.until(|fact| matches!(fact, Fact::Log { .. })).await;
    println!("directory={}", bench.lab.directory().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_run_that_ends_while_a_cluster_is_made_leaves_no_shared_memory() {
    if !postgres_is_there().await {
        return;
    }
    let bench = Bench::new().await;
    let directory = bench.lab.directory().to_owned();
    // A server that reads from initdb, stopped while it has its memory, is there to the end.
    let reads_from_initdb = |server: &Postmaster| {
        let input = std::fs::read_link(format!("/proc/{}/fd/0", server.pid));
        input.is_ok_and(|input| input.to_string_lossy().starts_with("pipe:"))
    };
    let held = async {
        loop {
            if let Some(server) = Postmaster::all(&directory).pop()
                && signal(server.pid, Signal::SIGSTOP).is_ok()
            {
                if reads_from_initdb(&server) && server.has_shared_memory() {
                    return server;
                }
                signal(server.pid, Signal::SIGCONT).ok();
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let cluster = managed("db", &[]);
    let server = tokio::select! {
        server = held => server,
        made = bench.lab.database(&cluster) => panic!("no server of initdb was met: {made:?}"),
    };
    bench.shutdown().await;
    assert!(!server.runs() && !server.has_shared_memory());
}

/// A service that leaves a process in a session of its own, a stopped postmaster, a promise; then
/// the guard is killed. Nothing of it may be left after `finish`. Whether the promise was kept.
async fn a_killed_guard(finish: impl AsyncFnOnce(Bench)) -> bool {
    let mut bench = Bench::new().await;
    let folder = tempfile::tempdir().unwrap();
    let undone = folder.path().join("undone");
    let undo = ["touch".to_owned(), undone.display().to_string()];
    bench.lab.promise(&undo, "undo").await.unwrap();
    bench.lab.database(&managed("db", &[])).await.unwrap();
    let (_listener, url) = open_port();
    let mark = mark();
    let text = "setsid sleep 1000 & sleep 1000 & echo $$; wait";
    bench.start(&script(&url, text, &mark)).await;
    let said = bench.until(|fact| matches!(fact, Fact::Log { .. })).await;
    let Fact::Log { line, .. } = said.fact else {
        panic!("{said:?}");
    };
    assert!(eventually(GONE_WITHIN, || processes::with(&mark).len() == 3).await);
    let directory = bench.lab.directory().to_owned();
    let [postmaster] = &Postmaster::all(&directory)[..] else {
        panic!("one postmaster");
    };
    // One that is stopped cannot follow its guard.
    signal(postmaster.pid, Signal::SIGSTOP).unwrap();
    signal(processes::parent(line.parse().unwrap()), Signal::SIGKILL).unwrap();
    bench.lab.guard_ended().await;
    finish(bench).await;
    let nothing_is_left = || {
        let processes = processes::with(&mark).len() + usize::from(postmaster.runs());
        processes == 0 && !directory.exists() && !postmaster.has_shared_memory()
    };
    assert!(eventually(GONE_WITHIN, nothing_is_left).await);
    undone.exists()
}

#[tokio::test]
async fn a_killed_guard_has_a_successor_that_clears_away_and_keeps_what_was_promised() {
    if !postgres_is_there().await {
        return;
    }
    let kept = a_killed_guard(async |bench| {
        let answer = bench.lab.shutdown().await;
        assert!(matches!(answer, Err(LabError::GuardLost)), "{answer:?}");
    });
    assert!(kept.await);
}

#[tokio::test]
async fn what_a_killed_guard_and_its_run_leave_is_swept_by_the_next_run() {
    if !postgres_is_there().await {
        return;
    }
    let kept = a_killed_guard(async |bench| {
        drop(bench);
        Bench::new().await.shutdown().await;
    });
    assert!(!kept.await, "nobody was left who knew of it");
}

fn signal(pid: u32, signal: Signal) -> nix::Result<()> {
    kill(Pid::from_raw(pid.cast_signed()), signal)
}

#[tokio::test]
async fn a_directory_of_a_crashed_machine_is_swept_and_one_in_use_is_not() {
    let stale = std::env::temp_dir().join(format!("chaosproxy-1-{}", mark()));
    std::fs::create_dir(&stale).unwrap();
    // A process of another kind has the number that the postmaster had.
    let cluster = stale.join("clusters/db");
    std::fs::create_dir_all(&cluster).unwrap();
    let pid = format!("{}\n", std::process::id());
    std::fs::write(cluster.join("postmaster.pid"), pid).unwrap();
    std::fs::write(stale.join("lock"), "").unwrap();
    let first = Bench::new().await;
    assert!(eventually(GONE_WITHIN, || !stale.exists()).await);
    let second = Bench::new().await;
    assert!(Path::exists(first.lab.directory()));
    first.shutdown().await;
    second.shutdown().await;
}
