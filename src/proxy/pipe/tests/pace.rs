//! What a peer gets, and when, whatever it reads and however the stream came in.

use std::io::IoSlice;

use proptest::prelude::*;

use super::*;

/// A peer that takes `per_ms` bytes each millisecond from `opens` on, and has room for `buffer`.
#[derive(Debug, Clone, Copy)]
struct Reader {
    opens: u64,
    per_ms: usize,
    buffer: usize,
}

const EAGER: Reader = Reader {
    opens: 0,
    per_ms: usize::MAX,
    buffer: usize::MAX,
};

/// Pieces as they are offered to the peer: when, and how many bytes.
type Pieces = Vec<(Moment, usize)>;

/// Sends `bytes` bytes at once, as far as there is room, in reads of at most the sizes of `reads`
/// in turn, and drives the pipe as a relay does for `time` milliseconds.
fn pieces(fault: Armed, bytes: usize, reads: &[usize], reader: Reader, time: u64) -> Pieces {
    let mut rig = Rig::with(&[fault]);
    // The first piece leaves with what is there: let it be whole.
    let mut reads = std::iter::once(1500).chain(reads.iter().copied().cycle());
    let (mut left, mut taken, mut pieces) = (bytes, 0, Vec::new());
    let mut whole = true;
    for at in 0..time {
        let now = ms(at);
        let mut free = if at < reader.opens {
            reader.buffer
        } else {
            reader.buffer.saturating_add(
                reader
                    .per_ms
                    .saturating_mul(usize::try_from(at - reader.opens).unwrap()),
            )
        }
        .saturating_sub(taken);
        rig.pipe.advance(now);
        loop {
            while left > 0 && rig.pipe.room(UP) > 0 {
                let read = reads.next().unwrap().min(rig.pipe.room(UP)).min(left);
                left -= read;
                rig.pipe
                    .push(now, UP, Payload::Data(Bytes::from(vec![7; read])));
            }
            let mut slices = [IoSlice::new(&[]); 64];
            let filled = rig.pipe.slices(UP, &mut slices);
            let offered: usize = slices[..filled].iter().map(|slice| slice.len()).sum();
            if offered == 0 {
                break;
            }
            if whole {
                pieces.push((now, offered));
            }
            let n = offered.min(free);
            (free, taken) = (free - n, taken + n);
            rig.pipe.consume(UP, n);
            whole = n == offered;
            if !whole {
                rig.pipe.stall(UP);
                break;
            }
            rig.pipe.advance(now);
        }
    }
    assert_eq!((left, taken), (0, bytes), "it all arrives in time");
    pieces
}

fn slicer() -> Armed {
    of_kind(
        "slicer",
        &json!({ "size": "1KB", "variation": "500B", "pause": "2ms" }),
    )
}

fn sizes(pieces: &Pieces) -> Vec<usize> {
    pieces.iter().map(|(_, bytes)| *bytes).collect()
}

/// The shortest time between two pieces.
fn shortest(pieces: &Pieces) -> Duration {
    let gaps = pieces.windows(2).map(|pair| pair[1].0.since(pair[0].0));
    gaps.min().unwrap()
}

#[test]
fn a_slicer_cuts_as_it_is_told_whatever_the_reader_does() {
    const BYTES: usize = 1_000_000;
    let reference = sizes(&pieces(slicer(), BYTES, &[BYTES], EAGER, 2500));
    let (last, whole) = reference.split_last().unwrap();
    assert!(
        (950..1050).contains(&reference.len()),
        "{}",
        reference.len()
    );
    assert!(whole.iter().all(|size| (500..=1500).contains(size)) && *last <= 1500);
    for reader in [
        Reader {
            opens: 0,
            per_ms: 100,
            buffer: 700,
        },
        Reader {
            opens: 300,
            per_ms: 400,
            buffer: 3000,
        },
        Reader {
            opens: 900,
            per_ms: 100_000,
            buffer: 100_000,
        },
    ] {
        let found = pieces(slicer(), BYTES, &[100_000, 900], reader, 15_000);
        assert!(
            sizes(&found) == reference,
            "{reader:?}: {} pieces",
            found.len()
        );
        assert_eq!(shortest(&found), Duration::from_millis(2), "{reader:?}");
    }
}

