//! What the servers say when something is not as it should be.

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::cluster::Cluster;
use super::server::{Server, command, scaled};
use super::{FAST, begin, complete, completed, eventually};

/// A database that another version of the servers has used, and a session in it.
async fn of_another_version(cluster: &Cluster) -> (String, tokio_postgres::Client) {
    let database = cluster.database().await;
    let sql = cluster.client(&database).await;
    let tables = "CREATE TABLE schema_version (version text NOT NULL);
                  INSERT INTO schema_version VALUES ('002')";
    sql.batch_execute(tables).await.unwrap();
    (database, sql)
}

#[tokio::test]
async fn a_database_of_another_version_ends_the_server_and_stays_as_it_is() {
    let cluster = Cluster::shared();
    for server in ["codebase", "workflow"] {
        let (database, sql) = of_another_version(&cluster).await;
        let mut server = Server::start(server, &cluster.url(&database), &[]).await;
        assert_eq!(server.exit().await.code(), Some(1));
        let message = "Database at 002, code expects 003: migrate the database, or start the \
                       version of the server that fits it";
        assert_eq!(server.logged(message).await["level"], "error");
        let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
        let tables: i64 = sql.query_one(tables, &[]).await.unwrap().get(0);
        assert_eq!(tables, 1, "only schema_version");
    }
}

#[tokio::test]
async fn a_server_that_does_not_look_takes_tables_of_another_version_as_they_are() {
    let cluster = Cluster::shared();
    for server in ["codebase", "workflow"] {
        let (database, _sql) = of_another_version(&cluster).await;
        let defect = ["--defect=schema-unchecked"];
        let server = Server::start(server, &cluster.url(&database), &defect).await;
        server.is("healthy").await;
    }
}

#[tokio::test]
async fn a_database_of_the_expected_version_is_used_again() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    for _ in 0..2 {
        let mut codebase = Server::start("codebase", &cluster.url(&database), &[]).await;
        codebase.is("healthy").await;
        codebase.signal(Signal::SIGTERM);
        assert!(codebase.exit().await.success());
    }
    let sql = cluster.client(&database).await;
    let rows = sql.query("SELECT version FROM schema_version", &[]).await;
    let rows = rows.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, String>(0), "003");
}

#[tokio::test]
async fn a_job_over_its_target_time_is_finished_with_a_warning() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let flags = [FAST, "--index-target=10ms"];
    let codebase = Server::start("codebase", &cluster.url(&database), &flags).await;
    codebase.is("healthy").await;
    complete(&codebase, 500).await;
    let warning = codebase.logged("index took ").await;
    assert_eq!(warning["level"], "warn");
    assert_eq!(warning["target_ms"], 10);
    assert!(warning["took_ms"].as_u64().unwrap() > 10);
    let message = warning["message"].as_str().unwrap();
    assert!(
        message.ends_with(" s, over its target of 0.01 s"),
        "{message}"
    );
}

#[tokio::test]
async fn a_request_whose_body_breaks_off_is_logged_and_counted() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let codebase = Server::start("codebase", &cluster.url(&database), &[]).await;
    let mut client = TcpStream::connect(codebase.address).await.unwrap();
    let head = "POST /chunks HTTP/1.1\r\nhost: codebase\r\ncontent-length: 100\r\n\r\n{";
    client.write_all(head.as_bytes()).await.unwrap();
    drop(client);
    let logged = codebase.logged("request").await;
    assert_eq!(logged["operation"], "POST /chunks");
    assert_eq!(logged["outcome"], 400);
    let metrics = codebase.get("/metrics").await.text;
    let line = "http_requests_total{route=\"/chunks\",status=\"400\"} 1";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[tokio::test]
async fn slow_queries_and_a_pool_that_is_nearly_in_use_are_warned_of() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let flags = [
        "--pool-min=5",
        "--pool-max=5",
        "--query-timeout=10s",
        "--heartbeat-timeout=10s",
    ];
    let codebase = Server::start("codebase", &cluster.url(&database), &flags).await;
    codebase.is("healthy").await;
    eventually("the pool is filled", async || {
        (codebase.metric("db_pool_size").await == 5).then_some(())
    })
    .await;
    let sql = cluster.client(&database).await;
    sql.batch_execute("BEGIN; LOCK TABLE chunks").await.unwrap();
    let store = async || {
        let chunk = json!({ "id": Uuid::new_v4(), "text": "slow" });
        assert_eq!(codebase.post("/chunks", &chunk).await.status, 201);
    };
    tokio::join!(store(), store(), store(), store(), async {
        codebase
            .logged("Connection pool nearly in use (4/5 connections)")
            .await;
        let wait = "SELECT pg_sleep(1.1); COMMIT";
        sql.batch_execute(wait).await.unwrap();
    });
    let slow = codebase.logged("slow query: insert chunk took 1.").await;
    assert_eq!(slow["level"], "warn");
    assert!(slow["latency_ms"].as_u64().unwrap() >= 1000);
}

#[tokio::test]
async fn codebase_works_with_an_embeddings_server_and_without() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let mut embeddings = Server::run(command(&["embeddings", "--listen=127.0.0.1:0"])).await;
    let address = embeddings.address.to_string();
    let mut codebase = scaled("codebase", &cluster.url(&database), &[FAST]);
    codebase.env("EMBEDDINGS_URL", embeddings.url());
    let codebase = Server::run(codebase).await;
    codebase.is("healthy").await;

    complete(&codebase, 100).await;
    let found = codebase.get("/search?q=fn&limit=5").await.json();
    assert_eq!(found["ranked"], true);
    assert_eq!(found["results"].as_array().unwrap().len(), 5);
    let asked = embeddings.log_of("request");
    assert_eq!(asked.len(), 3, "two batches and a search: {asked:?}");
    assert!(asked.iter().all(|line| line["operation"] == "POST /embed"));

    embeddings.signal(Signal::SIGTERM);
    assert!(embeddings.exit().await.success());
    let found = codebase.get("/search?q=fn&limit=5").await;
    assert_eq!(found.status, 200);
    assert_eq!(found.json()["ranked"], false);
    let id = begin(&codebase, 150).await;
    let paused = codebase.logged("index paused").await;
    let error = paused["error"].as_str().unwrap();
    assert!(error.starts_with("embeddings are unavailable"), "{error}");

    let _again = Server::run(command(&["embeddings", "--listen", &address])).await;
    completed(&codebase, &id).await;
    codebase.logged("index resumed").await;
}
