//! The reference servers as processes, on a real PostgreSQL.

pub(crate) mod cluster;
mod defects;
mod edge_cases;
mod projects;
mod server;
mod wire;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use cluster::Cluster;
use server::{Answer, Server, command};
use wire::Wire;

const FAST: &str = "--index-rate=20000/s";
/// Slow enough that a job is still under way when a test interferes.
const STEADY: &str = "--index-rate=1000/s";
const COUNT: &str = "SELECT count(*), count(DISTINCT file) FROM indexed_files";

#[tokio::test]
async fn codebase_indexes_stores_and_searches() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let codebase = Server::start("codebase", &cluster.url(&database), &[FAST]).await;
    let health = codebase.is("healthy").await;
    assert_eq!(health.status, 200);
    assert_eq!(health.json()["connection_pool"]["max_size"], 20);

    complete(&codebase, 230).await;
    let sql = cluster.client(&database).await;
    let row = sql.query_one(COUNT, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (230_i64, 230_i64));

    let id = Uuid::new_v4();
    let chunk = json!({ "id": id, "text": "fn unmistakable() {}" });
    for _ in 0..2 {
        assert_eq!(codebase.post("/chunks", &chunk).await.status, 201);
    }
    let rows = "SELECT count(*) FROM chunks";
    assert_eq!(sql.query_one(rows, &[]).await.unwrap().get::<_, i64>(0), 1);
    let found = codebase.get("/search?q=unmistakable&limit=5").await.json();
    assert_eq!(found["results"][0]["key"], id.to_string());
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    let files = codebase.get("/search?q=fn+index&limit=7").await.json();
    assert_eq!(files["results"].as_array().unwrap().len(), 7);
    assert_eq!(codebase.get(&format!("/chunks/{id}")).await.status, 200);

    let metrics = codebase.get("/metrics").await.text;
    for line in [
        "http_requests_total{route=\"/chunks\",status=\"201\"} 2",
        "http_requests_total{route=\"/chunks/{}\",status=\"200\"} 1",
        "database_up 1",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
}

#[tokio::test]
async fn workflow_keeps_items_and_says_when_codebase_is_away() {
    let cluster = Cluster::shared();
    let (code, registry) = (cluster.database().await, cluster.database().await);
    let mut codebase = Server::start("codebase", &cluster.url(&code), &[]).await;
    let to_codebase = format!("--codebase-url={}", codebase.url());
    let url = cluster.url(&registry);
    let workflow = Server::start("workflow", &url, &[&to_codebase]).await;
    codebase.is("healthy").await;
    workflow.is("healthy").await;
    let (known, unknown) = (Uuid::new_v4(), Uuid::new_v4());
    let chunk = json!({ "id": known, "text": "fn known() {}" });
    assert_eq!(codebase.post("/chunks", &chunk).await.status, 201);

    let item = json!({ "title": "refers", "reference": known });
    let created = workflow.post("/work-items", &item).await;
    assert_eq!(created.status, 201);
    let stale = json!({ "title": "refers", "reference": unknown });
    assert_eq!(workflow.post("/work-items", &stale).await.status, 422);

    let project = format!("p{}", Uuid::new_v4().simple());
    let project = &project[..12];
    let body = json!({ "name": project });
    for _ in 0..2 {
        assert_eq!(workflow.post("/projects", &body).await.status, 201);
    }
    let item = json!({ "title": "elsewhere", "project": project });
    assert_eq!(workflow.post("/work-items", &item).await.status, 201);
    let path = format!("/work-items?project={project}");
    assert_eq!(titles(&workflow, &path).await, ["elsewhere"]);
    assert_eq!(titles(&workflow, "/work-items?limit=10").await, ["refers"]);

    codebase.signal(Signal::SIGTERM);
    assert!(codebase.exit().await.success());
    let refused = workflow.post("/work-items", &stale).await;
    assert_eq!(refused.status, 503);
    assert!(
        refused.text.contains("codebase is unavailable"),
        "{}",
        refused.text
    );
    assert_eq!(
        workflow
            .post("/work-items", &json!({ "title": "plain" }))
            .await
            .status,
        201
    );
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let shown = workflow.get(&format!("/work-items/{id}")).await.json();
    assert_eq!(shown["reference"]["text"], "(codebase is unavailable)");
}

