//! Statements that fail as one wants, at a real server.

use chaosproxy::event::{Fact, Impact};
use chaosproxy::fault::Scope;
use futures_util::SinkExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::NoTls;

use super::talk::{Talk, query, run, sync};
use super::{Db, impacts, touched};
use crate::proxy::read_n;
use crate::support::bound;
use crate::support::rig::{Rig, patiently, spec};

impl Db {
    async fn talk(&self) -> Talk {
        Talk::start(self.proxy, &self.database).await
    }

    async fn fail(&self, params: serde_json::Value) {
        self.rig.inject("pg_error", params, Scope::default()).await;
    }

    /// What the server says of the client's transaction, in the letter of its `ReadyForQuery`.
    async fn status(&self, talk: &Talk) -> &'static str {
        let side = self.side().await;
        let sql = "SELECT state FROM pg_stat_activity WHERE pid = $1";
        // Whoever has the answer may ask before the server says that it is idle.
        loop {
            let row = side.query_one(sql, &[&talk.pid]).await.unwrap();
            match row.get::<_, &str>(0) {
                "idle" => return "I",
                "idle in transaction" => return "T",
                "idle in transaction (aborted)" => return "E",
                _ => tokio::task::yield_now().await,
            }
        }
    }
}

/// A statement in the simple and in the extended protocol.
fn both(sql: &str) -> [Vec<u8>; 2] {
    [query(sql), [run(sql), sync()].concat()]
}

