//! Faults whose parameters move while they are in force.

use super::*;
use crate::fault::kinds;

/// Every kind whose parameters can move on open connections, so set that it remembers something.
fn moving() -> [(&'static str, Value); 7] {
    let jitter = json!({
        "latency": "50ms", "jitter": "50ms", "distribution": "normal", "correlation": "80%",
    });
    let link = json!({
        "up": "2KB/s", "down": "2KB/s", "latency": "9ms", "jitter": "9ms", "loss_bursts": "20%",
    });
    [
        ("latency", jitter),
        ("bandwidth", json!({ "rate": "1KB/s", "burst": "20B" })),
        (
            "loss",
            json!({ "rate": "5%", "turns_bad": "20%", "bad_rate": "50%", "min_rto": "3ms" }),
        ),
        ("link", link),
        (
            "slicer",
            json!({ "size": "5B", "variation": "4B", "pause": "2ms" }),
        ),
        ("corrupt", json!({ "rate": "5%", "spare": "50B" })),
        ("slow_close", json!({ "delay": "1s" })),
    ]
}

#[test]
fn every_kind_that_moves_is_among_those_tried() {
    let acts_on_streams = |name| moving().iter().any(|(moving, _)| *moving == name);
    for kind in kinds().iter().filter(|kind| kind.ramps) {
        let at_the_port = ["accept_delay", "connection_limit"].contains(&kind.name);
        assert!(acts_on_streams(kind.name) != at_the_port, "{}", kind.name);
    }
}

/// All that comes out of a conversation through a fault that is revised, or not.
fn conversation(name: &str, params: &Value, revise: bool) -> [Vec<(Moment, Payload)>; 2] {
    let mut fault = of_kind(name, params);
    let mut rig = Rig::with(std::slice::from_ref(&fault));
    for round in 0..200 {
        rig.until(ms(round * 7));
        rig.send(UP, &"x".repeat(usize::try_from(round % 20).unwrap() + 1));
        rig.send(DOWN, "an answer");
        if revise {
            fault.revision += 1;
            fault.effects = of_kind(name, params).effects;
            rig.set(std::slice::from_ref(&fault));
        }
    }
    rig.push(UP, Payload::Eof);
    rig.until(ms(100_000_000));
    rig.out
}

#[test]
fn a_revision_that_changes_no_parameter_changes_nothing_on_an_open_connection() {
    let forgetful: Vec<_> = moving()
        .into_iter()
        .filter(|(name, params)| {
            conversation(name, params, true) != conversation(name, params, false)
        })
        .map(|(name, _)| name)
        .collect();
    assert_eq!(forgetful, [""; 0]);
}

#[test]
fn a_line_that_becomes_faster_is_felt_behind_what_it_had_taken() {
    let mut fault = of_kind("bandwidth", &json!({ "rate": "1KB/s" }));
    let mut rig = Rig::with(std::slice::from_ref(&fault));
    rig.send(UP, &"x".repeat(500));
    rig.until(ms(100));
    fault.revision += 1;
    fault.effects = of_kind("bandwidth", &json!({ "rate": "10KB/s" })).effects;
    rig.set(&[fault]);
    rig.send(UP, &"y".repeat(500));
    rig.until(ms(10_000));
    assert_eq!(*rig.times(UP).last().unwrap(), 550);
}
