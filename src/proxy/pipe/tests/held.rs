//! How long bytes were held on purpose, and how late they left.

use super::*;

/// How long each piece that left was held, and how late it was, in milliseconds.
fn released(rig: &mut Rig) -> Vec<(u128, u128)> {
    let ms = |time: Duration| time.as_millis();
    let mut released = Vec::new();
    rig.pipe
        .released(|release| released.push((ms(release.held()), ms(release.late()))));
    released
}

#[test]
fn what_one_fault_after_the_other_held_is_added_up() {
    let mut rig = Rig::with(&[latency(10), latency(20)]);
    rig.until(ms(5));
    rig.send(UP, "x");
    rig.until(ms(100));
    assert_eq!(released(&mut rig), [(30, 0)]);
    assert_eq!(released(&mut rig), [], "it is told once");
}

#[test]
fn what_a_late_driver_adds_was_not_held_on_purpose() {
    let mut rig = Rig::with(&[latency(10)]);
    rig.send(UP, "x");
    rig.pipe.advance(ms(17));
    assert_eq!(released(&mut rig), [(10, 7)]);
}

#[test]
fn what_was_released_early_was_held_until_then() {
    let mut rig = Rig::with(&[latency(100), stall()]);
    rig.send(UP, "x");
    rig.until(ms(30));
    rig.send(DOWN, "y");
    rig.until(ms(50));
    assert_eq!(released(&mut rig), []);
    rig.set(&[]);
    assert_eq!(released(&mut rig), [(50, 0), (20, 0)]);
}

#[test]
fn parts_of_a_piece_arrived_when_it_did() {
    let slices = json!({ "size": "1B", "pause": "10ms" });
    let line = json!({ "rate": "1KB/s" });
    for (fault, left) in [
        (of_kind("slicer", &slices), &[(10, 0), (20, 0)][..]),
        (of_kind("bandwidth", &line), &[(3, 0)]),
    ] {
        let mut rig = Rig::with(&[fault]);
        rig.until(ms(1));
        rig.send(UP, "abc");
        rig.until(ms(100));
        assert_eq!(released(&mut rig), left);
    }
}

#[test]
fn bytes_that_no_fault_holds_are_not_among_them_nor_is_an_end() {
    let mut changed = Rig::with(&[of_kind("corrupt", &json!({ "rate": "1%" }))]);
    let mut other_way = Rig::with(&[one_way(latency(10), Ways::Downstream)]);
    let mut ended = Rig::with(&[latency(10)]);
    changed.send(UP, "x");
    other_way.send(UP, "x");
    ended.push(UP, Payload::Eof);
    ended.until(ms(20));
    for (rig, left_at) in [(changed, 0), (other_way, 0), (ended, 10)] {
        let mut rig = rig;
        assert_eq!(rig.times(UP), [left_at]);
        assert_eq!(released(&mut rig), []);
    }
}
