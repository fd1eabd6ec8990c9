use std::time::Duration;

use super::provision::Stage;
use crate::event::Fact;
use crate::scenario::Plan;

/// Statements of others that are still under way; background processes have no client.
const UNDER_WAY: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'";
/// How long such statements are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Reads every ledger and answers every verification query, past the proxies, once nothing writes
/// any more.
pub(super) async fn record(plan: &Plan, stage: &Stage<'_>) {
    for ledger in &plan.ledgers {
        wait_until_quiet(stage, &ledger.database).await;
        let rows = stage.lab().ledger_rows(&ledger.database, &ledger.sql).await;
        stage.recorder().record(Fact::LedgerRead {
            ledger: ledger.name.clone(),
            rows,
        });
    }
    for (check, database, sql) in &plan.queries {
        let rows = stage.lab().query(database, sql).await;
        stage.recorder().record(Fact::Query {
            check: check.clone(),
            rows,
        });
    }
}

/// A write whose outcome nobody learned may still be under way in the server: it could appear
/// after the read and be taken for lost.
async fn wait_until_quiet(stage: &Stage<'_>, database: &str) {
    let quiet = async {
        loop {
            match stage.lab().query(database, UNDER_WAY).await.as_deref() {
                Ok([row]) if row.first().is_some_and(|count| count != 0) => {}
                // Quiet, or not to be asked: the read-back itself will tell.
                _ => return,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(PATIENCE, quiet).await.is_err() {
        stage.recorder().record(Fact::Trouble {
            message: format!(
                "statements on database `{database}` were still under way after {} s; its \
                 read-back may miss what they write",
                PATIENCE.as_secs()
            ),
        });
    }
}
