//! The reports of a live run, opened as a person and as a test tool would open them.

use chaosproxy::event::{Awaited, Fact, Journal, Phase};
use chaosproxy::report::Report;
use serde_json::{Value, json};

use super::*;
use crate::support::browser::{Browser, Screen};
use crate::support::junit::{self, Case};

/// A check that fails and does not count, one that holds, and one whose fault has no victims.
const MORE: &str = r#"
[[check]]
name     = "fails-tolerated"
type     = "health"
probe    = "work"
during   = "fault:trouble"
that     = ["work.ok_ratio == 100%"]
severity = "warning"

[[check]]
name   = "holds"
type   = "health"
probe  = "work"
during = "fault:trouble"
that   = ["work.ok_ratio >= 0%"]

[[check]]
name   = "too-few"
type   = "health"
probe  = "work"
during = "fault:nobody"
that   = ["work.ok_ratio >= 0%"]

[[fault]]
name     = "nobody"
type     = "latency"
latency  = "1ms"
target   = "edge"
affect   = "existing"
min_hits = 1000
at       = "650ms"
for      = "50ms"

[[workload]]
name    = "orders"
service = "web"
rate    = "50/s"
timeout = "300ms"
request = { method = "GET", path = "/work" }
"#;

/// Would be markup if it were not escaped.
const TITLE: &str = "'</title><b>small</b> & \"quoted\"'";

/// A run with every verdict; gives its report too.
fn live() -> (Desk, Report) {
    let (desk, server) = (Desk::new(), well());
    let text = scenario(&server, REJECTED) + MORE;
    desk.write("a.toml", &text.replace("\"a small one\"", TITLE));
    desk.run(&["run", "a.toml", "--report-dir", "out"])
        .exits_with(1);
    let report: Report = serde_json::from_str(&desk.read("out/report.json")).unwrap();
    let verdicts = report.checks.iter().map(|check| check.verdict.word());
    let verdicts: Vec<_> = verdicts.collect();
    assert_eq!(verdicts[..4], ["fail", "fail", "pass", "inconclusive"]);
    assert_eq!(verdicts.len(), 5, "the steady state is judged again");
    (desk, report)
}

#[test]
fn junit_of_a_live_run_says_what_its_report_says() {
    let (desk, report) = live();
    let checks = report.checks.iter();
    let cases: Vec<_> = checks
        .map(|check| {
            let counts = check.severity == chaosproxy::check::Severity::Error;
            let kind = match check.verdict.word() {
                "fail" if counts => "failure",
                "inconclusive" | "aborted" if counts => "error",
                _ => "",
            };
            let message = if kind.is_empty() { "" } else { &*check.summary };
            Case {
                name: check.name.to_string(),
                kind: kind.to_owned(),
                message: message.to_owned(),
            }
        })
        .collect();
    let suites = junit::suites(&desk.read("out/junit.xml"));
    assert_eq!(suites.len(), 1);
    assert_eq!(suites[0].cases, cases);
    let of = |kind: &str| cases.iter().filter(|case| case.kind == kind).count() as u64;
    assert_eq!(suites[0].counts, [5, of("failure"), of("error")]);
}

/// What is to be known of a shown page: its checks, what is wider than the screen, its colour, its
/// links that lead nowhere, and its texts that stand out from their background by less than 4.5 to
/// 1 (WCAG 2.1, success criterion 1.4.3).
const LOOK: &str = r"(() => {
  const all = what => [...document.querySelectorAll(what)];
  const colour = text => text.match(/[\d.]+/g).map(Number);
  const luminance = text => colour(text).slice(0, 3)
    .map(one => one / 255)
    .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, index) => sum + one * [0.2126, 0.7152, 0.0722][index], 0);
  const behind = element => {
    const own = element ? getComputedStyle(element).backgroundColor : 'rgb(255, 255, 255)';
    return colour(own)[3] === 0 ? behind(element.parentElement) : own;
  };
  const contrast = element => {
    const [one, other] = [getComputedStyle(element).color, behind(element)].map(luminance);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  };
  const told = element => element.getClientRects().length > 0
    && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  return {
    checks: all('.check').map(check =>
      ['.name', '.badge', '.said'].map(part => check.querySelector(part).textContent)),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    background: getComputedStyle(document.documentElement).backgroundColor,
    lost: all('a').filter(link => !document.getElementById(link.hash.slice(1))).length,
    links: all('a').length,
    texts: all('body *:not(svg *)').filter(told).length,
    faint: all('body *:not(svg *)').filter(told).filter(one => contrast(one) < 4.5)
      .map(one => one.outerHTML.slice(0, 80)),
    plots: all('svg').length,
    title: document.querySelector('h1').textContent,
    outcome: document.querySelector('.outcome strong').textContent,
    scripts: document.scripts.length,
  };
})()";

