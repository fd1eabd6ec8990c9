//! How faults come, go and stand together in a pipe.

use std::collections::HashSet;
use std::io::IoSlice;

use rand::Rng;

use super::*;
use crate::event::Impact;
use crate::fault::{Cx, Outlet, Segment};

#[test]
fn without_faults_bytes_pass_at_once_and_the_pipe_is_idle() {
    let mut rig = Rig::new();
    assert!(rig.pipe.idle());
    rig.pipe
        .push(rig.now, UP, Payload::Data(Bytes::from_static(b"hello")));
    assert!(!rig.pipe.idle(), "unwritten bytes must not be overtaken");
    let mut slices = [IoSlice::new(&[]); 4];
    assert_eq!(rig.pipe.slices(UP, &mut slices), 1);
    assert_eq!(&*slices[0], b"hello");
    rig.pipe.consume(UP, 5);
    assert!(rig.pipe.idle());
}

#[test]
fn delays_add_up_along_the_chain() {
    let mut rig = Rig::with(&[latency(10), latency(25), latency(7)]);
    rig.send(UP, "x");
    rig.until(ms(100));
    assert_eq!(rig.times(UP), [42]);
}

#[test]
fn a_late_driver_does_not_add_to_later_delays() {
    let mut rig = Rig::with(&[latency(10), latency(20)]);
    rig.send(UP, "x");
    rig.pipe.advance(ms(17));
    assert_eq!(rig.pipe.next_wake(), Some(ms(30)));
}

/// Delays one segment after the other by these milliseconds.
#[derive(Clone)]
struct Uneven(std::vec::IntoIter<u64>);

impl Fault for Uneven {
    fn on_segment(&mut self, _: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let delay = Duration::from_millis(self.0.next().unwrap());
        out.pass(Segment {
            due: segment.due + delay,
            ..segment
        });
    }
}

#[test]
fn a_segment_that_waited_for_its_predecessor_is_delayed_from_then_on() {
    let first = custom("first", Uneven(vec![100, 10].into_iter()));
    let second = custom("second", Uneven(vec![0, 50].into_iter()));
    let mut rig = Rig::with(&[first, second]);
    rig.send(UP, "a");
    rig.send(UP, "b");
    rig.until(ms(1000));
    assert_eq!(rig.text(UP), "ab");
    assert_eq!(rig.times(UP), [100, 150]);
}

#[test]
fn what_a_lifted_fault_held_goes_through_the_next_one() {
    let mut rig = Rig::with(&[stall(), latency(10)]);
    rig.send(UP, "x");
    rig.until(ms(500));
    rig.set(&[latency(10)]);
    rig.until(ms(1000));
    assert_eq!(rig.times(UP), [510]);
}

#[test]
fn faults_that_are_lifted_together_give_back_in_order() {
    let mut rig = Rig::with(&[latency(50), latency(100)]);
    rig.send(UP, "first ");
    rig.until(ms(60));
    rig.send(UP, "second");
    rig.set(&[]);
    assert_eq!(rig.text(UP), "first second");
    assert_eq!(rig.times(UP), [60, 60]);
}

#[test]
fn a_fault_that_stays_keeps_what_it_holds_while_others_come_and_go() {
    let mut rig = Rig::with(&[latency(100)]);
    rig.send(UP, "x");
    rig.until(ms(50));
    rig.set(&[stall(), latency(100)]);
    rig.until(ms(200));
    assert_eq!(rig.text(UP), "", "the new fault stands behind the old one");
    rig.set(&[]);
    assert_eq!(rig.times(UP), [200]);
}

#[test]
fn the_next_occurrence_is_another_fault() {
    let mut again = stall();
    again.occurrence = 1;
    let mut rig = Rig::with(&[stall()]);
    rig.send(UP, "a");
    rig.set(&[again]);
    assert_eq!(rig.text(UP), "a", "lifts come before injections");
    rig.send(UP, "b");
    assert_eq!(rig.text(UP), "a");
    assert_eq!(rig.hits(), ["partition 0 Withheld", "partition 1 Withheld"]);
}

#[test]
fn a_connection_out_of_scope_is_not_touched() {
    let mut fault = stall();
    fault.scope.percent = crate::units::Share::NONE;
    let mut rig = Rig::with(&[fault]);
    assert!(rig.pipe.idle());
    rig.send(UP, "x");
    assert_eq!(rig.text(UP), "x");
}

