//! Faults that end connections, at the moment and behind the byte that they were told.

use super::*;

fn refusal(name: &str, params: &Value) -> String {
    (kind(name).unwrap().build)(params).unwrap_err().to_string()
}

/// What came out that way behind the bytes.
fn end(rig: &Rig, direction: Direction) -> Option<Payload> {
    let (_, last) = rig.out[direction as usize].last()?;
    (!matches!(last, Payload::Data(_))).then(|| last.clone())
}

#[test]
fn limit_data_passes_exactly_so_many_bytes_and_the_end_behind_them() {
    for (sent, passed) in [
        (&["hello"][..], "hello"),
        (&["hello world"], "hello worl"),
        (&["hello worl"], "hello worl"),
        (&["hello", " wor", "ld and more", "and more"], "hello worl"),
    ] {
        let mut rig = Rig::with(&[of_kind(
            "limit_data",
            &json!({ "bytes": "10B", "how": "rst" }),
        )]);
        for text in sent {
            rig.send(UP, text);
            rig.send(DOWN, "0123456789 the other way counts for itself");
        }
        assert_eq!(rig.text(UP), passed, "{sent:?}");
        let over = passed.len() == 10;
        assert_eq!(
            end(&rig, UP),
            over.then_some(Payload::End(How::Rst)),
            "{sent:?}"
        );
        assert_eq!(rig.text(DOWN), "0123456789");
        assert_eq!(rig.cut(), None, "the end travels behind the bytes");
        assert_eq!(rig.hits(), ["limit_data 0 Closed"]);
    }
}

/// Every kind with an offset in bytes, and which of the bytes behind the injection are the first
/// that it touches.
#[test]
fn every_count_of_bytes_begins_with_the_injection_on_connections_that_are_open() {
    for (name, params) in [
        ("limit_data", json!({ "bytes": "10B" })),
        ("disconnect", json!({ "bytes": "10B" })),
        ("corrupt", json!({ "spare": "10B", "rate": "100%" })),
    ] {
        let fault = of_kind(name, &params);
        for before in ["", "sent before the injection"] {
            let mut rig = Rig::new();
            rig.send(UP, before);
            rig.set(std::slice::from_ref(&fault));
            for _ in 0..4 {
                rig.send(UP, "====");
            }
            let bytes = rig.out[0].iter().flat_map(|(_, payload)| match payload {
                Payload::Data(data) => data.to_vec(),
                Payload::Eof | Payload::End(_) => Vec::new(),
            });
            let behind = bytes.skip(before.len());
            let untouched = behind.take_while(|byte| *byte == b'=').count();
            assert_eq!(untouched, 10, "{name} after {before:?}");
            assert_eq!(rig.hits().len(), 1, "{name}");
        }
    }
}

#[test]
fn limit_data_of_nothing_ends_with_the_first_byte() {
    let mut rig = Rig::with(&[of_kind("limit_data", &json!({ "bytes": "0B" }))]);
    assert_eq!(rig.out[0], []);
    rig.send(UP, "x");
    assert_eq!(
        (rig.text(UP).as_str(), end(&rig, UP)),
        ("", Some(Payload::End(How::Fin)))
    );
}

#[test]
fn limit_time_counts_from_the_opening_of_the_connection() {
    let fault = of_kind("limit_time", &json!({ "lifetime": "5s", "how": "rst" }));
    let mut young = Rig::new();
    young.until(ms(3000));
    young.set(std::slice::from_ref(&fault));
    assert_eq!(young.pipe.next_wake(), Some(ms(5000)));
    young.send(UP, "work");
    young.until(ms(4999));
    assert_eq!((young.cut(), young.text(UP).as_str()), (None, "work"));
    young.until(ms(5000));
    assert_eq!(young.cut(), Some(How::Rst));

    let mut old = Rig::new();
    old.until(ms(7000));
    old.set(&[fault]);
    assert_eq!(old.cut(), Some(How::Rst));
    assert_eq!(old.hits(), ["limit_time 0 Closed"]);
}

#[test]
fn reset_peer_leaves_idle_connections_alone_and_resets_at_the_first_byte() {
    let at_once = of_kind("reset_peer", &json!({}));
    let mut rig = Rig::with(std::slice::from_ref(&at_once));
    rig.until(ms(60_000));
    assert_eq!(rig.cut(), None);
    rig.send(DOWN, "answer");
    assert_eq!((rig.cut(), rig.text(DOWN).as_str()), (Some(How::Rst), ""));
    assert_eq!(rig.hits(), ["reset_peer 0 Closed"]);

    let mut ending = Rig::with(&[at_once]);
    ending.push(UP, Payload::Eof);
    assert_eq!(
        ending.cut(),
        Some(How::Rst),
        "an end of a stream is use, too"
    );
}

