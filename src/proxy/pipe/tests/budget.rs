//! What all pipes may hold together.

use proptest::prelude::*;

use super::*;

const MIB: usize = 1 << 20;

/// Sends as much as the pipe has room for, `most` bytes at the most.
fn fill(rig: &mut Rig, direction: Direction, most: usize) -> usize {
    let chunk = Bytes::from(vec![0; 256 << 10]);
    let mut sent = 0;
    while sent < most {
        let bytes = rig.pipe.room(direction).min(chunk.len()).min(most - sent);
        if bytes == 0 {
            break;
        }
        rig.push(direction, Payload::Data(chunk.slice(..bytes)));
        sent += bytes;
    }
    sent
}

#[test]
fn a_spent_budget_leaves_each_way_its_mebibyte() {
    let budget = Arc::new(Budget::of(40 * MIB));
    let far = [latency(1000)];
    let mut rigs: Vec<_> = (0..4).map(|conn| Rig::sharing(conn, &budget)).collect();
    let held: Vec<_> = rigs
        .iter_mut()
        .map(|rig| {
            rig.set(&far);
            fill(rig, UP, usize::MAX) / MIB
        })
        .collect();
    // 32 MiB, what was left of 40, and then the least; a little is lost to the places in queues.
    assert!((31..=32).contains(&held[0]), "{held:?}");
    assert!((7..=8).contains(&held[1]), "{held:?}");
    assert_eq!(fill(&mut rigs[2], DOWN, usize::MAX).div_ceil(MIB), 1);
    assert_eq!(rigs[3].pipe.room(UP), 0);

    rigs[0].until(ms(1000));
    assert!(budget.held() < 12 * MIB, "what was written is given back");
    assert!(rigs[3].pipe.room(UP) > 0);
    drop(rigs);
    assert_eq!(budget.held(), 0, "what was never written, too");
}

#[test]
fn tiny_pieces_are_bounded_with_their_places_in_the_queue() {
    for (size, least, most) in [
        ("1B", 1 << 10, 192 << 10),
        ("64B", 32 << 10, 192 << 10),
        ("1MiB", 64 << 10, (1 << 20) + 192),
    ] {
        let mut rig = Rig::with(&[of_kind("slicer", &json!({ "size": size }))]);
        let sent = fill(&mut rig, UP, usize::MAX);
        let held = rig.pipe.held(UP);
        assert!(sent >= least && held < most, "{size}: {sent}, {held}");
    }
}

proptest! {
    #[test]
    fn pipes_never_hold_more_than_the_budget_and_their_least(
        steps in proptest::collection::vec((0..6_usize, any::<bool>(), 0..24_usize, 0..400_u64), 1..60),
    ) {
        let budget = Arc::new(Budget::of(16 * MIB));
        let faults = [stall(), latency(300)];
        let mut rigs: Vec<_> = (0..6).map(|conn| Rig::sharing(conn, &budget)).collect();
        for (index, up, mebibytes, wait) in steps {
            let rig = &mut rigs[index];
            let direction = if up { UP } else { DOWN };
            match mebibytes {
                0 => rig.set(&[]),
                1..4 => rig.set(&faults[..1]),
                4..8 => rig.set(&faults[1..]),
                _ => {
                    fill(rig, direction, mebibytes * MIB);
                }
            }
            rig.until(rig.now + Duration::from_millis(wait));
            let held: usize = rigs.iter().map(|rig| rig.pipe.held(UP) + rig.pipe.held(DOWN)).sum();
            prop_assert_eq!(budget.held(), held);
            // A segment costs its place in the queue beyond the bound.
            let least = rigs.len() * 2 * (MIB + 4096);
            prop_assert!(held <= 16 * MIB + least, "{} bytes", held);
            for rig in &rigs {
                for direction in Direction::BOTH {
                    prop_assert!(rig.pipe.held(direction) <= 32 * MIB + 4096);
                }
            }
        }
        drop(rigs);
        prop_assert_eq!(budget.held(), 0);
    }
}
