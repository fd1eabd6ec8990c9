//! What holds for every chain of faults and every way in which they come and go.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Send(Direction, u8),
    Wait(u64),
    /// Exactly these of the faults on the shelf are in force.
    Force(Vec<bool>),
}

/// Faults of every kind that keeps a connection alive.
fn shelf() -> Vec<Armed> {
    let jittered = of_kind("latency", &json!({ "latency": "20ms", "jitter": "20ms" }));
    let mut questions = one_way(stall(), Ways::Upstream);
    questions.fault = "questions".into();
    let narrow = of_kind("bandwidth", &json!({ "rate": "1KB/s", "burst": "30B" }));
    vec![
        narrow,
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
    ]
}

proptest! {
    #[test]
    fn no_byte_is_lost_doubled_or_overtaken_however_faults_come_and_go(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let shelf = shelf();
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
                Step::Force(chosen) => {
                    let chosen = shelf.iter().zip(chosen).filter(|(_, chosen)| *chosen);
                    rig.set(&chosen.map(|(fault, _)| fault.clone()).collect::<Vec<_>>());
                }
            }
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
}