#[test]
fn a_line_keeps_its_rate_toward_a_reader_that_had_stopped() {
    let line = || of_kind("bandwidth", &json!({ "rate": "100KB/s" }));
    let whole_link = || {
        of_kind(
            "link",
            &json!({ "up": "100KB/s", "down": "1B/s", "latency": "50ms" }),
        )
    };
    let reader = Reader {
        opens: 1500,
        per_ms: 10_000,
        buffer: 5_000,
    };
    for fault in [line(), whole_link()] {
        let found = pieces(fault.clone(), 60_000, &[4_000], reader, 4_000);
        let late = found
            .iter()
            .filter(|(at, _)| *at >= ms(1500))
            .collect::<Vec<_>>();
        assert!(late.len() > 100, "{}: {}", fault.fault, late.len());
        for (first, (from, _)) in late.iter().enumerate() {
            let mut seen = 0_u128;
            for (to, bytes) in &late[first..] {
                seen += *bytes as u128;
                // Two pieces of 2 ms more than the rate, since time goes in milliseconds here.
                let most = to.since(*from).as_millis() * 100 + 400;
                assert!(seen <= most, "{}: {seen} of {most}", fault.fault);
            }
        }
    }
}

#[test]
fn a_reset_that_a_fault_ordered_does_not_wait_for_a_reader_behind_a_slicer() {
    let limit = of_kind("limit_data", &json!({ "bytes": "10KB", "how": "rst" }));
    let mut rig = Rig::with(&[limit, slicer()]);
    rig.pipe
        .push(ms(0), UP, Payload::Data(Bytes::from(vec![7; 20_000])));
    rig.pipe.stall(UP);
    rig.pipe.advance(ms(100));
    assert_eq!(rig.pipe.end(UP), Some(How::Rst));
}

proptest! {
    #[test]
    fn a_slicer_cuts_in_the_same_places_however_the_stream_comes_in(
        reads in proptest::collection::vec(100..5_000_usize, 1..20),
        per_ms in 200..4_000_usize,
        buffer in 1..4_000_usize,
    ) {
        let bytes = 40_000;
        let reference = pieces(slicer(), bytes, &[bytes], EAGER, 200);
        let eager = pieces(slicer(), bytes, &reads, EAGER, 200);
        prop_assert_eq!(&eager, &reference);
        let reader = Reader { opens: 7, per_ms, buffer };
        let found = pieces(slicer(), bytes, &reads, reader, 500);
        prop_assert_eq!(sizes(&found), sizes(&reference));
    }

    #[test]
    fn no_piece_of_a_slow_stream_goes_beyond_a_cut(
        sends in proptest::collection::vec((0..9_u64, 1..900_usize), 1..80),
    ) {
        let total: usize = sends.iter().map(|(_, bytes)| bytes).sum();
        let reference = sizes(&pieces(slicer(), total, &[total], EAGER, 1_000));
        let mut rig = Rig::with(&[slicer()]);
        for (wait, bytes) in sends {
            rig.until(rig.now + Duration::from_millis(wait));
            rig.push(UP, Payload::Data(Bytes::from(vec![7; bytes])));
        }
        rig.until(rig.now + SECOND);
        let mut parts = rig.out[0].iter().peekable();
        let mut left = None;
        for size in reference {
            let mut there = 0;
            let mut at = None;
            while there < size {
                let Some((part, Payload::Data(data))) = parts.next() else {
                    panic!("bytes are missing")
                };
                if there == 0 {
                    prop_assert!(left.is_none_or(|left| part.since(left) >= Duration::from_millis(2)));
                }
                there += data.len();
                at = Some(*part);
            }
            prop_assert_eq!(there, size);
            left = at;
        }
        prop_assert!(parts.next().is_none());
    }
}
