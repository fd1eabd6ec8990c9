use crate::check::testing::{Story, at, ok};
use crate::check::{History, Window};
use crate::event::{ClosedBy, Impact};

fn window(history: &History, text: &str) -> Option<(f64, f64)> {
    let window: Window = text.parse().unwrap();
    let (from, to) = window.resolve(history)?;
    Some((from.seconds_from(at(0.0)), to.seconds_from(at(0.0))))
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
