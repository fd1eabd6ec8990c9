//! Faults that change when, or in which pieces, or as what bytes arrive.

use super::*;

fn refusal(name: &str, params: &Value) -> String {
    (kind(name).unwrap().build)(params).unwrap_err().to_string()
}

/// Sends one byte every 10 ms, and tells by how many milliseconds each was delayed.
fn delays(params: &Value, count: u64) -> Vec<u128> {
    let mut rig = Rig::with(&[of_kind("latency", params)]);
    for index in 0..count {
        rig.until(ms(index * 10));
        rig.send(UP, "x");
    }
    rig.until(ms(count * 10 + 10_000));
    (0..)
        .zip(rig.times(UP))
        .map(|(index, at)| at - index * 10)
        .collect()
}

#[test]
fn a_pareto_latency_has_a_long_tail_above_its_mean_and_a_short_one_below() {
    let params = json!({ "latency": "100ms", "jitter": "20ms", "distribution": "pareto" });
    let delays = delays(&params, 2000);
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!((85..=88).contains(least), "{least}");
    assert!((150..=342).contains(most), "{most}");
}

#[test]
fn a_correlated_latency_wanders_instead_of_jumping() {
    let jumps = |correlation: &str| -> u128 {
        let params = json!({
            "latency": "100ms", "jitter": "4ms", "distribution": "normal", "correlation": correlation,
        });
        delays(&params, 500)
            .windows(2)
            .map(|pair| pair[0].abs_diff(pair[1]))
            .sum()
    };
    assert!(jumps("90%") * 2 < jumps("0%"));
}

#[test]
fn a_slicer_cuts_into_pieces_of_its_size_with_pauses() {
    let params = json!({ "size": "10B", "variation": "4B", "pause": "5ms" });
    let mut rig = Rig::with(&[of_kind("slicer", &params)]);
    let text = "0123456789".repeat(20);
    rig.send(UP, &text);
    rig.push(UP, Payload::Eof);
    rig.until(ms(5000));
    assert_eq!(rig.text(UP), text);
    let (last, pieces) = rig.out[0].split_last().unwrap();
    assert_eq!(last.1, Payload::Eof);
    let (tail, pieces) = pieces.split_last().unwrap();
    let mut sizes = Vec::new();
    for (index, (at, payload)) in (0..).zip(pieces) {
        let Payload::Data(data) = payload else {
            panic!("{payload:?}")
        };
        assert!((6..=14).contains(&data.len()), "{}", data.len());
        assert_eq!(*at, ms(index * 5));
        sizes.push(data.len());
    }
    sizes.sort_unstable();
    sizes.dedup();
    assert!(sizes.len() > 3, "{sizes:?}");
    assert_eq!(tail.0, ms(pieces.len() as u64 * 5));
    assert_eq!(rig.hits(), ["slicer 0 Altered"]);
}

#[test]
fn a_slicer_of_impossible_pieces_is_refused() {
    for (params, says) in [
        (json!({ "size": "0B" }), "at least one byte"),
        (
            json!({ "size": "10B", "variation": "10B" }),
            "less than the size",
        ),
        (json!({ "pause": "0s" }), "at least `100us`"),
    ] {
        let error = refusal("slicer", &params);
        assert!(error.contains(says), "{error}");
    }
}

/// Bytes that differ, and what came out, of a stream that was read in pieces of `read`.
fn corrupted(params: &Value, read: usize) -> (Vec<usize>, Vec<u8>) {
    let sent: Vec<u8> = (0..100_000_u32)
        .map(|index| index.to_le_bytes()[0])
        .collect();
    let mut rig = Rig::with(&[of_kind("corrupt", params)]);
    for piece in sent.chunks(read) {
        rig.push(UP, Payload::Data(Bytes::copy_from_slice(piece)));
    }
    let out: Vec<u8> = rig.out[0]
        .iter()
        .flat_map(|(_, payload)| match payload {
            Payload::Data(data) => data.to_vec(),
            Payload::Eof | Payload::End(_) => panic!("an end that nobody sent"),
        })
        .collect();
    assert_eq!(out.len(), sent.len());
    let differing = (0..sent.len()).filter(|at| sent[*at] != out[*at]);
    (differing.collect(), out)
}

