//! Each planted defect really misbehaves.

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::cluster::Cluster;
use super::server::{Answer, Server, command};
use super::wire::Wire;
use super::{STEADY, begin, completed, eventually, free_port, progress};

/// The times of these tests, for queries that are made to wait.
const PATIENT: [&str; 2] = ["--query-timeout=10s", "--heartbeat-timeout=10s"];

/// A codebase server with a defect, behind a wire, and healthy.
struct Bench {
    codebase: Server,
    wire: Wire,
    sql: Client,
    // The cluster lives as long as somebody holds it.
    _cluster: std::sync::Arc<Cluster>,
}

impl Bench {
    async fn new(defect: &str, flags: &[&str]) -> Self {
        let cluster = Cluster::shared();
        let database = cluster.database().await;
        let port = free_port();
        let wire = Wire::start(port, cluster.port).await;
        let url = format!("postgres://chaos@127.0.0.1:{port}/{database}");
        let codebase = defective(defect, &url, flags).await;
        codebase.is("healthy").await;
        Self {
            sql: cluster.client(&database).await,
            codebase,
            wire,
            _cluster: cluster,
        }
    }

    /// Holds the bytes until the loss is noticed.
    async fn lose(&self) {
        let lost = "database connection lost";
        let before = self.codebase.log_of(lost).len();
        self.wire.hold();
        eventually("the loss is noticed", async || {
            (self.codebase.log_of(lost).len() > before).then_some(())
        })
        .await;
    }

    /// Loses the database and gives it back.
    async fn interrupt(&self) {
        let restored = "database connection restored";
        let before = self.codebase.log_of(restored).len();
        self.lose().await;
        self.wire.release();
        eventually("the database is found again", async || {
            (self.codebase.log_of(restored).len() > before).then_some(())
        })
        .await;
    }

