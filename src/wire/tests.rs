//! What holds for every protocol: bytes come out as they went in, however they were cut, and answers
//! of ours stand where they belong.

use bytes::Bytes;
use proptest::prelude::*;

use super::Direction::{self, Downstream, Upstream};
use super::{Conversation, Emit, Protocol, Then, Unit, Wants, http};

const SIDES: [Protocol; 2] = [Protocol::Postgres, Protocol::Http];

/// What came out of a conversation: the bytes of each direction, and the units that were cut out.
#[derive(Default)]
struct Out {
    bytes: [Vec<u8>; 2],
    units: Vec<(Direction, Unit, Bytes)>,
}

fn feed(
    conversation: &mut Conversation,
    out: &mut Out,
    direction: Direction,
    bytes: &[u8],
    wants: &Wants,
) {
    let mut bytes = Bytes::copy_from_slice(bytes);
    while !bytes.is_empty() {
        let data = match conversation.step(direction, &mut bytes, wants) {
            Emit::Pass(data) => data,
            Emit::Unit(unit, data) => {
                out.units.push((direction, unit, data.clone()));
                data
            }
            Emit::Kept => Bytes::new(),
            Emit::Blocked => panic!("nothing is claimed"),
        };
        out.bytes[direction as usize].extend_from_slice(&data);
    }
}

/// Both sides of a plausible connection, as flights that follow each other.
fn flights(protocol: Protocol) -> Vec<(Direction, Vec<u8>)> {
    let message = |kind, body: &[u8]| super::pg::message(kind, &[body]).to_vec();
    let startup = b"\0\0\0\x10\0\x03\0\0user\0a\0\0";
    let long = "x".repeat(300);
    match protocol {
        Protocol::Postgres => vec![
            (Upstream, startup[..].to_vec()),
            (Downstream, [message(b'R', &[0; 4]), message(b'Z', b"I")].concat()),
            (Upstream, message(b'Q', format!("SELECT '{long}'\0").as_bytes())),
            (
                Downstream,
                [message(b'T', b"\0\0"), message(b'D', long.as_bytes()), message(b'D', b"")].concat(),
            ),
            (Downstream, [message(b'C', b"SELECT 2\0"), message(b'Z', b"I")].concat()),
            (
                Upstream,
                [
                    message(b'P', b"s\0SELECT 7\0\0\0"),
                    message(b'B', b"\0s\0\0\0\0\0\0\0"),
                    message(b'E', b"\0\0\0\0\0"),
                    message(b'S', b""),
                    message(b'Q', b"SELECT 8\0"),
                ]
                .concat(),
            ),
            (Downstream, [message(b'1', b""), message(b'2', b""), message(b'Z', b"I")].concat()),
            (Downstream, [message(b'E', b"SERROR\0\0"), message(b'Z', b"E")].concat()),
            (Upstream, message(b'X', b"")),
        ],
        _ => vec![
            (
                Upstream,
                b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345"
                    .to_vec(),
            ),
            (
                Upstream,
                b"HEAD /c HTTP/1.1\r\n\r\nPUT /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                  3\r\nabc\r\n0\r\n\r\nGET /e HTTP/1.1\r\n\r\n"
                    .to_vec(),
            ),
            (
                Downstream,
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nHTTP/1.1 20\r\n0\r\nT: t\r\n\r\n\
                  HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
                    .to_vec(),
            ),
            (
                Downstream,
                b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n\
                  HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxyz\
                  HTTP/1.0 200 OK\r\n\r\nup to the end\r\n\r\n"
                    .to_vec(),
            ),
        ],
    }
}

/// What is wanted of each message; the bits choose kinds.
fn wants(protocol: Protocol, bits: u16) -> Wants {
    let kinds: [&[u8]; 2] = match protocol {
        Protocol::Postgres => [b"QPBESX", b"TDCZE12R"],
        _ => [b"QB", b"RB"],
    };
    let mut wants = Wants::NONE;
    for direction in Direction::BOTH {
        let kinds = kinds[direction as usize].iter().enumerate();
        let chosen = kinds.filter(|(index, _)| bits >> (8 * direction as usize + index) & 1 == 1);
        let chosen: Vec<u8> = chosen.map(|(_, kind)| *kind).collect();
        wants = wants.and(direction, &chosen);
    }
    wants
}

fn cut(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            return pieces;
        }
        let (piece, left) = rest.split_at(rest.len().min(*size));
        pieces.push(piece.to_vec());
        rest = left;
    }
    pieces
}

