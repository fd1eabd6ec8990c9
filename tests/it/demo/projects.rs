//! Projects of workflow, each with a database of its own: what the loss of one means for the
//! others.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::cluster::Cluster;
use super::free_port;
use super::server::{Answer, Server};
use super::wire::Wire;

/// Two answers that one event let go are no further apart. The patience with alpha lasts several
/// times as long from when its loss is noticed.
const RIGHT_BEHIND: Duration = Duration::from_millis(150);

/// workflow with the project `alpha` behind a wire and the project `beta`, and an item in each and
/// in the registry.
struct Bench {
    workflow: Server,
    wire: Wire,
    // The cluster lives as long as somebody holds it.
    _cluster: Arc<Cluster>,
}

impl Bench {
    async fn new(flags: &[&str]) -> Self {
        let cluster = Cluster::shared();
        let port = free_port();
        let wire = Wire::start(port, cluster.port).await;
        let (registry, alpha) = (cluster.database().await, cluster.database().await);
        let alpha = format!("--project=alpha=postgres://chaos@127.0.0.1:{port}/{alpha}");
        let beta = cluster.url(&cluster.database().await);
        let beta = format!("--project=beta={beta}");
        // Long enough for others to be answered meanwhile.
        let patience = "--operation-timeout=2s";
        let flags = [&[alpha.as_str(), &beta, patience], flags].concat();
        let workflow = Server::start("workflow", &cluster.url(&registry), &flags).await;
        workflow.is("healthy").await;
        for project in [None, Some("alpha"), Some("beta")] {
            let title = format!("of {}", project.unwrap_or("the registry"));
            let item = json!({ "title": title, "project": project });
            assert_eq!(workflow.post("/work-items", &item).await.status, 201);
        }
        Self {
            workflow,
            wire,
            _cluster: cluster,
        }
    }

    async fn items(&self, project: &str) -> Answer {
        let path = format!("/work-items?project={project}");
        self.workflow.get(&path).await
    }

    /// Holds the bytes of alpha; who is answered first, alpha or beta, which is asked once the loss
    /// is noticed.
    async fn first_to_be_answered(&self) -> (&str, Answer) {
        self.wire.hold();
        let beta = async {
            self.workflow.logged("database connection lost").await;
            self.items("beta").await
        };
        let mut alpha = pin!(self.items("alpha"));
        tokio::select! {
            answer = &mut alpha => ("alpha", answer),
            // Whoever waited for alpha is answered right behind it, and may overtake its answer.
            answer = beta => match timeout(RIGHT_BEHIND, alpha).await {
                Ok(answer) => ("alpha", answer),
                Err(_) => ("beta", answer),
            },
        }
    }
}

#[tokio::test]
async fn a_project_whose_database_hangs_is_refused_and_touches_no_other() {
    let bench = Bench::new(&[]).await;
    let (first, answer) = bench.first_to_be_answered().await;
    assert_eq!((first, answer.status), ("beta", 200));
    assert!(answer.text.contains("of beta"), "{}", answer.text);
    let refused = bench.items("alpha").await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    bench.workflow.is("healthy").await;

    bench.wire.release();
    bench.workflow.logged("database connection restored").await;
    let again = bench.items("alpha").await;
    assert!(again.text.contains("of alpha"), "{}", again.text);
    let unknown = bench.items("gamma").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn one_at_a_time_everybody_waits_for_the_lost_database() {
    let bench = Bench::new(&["--defect=one-at-a-time"]).await;
    let (first, answer) = bench.first_to_be_answered().await;
    assert_eq!((first, answer.status), ("alpha", 503));
}

#[tokio::test]
async fn a_silent_fallback_shows_the_items_of_the_registry() {
    let bench = Bench::new(&["--defect=silent-fallback"]).await;
    bench.wire.hold();
    let answer = bench.items("alpha").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.contains("of the registry"), "{}", answer.text);
}

#[tokio::test]
async fn an_empty_answer_looks_as_if_there_were_no_items() {
    let bench = Bench::new(&["--defect=empty-answer"]).await;
    bench.wire.hold();
    let answer = bench.items("alpha").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({ "work_items": [] }));
}
