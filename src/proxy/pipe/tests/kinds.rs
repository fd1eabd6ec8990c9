//! What each kind does to a connection.

use super::*;

#[test]
fn latency_is_pipelined() {
    let mut rig = Rig::with(&[latency(100)]);
    for index in 0..20 {
        rig.until(ms(index * 5));
        rig.send(UP, "x");
    }
    rig.until(ms(1000));
    let expected: Vec<u128> = (0..20).map(|index| 100 + index * 5).collect();
    assert_eq!(rig.times(UP), expected);
    assert_eq!(rig.hits(), ["latency-100 0 Delayed"]);
}

#[test]
fn latency_delays_an_end_behind_its_bytes() {
    let mut rig = Rig::with(&[latency(100)]);
    rig.send(UP, "bye");
    rig.push(UP, Payload::Eof);
    assert_eq!(rig.times(UP), [0; 0]);
    rig.until(ms(100));
    assert_eq!(rig.out[0][1], (ms(100), Payload::Eof));
}

#[test]
fn a_lifted_latency_is_felt_at_once() {
    let mut rig = Rig::with(&[latency(30_000)]);
    rig.send(DOWN, "late");
    rig.until(ms(2000));
    rig.set(&[]);
    assert_eq!(rig.times(DOWN), [2000]);
    assert!(rig.pipe.idle());
}

#[test]
fn jitter_varies_the_delay_within_its_bounds_and_keeps_order() {
    let params = json!({ "latency": "50ms", "jitter": "40ms" });
    let mut rig = Rig::with(&[of_kind("latency", &params)]);
    let mut sent = String::new();
    for index in 0..200 {
        rig.until(ms(index));
        let text = format!("{index};");
        rig.send(UP, &text);
        sent += &text;
    }
    rig.until(ms(1000));
    assert_eq!(rig.text(UP), sent);
    let delays: Vec<_> = (0..)
        .zip(rig.times(UP))
        .map(|(sent, at)| at - sent)
        .collect();
    assert!(
        delays.iter().all(|delay| (10..=90).contains(delay)),
        "{delays:?}"
    );
    assert!(delays.iter().max().unwrap() - delays.iter().min().unwrap() > 20);
}

#[test]
fn jitter_may_not_exceed_latency() {
    let params = json!({ "latency": "50ms", "jitter": "51ms" });
    let error = (kind("latency").unwrap().build)(&params).unwrap_err();
    assert_eq!(
        error.to_string(),
        "jitter of 51ms is more than the latency of 50ms; write at most `50ms`, or raise the latency"
    );
}

#[test]
fn a_stall_holds_both_ways_and_resumes_in_order_when_it_heals() {
    let mut rig = Rig::with(&[stall()]);
    rig.send(UP, "startup ");
    rig.send(UP, "query");
    rig.push(UP, Payload::Eof);
    rig.send(DOWN, "answer");
    rig.until(ms(8000));
    assert_eq!(
        (rig.text(UP), rig.text(DOWN)),
        (String::new(), String::new())
    );
    assert_eq!(rig.pipe.next_wake(), None);
    rig.set(&[]);
    assert_eq!(rig.text(UP), "startup query");
    assert_eq!(rig.text(DOWN), "answer");
    assert_eq!(rig.out[0][2].1, Payload::Eof);
    assert_eq!(rig.hits(), ["partition 0 Withheld"]);
}

#[test]
fn a_stall_of_an_idle_connection_touches_nothing() {
    let reset = of_kind("partition", &json!({ "on_heal": "reset" }));
    let mut rig = Rig::with(&[reset]);
    rig.until(ms(8000));
    rig.set(&[]);
    assert_eq!(rig.cut(), None);
    assert_eq!(rig.hits(), [""; 0]);
}

#[test]
fn a_stall_that_heals_by_reset_cuts_what_it_held() {
    let reset = of_kind("partition", &json!({ "on_heal": "reset" }));
    let mut rig = Rig::with(&[reset]);
    rig.send(DOWN, "answer");
    rig.set(&[]);
    assert_eq!(rig.pipe.cut(), Some((How::Rst, &"partition".into())));
    assert_eq!(rig.text(DOWN), "", "no byte leaves after the cut");
}

#[test]
fn a_stall_of_answers_lets_questions_through() {
    let mut rig = Rig::with(&[one_way(stall(), Ways::Downstream)]);
    rig.send(UP, "question");
    rig.send(DOWN, "answer");
    assert_eq!((&*rig.text(UP), &*rig.text(DOWN)), ("question", ""));
}

#[test]
fn reject_and_refuse_reset_existing_connections_and_mind_the_door() {
    use crate::fault::ListenerPolicy;
    for (mode, policy) in [
        ("reject", ListenerPolicy::Reject { read_for: SECOND }),
        ("refuse", ListenerPolicy::Refuse),
    ] {
        let fault = of_kind("partition", &json!({ "mode": mode }));
        assert_eq!(fault.listener(), Some(policy));
        let mut rig = Rig::with(&[fault]);
        assert_eq!(rig.cut(), Some(How::Rst));
        assert_eq!(rig.hits(), ["partition 0 Closed"]);
    }
    assert_eq!(stall().listener(), None);
}

#[test]
fn only_a_stall_can_heal_by_reset() {
    let params = json!({ "mode": "refuse", "on_heal": "reset" });
    let error = (kind("partition").unwrap().build)(&params).unwrap_err();
    assert!(error.to_string().contains("remove `on_heal`"), "{error}");
}

#[test]
fn disconnect_cuts_as_it_is_told() {
    for (params, how) in [(json!({}), How::Fin), (json!({ "how": "rst" }), How::Rst)] {
        let mut rig = Rig::new();
        rig.send(UP, "before");
        rig.set(&[of_kind("disconnect", &params)]);
        rig.send(UP, "after");
        assert_eq!(rig.cut(), Some(how));
        assert_eq!(rig.text(UP), "before");
        assert_eq!(rig.hits(), ["disconnect 0 Closed"]);
    }
}

#[test]
fn disconnect_of_a_share_cuts_that_share() {
    let mut fault = of_kind("disconnect", &json!({}));
    fault.scope.percent = "25%".parse().unwrap();
    let cut = |conn| {
        let mut rig = Rig::of_conn(conn);
        rig.set(std::slice::from_ref(&fault));
        rig.cut().is_some()
    };
    let count = (0..400).filter(|conn| cut(*conn)).count();
    assert!((70..130).contains(&count), "{count} of 400");
}
