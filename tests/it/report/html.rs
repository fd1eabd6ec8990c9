//! The page for people: complete, escaped, bounded, and in need of nothing but itself.

use std::time::Duration;

use chaosproxy::check::Severity;
use chaosproxy::event::{
    AskedBy, ClosedBy, Edge, Event, Fact, Header, LogStream, Outcome, Phase, Sample, Startup,
};
use chaosproxy::report::{self, CheckVerdict, Report};
use quick_xml::events::{BytesStart, Event as Xml};

use super::{SCENARIO, at, check, events, header, mixed};
use crate::support::browser::{Browser, Screen};

const HOSTILE: &str = "</details><script>alert(\"1\")</script>&<img src=x>";

/// The report of [`mixed`] with a name that would break out of the page.
fn hostile() -> Report {
    let mut report = mixed();
    report.scenario.title = HOSTILE.into();
    report.notes.push(HOSTILE.into());
    report.faults[0].name = HOSTILE.into();
    report.course.series[0].source = HOSTILE.into();
    let check = check(HOSTILE, CheckVerdict::Fail, Severity::Error);
    report.checks.push(check);
    report
}

/// Tags and texts of a page in order.
fn parsed(page: &str) -> Vec<Xml<'_>> {
    let mut reader = quick_xml::Reader::from_str(page);
    reader.config_mut().check_end_names = false;
    let mut found = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Xml::Eof => return found,
            event => found.push(event),
        }
    }
}

fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).unwrap()?;
    Some(found.value.into_owned())
}

/// The text between the first tag of a class in each check and the end of that tag.
fn of_each_check(page: &str, class: &str) -> Vec<String> {
    let (mut found, mut wanted, mut inside) = (Vec::new(), false, false);
    for event in parsed(page) {
        match event {
            Xml::Start(tag) => {
                let classes = attribute(&tag, "class").unwrap_or_default();
                wanted |= classes.starts_with("check ");
                if wanted && classes.split(' ').any(|one| one == class) {
                    (wanted, inside) = (false, true);
                    found.push(String::new());
                }
            }
            Xml::Text(text) if inside => found.last_mut().unwrap().push_str(&text),
            Xml::GeneralRef(name) if inside => {
                let text = found.last_mut().unwrap();
                text.push_str(quick_xml::escape::resolve_xml_entity(&name).unwrap());
            }
            Xml::End(_) => inside = false,
            _ => {}
        }
    }
    found
}

#[test]
fn the_page_names_every_check_with_its_verdict_in_words() {
    let report = hostile();
    let page = report::html(&report, SCENARIO);
    let names: Vec<_> = report
        .checks
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    assert_eq!(names.len(), 7);
    assert_eq!(of_each_check(&page, "name"), names);
    let verdicts = report.checks.iter();
    let verdicts: Vec<_> = verdicts
        .map(|one| format!("{} {}", one.verdict.symbol(), one.verdict.word()))
        .collect();
    assert_eq!(of_each_check(&page, "badge"), verdicts);
}

#[test]
fn the_page_asks_for_nothing_and_runs_nothing() {
    let page = report::html(&hostile(), SCENARIO);
    let mut links = 0;
    for event in parsed(&page) {
        let (Xml::Start(tag) | Xml::Empty(tag)) = event else {
            continue;
        };
        let name = tag.name().as_ref().to_owned();
        assert!(!["script", "img", "link", "iframe", "object", "base"].contains(&name.as_str()));
        for attribute in tag.attributes() {
            let attribute = attribute.unwrap();
            let (key, value) = (attribute.key.as_ref(), &attribute.value);
            assert!(
                !key.starts_with("on") && !key.ends_with("src"),
                "{key} in {name}"
            );
            if key.ends_with("href") {
                links += 1;
                assert!(value.starts_with('#'), "{key}={value}");
            }
            assert!(
                !value.contains("http:") && !value.contains("https:"),
                "{value}"
            );
        }
    }
    assert!(links > 5, "only {links} links were seen");
    let style = page
        .split("<style>")
        .nth(1)
        .unwrap()
        .split("</style>")
        .next()
        .unwrap();
    assert!(style.len() > 1000 && !style.contains("@import") && !style.contains("url("));
}

