//! Faults on messages in a pipe, with and without faults on bytes behind them.

use super::*;
use crate::proxy::pipe::Note;

const GET: &str = "GET / HTTP/1.1\r\n\r\n";
const OWN: &str = "GET /own HTTP/1.1\r\n\r\n";
const SERVED: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const ABORTED: &str = "HTTP/1.1 503 Service Unavailable\r\nx-chaosproxy-fault: http_abort\r\n\
                       content-length: 0\r\n\r\n";

fn abort() -> Armed {
    of_kind("http_abort", &json!({ "path": "own" }))
}

fn http(armed: &[Armed]) -> Rig {
    let mut rig = Rig::speaking(Protocol::Http);
    rig.set(armed);
    rig
}

#[test]
fn an_answer_is_made_in_its_turn_and_the_server_gets_nothing_of_the_request() {
    let mut rig = http(&[abort()]);
    rig.send(UP, &format!("{GET}{OWN}{GET}{OWN}"));
    assert_eq!(
        (rig.text(UP), rig.text(DOWN)),
        (GET.repeat(2), String::new())
    );
    rig.send(DOWN, &SERVED[..9]);
    assert_eq!(rig.text(DOWN), SERVED[..9]);
    rig.send(DOWN, &SERVED[9..]);
    assert_eq!(rig.text(DOWN), format!("{SERVED}{ABORTED}"));
    rig.send(DOWN, SERVED);
    assert_eq!(rig.text(DOWN), format!("{SERVED}{ABORTED}").repeat(2));
    assert_eq!(rig.hits(), ["http_abort 0 Answered"]);
}

#[test]
fn a_lifted_fault_stays_until_it_has_paid_and_says_then_how_much_it_did() {
    let mut rig = http(&[abort()]);
    rig.send(UP, &format!("{GET}{OWN}{OWN}"));
    rig.set(&[]);
    assert!(!rig.pipe.idle(), "two answers are owed");
    rig.send(UP, OWN);
    assert_eq!(rig.text(UP), format!("{GET}{OWN}"));
    rig.send(DOWN, SERVED);
    assert_eq!(rig.text(DOWN), format!("{SERVED}{ABORTED}{ABORTED}"));
    assert!(rig.pipe.idle());
    let touched = Note::Touched {
        fault: "http_abort".into(),
        occurrence: 0,
        exchanges: 2,
        last: Moment::ZERO,
    };
    assert_eq!(rig.pipe.notes(), [touched]);
}

#[test]
fn faults_on_bytes_act_on_answers_wherever_they_stand_in_the_list() {
    for armed in [[abort(), latency(50)], [latency(50), abort()]] {
        let mut rig = http(&armed);
        rig.send(UP, OWN);
        rig.until(ms(200));
        assert_eq!(
            (rig.text(UP), rig.text(DOWN)),
            (String::new(), ABORTED.to_owned())
        );
        assert_eq!(rig.times(DOWN), [50]);
    }
}

#[test]
fn an_answer_that_is_late_lets_the_server_wait_and_comes_at_the_lift() {
    let late = of_kind("http_abort", &json!({ "path": "own", "delay": "70ms" }));
    for lifted in [false, true] {
        let mut rig = http(std::slice::from_ref(&late));
        rig.send(UP, &format!("{OWN}{GET}"));
        rig.send(DOWN, SERVED);
        assert_eq!((rig.text(DOWN), rig.pipe.room(DOWN)), (String::new(), 0));
        if lifted {
            rig.set(&[]);
        } else {
            rig.until(ms(70));
        }
        assert_eq!(rig.text(DOWN), format!("{ABORTED}{SERVED}"));
        assert_eq!(rig.times(DOWN)[0], if lifted { 0 } else { 70 });
        assert!(rig.pipe.room(DOWN) > 0);
    }
}

#[test]
fn an_end_of_the_server_waits_behind_what_it_said_before() {
    let late = of_kind("http_abort", &json!({ "path": "own", "delay": "70ms" }));
    let mut rig = http(&[late]);
    rig.send(UP, &format!("{OWN}{GET}"));
    rig.send(DOWN, SERVED);
    rig.push(DOWN, Payload::Eof);
    rig.until(ms(70));
    assert_eq!(rig.text(DOWN), format!("{ABORTED}{SERVED}"));
    assert_eq!(
        rig.out[1].last().map(|(_, payload)| payload),
        Some(&Payload::Eof)
    );
}

#[test]
fn what_had_begun_before_the_fault_passes_and_part_of_a_message_passes_at_the_lift() {
    let mut rig = http(&[]);
    rig.send(UP, &OWN[..7]);
    rig.set(&[abort()]);
    rig.send(UP, &OWN[7..]);
    assert_eq!(rig.text(UP), OWN);
    rig.send(UP, &OWN[..7]);
    assert_eq!(rig.text(UP), OWN);
    rig.set(&[]);
    assert_eq!(rig.text(UP), format!("{OWN}{}", &OWN[..7]));
    assert!(rig.pipe.idle());
    rig.set(&[abort()]);
    rig.send(UP, &OWN[7..]);
    assert_eq!(rig.text(UP), OWN.repeat(2));
    assert_eq!(rig.hits(), Vec::<String>::new());
}