#[tokio::test(flavor = "multi_thread")]
async fn client_and_server_agree_on_the_transaction_after_every_failure() {
    let Some(mut db) = Db::start().await else {
        return;
    };
    db.side()
        .await
        .batch_execute("CREATE TABLE t (n int)")
        .await
        .unwrap();
    let params = json!({ "sqlstate": "40001", "sql": "(?i)insert|commit|rollback|^end" });
    db.fail(params).await;
    // Statements, and how the last of them is answered, simple and extended.
    let cases: &[(&[&str], &str, &str)] = &[
        (&["INSERT INTO t VALUES (1)"], "40001 I", "1 2 n 40001 I"),
        (
            &["BEGIN", "INSERT INTO t VALUES (1)"],
            "40001 E",
            "1 2 n 40001 E",
        ),
        (
            &["BEGIN", "INSERT INTO t VALUES (1)", "SELECT 1"],
            "25P02 E",
            "25P02 E",
        ),
        (
            &["BEGIN", "INSERT INTO t VALUES (1)", "ROLLBACK"],
            "ROLLBACK I",
            "1 2 n ROLLBACK I",
        ),
        (&["BEGIN", "COMMIT"], "40001 I", "1 2 n 40001 I"),
        (&["BEGIN", "/* ; */ end"], "40001 I", "1 2 n 40001 I"),
        (
            &["BEGIN", "SELECT 1"],
            "T row SELECT 1 T",
            "1 2 T row SELECT 1 T",
        ),
    ];
    let mut failures = 0;
    for (statements, simple, extended) in cases {
        for (form, expected) in [simple, extended].into_iter().enumerate() {
            let mut talk = db.talk().await;
            let mut answer = String::new();
            for sql in *statements {
                answer = talk.ask(&both(sql)[form]).await;
            }
            assert_eq!(answer, **expected, "{statements:?} {form}");
            let status = db.status(&talk).await;
            assert!(answer.ends_with(status), "{statements:?}: {status}");
            failures += 1;
        }
    }
    assert_eq!(failures, 14);
    assert_eq!(impacts(&mut db.rig), [Impact::Answered; 12]);
    let rows = db
        .side()
        .await
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0);
    db.rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_commits_nothing_and_leaves_nothing_behind() {
    let Some(db) = Db::start().await else {
        return;
    };
    db.side()
        .await
        .batch_execute("CREATE TABLE t (n int)")
        .await
        .unwrap();
    db.fail(json!({ "sqlstate": "40001", "sql": "COMMIT" }))
        .await;
    for form in 0..2 {
        let mut talk = db.talk().await;
        for sql in ["BEGIN", "INSERT INTO t VALUES (1)", "COMMIT"] {
            talk.send(&both(sql)[form]).await;
        }
        let answers = [
            talk.answers().await,
            talk.answers().await,
            talk.answers().await,
        ];
        let ends = answers.map(|answers| answers[answers.len() - 2..].join(" "));
        assert_eq!(ends, ["BEGIN T", "INSERT 0 1 T", "40001 I"]);
        let left = "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''";
        assert_eq!(talk.ask(&query(left)).await, "T row SELECT 1 I");
        let rows = db
            .side()
            .await
            .query_one("SELECT count(*) FROM t", &[])
            .await
            .unwrap();
        assert_eq!(rows.get::<_, i64>(0), 0);
    }
    // A transaction in one string, and in one segment.
    let mut talk = db.talk().await;
    let string = talk
        .ask(&query("BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT 1"))
        .await;
    assert_eq!(string, "BEGIN INSERT 0 1 40001 I");
    let segment = ["BEGIN", "INSERT INTO t VALUES (1)", "COMMIT", "SELECT 1"]
        .map(run)
        .concat();
    let segment = talk.ask(&[segment, sync()].concat()).await;
    assert_eq!(segment, "1 2 n BEGIN 1 2 n INSERT 0 1 1 2 n 40001 I");
    assert_eq!(db.status(&talk).await, "I");
    db.rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_pipeline_of_five_only_the_meant_one_fails_and_all_answers_keep_their_order() {
    let Some(mut db) = Db::start().await else {
        return;
    };
    db.fail(json!({ "sqlstate": "P0001", "sql": "'three'", "message": "three's a crowd" }))
        .await;
    for form in 0..2 {
        let mut talk = db.talk().await;
        let statements = ["one", "two", "three", "four", "five"].map(|n| format!("SELECT '{n}'"));
        let pipeline: Vec<u8> = statements
            .iter()
            .flat_map(|sql| both(sql)[form].clone())
            .collect();
        talk.send(&pipeline).await;
        for n in 0..5 {
            let answers = talk.answers().await;
            let failed = answers.contains(&"P0001".to_owned());
            assert_eq!(failed, n == 2, "{form}: {answers:?}");
            assert_eq!(answers.last().unwrap(), "I");
        }
    }
    // All five in one segment: what is behind the failure is skipped.
    let mut talk = db.talk().await;
    let statements = ["one", "two", "three", "four", "five"];
    let segment: Vec<u8> = statements
        .iter()
        .flat_map(|n| run(&format!("SELECT '{n}'")))
        .collect();
    let answer = talk.ask(&[segment, sync()].concat()).await;
    assert_eq!(
        answer,
        "1 2 T row SELECT 1 1 2 T row SELECT 1 1 2 T P0001 I"
    );
    assert_eq!(talk.ask(&query("SELECT 'four'")).await, "T row SELECT 1 I");
    db.rig.lift("pg_error").await;
    let each = [
        touched(&mut db.rig).await,
        touched(&mut db.rig).await,
        touched(&mut db.rig).await,
    ];
    assert_eq!(each, [1, 1, 1]);
    db.rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_is_lifted_in_flight_stays_until_its_answer_has_come() {
    let Some(mut db) = Db::start().await else {
        return;
    };
    let side = db.side().await;
    side.batch_execute("CREATE TABLE t (n int)").await.unwrap();
    for form in 0..2 {
        db.fail(json!({ "sqlstate": "40P01", "sql": "22" })).await;
        let mut talk = db.talk().await;
        side.batch_execute("BEGIN; LOCK TABLE t").await.unwrap();
        let pipeline = ["SELECT 11 FROM t", "SELECT 22", "SELECT 22 + 11"];
        // In one piece, so that all of it has passed once its first statement waits.
        let pipeline = pipeline.map(|sql| both(sql)[form].clone()).concat();
        talk.send(&pipeline).await;
        let waits = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'";
        while side.query(waits, &[&talk.pid]).await.unwrap().is_empty() {}
        db.rig.lift("pg_error").await;
        talk.send(&both("SELECT 22")[form]).await;
        side.batch_execute("COMMIT").await.unwrap();
        let mut ends = Vec::new();
        for _ in 0..4 {
            let answers = talk.answers().await;
            ends.push(answers[answers.len() - 2..].join(" "));
        }
        assert_eq!(ends, ["SELECT 0 I", "40P01 I", "40P01 I", "SELECT 1 I"]);
        assert_eq!(touched(&mut db.rig).await, 2);
    }
    db.rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_were_prepared_before_the_fault_fail_by_their_text() {
    let Some(db) = Db::start().await else {
        return;
    };
    let (client, driver) = tokio_postgres::connect(&db.url(), NoTls).await.unwrap();
    tokio::spawn(driver);
    let one = client.prepare("SELECT 1").await.unwrap();
    let two = client.prepare("SELECT 2").await.unwrap();
    db.fail(json!({ "sqlstate": "40001", "sql": "^SELECT 2$" }))
        .await;
    for _ in 0..3 {
        client.query_one(&one, &[]).await.unwrap();
        let error = client.query_one(&two, &[]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "40001");
        assert_eq!(error.message(), "injected by chaosproxy");
        assert_eq!(error.routine(), Some("chaosproxy"));
    }
    db.rig.lift("pg_error").await;
    client.query_one(&two, &[]).await.unwrap();
    db.rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_copied_in_by_the_extended_protocol_puts_nothing_out_of_step() {
    let Some(mut db) = Db::start().await else {
        return;
    };
    db.fail(json!({ "sqlstate": "40001", "sql": "^SELECT 2" }))
        .await;
    let (client, driver) = tokio_postgres::connect(&db.url(), NoTls).await.unwrap();
    tokio::spawn(driver);
    client
        .batch_execute("CREATE TEMP TABLE t (n int)")
        .await
        .unwrap();
    for rows in ["1\n2\n", "no number\n"] {
        let sink = client.copy_in("COPY t FROM STDIN").await.unwrap();
        let mut sink = std::pin::pin!(sink);
        sink.send(bytes::Bytes::from(rows)).await.unwrap();
        assert_eq!(sink.finish().await.is_ok(), rows.starts_with('1'));
        for _ in 0..2 {
            client.query_one("SELECT 1", &[]).await.unwrap();
            let error = client.query_one("SELECT 2", &[]).await.unwrap_err();
            assert_eq!(error.code().unwrap().code(), "40001");
        }
    }
    db.rig.lift("pg_error").await;
    assert_eq!(touched(&mut db.rig).await, 4);
    db.rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_error_is_the_last_that_is_said_behind_all_earlier_answers() {
    let Some(mut db) = Db::start().await else {
        return;
    };
    db.fail(json!({ "sqlstate": "57P01", "sql": "22" })).await;
    for form in 0..2 {
        let mut talk = db.talk().await;
        talk.ask(&query("BEGIN")).await;
        for sql in ["SELECT 11", "SELECT 22", "SELECT 33"] {
            talk.send(&both(sql)[form]).await;
        }
        assert!(
            talk.answers()
                .await
                .ends_with(&["SELECT 1".to_owned(), "T".to_owned()])
        );
        assert!(
            talk.answers()
                .await
                .ends_with(&["57P01".to_owned(), "end".to_owned()])
        );
        let pid = talk.pid;
        let gone = "SELECT 1 FROM pg_stat_activity WHERE pid = $1";
        let side = db.side().await;
        while !side.query(gone, &[&pid]).await.unwrap().is_empty() {}
    }
    assert_eq!(impacts(&mut db.rig), [Impact::Closed; 2]);
    db.rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_shows_the_error_and_copies_as_ever() {
    let Some(db) = Db::start().await else {
        return;
    };
    db.fail(json!({ "sqlstate": "53100", "sql": "(?i)^insert", "message": "disk full" }))
        .await;
    let script = "CREATE TABLE t (n int); COPY t FROM STDIN;\n1\n2\n\\.\n\
                  INSERT INTO t VALUES (3);\nCOPY t TO STDOUT;\nSELECT 'done';\n";
    let mut psql = bound("psql");
    psql.args(["-XAtq", "-v", "VERBOSITY=verbose", "-f", "-", &db.url()]);
    let output = tokio::task::spawn_blocking(move || {
        use std::io::Write;
        use std::process::Stdio;
        let pipes = psql
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n2\ndone\n");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("ERROR:  53100: disk full"), "{errors}");
    assert_eq!(errors.matches("ERROR").count(), 1, "{errors}");
    db.rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_messages_are_encrypted_the_fault_says_that_it_can_do_nothing() {
    let mut rig = Rig::new();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let spec = chaosproxy::action::ProxySpec {
        protocol: chaosproxy::action::Protocol::Postgres,
        ..spec("db", server.local_addr().unwrap())
    };
    let proxy = rig.add(spec).await.unwrap();
    rig.inject("pg_error", json!({ "sqlstate": "40001" }), Scope::default())
        .await;
    let mut client = patiently(TcpStream::connect(proxy)).await.unwrap();
    let (mut server, _) = patiently(server.accept()).await.unwrap();
    client
        .write_all(&[0, 0, 0, 8, 4, 210, 22, 47])
        .await
        .unwrap();
    read_n(&mut server, 8).await;
    server.write_all(b"S").await.unwrap();
    assert_eq!(read_n(&mut client, 1).await, b"S");
    client.write_all(&[0x16, 3, 1, 0, 1, 0]).await.unwrap();
    assert_eq!(read_n(&mut server, 6).await, [0x16, 3, 1, 0, 1, 0]);
    let why = rig.fact(|fact| match fact {
        Fact::FaultUnable {
            fault, conn, why, ..
        } => Some((fault.to_string(), *conn, why.clone())),
        _ => None,
    });
    let expected = (
        "pg_error".to_owned(),
        0,
        "the messages are encrypted with TLS".to_owned(),
    );
    assert_eq!(why.await, expected);
    rig.engine.shutdown().await;
}