#[test]
fn the_page_of_a_live_run_shows_its_verdicts_on_every_screen_and_asks_for_nothing() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let (desk, report) = live();
    let page = desk.path("out/report.html");
    let checks = report.checks.iter();
    let checks: Vec<Value> = checks
        .map(|check| {
            let badge = format!("{} {}", check.verdict.symbol(), check.verdict.word());
            json!([check.name, badge, check.summary])
        })
        .collect();
    let mut backgrounds = Vec::new();
    for (width, scheme) in [
        (1280, "light"),
        (1280, "dark"),
        (360, "light"),
        (360, "dark"),
    ] {
        let opened = browser.open(&page, Screen { width, scheme });
        assert_eq!(opened.console, Vec::<String>::new());
        assert_eq!(opened.requests, [format!("file://{}", page.display())]);
        let look = browser.ask(LOOK);
        assert_eq!(look["checks"], json!(checks));
        assert_eq!(look["overflow"], 0, "{width} {scheme}");
        assert_eq!(look["faint"], json!([]), "{width} {scheme}");
        assert!(look["texts"].as_u64().unwrap() > 100, "{look}");
        assert_eq!((&look["lost"], &look["scripts"]), (&json!(0), &json!(0)));
        assert!(look["links"].as_u64().unwrap() > 20, "{look}");
        assert_eq!(look["plots"], 3);
        assert_eq!(look["outcome"], "✘ failed");
        assert_eq!(look["title"], TITLE.trim_matches('\''));
        backgrounds.push(look["background"].clone());
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    assert_eq!(backgrounds[..2], backgrounds[2..]);
}

#[test]
fn what_a_proxy_carries_is_told_while_it_carries() {
    let (desk, server) = (Desk::new(), well());
    let text = scenario(&server, REJECTED).replace("duration = \"1s\"", "duration = \"1500ms\"");
    desk.write("a.toml", &text);
    desk.run(&["run", "a.toml", "--record", "--report-dir", "out"])
        .exits_with(0);
    let journal = Journal::read(&desk.path("out/journal.jsonl")).unwrap();
    let taken_down = |fact: &Fact| {
        let phase = Phase::TearDown;
        *fact == Fact::Phase { phase }
    };
    let events = journal.events.split(|event| taken_down(&event.fact));
    let told = events.map(|events| {
        let told = events.iter().filter_map(|event| match &event.fact {
            Fact::ProxyTotals(totals) => Some(totals.upstream.bytes),
            _ => None,
        });
        told.collect::<Vec<_>>()
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 2);
    let (meanwhile, last) = (&told[0], &told[1]);
    assert!(meanwhile.len() >= 2, "{told:?}");
    assert!(meanwhile.is_sorted(), "{told:?}");
    assert_eq!(last.len(), 1);
    assert!(meanwhile.last() <= last.first(), "{told:?}");
    let own = desk.read("out/report.json");
    let own: Value = serde_json::from_str(&own).unwrap();
    let own = &own["proxies"][0]["totals"]["own"];
    assert!(own["samples"].as_u64().unwrap() > 10, "{own}");
    assert!(own["p50_ms"].as_f64() <= own["p99_ms"].as_f64(), "{own}");
}

#[test]
fn who_hangs_is_told_while_it_hangs_and_afterwards() {
    let (desk, server) = (Desk::new(), well());
    let text = scenario(&server, "type = \"partition\"")
        .replace("\"400ms\"", "\"2200ms\"")
        .replace("duration = \"1s\"", "duration = \"2500ms\"");
    desk.write("a.toml", &text);
    desk.run(&["run", "a.toml", "--record", "--report-dir", "out"])
        .exits_with(0);
    let journal = Journal::read(&desk.path("out/journal.jsonl")).unwrap();
    let told = journal.events.iter().filter_map(|event| match &event.fact {
        Fact::ProxyTotals(totals) => Some((event.at, &totals.connections)),
        _ => None,
    });
    let mut held = 0;
    for (at, connections) in told {
        assert!(connections.len() <= 5, "{connections:?}");
        for one in connections {
            assert!(one.moved > 0 || one.waits.is_some(), "{one:?}");
            if let Some(wait) = one.waits {
                assert!(at.since(wait.since).as_secs_f64() >= 1.0, "{one:?}");
                held += u64::from(wait.on == Awaited::Fault);
            }
        }
    }
    assert!(held > 0, "a partition of 2.2 s is looked at within");
    let report: Report = serde_json::from_str(&desk.read("out/report.json")).unwrap();
    let held = &report.proxies[0].held;
    assert_eq!(held.len(), 5);
    assert!(held.is_sorted_by(|first, second| first.held_s >= second.held_s));
    assert!(held[0].held_s > 1.0 && held[0].held_s < 2.5, "{held:?}");
    assert_eq!(held[0].faults, ["trouble".into()]);
}