    async fn sessions(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.sql.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn lock_chunks(&self) {
        let lock = "BEGIN; LOCK TABLE chunks";
        self.sql.batch_execute(lock).await.unwrap();
    }

    async fn unlock_chunks(&self) {
        self.sql.batch_execute("COMMIT").await.unwrap();
    }
}

async fn defective(defect: &str, url: &str, flags: &[&str]) -> Server {
    let defect = format!("--defect={defect}");
    let flags = [&[defect.as_str()], flags].concat();
    Server::start("codebase", url, &flags).await
}

/// A server whose database is not there, with the port at which it may appear.
async fn without_database(defect: &str, flags: &[&str]) -> (Server, u16) {
    let port = free_port();
    let url = format!("postgres://chaos@127.0.0.1:{port}/nowhere");
    (defective(defect, &url, flags).await, port)
}

/// The log of the attempt to connect with this number.
async fn attempt(server: &Server, number: u64) -> Value {
    eventually("an attempt is logged", async || {
        let lines = server.log_of("database unavailable: cannot connect");
        lines.into_iter().find(|line| line["attempt"] == number)
    })
    .await
}

async fn store(codebase: &Server) -> (Uuid, Answer) {
    let id = Uuid::new_v4();
    let chunk = json!({ "id": id, "text": "fn f() {}" });
    (id, codebase.post("/chunks", &chunk).await)
}

#[tokio::test]
async fn health_that_lies_is_healthy_although_no_connection_can_be_made() {
    let flags = [&PATIENT[..], &["--pool-min=1"]].concat();
    let Bench {
        codebase,
        mut wire,
        sql,
        _cluster,
    } = Bench::new("health-lies", &flags).await;
    sql.batch_execute("BEGIN; LOCK TABLE chunks").await.unwrap();
    let refusal = async {
        eventually("the one connection is in use", async || {
            (codebase.metric("db_pool_free").await == 0).then_some(())
        })
        .await;
        wire.refuse().await;
        let (answer, ()) = tokio::join!(store(&codebase), async {
            codebase
                .logged("database unavailable: cannot connect")
                .await;
            codebase.is("healthy").await;
            sql.batch_execute("COMMIT").await.unwrap();
        });
        answer
    };
    let (first, second) = tokio::join!(store(&codebase), refusal);
    assert_eq!((first.1.status, second.1.status), (201, 201));
}

#[tokio::test]
async fn a_fixed_interval_never_grows() {
    let (codebase, _) = without_database("fixed-interval", &[]).await;
    let wait = attempt(&codebase, 6).await["next_in_ms"].as_u64().unwrap();
    assert!((15..=24).contains(&wait), "{wait} ms");
}

#[tokio::test]
async fn a_synchronised_herd_dials_with_every_slot_at_once() {
    let (codebase, _) = without_database("synchronised-herd", &["--pool-min=5"]).await;
    let wait = attempt(&codebase, 2).await["next_in_ms"].as_u64().unwrap();
    assert_eq!(wait, 40, "no jitter");
    let attempts = codebase.metric("db_connect_attempts_total").await;
    assert!(attempts >= 10, "{attempts} attempts");
}

#[tokio::test]
async fn a_server_that_gives_up_makes_no_further_attempt() {
    let (codebase, _) = without_database("gives-up", &[]).await;
    let (twin, _) = without_database("fixed-interval", &[]).await;
    codebase.logged("giving up on the database").await;
    attempt(&twin, 8).await;
    assert_eq!(codebase.metric("db_connect_attempts_total").await, 3);
    assert_eq!(codebase.get("/health").await.status, 503);
}

#[tokio::test]
async fn a_server_that_never_reconnects_does_not_even_dial() {
    let bench = Bench::new("never-reconnects", &[]).await;
    eventually("the pool is filled", async || {
        (bench.codebase.metric("db_pool_size").await == 5).then_some(())
    })
    .await;
    let attempts = bench.codebase.metric("db_connect_attempts_total").await;
    bench.lose().await;
    bench.wire.release();
    let refused = store(&bench.codebase).await.1;
    assert_eq!(refused.status, 503, "after all patience");
    let now = bench.codebase.metric("db_connect_attempts_total").await;
    assert_eq!((attempts, now), (5, 5));
}

#[tokio::test]
async fn slow_recovery_waits_long_after_the_database_is_back() {
    let bench = Bench::new("slow-recovery", &["--backoff-max=400ms"]).await;
    bench.interrupt().await;
    let restored = bench.codebase.logged("database connection restored").await;
    let outage = restored["outage_ms"].as_u64().unwrap();
    assert!(outage >= 1200, "{outage} ms");
}

#[tokio::test]
async fn leaked_connections_stay_open_after_each_loss() {
    let bench = Bench::new("connection-leak", &[]).await;
    for _ in 0..2 {
        bench.interrupt().await;
        eventually("the pool is filled", async || {
            (bench.codebase.metric("db_pool_size").await >= 5).then_some(())
        })
        .await;
    }
    // How many are open at the moment of a loss varies; none of those is ever closed.
    eventually(
        "a pool of five has more sessions than it counts",
        async || (bench.sessions().await > 6).then_some(()),
    )
    .await;
}

#[tokio::test]
async fn a_small_pool_stays_with_one_connection_whoever_waits() {
    let bench = Bench::new("small-pool", &["--query-timeout=10s"]).await;
    bench.interrupt().await;
    bench.lock_chunks().await;
    let crowd = async {
        tokio::join!(
            store(&bench.codebase),
            store(&bench.codebase),
            store(&bench.codebase),
        )
    };
    tokio::join!(crowd, async {
        eventually("two wait for the one connection", async || {
            (bench.codebase.metric("db_pool_waiting").await == 2).then_some(())
        })
        .await;
        assert_eq!(bench.codebase.metric("db_pool_size").await, 1);
        assert_eq!(bench.codebase.metric("db_pool_min_size").await, 5);
        bench.unlock_chunks().await;
    });
}

#[tokio::test]
async fn a_lost_acknowledged_write_is_answered_with_201_and_is_not_there() {
    let bench = Bench::new("lost-acknowledged-write", &[]).await;
    bench.lose().await;
    let (id, answer) = store(&bench.codebase).await;
    assert_eq!(answer.status, 201);
    eventually("the write waits in memory", async || {
        (bench.codebase.metric("db_pool_waiting").await == 1).then_some(())
    })
    .await;
    eventually("the write is dropped", async || {
        (bench.codebase.metric("db_pool_waiting").await == 0).then_some(())
    })
    .await;
    bench.wire.release();
    bench.codebase.is("healthy").await;
    let found = bench.codebase.get(&format!("/chunks/{id}")).await;
    assert_eq!(found.status, 404);
}

#[tokio::test]
async fn a_resurrected_write_was_refused_and_appears_all_the_same() {
    let bench = Bench::new("resurrected-write", &[]).await;
    bench.lose().await;
    let (id, answer) = store(&bench.codebase).await;
    assert_eq!(answer.status, 408, "{}", answer.text);
    bench.wire.release();
    eventually("the chunk appears", async || {
        let found = bench.codebase.get(&format!("/chunks/{id}")).await;
        (found.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn lost_progress_begins_anew_after_an_interruption() {
    let bench = Bench::new("partial-progress-lost", &[STEADY]).await;
    let id = begin(&bench.codebase, 600).await;
    progress(&bench.codebase, &id, 200).await;
    bench.wire.hold();
    bench.codebase.logged("index paused").await;
    bench.wire.release();
    eventually("the job goes back", async || {
        let status = bench.codebase.get(&format!("/index/{id}")).await.json();
        (status["files_done"].as_u64().unwrap() < 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stuck_job_says_running_for_ever() {
    let bench = Bench::new("stuck-running", &[STEADY]).await;
    let id = begin(&bench.codebase, 600).await;
    progress(&bench.codebase, &id, 100).await;
    bench.lose().await;
    let refused = store(&bench.codebase).await.1;
    assert_eq!(refused.status, 503, "the job's patience is at an end too");
    bench.wire.release();
    bench.codebase.is("healthy").await;
    let other = begin(&bench.codebase, 900).await;
    completed(&bench.codebase, &other).await;
    let status = bench.codebase.get(&format!("/index/{id}")).await.json();
    assert_eq!(status["state"], "running");
    assert!(status["files_done"].as_u64().unwrap() < 600);
}

#[tokio::test]
async fn a_wrong_exit_looks_like_success_and_does_not_name_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let url = "--database-url=postgres://nobody@127.0.0.1:1/none";
    for server in ["codebase", "workflow"] {
        let args = [server, "--port", &port, url, "--defect=wrong-exit"];
        let output = command(&args).output().await.unwrap();
        assert_eq!(output.status.code(), Some(0));
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains("PortInUse {"), "{log}");
        assert!(!log.contains("already in use"), "{log}");
    }
}

#[tokio::test]
async fn a_log_storm_repeats_itself_without_limit() {
    let (codebase, _) = without_database("log-storm", &["--operation-timeout=10ms"]).await;
    for _ in 0..5 {
        tokio::join!(
            store(&codebase),
            store(&codebase),
            store(&codebase),
            store(&codebase),
            store(&codebase),
            store(&codebase),
        );
    }
    eventually("every failure is logged", async || {
        (codebase.log_of("request failed").len() == 30).then_some(())
    })
    .await;
}
