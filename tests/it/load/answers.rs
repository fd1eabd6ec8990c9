//! What becomes of an answer: an outcome, the fate of a write, a digest.

use chaosproxy::event::{Fate, Outcome};
use chaosproxy::load;
use chaosproxy::load::spec::WorkloadKind;
use serde_json::json;

use super::server::{Reaction, Server};
use super::{SEED, chunks, facts, fates, keys, ms, samples, stage, write_until, writes};

#[tokio::test]
async fn an_answer_is_a_status_and_its_class_decides() {
    let server = Server::start(|ordinal, _| match ordinal {
        0 => Reaction::Answer(201, "{}".into()),
        1 => Reaction::Answer(409, "{\"error\":\"exists\"}".into()),
        _ => Reaction::Answer(503, String::new()),
    })
    .await;
    let facts = write_until(&server, 50.0, ms(3000), 3).await;
    let outcomes: Vec<_> = samples(&facts).into_iter().map(|s| s.outcome).collect();
    let not_ok = |status, why: &str| Outcome::NotOk {
        status: Some(status),
        why: why.into(),
    };
    let expected = [
        Outcome::Ok { status: Some(201) },
        not_ok(409, "status 409, expected 2xx: {\"error\":\"exists\"}"),
        not_ok(503, "status 503, expected 2xx"),
    ];
    assert_eq!(outcomes[..3], expected);
    let fates = fates(&facts);
    let keys = keys(&server);
    assert_eq!(fates[0], (keys[0].clone(), Fate::Ok));
    assert_eq!(fates[1], (keys[1].clone(), Fate::Fail));
    assert_eq!(fates[2], (keys[2].clone(), Fate::Unknown));
}

#[tokio::test]
async fn an_error_of_the_protocol_is_one_under_200_and_acknowledges_no_write() {
    let error = r#"{"jsonrpc": "2.0", "error": {"code": -32000, "message": "no database"}}"#;
    let server = Server::start(|ordinal, _| match ordinal {
        0 => Reaction::Answer(302, String::new()),
        _ => Reaction::Answer(200, error.into()),
    })
    .await;
    let (recorder, stream, stop) = stage();
    let mut workload = writes(50.0, ms(3000));
    if let WorkloadKind::Http { ok, .. } = &mut workload.kind {
        *ok = serde_json::from_value(json!({ "status": [200, 302] })).unwrap();
    }
    let (ledger, url) = (chunks(), server.url());
    let handle = load::start(&workload, Some(&ledger), &url, SEED, recorder, stop.clone()).unwrap();
    server.received(2).await;
    stop.cancel();
    handle.await.unwrap();
    let facts = facts(stream).await;
    let outcomes: Vec<_> = samples(&facts).into_iter().map(|s| s.outcome).collect();
    let why = "JSON-RPC error -32000: no database".into();
    let status = Some(200);
    assert_eq!(outcomes[0], Outcome::Ok { status: Some(302) });
    assert_eq!(outcomes[1], Outcome::NotOk { status, why });
    assert_eq!(fates(&facts)[1].1, Fate::Unknown);
}

#[tokio::test]
async fn the_end_of_a_long_answer_is_compared_and_its_json_is_not() {
    let body = |ordinal: usize| {
        let (pad, end) = (
            "x".repeat(1_100_000),
            if ordinal < 2 { "right" } else { "wrong" },
        );
        format!("{{\"id\": 1, \"pad\": \"{pad}\", \"end\": \"{end}\"}}")
    };
    let mut digests = Vec::new();
    for wanted in [json!("body"), json!(["$.id"])] {
        let server = Server::start(move |ordinal, _| Reaction::Answer(200, body(ordinal))).await;
        let (recorder, stream, stop) = stage();
        let mut workload = writes(20.0, ms(20_000));
        if let WorkloadKind::Http { compare, .. } = &mut workload.kind {
            *compare = serde_json::from_value(wanted).unwrap();
        }
        let url = server.url();
        let handle = load::start(&workload, None, &url, SEED, recorder, stop.clone()).unwrap();
        server.received(3).await;
        stop.cancel();
        handle.await.unwrap();
        let samples = samples(&facts(stream).await);
        digests.push(
            samples
                .into_iter()
                .map(|sample| sample.digest.unwrap())
                .collect::<Vec<_>>(),
        );
    }
    let (whole, json) = (&digests[0], &digests[1]);
    assert!(whole[..3].iter().all(Result::is_ok), "{whole:?}");
    assert!(whole.iter().any(|digest| *digest != whole[0]), "{whole:?}");
    let why = json[0].as_ref().unwrap_err();
    assert!(
        why.ends_with("longer than the 1 MiB that are compared"),
        "{why}"
    );
}

#[tokio::test]
async fn answers_that_are_compared_have_a_digest_and_errors_have_none() {
    let server = Server::start(|ordinal, _| match ordinal {
        0 | 1 => Reaction::Answer(200, format!("{{\"items\": [1], \"took\": {ordinal}}}")),
        2 => Reaction::Answer(200, "{\"items\": [2]}".into()),
        _ => Reaction::Answer(503, "{\"items\": [1]}".into()),
    })
    .await;
    let (recorder, stream, stop) = stage();
    let mut workload = writes(50.0, ms(3000));
    if let WorkloadKind::Http { compare, .. } = &mut workload.kind {
        *compare = serde_json::from_value(json!(["$.items"])).unwrap();
    }
    let handle = load::start(&workload, None, &server.url(), SEED, recorder, stop.clone()).unwrap();
    server.received(4).await;
    stop.cancel();
    handle.await.unwrap();
    let digests: Vec<_> = samples(&facts(stream).await)
        .into_iter()
        .map(|sample| sample.digest)
        .collect();
    assert!(digests[0].is_some());
    assert_eq!(digests[0], digests[1]);
    assert!(digests[2].is_some() && digests[2] != digests[0]);
    assert_eq!(digests[3], None);
}