#[test]
fn a_demand_that_was_not_met_is_marked_in_the_scenarios_text() {
    let page = report::html(&mixed(), SCENARIO);
    let marked = "<code>require = [<mark>&quot;reads.error_rate == 0%&quot;</mark>]</code>";
    assert!(page.contains(marked), "{page}");
    assert!(page.contains("<b>bad</b> after 3.7 s &lt;b&gt;"), "{page}");
    assert_eq!(page.matches("id=\"L").count(), SCENARIO.lines().count());
}

#[test]
fn a_run_without_anything_still_has_a_page() {
    let report = report::build(&header(), &[]).unwrap();
    let page = report::html(&report, "");
    assert!(page.contains("no checks"), "{page}");
    assert!(!page.contains("<svg"), "{page}");
    assert!(!page.contains("NaN"), "{page}");
}

/// Twenty reads a second, a line of log each, for an hour, and a fault every 12 seconds.
fn an_hour() -> Vec<Event> {
    let mut events = events(true);
    let hour = Duration::from_secs(3600);
    for event in &mut events {
        if matches!(&event.fact, Fact::Phase { phase } if *phase >= Phase::Settle) {
            event.at = event.at + hour;
        }
    }
    for index in 0..72_000_u64 {
        let intended = at(10_000 + index * 50);
        let done = intended + Duration::from_micros(1_000 + index % 977 * 31);
        events.push(Event {
            at: done,
            fact: Fact::Sample(Sample {
                source: "reads".into(),
                intended,
                sent: intended,
                digest: None,
                done,
                outcome: Outcome::Ok { status: Some(200) },
            }),
        });
        events.push(Event {
            at: done,
            fact: Fact::Log {
                service: "server".into(),
                stream: LogStream::Stderr,
                line: format!("{:x} {index}", index.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                cut: false,
            },
        });
    }
    for occurrence in 1..300 {
        let planned = at(10_000 + u64::from(occurrence) * 11_900);
        for (edge, later) in [(Edge::Inject, 0), (Edge::Lift, 100)] {
            events.push(Event {
                at: planned + Duration::from_millis(later),
                fact: Fact::FaultEdge {
                    fault: "loss".into(),
                    edge,
                    occurrence,
                    planned: Some(planned),
                    decided: planned,
                    by: AskedBy::Schedule,
                },
            });
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

#[test]
fn the_page_of_an_hour_is_not_larger_than_it_is_useful() {
    let report = report::build(&header(), &an_hour()).unwrap();
    let page = report::html(&report, SCENARIO);
    assert!(page.len() < 400_000, "{} bytes", page.len());
    assert!(
        page.contains("more events are in the journal"),
        "{}",
        page.len()
    );
    assert_eq!(report.course.log.entries.len(), 500);
}

/// A session that is cut at 4 s, and five attempts at a new one, the last of them far too early.
fn redial() -> Vec<Event> {
    redial_with(&Startup::Session {
        user: "u".into(),
        database: "d".into(),
        application_name: "a".into(),
    })
}

/// The same, by a client that gets no further than this packet.
fn redial_with(packet: &Startup) -> Vec<Event> {
    let mut events = events(true);
    let mut add = |ms, fact| events.push(Event { at: at(ms), fact });
    let proxy = || "db".into();
    for (conn, ms) in [4010, 4120, 4330, 4740, 4750].into_iter().enumerate() {
        let conn = conn as u64 + 1;
        let peer = "127.0.0.1:5000".parse().unwrap();
        add(
            ms,
            Fact::ConnectionOpened {
                proxy: proxy(),
                conn,
                peer,
            },
        );
        add(
            ms,
            Fact::StartupPacket {
                proxy: proxy(),
                conn,
                packet: packet.clone(),
            },
        );
        let cause = ClosedBy::Fault("loss".into());
        let fact = Fact::ConnectionClosed {
            proxy: proxy(),
            conn,
            cause,
            carried: Box::default(),
        };
        add(ms + 1, fact);
    }
    events.sort_by_key(|event| event.at);
    events
}

#[test]
fn the_table_counts_the_attempts_that_the_check_counts() {
    let mut header = header();
    header.plan["checks"] = serde_json::json!([{
        "name": "backs-off", "kind": "backoff", "severity": "error",
        "params": { "proxy": "db", "fault": "loss" },
        "source": { "block": { "start": 0, "end": 0 }, "values": {} },
    }]);
    let counts = |header: &Header, packet| {
        let report = report::build(header, &redial_with(&packet)).unwrap();
        let windows = &report.proxies[0].windows;
        let fault = windows.iter().find(|window| window.window == "fault:loss");
        let table = fault.unwrap().attempts as f64;
        (table, report.checks[0].figures["attempts"])
    };
    for packet in [Startup::Ssl, Startup::Gss, Startup::Tls] {
        assert_eq!(counts(&header, packet), (5.0, 5.0));
    }
    assert_eq!(counts(&header, Startup::Cancel), (0.0, 0.0));
    // Where the protocol is not known, each connection is an attempt.
    header.plan["opaque"] = serde_json::json!(["db"]);
    let mut unseen = redial();
    unseen.retain(|event| !matches!(event.fact, Fact::StartupPacket { .. }));
    let report = report::build(&header, &unseen).unwrap();
    assert_eq!(
        report.checks[0].figures["attempts"].to_bits(),
        5.0_f64.to_bits()
    );
}

#[test]
fn attempts_stand_on_the_range_that_the_declared_policy_allows() {
    let mut header = header();
    let check = serde_json::json!([{
        "name": "backs-off", "kind": "backoff", "severity": "error",
        "params": { "proxy": "db", "fault": "loss", "base": "100ms", "max": "2s", "jitter": "20%" },
        "source": { "block": { "start": 0, "end": 0 }, "values": {} },
    }]);
    header.plan["checks"] = check;
    let report = report::build(&header, &redial()).unwrap();
    let attempts = &report.course.attempts[0];
    assert_eq!(attempts.waits.len(), 4);
    let allowed = attempts.waits.iter().map(|wait| {
        let (least, most) = wait.allowed_s.unwrap();
        (least..=most).contains(&wait.wait_s)
    });
    assert_eq!(allowed.collect::<Vec<_>>(), [true, true, true, false]);
    let page = report::html(&report, SCENARIO);
    let count = |what: &str| page.matches(what).count();
    assert_eq!((count("class=\"dot\""), count("class=\"cross\"")), (3, 1));
    assert_eq!(count("<polygon class=\"area"), 1);
    assert_eq!(
        attempts.first_s.map(|first| (first * 1e3).round()),
        Some(9.0)
    );
}

#[test]
fn a_browser_takes_hostile_names_for_text() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    report::write(&hostile(), SCENARIO, dir.path()).unwrap();
    let screen = Screen {
        width: 1280,
        scheme: "light",
    };
    let opened = browser.open(&dir.path().join(report::HTML_FILE), screen);
    assert_eq!(opened.console, Vec::<String>::new());
    assert_eq!(opened.requests.len(), 1, "{opened:?}");
    let shown = browser.ask(
        "[document.scripts.length, document.images.length, document.title, \
         [...document.querySelectorAll('.check .name')].pop().textContent]",
    );
    let title = format!("failed: {HOSTILE}");
    assert_eq!(shown, serde_json::json!([0, 0, title, HOSTILE]));
}