#[tokio::test]
async fn a_server_comes_up_before_its_database() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let port = free_port();
    let url = format!("postgres://chaos@127.0.0.1:{port}/{database}");
    let codebase = Server::start("codebase", &url, &[]).await;
    let health = codebase.get("/health").await;
    assert_eq!(health.status, 503);
    assert_eq!(health.json()["database_status"], "disconnected");
    codebase.logged("database unavailable").await;

    let _wire = Wire::start(port, cluster.port).await;
    codebase.is("healthy").await;
    let chunk = json!({ "id": Uuid::new_v4(), "text": "late" });
    assert_eq!(codebase.post("/chunks", &chunk).await.status, 201);
}

#[tokio::test]
async fn a_stalled_database_is_noticed_and_the_index_resumes_with_each_file_once() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let port = free_port();
    let wire = Wire::start(port, cluster.port).await;
    let url = format!("postgres://chaos@127.0.0.1:{port}/{database}");
    let codebase = Server::start("codebase", &url, &[STEADY]).await;
    codebase.is("healthy").await;
    let id = begin(&codebase, 600).await;
    progress(&codebase, &id, 100).await;

    wire.hold();
    let chunk = json!({ "id": Uuid::new_v4(), "text": "in flight" });
    let refused = codebase.post("/chunks", &chunk).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.headers["retry-after"], "1");
    codebase.logged("database connection lost").await;
    assert_eq!(codebase.is("unhealthy").await.status, 503);
    codebase.logged("index paused").await;
    let paused = codebase.get(&format!("/index/{id}")).await.json();
    assert_eq!(paused["state"], "paused");

    wire.release();
    codebase.logged("database connection restored").await;
    codebase.logged("index resumed").await;
    assert_eq!(codebase.post("/chunks", &chunk).await.status, 201);
    completed(&codebase, &id).await;
    let sql = cluster.client(&database).await;
    let row = sql.query_one(COUNT, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (600_i64, 600_i64));
    // The first attempt was held on the wire and arrived after all.
    let rows = sql.query_one("SELECT count(*) FROM chunks", &[]).await;
    assert_eq!(rows.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_job_goes_on_where_a_killed_server_left_it() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let url = cluster.url(&database);
    let mut first = Server::start("codebase", &url, &[STEADY]).await;
    first.is("healthy").await;
    let id = begin(&first, 600).await;
    progress(&first, &id, 100).await;
    first.signal(Signal::SIGKILL);
    assert!(!first.exit().await.success());

    let second = Server::start("codebase", &url, &[STEADY]).await;
    second.is("healthy").await;
    assert!(
        progress(&second, &id, 100).await < 600,
        "the job was under way"
    );
    completed(&second, &id).await;
    let row = cluster.client(&database).await.query_one(COUNT, &[]).await;
    let row = row.unwrap();
    assert_eq!((row.get(0), row.get(1)), (600_i64, 600_i64));
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let url = "--database-url=postgres://nobody@127.0.0.1:1/none";
    let args = ["codebase", "--port", &port, url];
    let output = command(&args).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    let message = format!(
        "Port {port} already in use: stop the process that uses it, or set CODEBASE_MCP_PORT"
    );
    assert!(log.contains(&message), "{log}");
}

