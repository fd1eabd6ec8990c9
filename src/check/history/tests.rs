use proptest::prelude::*;

use crate::check::testing::{Story, at, ok};
use crate::check::{History, Window};
use crate::event::{ClosedBy, Fact, Impact, LogStream, ServiceChange, Startup};

fn window(history: &History, text: &str) -> Option<(f64, f64)> {
    let window: Window = text.parse().unwrap();
    let (from, to) = window.resolve(history)?;
    Some((from.seconds_from(at(0.0)), to.seconds_from(at(0.0))))
}

#[test]
fn a_service_that_ends_by_itself_is_told_from_one_that_a_fault_ends() {
    let exit = |story: Story, when, service: &str| {
        let change = ServiceChange::Exited("exit code 1".into());
        let service = service.into();
        story.fact(when, Fact::Service { service, change })
    };
    let line = |line: &str| Fact::Log {
        service: "api".into(),
        stream: LogStream::Stderr,
        line: line.into(),
        cut: false,
    };
    // The fault acts on `db`.
    let story = Story::until(40.0)
        .fault("kill", 20.0, 25.0)
        .fact(21.9, line("panicked"))
        .fact(23.0, line("said by the next process"));
    let story = exit(exit(story, 21.0, "db"), 22.0, "api");
    // Before the schedule and in the tear-down.
    let story = exit(exit(story, 5.0, "early"), 41.5, "late");
    let ended = exit(story, 30.0, "db").history(None).ended();
    let services: Vec<_> = ended.iter().map(|one| (&*one.service, one.at)).collect();
    assert_eq!(services, [("api", at(22.0)), ("db", at(30.0))]);
    assert_eq!(ended[0].last_line.as_deref(), Some("panicked"));
}

#[test]
fn a_service_that_starts_under_a_fault_on_itself_has_met_it() {
    // The fault acts on `db`.
    let started = |service: &str, when| {
        let change = ServiceChange::Started(7);
        let service = service.into();
        let story = Story::until(40.0).fault("taken", 20.0, 25.0);
        let history = story
            .fact(when, Fact::Service { service, change })
            .history(None);
        history.fault("taken")[0].hits.len()
    };
    assert_eq!(started("db", 21.0), 1);
    assert_eq!(started("db", 26.0), 0);
    assert_eq!(started("other", 21.0), 0);
}

#[test]
fn windows_follow_the_faults() {
    let history = Story::until(80.0)
        .fault("a", 25.0, 33.0)
        .fault("b", 50.0, 62.0)
        .fault("a", 65.0, 67.0)
        .history(None);
    assert_eq!(window(&history, "baseline"), Some((0.0, 25.0)));
    assert_eq!(window(&history, "all"), Some((10.0, 80.0)));
    assert_eq!(window(&history, "fault:a"), Some((25.0, 67.0)));
    assert_eq!(window(&history, "fault:b"), Some((50.0, 62.0)));
    assert_eq!(window(&history, "recovery:b"), Some((62.0, 65.0)));
    assert_eq!(window(&history, "recovery:a"), Some((67.0, 80.0)));
    assert_eq!(window(&history, "fault:b..recovery:a"), Some((50.0, 80.0)));
    assert_eq!(window(&history, "recovery:a..baseline"), None);
    assert_eq!(window(&history, "fault:never"), None);
}

#[test]
fn hits_and_open_paths_belong_to_their_occurrence() {
    let history = Story::until(80.0)
        .fault("a", 20.0, 22.0)
        .fault("a", 30.0, 32.0)
        .hit("a", 20.5, 1, Impact::Withheld)
        .hit("a", 29.999, 2, Impact::Withheld)
        .hit("a", 31.0, 3, Impact::Withheld)
        .history(None);
    let victims: Vec<Vec<Option<u64>>> = history
        .fault("a")
        .iter()
        .map(|one| one.hits.iter().map(|hit| hit.conn).collect())
        .collect();
    assert_eq!(victims, [vec![Some(1)], vec![Some(2), Some(3)]]);
    let open = history.fault("a").iter().map(|one| one.path_open);
    assert_eq!(open.collect::<Vec<_>>(), [Some(at(22.01)), Some(at(32.01))]);
}

#[test]
fn a_disconnect_is_lifted_at_once() {
    let history = Story::until(80.0)
        .fault_of("drop", "disconnect", serde_json::json!({}), 20.0, 20.0)
        .history(None);
    assert_eq!(history.fault("drop")[0].lift, Some(at(20.0)));
}