/// The units of a connection whose flights are cut so; pieces of bodies are joined.
fn units(
    protocol: Protocol,
    sizes: &[usize],
    wants: &Wants,
) -> Vec<(Direction, u8, bool, Vec<u8>)> {
    let mut conversation = Conversation::new(protocol);
    let mut out = Out::default();
    for (direction, bytes) in flights(protocol) {
        for piece in cut(&bytes, sizes) {
            feed(&mut conversation, &mut out, direction, &piece, wants);
        }
    }
    assert_eq!(conversation.opaque(), None);
    let mut units: Vec<(Direction, u8, bool, Vec<u8>)> = Vec::new();
    for (direction, unit, data) in out.units {
        match units.last_mut() {
            Some((_, kind, ends, so_far))
                if protocol == Protocol::Http
                    && (*kind, unit.kind) == (http::BODY, http::BODY)
                    && !*ends =>
            {
                so_far.extend_from_slice(&data);
                *ends = unit.ends;
            }
            _ => units.push((direction, unit.kind, unit.ends, data.to_vec())),
        }
    }
    units
}

#[test]
fn every_message_of_a_connection_is_a_unit_if_all_are_wanted() {
    let all = Wants::NONE.and_all(Upstream).and_all(Downstream);
    assert_eq!(units(Protocol::Postgres, &[9999], &all).len(), 19);
    let http = units(Protocol::Http, &[9999], &all);
    let kinds: Vec<_> = http
        .iter()
        .map(|(_, kind, ends, _)| (char::from(*kind), *ends))
        .collect();
    let (whole, part) = (|kind| (kind, true), |kind| (kind, false));
    let up = [
        whole('Q'),
        part('Q'),
        whole('B'),
        whole('Q'),
        part('Q'),
        whole('B'),
        whole('Q'),
    ];
    // An interim response ends nothing, and neither does a body without an end.
    let down = [part('R'), whole('B'), part('R'), whole('R'), whole('R')];
    let last = [part('R'), whole('B'), part('R'), part('B')];
    assert_eq!(kinds, [&up[..], &down, &last].concat());
}

#[test]
fn what_parsers_read_differently_is_not_followed_and_passes() {
    for head in [
        "GET / HTTP/1.1\nHost: h\n\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nName : value\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01",
    ] {
        let mut conversation = Conversation::new(Protocol::Http);
        let mut out = Out::default();
        let all = Wants::NONE.and_all(Upstream);
        feed(&mut conversation, &mut out, Upstream, head.as_bytes(), &all);
        assert!(conversation.opaque().is_some(), "{head:?}");
        assert_eq!(out.bytes[0], head.as_bytes());
        assert!(out.units.is_empty());
    }
}

#[test]
fn a_wanted_message_that_ends_the_view_passes() {
    let mut conversation = Conversation::new(Protocol::Postgres);
    let mut out = Out::default();
    let [startup, ready, ..] = &flights(Protocol::Postgres)[..] else {
        panic!("a connection begins");
    };
    let copies = b"Q\0\0\0\x0bCOPY t\0Q\0\0\0\x06;\0";
    let all = Wants::NONE.and_all(Upstream).and_all(Downstream);
    for (direction, bytes) in [startup, ready, &(Upstream, copies.to_vec())] {
        feed(&mut conversation, &mut out, *direction, bytes, &all);
    }
    let begins = b"G\0\0\0\x07\0\0\0";
    out.bytes[1].clear();
    feed(&mut conversation, &mut out, Downstream, begins, &all);
    assert!(conversation.opaque().is_some());
    assert_eq!(out.bytes[1], begins);
}

