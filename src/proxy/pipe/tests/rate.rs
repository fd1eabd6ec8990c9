//! What a bandwidth lets through.

use proptest::prelude::*;

use super::*;

fn bandwidth(params: &Value) -> Armed {
    of_kind("bandwidth", params)
}

fn nanos(seconds: f64) -> u128 {
    Duration::from_secs_f64(seconds).as_nanos()
}

/// Bytes that came out in each whole span of time, of a sender that always has more.
fn through(faults: &[Armed], span: Duration, spans: usize) -> Vec<usize> {
    let chunk = Bytes::from(vec![0; 512 << 10]);
    let mut rig = Rig::with(faults);
    let mut windows = vec![0; spans];
    let end = Moment::ZERO + span * u32::try_from(spans).unwrap();
    loop {
        while rig.pipe.room(UP) > 0 {
            let read = chunk.slice(..chunk.len().min(rig.pipe.room(UP)));
            rig.push(UP, Payload::Data(read));
        }
        let wake = rig.pipe.next_wake().expect("there is always more to come");
        // A moment on the boundary still belongs to the span that it ends.
        if wake > end {
            return windows;
        }
        rig.until(wake);
        for (at, payload) in rig.out[0].drain(..) {
            let Payload::Data(data) = payload else {
                panic!("an end that nobody sent")
            };
            let nth = (at.as_nanos() - 1) / u64::try_from(span.as_nanos()).unwrap();
            windows[usize::try_from(nth).unwrap()] += data.len();
        }
    }
}

#[test]
fn the_rate_is_kept_over_two_seconds_from_slow_to_fast() {
    for (rate, wanted) in [
        ("10KB/s", 10_000.0),
        ("123457B/s", 123_457.0),
        ("1MB/s", 1e6),
        ("100Mbit/s", 12.5e6),
        ("100MB/s", 1e8),
    ] {
        let windows = through(&[bandwidth(&json!({ "rate": rate }))], 2 * SECOND, 5);
        for bytes in &windows {
            let error = (*bytes as f64 / (2.0 * wanted) - 1.0).abs();
            let most = if wanted < 20e3 { 0.01 } else { 0.001 };
            assert!(error <= most, "{rate}: {windows:?}");
        }
        // Errors of single spans are those of their edges; they do not add up.
        let sum: usize = windows.iter().sum();
        let error = (sum as f64 / (10.0 * wanted) - 1.0).abs();
        assert!(error < 0.001, "{rate}: {sum} bytes in ten seconds");
    }
}

#[test]
fn the_flow_is_even_within_a_hundredth_of_a_second() {
    let windows = through(
        &[bandwidth(&json!({ "rate": "1MB/s" }))],
        Duration::from_millis(10),
        100,
    );
    assert!(
        windows.iter().all(|bytes| (7_000..=13_000).contains(bytes)),
        "{windows:?}"
    );
}

#[test]
fn a_message_arrives_with_its_last_byte() {
    let mut rig = Rig::with(&[bandwidth(&json!({ "rate": "1MB/s" }))]);
    rig.push(DOWN, Payload::Data(Bytes::from(vec![7; 480_000])));
    rig.push(DOWN, Payload::Eof);
    rig.until(ms(10_000));
    let (at, last) = rig.out[1].last().unwrap();
    assert_eq!((*at, last), (ms(480), &Payload::Eof));
    assert_eq!(rig.text(DOWN).len(), 480_000);
    assert_eq!(rig.hits(), ["bandwidth 0 Delayed"]);
}

#[test]
fn ways_have_lines_of_their_own() {
    let mut rig = Rig::with(&[bandwidth(&json!({ "rate": "1KB/s" }))]);
    rig.send(UP, &"x".repeat(1000));
    rig.send(DOWN, &"y".repeat(1000));
    rig.until(ms(1000));
    assert_eq!((rig.text(UP).len(), rig.text(DOWN).len()), (1000, 1000));
}

#[test]
fn a_burst_passes_at_once_and_comes_back_with_a_pause() {
    let fault = bandwidth(&json!({ "rate": "1KB/s", "burst": "500B" }));
    let mut rig = Rig::with(&[fault]);
    rig.send(UP, &"x".repeat(500));
    assert_eq!(rig.text(UP).len(), 500, "the burst needs no time");
    assert_eq!(rig.hits(), [""; 0]);

    rig.send(UP, &"y".repeat(250));
    rig.until(ms(249));
    assert!(rig.text(UP).len() < 750);
    rig.until(ms(250));
    assert_eq!(rig.text(UP).len(), 750);

    // The line is clear after 750 ms: the whole burst is there again.
    rig.until(ms(750));
    rig.send(UP, &"z".repeat(500));
    assert_eq!(rig.text(UP).len(), 1250);
}

#[test]
fn a_shared_line_is_carried_in_the_order_of_arrival() {
    let fault = bandwidth(&json!({ "rate": "1KB/s", "per": "fault" }));
    let mut rigs = [Rig::of_conn(0), Rig::of_conn(1)];
    for rig in &mut rigs {
        rig.set(std::slice::from_ref(&fault));
        rig.send(UP, &"x".repeat(500));
    }
    for rig in &mut rigs {
        rig.until(ms(2000));
    }
    let last = |rig: &Rig| rig.out[0].last().unwrap().0;
    assert_eq!(last(&rigs[0]), ms(500));
    assert_eq!(last(&rigs[1]), ms(1000));
}

