//! What a fault holds back is in no window beside it.

use super::*;

/// Takes nearly the time between two rounds for an answer, so that a fault finds one under way.
#[expect(
    clippy::disallowed_methods,
    reason = "a slow server; nobody waits for it"
)]
fn slow() -> Server {
    Server::start(|_, _| {
        std::thread::sleep(Duration::from_millis(8));
        Answer {
            status: 200,
            then: Then::Close,
        }
    })
}

#[test]
fn neither_the_baseline_nor_the_recheck_has_anything_of_a_fault_beside_it() {
    let (desk, server) = (Desk::new(), slow());
    // Lifted 100 ms before the end of the schedule, while the steady state takes 500 ms.
    let text = scenario(&server, "type = \"partition\"\nmode = \"stall\"")
        .replace("window  = \"200ms\"", "window  = \"500ms\"")
        .replace("for    = \"400ms\"", "for    = \"700ms\"");
    desk.write("a.toml", &text);
    let finished = desk.run(&["run", "a.toml", "--report-dir", "out"]);
    let told = finished.exits_with(0).stderr;
    assert!(told.contains("watching the steady state"), "{told}");

    let report: serde_json::Value = serde_json::from_str(&desk.read("out/report.json")).unwrap();
    let windows = report["sources"][0]["windows"].as_array().unwrap();
    let longest = |name: &str| {
        let window = windows.iter().find(|window| window["window"] == name);
        window.unwrap()["latency_max_ms"].as_f64().unwrap()
    };
    assert!(longest("baseline") < 400.0, "{windows:?}");
    assert!(longest("fault:trouble") > 500.0, "{windows:?}");

    let journal = desk.read("out/journal.jsonl");
    let events: Vec<serde_json::Value> = journal
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let find = |wanted: &dyn Fn(&serde_json::Value) -> bool| {
        let found = events.iter().find(|event| wanted(event));
        found.unwrap_or_else(|| panic!("{journal}"))
    };
    let lift = find(&|event| event["edge"] == "lift");
    let again = find(&|event| event["gate"] == "after");
    assert!(
        again["from"].as_u64() >= lift["at"].as_u64(),
        "{lift} {again}"
    );
    assert_eq!(again["met"], true);
}
