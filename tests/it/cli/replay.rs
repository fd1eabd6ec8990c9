use std::collections::BTreeMap;
use std::time::Duration;

use chaosproxy::event::{Edge, Fact, Journal, Phase};
use chaosproxy::units::Moment;

use super::*;

/// Every edge as it was planned, after time zero.
fn schedule(journal: &Journal) -> Vec<(String, Edge, u32, Duration)> {
    let zero = journal.events.iter().find_map(|event| match event.fact {
        Fact::Phase {
            phase: Phase::Experiment,
        } => Some(event.at),
        _ => None,
    });
    let edges = journal.events.iter().filter_map(|event| match &event.fact {
        Fact::FaultEdge {
            fault,
            edge,
            occurrence,
            planned,
            ..
        } => {
            let planned = planned.unwrap().since(zero.unwrap());
            Some((fault.to_string(), *edge, *occurrence, planned))
        }
        _ => None,
    });
    edges.collect()
}

/// The connections that were opened in the middle of the fault, and whether it touched them.
fn dice(journal: &Journal) -> BTreeMap<u64, bool> {
    let edge = |wanted| {
        let found = journal
            .events
            .iter()
            .find(|event| matches!(&event.fact, Fact::FaultEdge { edge, .. } if *edge == wanted));
        found.unwrap().at
    };
    let margin = Duration::from_millis(20);
    let (from, to): (Moment, Moment) =
        (edge(Edge::Inject) + margin, edge(Edge::Lift).before(margin));
    let opened = journal.events.iter().filter_map(|event| match &event.fact {
        Fact::ConnectionOpened { conn, .. } if (from..to).contains(&event.at) => Some(*conn),
        _ => None,
    });
    let mut dice: BTreeMap<_, _> = opened.map(|conn| (conn, false)).collect();
    for event in &journal.events {
        if let Fact::FaultHit {
            conn: Some(conn), ..
        } = &event.fact
            && let Some(hit) = dice.get_mut(conn)
        {
            *hit = true;
        }
    }
    dice
}

#[test]
fn a_replay_has_the_schedule_and_the_dice_of_the_run() {
    let (desk, server) = (Desk::new(), well());
    let fault = format!("{REJECTED}\npercent = \"50%\"");
    desk.write("a.toml", &scenario(&server, &fault));
    desk.run(&["run", "a.toml", "--seed", "41", "--report-dir", "first"])
        .exits_with(1);
    // The file plays no part any more: the journal holds its text.
    fs::remove_file(desk.path("a.toml")).unwrap();
    let replayed = desk
        .run(&["replay", "first", "--report-dir", "second"])
        .exits_with(1);
    assert!(!replayed.stderr.contains("warning"), "{}", replayed.stderr);

    let read = |name: &str| Journal::read(&desk.path(name).join("journal.jsonl")).unwrap();
    let (first, second) = (read("first"), read("second"));
    assert_eq!(second.header.scenario_text, first.header.scenario_text);
    assert_eq!((first.header.seed, second.header.seed), (41, 41));
    assert_ne!(first.header.run, second.header.run);
    assert_eq!(schedule(&first), schedule(&second));
    assert_eq!(schedule(&first).len(), 2);

    let (first, second) = (dice(&first), dice(&second));
    let both: Vec<_> = first
        .iter()
        .filter_map(|(conn, hit)| Some((*hit, *second.get(conn)?)))
        .collect();
    assert!(both.len() >= 10, "{first:?}\n{second:?}");
    assert!(
        both.iter().all(|(first, second)| first == second),
        "{first:?}\n{second:?}"
    );
    assert!(both.iter().any(|(hit, _)| *hit) && both.iter().any(|(hit, _)| !*hit));
}

/// A small scenario whose fault is drawn, several times.
fn drawn(server: &Server) -> String {
    let text = scenario(server, SLOW);
    let timed = "at     = \"200ms\"\nfor    = \"400ms\"\n";
    assert!(text.contains(timed), "{text}");
    text.replace(timed, "")
        + r#"
[chaos]
between = "50ms..750ms"
gap     = "20ms..60ms"
length  = "20ms..80ms"
faults  = { trouble = 1 }
"#
}

#[test]
fn what_was_drawn_is_drawn_again_by_a_replay_and_otherwise_by_another_seed() {
    let (desk, server) = (Desk::new(), well());
    desk.write("a.toml", &drawn(&server));
    let run = |seed: &str, into: &str| {
        let args = [
            "run",
            "a.toml",
            "--record",
            "--seed",
            seed,
            "--report-dir",
            into,
        ];
        desk.run(&args).exits_with(0);
    };
    run("41", "first");
    run("42", "other");
    desk.run(&["replay", "first", "--report-dir", "second"])
        .exits_with(0);
    let steps = |name: &str| {
        let journal = Journal::read(&desk.path(name).join("journal.jsonl")).unwrap();
        let mut steps = schedule(&journal);
        steps.sort_by_key(|(_, edge, _, planned)| (*planned, *edge));
        steps
    };
    let first = steps("first");
    assert!(first.len() >= 8, "{first:?}");
    assert_eq!(first, steps("second"));
    assert_ne!(first, steps("other"));
}