#[test]
fn corruption_hits_its_share_in_the_same_places_however_the_stream_is_read() {
    let params = json!({ "rate": "1%", "spare": "500B" });
    let (places, out) = corrupted(&params, 100_000);
    assert!((850..1150).contains(&places.len()), "{}", places.len());
    assert!(places[0] >= 500);
    assert_eq!(corrupted(&params, 7), (places.clone(), out.clone()));
    assert_eq!(corrupted(&params, 1448), (places.clone(), out.clone()));
    for at in places {
        let sent = u32::try_from(at).unwrap().to_le_bytes()[0];
        assert_eq!((sent ^ out[at]).count_ones(), 1, "one bit is flipped");
    }
    let (all, _) = corrupted(&json!({ "rate": "100%", "flip": "byte" }), 999);
    assert_eq!(all.len(), 100_000);
    assert!(refusal("corrupt", &json!({ "rate": "0%" })).contains("changes nothing"));
}

#[test]
fn a_flapping_link_carries_when_it_is_up_and_all_connections_alike() {
    let params = json!({ "down": "2s", "up": "3s" });
    let mut flap = of_kind("flap", &params);
    flap.since = ms(1000);
    let mut rig = Rig::new();
    rig.until(ms(1000));
    rig.set(&[flap]);
    for at in [1000, 2500, 3000, 5999, 6000, 7999, 8000] {
        rig.until(ms(at));
        rig.send(DOWN, "x");
    }
    rig.until(ms(20_000));
    assert_eq!(rig.times(DOWN), [3000, 3000, 3000, 5999, 8000, 8000, 8000]);
    assert_eq!(rig.hits(), ["flap 0 Withheld"]);
    assert!(refusal("flap", &json!({ "down": "0s", "up": "1s" })).contains("in turn"));
}

#[test]
fn a_lost_packet_stalls_what_follows_for_a_timeout_or_a_round_trip() {
    // Every packet is lost, and so is each repetition but the last.
    let certain = |rest: Value| {
        let mut params = json!({ "rate": "100%", "rtt": "40ms", "min_rto": "200ms" });
        params
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        let mut rig = Rig::with(&[of_kind("loss", &params)]);
        rig.send(UP, "small");
        rig.until(ms(3_600_000));
        assert_eq!(rig.text(UP), "small", "it arrives in the end");
        rig.times(UP)[0]
    };
    // .2 s, doubled eight times to 51.2 s, and a minute for each of the other six.
    assert_eq!(certain(json!({})), 102_200 + 6 * 60_000);
    assert_eq!(certain(json!({ "rtt": "100ms" })), 300 * 255 + 7 * 60_000);
}

#[test]
fn losses_are_as_frequent_as_asked_and_short_behind_more_data() {
    let params = json!({ "rate": "2%", "rtt": "40ms" });
    let mut rig = Rig::with(&[of_kind("loss", &params)]);
    let mut stalls = Vec::new();
    for index in 0..5_000_u64 {
        let at = ms(index * 10_000);
        rig.until(at);
        rig.push(UP, Payload::Data(Bytes::from_static(&[0; 100])));
        rig.until(ms(index * 10_000 + 9_999));
        stalls.extend(
            rig.out[0]
                .drain(..)
                .map(|(out, _)| out.since(at).as_millis()),
        );
    }
    let lost = stalls.iter().filter(|stall| **stall > 0).count();
    assert!((70..130).contains(&lost), "{lost} of 5000");
    assert!(stalls.iter().all(|stall| [0, 200, 600].contains(stall)));

    // Four packets of one read: only the first has three behind it.
    let sure = json!({ "rate": "0%", "turns_bad": "100%", "turns_good": "100%", "rtt": "40ms" });
    let mut rig = Rig::with(&[of_kind("loss", &sure)]);
    rig.push(UP, Payload::Data(Bytes::from(vec![0; 4 * 1448])));
    rig.until(ms(10_000));
    assert_eq!(rig.times(UP)[0], 40);
    assert_eq!(rig.hits(), ["loss 0 Delayed"]);
}