#[test]
fn a_connection_has_a_session_until_it_is_closed() {
    let history = Story::until(80.0)
        .session(1, 5.0)
        .closed(1, 7.0, ClosedBy::Client)
        .history(None);
    let connections = history.connections("db");
    assert_eq!(connections.len(), 1);
    assert!(connections[0].in_session(at(6.0)));
    assert!(!connections[0].in_session(at(7.5)));
}

#[test]
fn samples_are_found_by_their_intended_moment() {
    let history = Story::until(80.0)
        .samples(("p", "s"), 1.0, (0.0, 10.0), |_| (5.0, ok()))
        .busy(0.4)
        .history(None);
    assert_eq!(history.samples_in("p", (at(2.0), at(5.0))).len(), 3);
    assert_eq!(history.samples_in("p", (at(5.0), at(2.0))).len(), 0);
    assert_eq!(history.samples("q").len(), 0);
    assert_eq!(history.busy((at(0.0), at(80.0))), Some(0.4));
    assert_eq!(
        history.lateness("p", (at(0.0), at(80.0))),
        Some(std::time::Duration::ZERO)
    );
}

/// A probe each 20 ms that answers in `usual`, but what a fault from 20 s on finds under way
/// answers when it is lifted.
fn probed(usual: f64, round: impl Fn(f64) -> Option<f64>) -> Story {
    Story::until(60.0).samples(("p", "s"), 0.02, (0.01, 60.0), move |when| {
        (round(when).unwrap_or(usual), ok())
    })
}

fn count(history: &History, text: &str) -> usize {
    let window: Window = text.parse().unwrap();
    history
        .samples_in("p", window.resolve(history).unwrap())
        .len()
}

fn longest(history: &History, text: &str) -> f64 {
    let window: Window = text.parse().unwrap();
    let samples = history.samples_in("p", window.resolve(history).unwrap());
    let latencies = samples.iter().map(|sample| sample.latency().as_secs_f64());
    latencies.fold(0.0, f64::max)
}

#[test]
fn what_a_fault_finds_under_way_belongs_to_the_fault() {
    // Sent 10 ms before the injection.
    let held = |when: f64| (19.98..28.0).contains(&when).then_some(28.0 - when);
    let history = probed(0.015, held).fault("cut", 20.0, 28.0).history(None);
    assert_eq!(count(&history, "baseline"), 999);
    assert!(longest(&history, "baseline") < 0.016);
    assert_eq!(count(&history, "fault:cut"), 401);
    assert!(longest(&history, "fault:cut") > 8.0);
    assert_eq!(count(&history, "recovery:cut"), 1_600);
}

#[test]
fn what_hung_before_the_fault_is_trouble_of_the_time_before() {
    // From 19.5 s on nothing is answered: the server's own doing.
    let hangs = |when: f64| (19.5..28.0).contains(&when).then_some(28.0 - when);
    let history = probed(0.015, hangs).fault("cut", 20.0, 28.0).history(None);
    assert_eq!(count(&history, "baseline"), 999);
    // With what the first of them had taken by then, not with what the fault made of it.
    let longest = longest(&history, "baseline");
    assert!((0.48..0.5).contains(&longest), "{longest}");
    // As it was seen it stays for those who look at answers.
    let all = history.samples("p").iter();
    assert!(
        all.map(|sample| sample.latency().as_secs_f64())
            .any(|took| took > 8.0)
    );
}

#[test]
fn what_a_late_sender_sent_under_the_fault_met_nothing_before_it() {
    let held = |when: f64| (19.98..28.0).contains(&when).then_some(28.0 - when);
    let history = probed(0.001, held)
        .fault("cut", 20.0, 28.0)
        .late("p", 0.011)
        .history(None);
    assert_eq!(count(&history, "baseline"), 999);
}

#[test]
fn what_is_sent_under_a_fault_belongs_to_it_whatever_comes_next() {
    // Held by the first fault, and still under way when the second begins.
    let held = |when: f64| (19.98..28.0).contains(&when).then_some(35.0 - when);
    let history = probed(0.015, held)
        .fault("cut", 20.0, 28.0)
        .fault("next", 30.0, 34.0)
        .history(None);
    assert_eq!(count(&history, "fault:cut"), 401);
    assert_eq!(count(&history, "recovery:cut"), 99);
    assert!(longest(&history, "recovery:cut") < 0.016);
    assert_eq!(count(&history, "fault:next"), 201);
}

