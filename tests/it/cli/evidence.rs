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

/// Besides the service past the proxy, a look of our own at it each 10 ms.
fn looked_at(server: &Server) -> String {
    let text = scenario(server, REJECTED);
    let proxy = text.split("listen   = \"").nth(1).unwrap();
    let proxy = proxy.split('"').next().unwrap();
    let probe = format!(
        "[[probe]]\nname  = \"look\"\ntcp   = {{ address = \"{proxy}\" }}\nevery = \"10ms\"\n"
    );
    format!("{}\n{probe}", past_the_proxy(server)).replace(
        CHECK,
        "[[check]]\nname = \"back\"\ntype = \"recovery\"\nservice = \"web\"\n\
         fault = \"trouble\"\nwithin = \"200ms\"\nhold = \"50ms\"\n\
         that = [\"health.ok_ratio == 100%\"]\n",
    )
}

#[test]
fn what_chaosproxy_opens_itself_is_nobodys_demand() {
    let (desk, server) = (Desk::new(), well());
    desk.write("looked.toml", &looked_at(&server));
    let run = desk
        .run(&["run", "looked.toml", "--report-dir", "out"])
        .exits_with(4);
    let unused = "no client has connected through `edge` up to the steady state";
    for told in [
        "check `back` is inconclusive: fault `trouble` touched 0 connections",
        unused,
    ] {
        assert!(run.stdout.contains(told), "{told}: {}", run.stdout);
    }
    assert!(run.stderr.contains(unused), "{}", run.stderr);
    let journal = desk.read("out/journal.jsonl");
    let facts = |wanted: &str| journal.lines().filter(|line| line.contains(wanted)).count();
    assert!(facts("\"source\":\"look\"") >= 50, "the probe looked");
    assert!(
        facts("\"fact\":\"path_open\"") == 1,
        "and so did the probe of the path"
    );
    for fact in ["connection_opened", "connection_closed", "fault_hit"] {
        assert_eq!(facts(&format!("\"fact\":\"{fact}\"")), 0, "{fact}");
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

#[test]
fn a_service_that_ends_comes_first_and_what_it_spoils_points_there() {
    let desk = Desk::new();
    let text = r#"
[scenario]
title    = "a service that ends"
duration = "3s"
[steady_state]
window  = "500ms"
require = ["health.ok_ratio == 100%"]
[[service]]
name    = "api"
url     = "http://127.0.0.1:0"
command = ["timeout", "2", "CHAOSPROXY", "demo", "embeddings", "--listen", "{{service.api.address}}"]
ready   = "/health"
log     = "stderr"
[[probe]]
name  = "health"
http  = { service = "api", path = "/health" }
every = "10ms"
[[check]]
name = "answers"
type = "slo"
that = ["health.error_rate == 0%"]
"#;
    let exe = crate::support::exe().display().to_string();
    desk.write("ends.toml", &text.replace("CHAOSPROXY", &exe));
    let run = desk.run(&["run", "ends.toml"]).exits_with(1);
    let place = |text: &str| {
        run.stdout
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {}", run.stdout))
    };
    let first = place("services-stay-up    `api` ended at ");
    assert!(first < place("answers             `health` failed"));
    assert!(run.stdout.contains("exit code 124"), "{}", run.stdout);
    for said in [
        "note: `api` ended at ",
        "help: see first why `api` ended",
        "note: not ok: ",
        " x no connection: ",
    ] {
        place(said);
    }
}
