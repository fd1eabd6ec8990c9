//! What holds for every chain of faults and every way in which they come and go.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Send(Direction, u8),
    Wait(u64),
    /// Exactly these of the faults on the shelf are in force.
    Force(Vec<bool>),
    /// The latencies on the shelf are of so many milliseconds from now on.
    Revise(u64),
}

/// Faults of every kind that keeps a connection alive and its bytes as they are.
fn shelf() -> Vec<Armed> {
    let jittered = of_kind("latency", &json!({ "latency": "20ms", "jitter": "20ms" }));
    let mut questions = one_way(stall(), Ways::Upstream);
    questions.fault = "questions".into();
    let narrow = of_kind("bandwidth", &json!({ "rate": "1KB/s", "burst": "30B" }));
    vec![
        narrow,
        of_kind(
            "slicer",
            &json!({ "size": "7B", "variation": "6B", "pause": "1ms" }),
        ),
        of_kind("slow_close", &json!({ "delay": "1s" })),
        of_kind("flap", &json!({ "down": "7ms", "up": "5ms" })),
        of_kind(
            "loss",
            &json!({ "rate": "30%", "turns_bad": "10%", "rtt": "3ms", "min_rto": "3ms" }),
        ),
        of_kind(
            "link",
            &json!({
                "up": "5KB/s", "down": "9KB/s", "latency": "4ms", "jitter": "4ms",
                "distribution": "paretonormal", "loss": "5%",
            }),
        ),
        of_kind("reset_peer", &json!({ "delay": "1h" })),
        of_kind("limit_data", &json!({ "bytes": "1GB" })),
        of_kind("limit_time", &json!({ "lifetime": "2000h" })),
        of_kind("disconnect", &json!({ "delay": "2000h" })),
        latency(30_000),
        jittered,
        stall(),
        one_way(latency(3), Ways::Downstream),
        questions,
        latency(11),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let direction = prop_oneof![Just(UP), Just(DOWN)];
    prop_oneof![
        4 => (direction, 1..40_u8).prop_map(|(direction, n)| Step::Send(direction, n)),
        2 => (0..40_u64).prop_map(Step::Wait),
        1 => proptest::collection::vec(any::<bool>(), shelf().len()).prop_map(Step::Force),
        1 => (0..40_u64).prop_map(Step::Revise),
    ]
}

proptest! {
    #[test]
    fn no_byte_is_lost_doubled_or_overtaken_however_faults_come_and_go(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut shelf = shelf();
        let mut in_force = vec![false; shelf.len()];
        let mut rig = Rig::new();
        let mut sent = [String::new(), String::new()];
        for step in steps {
            match step {
                Step::Send(direction, n) => {
                    let so_far = &mut sent[direction as usize];
                    let text: String = (0..n)
                        .map(|index| char::from(b'a' + index % 26))
                        .chain(format!("{};", so_far.len()).chars())
                        .collect();
                    so_far.push_str(&text);
                    rig.send(direction, &text);
                }
                Step::Wait(wait) => rig.until(rig.now + Duration::from_millis(wait)),
                Step::Force(chosen) => in_force = chosen,
                Step::Revise(delay) => {
                    for fault in shelf.iter_mut().filter(|fault| fault.fault.starts_with("latency")) {
                        fault.revision += 1;
                        fault.effects = latency(delay).effects;
                    }
                }
            }
            let chosen = shelf.iter().zip(&in_force).filter(|(_, chosen)| **chosen);
            rig.set(&chosen.map(|(fault, _)| fault.clone()).collect::<Vec<_>>());
            for direction in Direction::BOTH {
                prop_assert!(sent[direction as usize].starts_with(&rig.text(direction)));
            }
        }
        rig.set(&[]);
        prop_assert_eq!([rig.text(UP), rig.text(DOWN)], sent);
        prop_assert!(rig.pipe.idle());
    }

    #[test]
    fn an_empty_chain_is_the_identity(texts in proptest::collection::vec("[a-z]{1,9}", 0..20)) {
        let mut rig = Rig::new();
        for text in &texts {
            rig.send(DOWN, text);
        }
        prop_assert_eq!(rig.text(DOWN), texts.concat());
        prop_assert_eq!(rig.times(DOWN), vec![0; texts.len()]);
    }

    #[test]
    fn the_delay_of_a_chain_is_the_sum_of_its_delays(
        delays in proptest::collection::btree_set(0..5_000_u64, 0..6),
        at in 0..10_000_u64,
    ) {
        let faults: Vec<_> = delays.iter().map(|delay| latency(*delay)).collect();
        let mut rig = Rig::with(&faults);
        rig.until(ms(at));
        rig.send(UP, "x");
        rig.until(ms(100_000));
        prop_assert_eq!(rig.times(UP), vec![u128::from(at + delays.iter().sum::<u64>())]);
    }

    #[test]
    fn the_time_on_a_line_adds_to_the_delays_around_it(
        delays in proptest::collection::btree_set(0..5_000_u64, 0..4),
        place in 0..4_usize,
        bytes in 1..50_000_usize,
    ) {
        let mut faults: Vec<_> = delays.iter().map(|delay| latency(*delay)).collect();
        let line = of_kind("bandwidth", &json!({ "rate": "1KB/s" }));
        faults.insert(place.min(faults.len()), line);
        let mut rig = Rig::with(&faults);
        rig.push(DOWN, Payload::Data(Bytes::from(vec![7; bytes])));
        rig.until(ms(1_000_000));
        let last = rig.out[1].last().map(|(at, _)| *at);
        prop_assert_eq!(last, Some(ms(delays.iter().sum::<u64>() + bytes as u64)));
    }

    #[test]
    fn a_line_behind_any_chain_keeps_its_rate(
        chosen in proptest::collection::vec(any::<bool>(), shelf().len()),
        sends in proptest::collection::vec((0..60_u64, 1..400_usize), 1..30),
    ) {
        let chosen = shelf().into_iter().zip(chosen).filter(|(_, chosen)| *chosen);
        let mut faults: Vec<_> = chosen.map(|(fault, _)| fault).collect();
        let mut line = of_kind("bandwidth", &json!({ "rate": "2KB/s" }));
        line.fault = "the line behind".into();
        faults.push(line);
        let mut rig = Rig::with(&faults);
        for (wait, bytes) in sends {
            rig.until(rig.now + Duration::from_millis(wait));
            rig.push(UP, Payload::Data(Bytes::from(vec![7; bytes])));
        }
        rig.until(rig.now + Duration::from_secs(60));
        let out: Vec<(u64, usize)> = rig.out[0]
            .iter()
            .map(|(at, payload)| match payload {
                Payload::Data(data) => (at.as_nanos(), data.len()),
                Payload::Eof | Payload::End(_) => panic!("an end that nobody sent"),
            })
            .collect();
        for (first, (from, _)) in out.iter().enumerate() {
            let mut seen = 0;
            for (to, bytes) in &out[first..] {
                seen += *bytes as u64;
                // A piece leaves whole, with its last byte.
                prop_assert!(seen <= (to - from) * 2_000 / 1_000_000_000 + 64 + 1);
            }
        }
    }

    #[test]
    fn damage_keeps_the_number_of_bytes(
        rate in 1..100_u32,
        texts in proptest::collection::vec("[a-z]{1,90}", 0..20),
    ) {
        let fault = of_kind("corrupt", &json!({ "rate": format!("{rate}%"), "flip": "byte" }));
        let mut rig = Rig::with(&[fault]);
        for text in &texts {
            rig.send(DOWN, text);
        }
        let out: usize = rig.out[1]
            .iter()
            .map(|(_, payload)| match payload {
                Payload::Data(data) => data.len(),
                Payload::Eof | Payload::End(_) => 0,
            })
            .sum();
        prop_assert_eq!(out, texts.concat().len());
    }
}
