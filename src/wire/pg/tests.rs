use proptest::prelude::*;

use crate::event::Startup;
use crate::wire::Direction::{Downstream, Upstream};
use crate::wire::{Conversation, Observation, Protocol};

/// What one side sent at once.
#[derive(Debug, Clone)]
enum Flight {
    Client(Vec<u8>),
    Server(Vec<u8>),
}

use Flight::{Client, Server};

fn watch(flights: &[Flight]) -> (Vec<Observation>, Conversation) {
    let mut conversation = Conversation::new(Protocol::Postgres);
    for flight in flights {
        match flight {
            Client(bytes) => conversation.observe(Upstream, bytes),
            Server(bytes) => conversation.observe(Downstream, bytes),
        }
    }
    (conversation.seen(), conversation)
}

/// Checks which packets are seen, and whether a session becomes ready.
fn check(flights: &[Flight], expected: &[Startup], ready: bool) {
    let mut expected: Vec<_> = expected.iter().cloned().map(Observation::Startup).collect();
    if ready {
        expected.push(Observation::Ready);
    }
    assert_eq!(watch(flights).0, expected, "{flights:?}");
}

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

fn request(code: u32) -> Flight {
    Client(packet(code, b""))
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

fn startup() -> Vec<u8> {
    packet(
        196_608,
        b"user\0ann\0database\0shop\0options\0\0application_name\0till\0\0",
    )
}

fn session() -> Startup {
    Startup::Session {
        user: "ann".into(),
        database: "shop".into(),
        application_name: "till".into(),
    }
}

/// Authentication, a parameter, a key, readiness.
fn welcome() -> Vec<u8> {
    [
        message(b'R', &[0; 4]),
        message(b'S', b"TimeZone\0UTC\0"),
        message(b'K', &[1; 8]),
        message(b'Z', b"I"),
    ]
    .concat()
}

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

#[test]
fn a_plain_session_is_seen_with_its_parameters_and_readiness() {
    check(&[Client(startup()), Server(welcome())], &[session()], true);
}

#[test]
fn only_the_first_readiness_counts() {
    let flights = [
        Client(startup()),
        Server(welcome()),
        Client(message(b'Q', b"select 1\0")),
        Server([message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat()),
    ];
    check(&flights, &[session()], true);
}

#[test]
fn bytes_of_a_row_are_not_taken_for_readiness() {
    let row = message(b'D', b"Z\0\0\0\x05IZ\0\0\0\x05I");
    check(&[Client(startup()), Server(row)], &[session()], false);
}

#[test]
fn a_client_that_is_denied_both_encryptions_goes_on_in_the_clear() {
    let flights = [
        request(GSS),
        Server(b"N".to_vec()),
        request(SSL),
        Server(b"N".to_vec()),
        Client(startup()),
        Server(welcome()),
    ];
    check(&flights, &[Startup::Gss, Startup::Ssl, session()], true);
}

#[test]
fn each_encryption_may_be_asked_for_once() {
    let flights = [request(SSL), Server(b"N".to_vec()), request(SSL)];
    check(&flights, &[Startup::Ssl, Startup::Unknown], false);
}

#[test]
fn after_tls_was_agreed_nothing_more_is_seen() {
    let flights = [
        request(SSL),
        Server(b"S".to_vec()),
        Client(vec![0x16, 3, 1, 2, 0]),
        Server(welcome()),
        Client(startup()),
    ];
    check(&flights, &[Startup::Ssl, Startup::Tls], false);
    assert!(watch(&flights).1.opaque().is_some());
    check(&[Client(vec![0x16, 3, 1])], &[Startup::Tls], false);
}

#[test]
fn after_gss_was_agreed_nothing_more_is_seen() {
    let flights = [request(GSS), Server(b"G".to_vec()), Client(startup())];
    check(&flights, &[Startup::Gss], false);
    assert!(watch(&flights).1.opaque().is_some());
}

#[test]
fn what_is_sent_along_with_a_request_for_encryption_is_unknown() {
    let pipelined = [packet(SSL, b""), startup()].concat();
    check(
        &[Client(pipelined)],
        &[Startup::Ssl, Startup::Unknown],
        false,
    );
}

#[test]
fn a_cancel_request_of_either_length_is_no_session() {
    for key in [4, 32] {
        let cancel = Client(packet(80_877_102, &vec![7; 4 + key]));
        check(&[cancel], &[Startup::Cancel], false);
    }
}

#[test]
fn a_health_probe_that_sends_nothing_shows_nothing() {
    check(&[], &[], false);
    check(&[Client(Vec::new())], &[], false);
}

#[test]
fn what_cannot_be_a_startup_packet_is_unknown() {
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0, 0, 0, 7, 0, 3, 0],
        vec![0, 0, 0x27, 0x15],
        packet(2 << 16, b""),
    ] {
        check(&[Client(bytes)], &[Startup::Unknown], false);
    }
}

