//! Requests that are answered instead of the server, and everything that passes beside them.

use std::io::ErrorKind;

use chaosproxy::action::{Protocol, ProxySpec};
use chaosproxy::event::{Fact, Impact};
use chaosproxy::fault::Scope;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{impacts, touched};
use crate::load::server::{Reaction, Server};
use crate::proxy::{read_n, read_to_end};
use crate::support::bound;
use crate::support::rig::{Path, Rig, patiently, spec};

/// A proxy `db` that follows HTTP, in front of a server of the test's own.
async fn path(rig: &Rig) -> Path {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = add(rig, server.local_addr().unwrap()).await;
    Path { proxy, server }
}

async fn add(rig: &Rig, upstream: std::net::SocketAddr) -> std::net::SocketAddr {
    let spec = ProxySpec {
        protocol: Protocol::Http,
        ..spec("db", upstream)
    };
    rig.add(spec).await.unwrap()
}

async fn abort(rig: &Rig, params: Value) {
    rig.inject("http_abort", params, Scope::default()).await;
}

async fn curl(args: Vec<String>) -> String {
    let output = tokio::task::spawn_blocking(|| {
        bound("curl")
            .args(["-sS", "--max-time", "20"])
            .args(args)
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sends bytes from one end, and expects them unchanged at the other.
async fn passes(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    patiently(from.write_all(bytes)).await.unwrap();
    let got = read_n(to, bytes.len()).await;
    assert_eq!(
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(bytes)
    );
}

const OWN: &str = "HTTP/1.1 503 Service Unavailable\r\nx-chaosproxy-fault: http_abort\r\n\
                   content-length: 0\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn curl_gets_the_status_the_headers_and_the_body_and_goes_on_with_its_connection() {
    let mut rig = Rig::new();
    let server = Server::start(|_, _| Reaction::Answer(200, "served".into())).await;
    let proxy = add(&rig, server.address).await;
    let params = json!({
        "status": 429, "headers": { "retry-after": "7" }, "body": "later", "method": "GET", "path": "^/api/",
    });
    abort(&rig, params).await;
    let format =
        "|%{http_code}|%header{retry-after}|%header{x-chaosproxy-fault}|%{num_connects}\\n";
    let urls = ["/api/a?x=1", "/other?/api/", "/api/b"].map(|path| format!("http://{proxy}{path}"));
    let args = ["-w", format]
        .map(str::to_owned)
        .into_iter()
        .chain(urls)
        .collect();
    assert_eq!(
        curl(args).await,
        "later|429|7|http_abort|1\nserved|200|||0\nlater|429|7|http_abort|0\n"
    );
    let args = ["-w", "%{http_code}", "-d", "body"]
        .map(str::to_owned)
        .into_iter();
    let posted = curl(args.chain([format!("http://{proxy}/api/")]).collect()).await;
    assert_eq!(posted, "served200");
    assert_eq!(server.requests().len(), 2);
    assert_eq!(touched(&mut rig).await, 2);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_uploads_to_an_aborted_request_with_and_without_asking_first() {
    let mut rig = Rig::new();
    let server = Server::start(|_, _| Reaction::Answer(200, "served".into())).await;
    let proxy = add(&rig, server.address).await;
    abort(&rig, json!({ "status": 500, "body": "no" })).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'x'; 3 << 20]).unwrap();
    let name = file.path().to_str().unwrap();
    for extra in [
        "Expect: 100-continue",
        "Expect:",
        "Transfer-Encoding: chunked",
    ] {
        let args = ["-T", name, "-H", extra, "-w", "|%{http_code}\\n"];
        let args = args.map(str::to_owned).into_iter();
        let url = || format!("http://{proxy}/upload");
        let said = curl(
            args.chain([url(), "-T".to_owned(), name.to_owned(), url()])
                .collect(),
        )
        .await;
        assert_eq!(said, "no|500\n".repeat(2), "{extra}");
    }
    assert!(server.requests().is_empty());
    assert!(
        impacts(&mut rig)
            .iter()
            .all(|impact| *impact == Impact::Answered)
    );
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order_whoever_answers_them() {
    let mut rig = Rig::new();
    let (mut client, mut server) = {
        let path = path(&rig).await;
        abort(&rig, json!({ "path": "own" })).await;
        path.connect().await
    };
    let get = |path: &str| format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let post = "POST /own HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET ".to_owned();
    let requests = [get("own1"), get("a"), post, get("b"), get("own"), get("c")];
    client
        .write_all(requests.concat().as_bytes())
        .await
        .unwrap();
    let theirs = [get("a"), get("b"), get("c")].concat();
    assert_eq!(read_n(&mut server, theirs.len()).await, theirs.as_bytes());
    let answer = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{body}");
    server
        .write_all([answer("a"), answer("b"), answer("c")].concat().as_bytes())
        .await
        .unwrap();
    let expected = [OWN, &answer("a"), OWN, &answer("b"), OWN, &answer("c")].concat();
    let got = read_n(&mut client, expected.len()).await;
    assert_eq!(String::from_utf8_lossy(&got), expected);
    assert_eq!(impacts(&mut rig), [Impact::Answered]);
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server).await, (vec![], Ok(())));
    drop(server);
    assert_eq!(touched(&mut rig).await, 3);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_held_back_holds_back_what_is_behind_it_until_the_lift() {
    let mut rig = Rig::new();
    let (mut client, mut server) = {
        let path = path(&rig).await;
        abort(&rig, json!({ "path": "own", "delay": "1h" })).await;
        path.connect().await
    };
    let request = "GET /own HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    read_n(&mut server, 19).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
    server.write_all(answer.as_bytes()).await.unwrap();
    // What the server says next goes nowhere, and is kept for its turn.
    rig.fact(|fact| matches!(fact, Fact::FaultHit { .. }).then_some(()))
        .await;
    let mut byte = [0];
    assert_eq!(
        client.try_read(&mut byte).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    rig.lift("http_abort").await;
    let expected = [OWN, answer].concat();
    let got = read_n(&mut client, expected.len()).await;
    assert_eq!(String::from_utf8_lossy(&got), expected);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_body_is_under_way_is_answered_after_the_lift() {
    let rig = Rig::new();
    let (mut client, mut server) = {
        let path = path(&rig).await;
        abort(&rig, json!({ "method": "POST" })).await;
        path.connect().await
    };
    let head = "GET /a HTTP/1.1\r\n\r\nPOST /own HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345";
    client.write_all(head.as_bytes()).await.unwrap();
    read_n(&mut server, 19).await;
    rig.lift("http_abort").await;
    client
        .write_all(b"67890POST /b HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_n(&mut server, 20).await, b"POST /b HTTP/1.1\r\n\r\n");
    let answer = "HTTP/1.1 204 No Content\r\n\r\n";
    server.write_all(answer.repeat(2).as_bytes()).await.unwrap();
    let expected = [answer, OWN, answer].concat();
    let got = read_n(&mut client, expected.len()).await;
    assert_eq!(String::from_utf8_lossy(&got), expected);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_the_end_of_the_connection_gets_it_behind_the_answer() {
    let mut rig = Rig::new();
    let path = path(&rig).await;
    abort(&rig, json!({ "body": "no" })).await;
    for request in [
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "HEAD / HTTP/1.0\r\n\r\n",
    ] {
        let (mut client, mut server) = path.connect().await;
        client.write_all(request.as_bytes()).await.unwrap();
        let (answer, end) = read_to_end(&mut client).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.contains("content-length: 2\r\nconnection: close\r\n\r\n"),
            "{answer}"
        );
        assert_eq!(answer.ends_with("no"), request.starts_with("GET"));
        assert_eq!(end, Ok(()));
        assert_eq!(read_to_end(&mut server).await, (vec![], Ok(())));
    }
    assert_eq!(impacts(&mut rig), [Impact::Closed; 3]);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_meant_passes_byte_for_byte() {
    let mut rig = Rig::new();
    let (mut client, mut server) = {
        let path = path(&rig).await;
        abort(&rig, json!({ "path": "^/own$" })).await;
        path.connect().await
    };
    let exchanges: [(&[u8], &[u8]); 6] = [
        (
            b"POST /a HTTP/1.1\r\nhOsT:  x \r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: t\r\n\r\n",
            b"HTTP/1.1 200 Fine\r\nTRANSFER-encoding: Chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n",
        ),
        (b"HEAD /own/ HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"),
        (
            b"PUT /b HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
        ),
        (b"ok", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
        (b"GET /c HTTP/1.1\r\nIf-None-Match: x\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        (b"GET /events HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"),
    ];
    for (asked, answered) in exchanges {
        passes(&mut client, &mut server, asked).await;
        passes(&mut server, &mut client, answered).await;
    }
    // Each event passes when it comes, also in parts.
    for event in [
        "id: 1\ndata: one\n\n",
        ": still here\n\n",
        "id: 2\nda",
        "ta: two\n\n",
    ] {
        passes(&mut server, &mut client, event.as_bytes()).await;
    }
    drop(server);
    assert_eq!(patiently(client.read(&mut [0])).await.unwrap(), 0);
    assert!(impacts(&mut rig).is_empty());
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_passes_and_the_fault_says_that_it_sees_no_more_requests() {
    let mut rig = Rig::new();
    let (mut client, mut server) = {
        let path = path(&rig).await;
        abort(&rig, json!({ "path": "^/own$" })).await;
        path.connect().await
    };
    let ask = b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    passes(&mut client, &mut server, ask).await;
    let agree = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi";
    passes(&mut server, &mut client, agree).await;
    for echo in [
        &b"\x81\x85\0\0\0\0hello"[..],
        b"GET /own HTTP/1.1\r\n\r\n",
        b"\x88\0",
    ] {
        passes(&mut client, &mut server, echo).await;
        passes(&mut server, &mut client, echo).await;
    }
    let why = rig.fact(|fact| match fact {
        Fact::FaultUnable { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(why.await, "the connection was upgraded to another protocol");
    rig.engine.shutdown().await;
}
