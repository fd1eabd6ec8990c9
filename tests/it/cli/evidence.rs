//! What a run must not call well: servers that are gone, faults that nobody met.

use std::net::TcpListener;

use super::{CHECK, Desk, REJECTED, SLOW, Server, scenario, well};

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

/// The scenario with its service past the proxy: no fault touches anybody.
fn past_the_proxy(server: &Server) -> String {
    let text = scenario(server, REJECTED);
    let proxy = text.split("listen   = \"").nth(1).unwrap();
    let proxy = proxy.split('"').next().unwrap();
    let (at_proxy, direct) = (
        format!("http://{proxy}"),
        format!("http://{}", server.address()),
    );
    text.replace(&at_proxy, &direct)
}

#[test]
fn a_service_that_goes_past_the_proxy_passes_nothing_and_is_told_so() {
    let (desk, server) = (Desk::new(), well());
    for during in ["fault:trouble", "all"] {
        let text = past_the_proxy(&server).replace("fault:trouble", during);
        desk.write("past.toml", &text);
        let run = desk.run(&["run", "past.toml"]).exits_with(4);
        for told in [
            "warning: check `answers` is inconclusive: fault `trouble` touched 0 connections",
            &format!("during = \"{during}\""),
            "expected: a fault that touches somebody each time",
            "see that the service connects to the address of the proxy, not past it",
        ] {
            assert!(run.stdout.contains(told), "{told}: {}", run.stdout);
        }
        assert!(!run.stdout.contains("0 victims"), "{}", run.stdout);
    }
}

#[test]
fn a_scenario_without_a_check_is_warned_about() {
    let (desk, server) = (Desk::new(), well());
    let text = scenario(&server, SLOW).replace(CHECK, "");
    desk.write("unjudged.toml", &text);
    for command in ["validate", "run"] {
        let told = desk.run(&[command, "unjudged.toml"]).exits_with(0).stderr;
        let warning = "warning: the scenario has no [[check]]: nothing is judged";
        assert!(told.contains(warning), "{command}: {told}");
    }
}