#[test]
fn a_burst_is_over_when_its_packets_are_sent_again() {
    let bad = json!({ "rate": "0%", "turns_bad": "100%", "turns_good": "1%", "min_rto": "1s" });
    let mut rig = Rig::with(&[of_kind("loss", &bad)]);
    for round in 0..20 {
        rig.until(ms(round * 10_000));
        rig.send(UP, "x");
    }
    rig.until(ms(1_000_000));
    let stalls: Vec<_> = (0..)
        .zip(rig.times(UP))
        .map(|(round, at)| at - round * 10_000)
        .collect();
    assert!(
        stalls.iter().filter(|stall| **stall == 1000).count() >= 15,
        "{stalls:?}"
    );
    assert!(
        stalls.iter().all(|stall| [0, 1000].contains(stall)),
        "{stalls:?}"
    );
}

#[test]
fn losses_come_in_bursts_while_the_link_is_bad() {
    let runs = |params: Value| {
        let mut rig = Rig::with(&[of_kind("loss", &params)]);
        let mut late = Vec::new();
        for index in 0..20_000_u64 {
            let at = ms(index * 200_000);
            rig.until(at);
            rig.send(UP, "x");
            rig.until(ms(index * 200_000 + 199_999));
            late.extend(rig.out[0].drain(..).map(|(out, _)| out > at));
        }
        late.windows(2).filter(|pair| pair[0] && pair[1]).count()
    };
    // Both lose about a twentieth of their packets.
    let apart = runs(json!({ "rate": "5%" }));
    let bursts = runs(json!({
        "rate": "0%", "turns_bad": "2%", "turns_good": "20%", "bad_rate": "50%",
    }));
    assert!(bursts > apart * 2, "{bursts} and {apart}");
}

#[test]
fn a_link_adds_its_rate_to_its_latency_each_way() {
    let params = json!({ "up": "1KB/s", "down": "10KB/s", "latency": "100ms" });
    let mut rig = Rig::with(&[of_kind("link", &params)]);
    rig.send(UP, &"u".repeat(500));
    rig.send(DOWN, &"d".repeat(500));
    rig.push(DOWN, Payload::Eof);
    rig.until(ms(10_000));
    assert_eq!(rig.out[0].last().unwrap().0, ms(600));
    assert_eq!(*rig.out[1].last().unwrap(), (ms(150), Payload::Eof));
    assert_eq!((rig.text(UP).len(), rig.text(DOWN).len()), (500, 500));
    assert_eq!(rig.hits(), ["link 0 Delayed"]);
    let jitter = json!({ "up": "1KB/s", "down": "1KB/s", "latency": "1ms", "jitter": "2ms" });
    assert!(refusal("link", &jitter).contains("more than the latency"));
}

#[test]
fn a_link_loses_as_it_is_told() {
    let params = json!({ "up": "1MB/s", "down": "1MB/s", "latency": "20ms", "loss": "10%" });
    let mut rig = Rig::with(&[of_kind("link", &params)]);
    let mut late = 0;
    for index in 0..500_u64 {
        rig.until(ms(index * 60_000));
        rig.send(UP, "x");
        rig.until(ms(index * 60_000 + 59_999));
        late += rig
            .times(UP)
            .iter()
            .filter(|at| **at > u128::from(index) * 60_000 + 100)
            .count();
        rig.out[0].clear();
    }
    assert!((30..75).contains(&late), "{late} of 500");
}