#[test]
fn a_full_window_holds_the_sender_back() {
    let mut rig = Rig::with(&[one_way(stall(), Ways::Upstream)]);
    let chunk = Bytes::from(vec![0; 64 << 10]);
    let mut read = 0;
    while rig.pipe.room(UP) > 0 {
        let n = chunk.len().min(rig.pipe.room(UP));
        rig.push(UP, Payload::Data(chunk.slice(..n)));
        read += n;
    }
    assert!((4 << 20) - read < 8 << 10, "{read} bytes were let in");
    assert!(rig.pipe.room(DOWN) > 0, "the other way is not held back");
    rig.set(&[]);
    assert!(rig.pipe.room(UP) > 0);
}

#[test]
fn all_stages_together_hold_no_more_than_their_bound() {
    let mut rig = Rig::with(&[latency(10), latency(1000)]);
    let chunk = Bytes::from(vec![0; 64 << 10]);
    let mut read = 0;
    while rig.pipe.room(UP) >= chunk.len() {
        rig.push(UP, Payload::Data(chunk.clone()));
        read += chunk.len();
        if read == 20 << 20 {
            rig.until(ms(10));
        }
    }
    assert!(
        ((31 << 20)..=(32 << 20)).contains(&read),
        "{read} bytes were let in"
    );
}

#[test]
fn a_flood_of_tiny_segments_fills_the_window_by_its_number() {
    let mut rig = Rig::with(&[stall()]);
    for count in 0.. {
        if rig.pipe.room(UP) == 0 {
            assert!(count < 100_000, "{count} segments of one byte were let in");
            break;
        }
        rig.send(UP, "x");
    }
}

#[test]
fn bytes_that_nobody_takes_hold_the_sender_back() {
    let mut rig = Rig::with(&[one_way(stall(), Ways::Downstream)]);
    let pipe = &mut rig.pipe;
    let chunk = Bytes::from(vec![0; 1 << 20]);
    pipe.push(Moment::ZERO, UP, Payload::Data(chunk));
    assert_eq!(pipe.room(UP), 0);
    pipe.consume(UP, 1000);
    let place = size_of::<Payload>();
    assert_eq!(pipe.room(UP), 1000 - place);
}

#[test]
fn once_no_fault_is_left_what_waits_goes_before_anything_is_read() {
    let mut rig = Rig::with(&[latency(10)]);
    rig.push(UP, Payload::Data(Bytes::from_static(b"parked")));
    assert!(rig.pipe.room(UP) > 0);
    rig.pipe.set(rig.now, &[], Moment::ZERO);
    assert_eq!((rig.pipe.room(UP), rig.pipe.room(DOWN) > 0), (0, true));
    rig.pipe.consume(UP, 6);
    assert!(rig.pipe.idle() && rig.pipe.room(UP) > 0);
}

#[derive(Clone)]
struct Swallow;

impl Fault for Swallow {
    fn on_segment(&mut self, _: &mut Cx<'_>, _: Segment, out: &mut dyn Outlet) {
        out.hit(Impact::Withheld);
    }
}

#[test]
fn a_stream_that_lost_bytes_is_reset_when_the_fault_is_lifted() {
    let mut rig = Rig::with(&[custom("hole", Swallow)]);
    rig.send(UP, "gone");
    assert_eq!(rig.cut(), None);
    rig.set(&[]);
    assert_eq!(rig.pipe.cut(), Some((How::Rst, &"hole".into())));

    let mut untouched = Rig::with(&[custom("hole", Swallow)]);
    untouched.set(&[]);
    assert_eq!(untouched.cut(), None);
}

/// Cuts one second after it was attached.
#[derive(Clone)]
struct Fuse;

impl Fault for Fuse {
    fn on_attach(&mut self, cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        out.wake_at(cx.now + SECOND);
    }

    fn on_segment(&mut self, _: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        out.pass(segment);
    }

    fn on_wake(&mut self, _: &mut Cx<'_>, out: &mut dyn Outlet) {
        out.cut(How::Fin);
    }
}

