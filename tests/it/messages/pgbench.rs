//! pgbench repeats transactions that fail with a serialization failure or a deadlock, and its
//! tables say whether each was done once.

use chaosproxy::fault::Scope;
use serde_json::json;

use super::Db;
use crate::support::bound;

async fn pgbench(args: Vec<String>) -> String {
    let output = tokio::task::spawn_blocking(|| bound("pgbench").args(args).output().unwrap());
    let output = output.await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !errors.contains("chaosproxy_"),
        "{errors}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_are_repeated_after_failures_are_done_exactly_once() {
    let Some(db) = Db::start().await else {
        return;
    };
    let url = db.url();
    let own = |args: &[&str]| {
        args.iter()
            .map(|arg| (*arg).to_owned())
            .chain([url.clone()])
            .collect()
    };
    pgbench(own(&["-i", "-q", "-s", "1"])).await;
    let params = json!({ "sqlstate": "40001", "sql": "^(UPDATE|INSERT|END)", "rate": "8%" });
    db.rig.inject("pg_error", params, Scope::default()).await;
    for mode in ["simple", "extended", "prepared"] {
        let args = [
            "-n",
            "-M",
            mode,
            "-c",
            "4",
            "-j",
            "2",
            "-t",
            "100",
            "--max-tries=1000",
        ];
        let said = pgbench(own(&args)).await;
        assert!(
            said.contains("transactions actually processed: 400/400"),
            "{said}"
        );
        assert!(!said.contains("transactions retried: 0 "), "{said}");
    }
    let sums = "SELECT (SELECT sum(abalance) FROM pgbench_accounts), \
                (SELECT sum(tbalance) FROM pgbench_tellers), \
                (SELECT sum(delta) FROM pgbench_history), (SELECT count(*) FROM pgbench_history)";
    let row = db.side().await.query_one(sums, &[]).await.unwrap();
    let [accounts, tellers, history] = [0, 1, 2].map(|index| row.get::<_, i64>(index));
    assert_eq!((accounts, tellers), (history, history));
    assert_eq!(row.get::<_, i64>(3), 1200);
    db.rig.engine.shutdown().await;
}