#[tokio::test]
async fn a_stopped_server_finishes_what_it_has_begun() {
    let flags = ["--query-timeout=5s", "--heartbeat-timeout=5s"];
    let (_cluster, mut codebase, sql) = held_up(&flags).await;
    let (answer, ()) = tokio::join!(insert(&codebase), async {
        let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted
            AND relation = 'chunks'::regclass";
        eventually("the insert waits", async || {
            let waiting: i64 = sql.query_one(blocked, &[]).await.unwrap().get(0);
            (waiting == 1).then_some(())
        })
        .await;
        codebase.signal(Signal::SIGTERM);
        eventually("nothing new is taken", async || {
            std::net::TcpStream::connect(codebase.address).err()
        })
        .await;
        sql.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(answer.status, 201);
    assert_eq!(codebase.exit().await.code(), Some(0));
    assert_eq!(codebase.logged("stopped").await["requests_finished"], true);
}

#[tokio::test]
async fn an_exhausted_pool_queues_and_then_turns_away() {
    let flags = [
        "--pool-min=1",
        "--pool-max=2",
        "--queue=1",
        "--checkout-timeout=300ms",
        "--query-timeout=10s",
        "--heartbeat-timeout=10s",
    ];
    let (_cluster, codebase, sql) = held_up(&flags).await;
    let insert = || insert(&codebase);
    let crowd = async {
        eventually("both connections are in use", async || {
            let pool = codebase.get("/health").await.json()["connection_pool"].clone();
            (pool["utilization_percent"] == 100.0).then_some(())
        })
        .await;
        assert_eq!(codebase.get("/health").await.json()["status"], "degraded");
        let refused = tokio::join!(insert(), insert(), insert());
        for answer in [&refused.0, &refused.1, &refused.2] {
            assert_eq!(answer.status, 503, "{}", answer.text);
            assert_eq!(answer.headers["retry-after"], "5");
        }
        sql.batch_execute("COMMIT").await.unwrap();
    };
    let (first, second, ()) = tokio::join!(insert(), insert(), crowd);
    assert_eq!((first.status, second.status), (201, 201));
    codebase
        .logged("Connection pool saturation (2/2 connections in use)")
        .await;
    codebase.is("healthy").await;
    assert_eq!(insert().await.status, 201);
}

#[tokio::test]
async fn a_pool_that_grew_shrinks_to_its_minimum() {
    let flags = [
        "--pool-min=1",
        "--idle-timeout=300ms",
        "--query-timeout=10s",
    ];
    let (_cluster, codebase, sql) = held_up(&flags).await;
    let insert = || insert(&codebase);
    let unlock = async {
        eventually("the pool grows", async || {
            (codebase.metric("db_pool_size").await >= 4).then_some(())
        })
        .await;
        sql.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(insert(), insert(), insert(), insert(), unlock);
    eventually("the pool shrinks", async || {
        (codebase.metric("db_pool_size").await == 1).then_some(())
    })
    .await;
}

/// A codebase in which writes wait until the connection beside it says COMMIT.
///
/// The cluster lives as long as somebody holds it.
async fn held_up(flags: &[&str]) -> (Arc<Cluster>, Server, tokio_postgres::Client) {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let codebase = Server::start("codebase", &cluster.url(&database), flags).await;
    codebase.is("healthy").await;
    let sql = cluster.client(&database).await;
    sql.batch_execute("BEGIN; LOCK TABLE chunks").await.unwrap();
    (cluster, codebase, sql)
}

async fn insert(codebase: &Server) -> Answer {
    let chunk = json!({ "id": Uuid::new_v4(), "text": "many" });
    codebase.post("/chunks", &chunk).await
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Asks again and again until there is an answer.
async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let answer = timeout(Duration::from_secs(20), asking).await;
    answer.unwrap_or_else(|_| panic!("never came true: {what}"))
}

async fn begin(codebase: &Server, files: u32) -> String {
    let answer = codebase.post("/index", &json!({ "files": files })).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Waits until a job has stored so many files; how many it has.
async fn progress(codebase: &Server, id: &str, files: u64) -> u64 {
    eventually("the job makes progress", async || {
        let done = codebase.get(&format!("/index/{id}")).await.json()["files_done"].as_u64();
        done.filter(|done| *done >= files)
    })
    .await
}

async fn completed(codebase: &Server, id: &str) {
    eventually("the job is completed", async || {
        let status = codebase.get(&format!("/index/{id}")).await.json();
        (status["state"] == "completed").then_some(())
    })
    .await;
}

async fn complete(codebase: &Server, files: u32) {
    let id = begin(codebase, files).await;
    completed(codebase, &id).await;
}

async fn titles(workflow: &Server, path: &str) -> Vec<String> {
    let body = workflow.get(path).await.json();
    let items = body["work_items"].as_array().unwrap().iter();
    items
        .map(|item| item["title"].as_str().unwrap().to_owned())
        .collect()
}