#[test]
fn a_fault_acts_at_the_moment_it_asked_for_and_nothing_moves_after_a_cut() {
    let mut rig = Rig::with(&[custom("fuse", Fuse), latency(500)]);
    rig.send(UP, "in time");
    rig.until(ms(600));
    rig.send(UP, "too late");
    assert_eq!(rig.pipe.next_wake(), Some(ms(1000)));
    rig.until(ms(5000));
    assert_eq!(rig.cut(), Some(How::Fin));
    assert_eq!(rig.pipe.next_wake(), None);
    rig.pipe.advance(rig.now);
    rig.collect();
    assert_eq!(rig.text(UP), "in time");
}

/// The same fault with another delay.
fn revised(mut fault: Armed, ms: u64) -> Armed {
    fault.revision += 1;
    fault.effects = latency(ms).effects;
    fault
}

#[test]
fn a_revised_fault_delays_what_comes_from_then_on_and_never_lets_it_overtake() {
    let slow = latency(100);
    let mut rig = Rig::with(std::slice::from_ref(&slow));
    rig.send(UP, "a");
    rig.until(ms(10));
    let fast = revised(slow, 5);
    rig.set(std::slice::from_ref(&fast));
    rig.send(UP, "b");
    rig.until(ms(200));
    rig.send(UP, "c");
    rig.until(ms(1000));
    assert_eq!(rig.text(UP), "abc");
    assert_eq!(rig.times(UP), [100, 100, 205]);
    assert_eq!(rig.hits(), ["latency-100 0 Delayed"]);
}

#[test]
fn a_revised_fault_goes_on_with_its_dice() {
    let jittered = || of_kind("latency", &json!({ "latency": "50ms", "jitter": "50ms" }));
    let times = |revise: bool| {
        let mut fault = jittered();
        let mut rig = Rig::with(std::slice::from_ref(&fault));
        for round in 1..=20 {
            rig.send(UP, "x");
            rig.until(ms(round * 500));
            if revise {
                fault.revision += 1;
                rig.set(std::slice::from_ref(&fault));
            }
        }
        rig.times(UP)
    };
    assert_eq!(times(true), times(false));
}

/// Says what it throws in the place of what it hears.
#[derive(Clone)]
struct Thrower;

impl Fault for Thrower {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let thrown = cx.rng().next_u64().to_string();
        out.pass(Segment {
            payload: Payload::Data(thrown.into()),
            ..segment
        });
    }
}

#[test]
fn dice_go_on_from_throw_to_throw_and_nobody_else_has_the_same() {
    let thrown = |conn, name: &str, occurrence, direction| {
        let mut fault = custom(name, Thrower);
        fault.occurrence = occurrence;
        let mut rig = Rig::of_conn(conn);
        rig.set(&[fault]);
        let mut throw = || {
            rig.send(direction, "?");
            rig.out[direction as usize].pop().unwrap().1
        };
        [throw(), throw()]
    };
    let all = [
        thrown(0, "a", 0, UP),
        thrown(1, "a", 0, UP),
        thrown(0, "b", 0, UP),
        thrown(0, "a", 1, UP),
        thrown(0, "a", 0, DOWN),
    ];
    let different: HashSet<_> = all.iter().flatten().map(|one| format!("{one:?}")).collect();
    assert_eq!(different.len(), 10, "{all:?}");
    assert_eq!(thrown(0, "a", 0, UP), all[0]);
}

/// Counts what it has seen, and ends the connection at the third segment.
struct Third(u32);

impl Fault for Third {
    fn on_segment(&mut self, _: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        self.0 += 1;
        if self.0 == 3 {
            out.cut(How::Fin);
        }
        out.pass(segment);
    }

    fn inherit(&mut self, before: Box<dyn std::any::Any>) {
        self.0 = before.downcast::<Self>().unwrap().0;
    }
}

#[test]
fn a_revised_fault_remembers_what_it_has_seen() {
    let effects = || Effects {
        stream: Some(Arc::new(|| Box::new(Third(0)))),
        ..Effects::default()
    };
    let mut fault = armed("third", effects());
    let mut rig = Rig::with(std::slice::from_ref(&fault));
    rig.send(UP, "1");
    rig.send(UP, "2");
    fault.revision += 1;
    fault.effects = effects();
    rig.set(std::slice::from_ref(&fault));
    assert_eq!(rig.cut(), None);
    rig.send(UP, "3");
    assert_eq!(rig.cut(), Some(How::Fin));
}