#[test]
fn a_half_close_passes_behind_part_of_a_message() {
    let mut rig = http(&[abort()]);
    rig.send(UP, &OWN[..7]);
    rig.push(UP, Payload::Eof);
    let out: Vec<_> = rig.out[0]
        .iter()
        .map(|(_, payload)| payload.clone())
        .collect();
    let part = Payload::Data(Bytes::from_static(&OWN.as_bytes()[..7]));
    assert_eq!(out, [part, Payload::Eof]);
}

#[test]
fn a_debt_that_can_no_longer_be_paid_ends_the_connection() {
    let mut rig = http(&[abort()]);
    rig.send(UP, &format!("{GET}{OWN}"));
    rig.send(DOWN, "SSH-2.0\r\n");
    assert_eq!(rig.cut(), Some(How::Rst));
}

#[test]
fn a_fault_for_another_protocol_says_so_once_and_holds_nothing_up() {
    for (protocol, kind, params, why) in [
        (
            Protocol::Tcp,
            "http_abort",
            json!({}),
            "the proxy lacks `protocol = \"http\"`",
        ),
        (
            Protocol::Http,
            "pg_error",
            json!({ "sqlstate": "40001" }),
            "the proxy lacks `protocol = \"postgres\"`",
        ),
    ] {
        let mut rig = Rig::speaking(protocol);
        let armed = of_kind(kind, &params);
        for _ in 0..2 {
            rig.set(std::slice::from_ref(&armed));
        }
        assert!(rig.pipe.idle());
        let fault = kind.into();
        assert_eq!(rig.pipe.notes(), [Note::Unable { fault, why }]);
    }
}

#[test]
fn answers_that_wait_for_their_turn_hold_the_client_back() {
    let large = "x".repeat(200_000);
    let mut rig = http(&[of_kind(
        "http_abort",
        &json!({ "path": "own", "body": large }),
    )]);
    rig.send(UP, GET);
    let mut sent = 0;
    while rig.pipe.room(UP) > 0 {
        assert!(sent < 100, "the client is never held back");
        rig.send(UP, OWN);
        sent += 1;
    }
    rig.send(DOWN, SERVED);
    assert!(rig.pipe.room(UP) > 0);
    assert_eq!(rig.text(DOWN).matches(&large).count(), sent);
}

#[derive(Debug, Clone)]
enum Step {
    /// The client asks for something that the fault means, or does not, with a body or without.
    Ask { own: bool, body: bool },
    /// The network moves so many bytes each way.
    Move(usize),
    /// The fault is in force from now on, or is not.
    Arm(bool),
    /// The server answers what it has got.
    Answer,
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    use proptest::prelude::*;
    prop_oneof![
        3 => (any::<bool>(), any::<bool>()).prop_map(|(own, body)| Step::Ask { own, body }),
        4 => (1..60_usize).prop_map(Step::Move),
        1 => any::<bool>().prop_map(Step::Arm),
        2 => Just(Step::Answer),
    ]
}

fn answer(number: usize) -> String {
    let body = format!("answer {number};");
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// The client's requests that the server has got as a whole, by their numbers.
fn received(upstream: &str) -> Vec<usize> {
    let whole = upstream
        .split_inclusive(";\r\n\r\n")
        .filter(|part| part.ends_with(";\r\n\r\n"));
    whole
        .map(|request| {
            let number = request.split("/n").nth(1).unwrap();
            number.split('-').next().unwrap().parse().unwrap()
        })
        .collect()
}

proptest::proptest! {
    #[test]
    fn each_request_gets_one_answer_in_its_turn_however_the_fault_comes_and_goes(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut rig = http(&[]);
        let (mut asked, mut answered) = (0, 0);
        let (mut to_server, mut to_client) = (String::new(), String::new());
        let last = [Step::Arm(false), Step::Move(usize::MAX), Step::Answer, Step::Move(usize::MAX)];
        for step in steps.into_iter().chain(last) {
            match step {
                Step::Ask { own, body } => {
                    let path = format!("/n{asked}-{}", if own { "own" } else { "other" });
                    let request = if body {
                        format!("PUT {path} HTTP/1.1\r\nContent-Length: 7\r\n\r\nxy;\r\n\r\n")
                    } else {
                        format!("GET {path} HTTP/1.1\r\nLast: ;\r\n\r\n")
                    };
                    to_server.push_str(&request);
                    asked += 1;
                }
                Step::Move(bytes) => {
                    for (direction, queue) in [(UP, &mut to_server), (DOWN, &mut to_client)] {
                        let rest = queue.split_off(bytes.min(queue.len()));
                        let moved = std::mem::replace(queue, rest);
                        if !moved.is_empty() {
                            rig.send(direction, &moved);
                        }
                    }
                }
                Step::Arm(true) => rig.set(&[abort()]),
                Step::Arm(false) => rig.set(&[]),
                Step::Answer => {
                    for number in &received(&rig.text(UP))[answered..] {
                        to_client.push_str(&answer(*number));
                        answered += 1;
                    }
                }
            }
        }
        let served = received(&rig.text(UP));
        let expected = (0..asked).map(|number| {
            if served.contains(&number) {
                answer(number)
            } else {
                ABORTED.to_owned()
            }
        });
        proptest::prop_assert_eq!(rig.text(DOWN), expected.collect::<String>());
        proptest::prop_assert!(rig.pipe.idle());
    }
}