#[test]
fn every_edge_tells_when_it_was_planned_decided_and_in_force() {
    let (desk, server) = (Desk::new(), well());
    desk.write("a.toml", &drawn(&server));
    desk.run(&["run", "a.toml", "--record", "--report-dir", "out"])
        .exits_with(0);
    let journal = Journal::read(&desk.path("out/journal.jsonl")).unwrap();
    let mut edges = 0;
    for event in &journal.events {
        let Fact::FaultEdge {
            edge,
            occurrence,
            planned,
            decided,
            ..
        } = &event.fact
        else {
            continue;
        };
        edges += 1;
        assert!(
            planned.unwrap() <= *decided && *decided <= event.at,
            "{event:?}"
        );
        let in_force = journal.events.iter().find(|other| {
            matches!(&other.fact, Fact::FaultInForce { occurrence: own, .. } if own == occurrence)
        });
        let in_force = in_force.unwrap().at;
        match edge {
            Edge::Inject => assert!(*decided == event.at && event.at <= in_force, "{event:?}"),
            Edge::Lift => assert!(in_force < event.at, "{event:?}"),
        }
    }
    assert!(edges >= 8, "{edges}");
}

#[test]
fn a_run_is_never_replayed_over_itself() {
    let (desk, server) = (Desk::new(), well());
    desk.write("a.toml", &scenario(&server, SLOW));
    desk.run(&["run", "a.toml", "--record", "--report-dir", "first"])
        .exits_with(0);
    let before = desk.read("first/journal.jsonl");
    let finished = desk
        .run(&["replay", "first", "--report-dir", "first"])
        .exits_with(2);
    assert!(
        finished.stderr.contains("first holds a run already"),
        "{}",
        finished.stderr
    );
    assert_eq!(desk.read("first/journal.jsonl"), before);
}

#[test]
fn the_folder_that_a_scenario_asks_for_is_not_the_one_of_its_replay() {
    let (desk, server) = (Desk::new(), well());
    let text = scenario(&server, SLOW) + "\n[report]\ndir = \"own\"\n";
    desk.write("a.toml", &text);
    desk.run(&["run", "a.toml"]).exits_with(0);
    let before = desk.read("own/journal.jsonl");
    desk.run(&["replay", "own"]).exits_with(0);
    assert_eq!(desk.read("own/journal.jsonl"), before);
    let made = fs::read_dir(desk.path("chaosproxy-runs")).unwrap();
    assert_eq!(made.count(), 1);
}

#[test]
fn the_replay_of_a_recording_is_a_recording() {
    let (desk, server) = (Desk::new(), well());
    desk.write("a.toml", &scenario(&server, REJECTED));
    desk.run(&["run", "a.toml", "--record", "--report-dir", "first"])
        .exits_with(0);
    let replayed = desk
        .run(&["replay", "first", "--report-dir", "second"])
        .exits_with(0);
    let told = "recorded: checks: none";
    assert!(replayed.stdout.contains(told), "{}", replayed.stdout);
}

#[test]
fn a_replay_that_is_another_experiment_by_now_says_so() {
    let (desk, server) = (Desk::new(), well());
    desk.write("a.toml", &scenario(&server, SLOW));
    desk.run(&["run", "a.toml", "--report-dir", "first"])
        .exits_with(0);
    let journal = desk.read("first/journal.jsonl");
    let of_the_plan = "\"title\":\"a small one\"";
    assert_eq!(journal.matches(of_the_plan).count(), 1);
    let journal = journal.replace(of_the_plan, "\"title\":\"another one\"");
    desk.write("first/journal.jsonl", &journal);
    let replayed = desk
        .run(&["replay", "first", "--report-dir", "second"])
        .exits_with(0);
    let told = "warning: the recorded text means something else than it did";
    assert!(replayed.stderr.contains(told), "{}", replayed.stderr);
}

#[test]
fn a_recording_is_not_judged_until_it_is_asked_for_a_verdict() {
    let (desk, server) = (Desk::new(), well());
    desk.write("a.toml", &scenario(&server, REJECTED));
    let args = ["run", "a.toml", "--record", "--report-dir", "out"];
    let finished = desk.run(&args).exits_with(0);
    assert!(
        finished.stdout.contains("recorded: checks: none"),
        "{}",
        finished.stdout
    );
    let again = desk.run(&["report", "out"]).exits_with(0);
    assert!(
        again.stdout.contains("recorded: checks: none"),
        "{}",
        again.stdout
    );

    desk.write("checks.toml", &format!("# nothing else\n{CHECK}"));
    let judged = desk
        .run(&["report", "out", "--checks", "checks.toml"])
        .exits_with(1);
    assert!(
        judged.stdout.contains("checks.toml:7:11"),
        "{}",
        judged.stdout
    );
    assert!(
        judged.stdout.contains("recorded with a.toml"),
        "{}",
        judged.stdout
    );
    let tolerant = CHECK.replace("ok_ratio == 100%", "ok_ratio >= 0%");
    desk.write("tolerant.toml", &tolerant);
    desk.run(&["report", "out", "--checks", "tolerant.toml"])
        .exits_with(0);
}

#[test]
fn checks_that_name_what_the_recording_has_not_are_underlined_in_their_file() {
    let (desk, server) = (Desk::new(), well());
    desk.write("a.toml", &scenario(&server, SLOW));
    desk.run(&["run", "a.toml", "--record", "--report-dir", "out"])
        .exits_with(0);
    let refused = |text: &str| {
        desk.write("checks.toml", text);
        desk.run(&["report", "out", "--checks", "checks.toml"])
            .exits_with(2)
            .stderr
    };
    let told = refused(&CHECK.replace("\"work\"", "\"worx\""));
    assert!(
        told.contains("checks.toml:4:10") && told.contains("`work`"),
        "{told}"
    );
    let told = refused(&CHECK.replace("fault:trouble", "fault:nothing"));
    assert!(told.contains("checks.toml:5:10"), "{told}");
    let told = refused("[scenario]\ntitle = \"no checks\"\nduration = \"1s\"\n");
    assert!(told.contains("has no [[check]]"), "{told}");
}
