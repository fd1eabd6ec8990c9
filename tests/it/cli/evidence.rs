//! What a run must not call well: servers that are gone, faults that nobody met.

use std::net::TcpListener;

use super::{Desk, REJECTED, scenario, well};

#[test]
fn a_server_that_is_gone_does_not_meet_a_bound_on_its_latency() {
    let (desk, server) = (Desk::new(), well());
    // Its listener is gone at once: every connection is refused.
    let nobody = TcpListener::bind("127.0.0.1:0").map(|listener| listener.local_addr());
    let nobody = nobody.unwrap().unwrap().to_string();
    let text = scenario(&server, REJECTED)
        .replace(&server.address().to_string(), &nobody)
        .replace("ready = \"/ready\"", "")
        .replace("health.ok_ratio == 100%", "health.p95 <= 50ms");
    desk.write("gone.toml", &text);
    let run = desk.run(&["run", "gone.toml"]).exits_with(3);
    assert!(run.stderr.contains("p95 3 s over"), "{}", run.stderr);
}