#[test]
fn a_fault_within_another_has_what_it_found_under_way() {
    let held = |when: f64| (29.98..34.0).contains(&when).then_some(34.0 - when);
    let history = probed(0.015, held)
        .fault("around", 20.0, 50.0)
        .fault("within", 30.0, 34.0)
        .fault("before", 25.0, 26.0)
        .history(None);
    assert_eq!(count(&history, "recovery:before"), 199);
    assert!(longest(&history, "recovery:before") < 0.016);
    assert_eq!(count(&history, "fault:within"), 201);
    assert_eq!(count(&history, "fault:around"), 1_501);
}

#[test]
fn a_fault_that_acts_at_once_has_its_victims_alone() {
    let cut = |when: f64| (19.98..20.0).contains(&when).then_some(0.5);
    let history = probed(0.015, cut)
        .fault_of("cut", "disconnect", serde_json::json!({}), 20.0, 20.0)
        .history(None);
    assert_eq!(count(&history, "baseline"), 999);
    assert_eq!(count(&history, "fault:cut"), 1);
    assert_eq!(count(&history, "recovery:cut"), 2_000);
    assert!(longest(&history, "recovery:cut") < 0.016);
    assert_eq!(count(&history, "baseline..recovery:cut"), 3_000);
}

/// A run of adjacent and distant faults whose windows are a partition of the time.
fn partitioned(
    (interval, latencies): (f64, Vec<f64>),
    (gap, length): (f64, f64),
) -> (History, [&'static str; 7]) {
    let turn = std::cell::Cell::new(0);
    let latency = move || {
        turn.set(turn.get() + 1);
        latencies[turn.get() % latencies.len()]
    };
    let edges = [20.0, 20.0 + length, 20.0 + length + gap];
    let history = Story::until(60.0)
        .samples(("p", "s"), interval, (0.0, 60.0), |_| (latency(), ok()))
        .fault("a", edges[0], edges[1])
        // Begins at the moment at which the first one ends.
        .fault("b", edges[1], edges[2])
        .fault("c", 45.0, 50.0)
        .history(None);
    let windows = [
        "baseline",
        "fault:a",
        "recovery:a",
        "fault:b",
        "recovery:b",
        "fault:c",
        "recovery:c",
    ];
    (history, windows)
}

proptest! {
    #[test]
    fn every_observation_belongs_to_exactly_one_window(
        interval in 0.005..0.7_f64,
        latencies in prop::collection::vec(0.0..9.0_f64, 1..9),
        gap in 0.1..9.0_f64,
        length in 0.1..9.0_f64,
    ) {
        let (history, windows) = partitioned((interval, latencies), (gap, length));
        let windows = windows.iter().filter_map(|text| {
            text.parse::<Window>().unwrap().resolve(&history)
        });
        let inside = windows.flat_map(|window| history.samples_in("p", window));
        let mut intended: Vec<_> = inside.map(|sample| sample.intended).collect();
        intended.sort_unstable();
        let all = history.samples("p").iter().map(|sample| sample.intended);
        prop_assert_eq!(intended, all.collect::<Vec<_>>());
    }
}

/// How many attempts these openings are, one every 100 ms: packets by their first letters, on one
/// connection after the other of a client that is reset.
fn attempts(openings: &[&str]) -> usize {
    let mut story = Story::until(80.0);
    let (mut conn, mut now) = (0, 20.0);
    for opening in openings {
        for packets in opening.split('|') {
            story = story.opened(conn, now);
            for letter in packets.chars() {
                now += 0.001;
                let packet = match letter {
                    'g' => Startup::Gss,
                    's' => Startup::Ssl,
                    't' => Startup::Tls,
                    'c' => Startup::Cancel,
                    _ => Startup::Unknown,
                };
                story = story.packet(conn, now, packet);
            }
            story = story.closed(conn, now + 0.001, ClosedBy::Fault("f".into()));
            (conn, now) = (conn + 1, now + 0.002);
        }
        now += 0.1;
    }
    story.history(None).attempts("db").len()
}

#[test]
fn an_attempt_is_one_whatever_the_client_asks_for_first() {
    let one = ["p", "s", "g", "t", "gsp", "st", "g|sp", "g|s|p"];
    for opening in one {
        assert_eq!(attempts(&[opening]), 1, "{opening}");
    }
    assert_eq!(attempts(&one), 8);
    assert_eq!(attempts(&["c", "sc", ""]), 0);
    // What asks for the same again, or for more, is no fallback.
    assert_eq!(attempts(&["s|s"]), 2);
    assert_eq!(attempts(&["s|sp"]), 2);
    assert_eq!(attempts(&["p|s"]), 2);
}