proptest! {
    #[test]
    fn every_byte_comes_out_as_it_went_in_whatever_is_wanted_meanwhile(
        side in 0..2_usize,
        sizes in proptest::collection::vec(1..40_usize, 1..8),
        choices in proptest::collection::vec(any::<u16>(), 1..12),
    ) {
        let protocol = SIDES[side];
        let mut conversation = Conversation::new(protocol);
        let mut out = Out::default();
        let mut sent = [Vec::new(), Vec::new()];
        let mut choices = choices.iter().cycle();
        for (direction, bytes) in flights(protocol) {
            for piece in cut(&bytes, &sizes) {
                let wants = wants(protocol, *choices.next().unwrap());
                sent[direction as usize].extend_from_slice(&piece);
                feed(&mut conversation, &mut out, direction, &piece, &wants);
                for direction in Direction::BOTH {
                    prop_assert!(sent[direction as usize].starts_with(&out.bytes[direction as usize]));
                }
            }
        }
        for direction in Direction::BOTH {
            let held = conversation.release(direction, &Wants::NONE);
            out.bytes[direction as usize].extend_from_slice(&held);
        }
        prop_assert_eq!(conversation.opaque(), None);
        prop_assert_eq!(out.bytes, sent);
    }

    #[test]
    fn units_are_the_same_however_the_bytes_are_cut(
        side in 0..2_usize,
        sizes in proptest::collection::vec(1..40_usize, 1..8),
        choice in any::<u16>(),
    ) {
        let wants = wants(SIDES[side], choice);
        prop_assert_eq!(
            units(SIDES[side], &sizes, &wants),
            units(SIDES[side], &[9999], &wants)
        );
    }

    #[test]
    fn nonsense_passes_unchanged_and_never_panics(
        side in 0..2_usize,
        pieces in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(any::<u8>(), 1..30), any::<u16>()),
            0..12,
        ),
        greets in any::<bool>(),
    ) {
        let protocol = SIDES[side];
        let mut conversation = Conversation::new(protocol);
        let mut out = Out::default();
        let mut sent = [Vec::new(), Vec::new()];
        let greeting = flights(protocol).into_iter().take(if greets { 2 } else { 0 });
        let greeting = greeting.map(|(direction, bytes)| (direction, bytes, 0));
        let pieces = pieces.into_iter().map(|(up, bytes, choice)| {
            (if up { Upstream } else { Downstream }, bytes, choice)
        });
        for (direction, bytes, choice) in greeting.chain(pieces) {
            sent[direction as usize].extend_from_slice(&bytes);
            feed(&mut conversation, &mut out, direction, &bytes, &wants(protocol, choice));
        }
        for direction in Direction::BOTH {
            let held = conversation.release(direction, &Wants::NONE);
            out.bytes[direction as usize].extend_from_slice(&held);
        }
        prop_assert_eq!(out.bytes, sent);
    }

    #[test]
    fn answers_of_ours_stand_in_the_order_of_the_requests(
        claimed in proptest::collection::vec(any::<bool>(), 1..12),
        late in proptest::collection::vec(any::<bool>(), 12),
        sizes in proptest::collection::vec(1..60_usize, 1..5),
    ) {
        let mut conversation = Conversation::new(Protocol::Http);
        let wants = Wants::NONE.and(Upstream, &[http::REQUEST]);
        let mut owed = Vec::new();
        for (index, claims) in claimed.iter().enumerate() {
            let request = format!("GET /{index} HTTP/1.1\r\n\r\n");
            let mut request = Bytes::from(request);
            let Emit::Unit(unit, _) = conversation.step(Upstream, &mut request, &wants) else {
                panic!("a whole request is a unit");
            };
            let exchange = unit.exchange.unwrap();
            if *claims {
                conversation.claim(exchange);
                let reply = format!("own {index};");
                if late[index] {
                    owed.push((exchange, reply));
                } else {
                    conversation.reply(exchange, reply.as_bytes(), Then::Done);
                }
            }
        }
        let answer = |index: usize| {
            let body = format!("server {index};");
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        };
        let theirs = (0..claimed.len()).filter(|index| !claimed[*index]);
        let answers: String = theirs.map(answer).collect();
        let (mut stash, mut seen) = (Vec::new(), Vec::new());
        let mut give = |conversation: &mut Conversation, stash: &mut Vec<u8>| {
            loop {
                while let Some((bytes, _)) = conversation.due() {
                    seen.extend_from_slice(&bytes);
                }
                let mut bytes = Bytes::from(std::mem::take(stash));
                if bytes.is_empty() {
                    return;
                }
                match conversation.step(Downstream, &mut bytes, &Wants::NONE) {
                    Emit::Pass(data) => seen.extend_from_slice(&data),
                    Emit::Blocked => return *stash = bytes.to_vec(),
                    other => panic!("{other:?}"),
                }
                *stash = bytes.to_vec();
            }
        };
        for piece in cut(answers.as_bytes(), &sizes) {
            stash.extend_from_slice(&piece);
            give(&mut conversation, &mut stash);
        }
        for (exchange, reply) in owed.into_iter().rev() {
            conversation.reply(exchange, reply.as_bytes(), Then::Done);
            give(&mut conversation, &mut stash);
        }
        give(&mut conversation, &mut stash);
        let expected = (0..claimed.len()).map(|index| {
            if claimed[index] { format!("own {index};") } else { answer(index) }
        });
        prop_assert_eq!(String::from_utf8(seen).unwrap(), expected.collect::<String>());
        prop_assert!(!conversation.owes() && stash.is_empty());
    }
}