#[test]
fn a_late_reset_holds_what_came_and_gives_it_back_if_it_is_lifted_before() {
    let late = of_kind("reset_peer", &json!({ "delay": "2s" }));
    let mut rig = Rig::with(std::slice::from_ref(&late));
    rig.send(UP, "a");
    rig.until(ms(1500));
    rig.send(UP, "b");
    rig.until(ms(1999));
    assert_eq!((rig.cut(), rig.text(UP).as_str()), (None, ""));
    rig.until(ms(2000));
    assert_eq!(rig.cut(), Some(How::Rst));

    let mut spared = Rig::with(&[late]);
    spared.send(UP, "a");
    spared.until(ms(1999));
    spared.set(&[]);
    assert_eq!((spared.cut(), spared.text(UP).as_str()), (None, "a"));
}

#[test]
fn timeout_swallows_and_closes_after_its_time() {
    let fault = of_kind("timeout", &json!({ "delay": "3s" }));
    let mut rig = Rig::with(std::slice::from_ref(&fault));
    rig.send(UP, "question");
    rig.until(ms(2999));
    assert_eq!((rig.cut(), rig.text(UP).as_str()), (None, ""));
    rig.until(ms(3000));
    assert_eq!(rig.cut(), Some(How::Fin));
    assert_eq!(rig.hits(), ["timeout 0 Withheld"]);

    let mut lifted = Rig::with(std::slice::from_ref(&fault));
    lifted.send(UP, "question");
    lifted.set(&[]);
    assert_eq!(
        lifted.cut(),
        Some(How::Rst),
        "a stream that lost bytes cannot go on"
    );

    let mut idle = Rig::with(&[fault]);
    idle.set(&[]);
    idle.send(UP, "question");
    assert_eq!((idle.cut(), idle.text(UP).as_str()), (None, "question"));
}

#[test]
fn slow_close_delays_ends_and_not_bytes() {
    let mut rig = Rig::with(&[of_kind("slow_close", &json!({ "delay": "1s" }))]);
    rig.send(UP, "bye");
    rig.push(UP, Payload::Eof);
    rig.push(DOWN, Payload::End(How::Rst));
    assert_eq!((rig.text(UP).as_str(), end(&rig, UP)), ("bye", None));
    rig.until(ms(1000));
    assert_eq!(rig.out[0].last(), Some(&(ms(1000), Payload::Eof)));
    assert_eq!(rig.out[1], [(ms(1000), Payload::End(How::Rst))]);
    assert_eq!(rig.hits(), ["slow_close 0 Delayed"]);
}

#[test]
fn disconnect_waits_for_its_time_its_bytes_or_for_silence() {
    let mut timed = Rig::with(&[of_kind("disconnect", &json!({ "delay": "2s" }))]);
    timed.until(ms(1999));
    timed.send(UP, "x");
    assert_eq!(timed.cut(), None);
    timed.until(ms(2000));
    assert_eq!(timed.cut(), Some(How::Fin));

    let mut counted = Rig::with(&[of_kind(
        "disconnect",
        &json!({ "bytes": "4B", "how": "rst" }),
    )]);
    counted.send(UP, "123");
    counted.send(UP, "456");
    assert_eq!(counted.text(UP), "1234");
    assert_eq!(end(&counted, UP), Some(Payload::End(How::Rst)));

    let mut silent = Rig::with(&[of_kind("disconnect", &json!({ "idle": "1s" }))]);
    for at in [600, 1200, 1800] {
        silent.until(ms(at));
        silent.send(if at == 1200 { DOWN } else { UP }, "x");
    }
    silent.until(ms(2799));
    assert_eq!(silent.cut(), None);
    silent.until(ms(2800));
    assert_eq!(silent.cut(), Some(How::Fin));
    assert_eq!(silent.hits(), ["disconnect 0 Closed"]);
}

#[test]
fn half_a_disconnect_ends_one_way_and_survives_its_lifting() {
    let half = one_way(
        of_kind("disconnect", &json!({ "how": "half_close" })),
        Ways::Upstream,
    );
    let mut rig = Rig::with(&[half]);
    rig.set(&[]);
    assert_eq!(rig.out[0], [(ms(0), Payload::Eof)]);
    rig.send(DOWN, "still here");
    assert_eq!((rig.cut(), rig.text(DOWN).as_str()), (None, "still here"));

    let counted = json!({ "how": "half_close", "bytes": "3B" });
    let mut rig = Rig::with(&[one_way(of_kind("disconnect", &counted), Ways::Upstream)]);
    rig.send(UP, "12345");
    rig.send(UP, "6");
    assert_eq!(
        (rig.text(UP).as_str(), end(&rig, UP)),
        ("123", Some(Payload::Eof))
    );
}

#[test]
fn a_disconnect_has_one_condition_and_needs_a_length_for_it() {
    let two = json!({ "delay": "1s", "idle": "1s" });
    assert!(refusal("disconnect", &two).contains("keep one of"));
    let disconnect = kind("disconnect").unwrap();
    assert!((disconnect.lasts)(&json!({ "idle": "1s" })));
    assert!(!(disconnect.lasts)(&json!({ "how": "rst" })));
}