#[test]
fn a_message_right_behind_the_startup_packet_is_a_message() {
    let eager = [startup(), message(b'p', &[0xff; 8])].concat();
    let flights = [Client(eager), Server(welcome())];
    check(&flights, &[session()], true);
    assert!(watch(&flights).1.opaque().is_none());
}

#[test]
fn the_longest_startup_packet_is_read() {
    let head = startup();
    let filler = vec![b'x'; 10_004 - head.len()];
    let body = [&head[8..head.len() - 1], &filler, &[0]].concat();
    let longest = packet(196_610, &body);
    assert_eq!(longest.len(), 10_004);
    check(&[Client(longest)], &[session()], false);
}

#[test]
fn a_server_that_turns_a_client_away_before_its_startup_makes_no_session() {
    let error = message(b'E', b"SFATAL\0C53300\0\0");
    check(&[Server(error), Client(startup())], &[session()], false);
}

#[test]
fn a_length_that_no_message_can_have_ends_the_view() {
    let broken = vec![b'D', 0, 0, 0, 3];
    let flights = [Client(startup()), Server(broken), Server(welcome())];
    check(&flights, &[session()], false);
    assert!(watch(&flights).1.opaque().is_some());
}

fn flight() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(packet(SSL, b"")),
        Just(packet(GSS, b"")),
        Just(packet(80_877_102, &[1; 8])),
        Just(startup()),
        Just(welcome()),
        Just(b"N".to_vec()),
        Just(b"S".to_vec()),
        Just(b"G".to_vec()),
        (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..30))
            .prop_map(|(kind, body)| message(kind, &body)),
        proptest::collection::vec(any::<u8>(), 0..30),
    ]
}

fn flights() -> impl Strategy<Value = Vec<Flight>> {
    let flight = (any::<bool>(), flight())
        .prop_map(|(client, bytes)| if client { Client(bytes) } else { Server(bytes) });
    proptest::collection::vec(flight, 0..12)
}

/// Cuts a flight into chunks of these sizes, over and over.
fn cut(flight: &Flight, sizes: &[usize]) -> Vec<Flight> {
    let (Client(bytes) | Server(bytes)) = flight;
    let mut rest = bytes.as_slice();
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, left) = rest.split_at(rest.len().min(*size));
        chunks.push(match flight {
            Client(_) => Client(chunk.to_vec()),
            Server(_) => Server(chunk.to_vec()),
        });
        rest = left;
    }
    chunks
}

fn same_however_it_is_cut(flights: &[Flight], sizes: &[usize]) -> Result<(), TestCaseError> {
    let chunks: Vec<_> = flights
        .iter()
        .flat_map(|flight| cut(flight, sizes))
        .collect();
    let (whole, pieces) = (watch(flights), watch(&chunks));
    prop_assert_eq!(whole.0, pieces.0);
    prop_assert_eq!(whole.1.opaque(), pieces.1.opaque());
    Ok(())
}

proptest! {
    #[test]
    fn how_bytes_are_cut_into_chunks_does_not_matter(
        sizes in proptest::collection::vec(1..9_usize, 1..6),
        denied in any::<bool>(),
    ) {
        let mut flights = vec![Client(startup()), Server(welcome()), Server(welcome())];
        if denied {
            flights.splice(0..0, [request(SSL), Server(b"N".to_vec())]);
        }
        same_however_it_is_cut(&flights, &sizes)?;
    }

    #[test]
    fn random_flights_never_panic_and_read_the_same_however_they_are_cut(
        flights in flights(),
        sizes in proptest::collection::vec(1..9_usize, 1..6),
    ) {
        same_however_it_is_cut(&flights, &sizes)?;
    }
}