#[test]
fn the_sender_is_held_back_after_a_tenth_of_a_second() {
    let mut rig = Rig::with(&[bandwidth(&json!({ "rate": "1MB/s" }))]);
    let mut taken = 0;
    while rig.pipe.room(UP) > 0 {
        let read = rig.pipe.room(UP).min(64 << 10);
        rig.push(UP, Payload::Data(Bytes::from(vec![0; read])));
        taken += read;
    }
    assert!((90_000..=100_000).contains(&taken), "{taken} bytes");
}

#[test]
fn a_lifted_bandwidth_is_felt_at_once() {
    let mut rig = Rig::with(&[bandwidth(&json!({ "rate": "10B/s" }))]);
    rig.send(DOWN, &"x".repeat(1000));
    rig.until(ms(100));
    rig.set(&[]);
    assert_eq!(rig.text(DOWN).len(), 1000);
    assert_eq!(rig.out[1].last().unwrap().0, ms(100));
}

#[test]
fn a_line_that_becomes_another_carries_what_it_had_taken_first() {
    let narrow = |rate: &str| bandwidth(&json!({ "rate": rate }));
    for per in ["connection", "fault"] {
        let mut fault = bandwidth(&json!({ "rate": "10KB/s", "per": per }));
        let mut rig = Rig::with(std::slice::from_ref(&fault));
        // Half a second's worth, with a change to the same rate every 10 ms.
        rig.send(UP, &"x".repeat(1000));
        for step in 1..=50 {
            fault.revision += 1;
            fault.effects = bandwidth(&json!({ "rate": "10KB/s", "per": per })).effects;
            rig.set(std::slice::from_ref(&fault));
            rig.send(UP, &"y".repeat(80));
            rig.until(ms(step * 10));
            assert!(
                rig.text(UP).len() as u64 <= step * 100,
                "{per}: too fast by {step}"
            );
        }
        assert_eq!(rig.text(UP).len(), 5000, "{per}");
        // Ten times as fast from now on.
        fault.revision += 1;
        fault.effects = narrow("100KB/s").effects;
        rig.set(std::slice::from_ref(&fault));
        rig.send(UP, &"z".repeat(1000));
        rig.until(ms(509));
        assert!(rig.text(UP).len() < 6000);
        rig.until(ms(510));
        assert_eq!(rig.text(UP).len(), 6000, "{per}");
    }
}

proptest! {
    #[test]
    fn no_span_of_time_sees_more_than_the_rate_and_nothing_is_slower_than_it_must_be(
        rate in 1_000_u32..50_000_000,
        burst in prop_oneof![Just(0_u32), 1..100_000_u32],
        sends in proptest::collection::vec((0..50_u64, 1..60_000_usize), 1..30),
    ) {
        let params = json!({ "rate": format!("{rate}B/s"), "burst": format!("{burst}B") });
        let mut rig = Rig::with(&[bandwidth(&params)]);
        let (mut clear, mut arrived) = (0.0_f64, 0.0_f64);
        let mut sum = 0;
        for (wait, bytes) in sends {
            rig.until(rig.now + Duration::from_millis(wait));
            rig.push(UP, Payload::Data(Bytes::from(vec![0; bytes])));
            sum += bytes;
            arrived = rig.now.since(Moment::ZERO).as_secs_f64();
            clear = clear.max(arrived) + bytes as f64 / f64::from(rate);
        }
        rig.until(rig.now + Duration::from_secs(7_200));
        let out: Vec<(u128, usize)> = rig.out[0]
            .iter()
            .map(|(at, payload)| match payload {
                Payload::Data(data) => (at.since(Moment::ZERO).as_nanos(), data.len()),
                Payload::Eof | Payload::End(_) => panic!("an end that nobody sent"),
            })
            .collect();
        prop_assert_eq!(out.iter().map(|(_, bytes)| bytes).sum::<usize>(), sum);

        // The last byte leaves when the line is clear, less the head start of the burst.
        let ahead = f64::from(burst) / f64::from(rate);
        let wanted = nanos((clear - ahead).max(arrived));
        let last = out.last().map_or(0, |(at, _)| *at);
        prop_assert!(last.abs_diff(wanted) < 1_000, "{} ns instead of {} ns", last, wanted);
        // Pieces leave with their last byte, so a span that begins with one may see it whole.
        let piece = out.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
        for (first, (from, _)) in out.iter().enumerate() {
            let mut seen = 0;
            for (to, bytes) in &out[first..] {
                seen += *bytes;
                let may = (to - from) as f64 * f64::from(rate) / 1e9;
                prop_assert!(
                    seen as f64 <= may + f64::from(burst) + piece as f64 + 1.0,
                    "{} bytes in {} ns at {} B/s", seen, to - from, rate
                );
            }
        }
    }
}
