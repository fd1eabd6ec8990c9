//! How connections end: each peer must see what the other did.

use std::io::ErrorKind::{BrokenPipe, ConnectionReset};

use chaosproxy::action::Action;
use chaosproxy::event::{ClosedBy, Fact};
use chaosproxy::fault::Scope;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::stream::write_until_stuck;
use super::{read_n, read_to_end, reset};
use crate::support::rig::{Rig, patiently, spec};

/// The cause and the bytes, upstream and downstream, of a closed connection.
fn closed(fact: &Fact) -> Option<(ClosedBy, u64, u64)> {
    match fact {
        Fact::ConnectionClosed { cause, carried, .. } => Some((
            cause.clone(),
            carried.bytes_upstream,
            carried.bytes_downstream,
        )),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_close_of_the_client_leaves_the_answer_open() {
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(
        read_to_end(&mut server).await,
        (b"question".to_vec(), Ok(()))
    );
    server.write_all(b"a long answer").await.unwrap();
    assert_eq!(read_n(&mut client, 13).await, b"a long answer");
    drop(server);
    assert_eq!(read_to_end(&mut client).await, (vec![], Ok(())));
    assert_eq!(rig.fact(closed).await, (ClosedBy::Client, 8, 13));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_close_of_the_server_leaves_the_question_open() {
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    server.write_all(b"greeting").await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(
        read_to_end(&mut client).await,
        (b"greeting".to_vec(), Ok(()))
    );
    client.write_all(b"farewell").await.unwrap();
    drop(client);
    assert_eq!(
        read_to_end(&mut server).await,
        (b"farewell".to_vec(), Ok(()))
    );
    assert_eq!(rig.fact(closed).await, (ClosedBy::Upstream, 8, 8));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_arrives_as_a_reset_behind_what_was_sent() {
    let mut rig = Rig::new();
    let path = rig.path().await;

    let (mut client, mut server) = path.connect().await;
    client.write_all(b"half a").await.unwrap();
    assert_eq!(read_n(&mut server, 6).await, b"half a");
    reset(client);
    assert_eq!(
        read_to_end(&mut server).await,
        (vec![], Err(ConnectionReset))
    );
    assert_eq!(rig.fact(closed).await, (ClosedBy::Client, 6, 0));

    let (mut client, mut server) = path.connect().await;
    server.write_all(b"half a").await.unwrap();
    assert_eq!(read_n(&mut client, 6).await, b"half a");
    reset(server);
    assert_eq!(
        read_to_end(&mut client).await,
        (vec![], Err(ConnectionReset))
    );
    assert_eq!(rig.fact(closed).await, (ClosedBy::Upstream, 0, 6));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_noticed_while_the_other_side_does_not_read() {
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    super::stream::write_until_stuck(&mut client).await;
    reset(client);
    assert_eq!(rig.fact(closed).await.0, ClosedBy::Client);
    assert_eq!(read_to_end(&mut server).await.1, Err(ConnectionReset));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_behind_a_half_close_is_noticed_in_the_midst_of_a_fault() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    for by in [ClosedBy::Client, ClosedBy::Upstream] {
        let (client, server) = path.connect().await;
        let (mut leaves, mut stays) = match by {
            ClosedBy::Client => (client, server),
            _ => (server, client),
        };
        leaves.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut stays).await, (vec![], Ok(())));
        write_until_stuck(&mut stays).await;
        let params = json!({ "latency": "1ms" });
        rig.inject("latency", params, Scope::default()).await;
        reset(leaves);
        assert_eq!(rig.fact(closed).await.0, by);
        // To who has heard the other's end before, a reset is a broken pipe.
        let end = patiently(async {
            loop {
                if let Err(error) = stays.write(b"?").await {
                    break error.kind();
                }
            }
        });
        assert_eq!(end.await, BrokenPipe);
        rig.lift("latency").await;
    }
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_a_server_that_hung_up_still_arrive() {
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    client.write_all(b"never read by the server").await.unwrap();
    patiently(server.peek(&mut [0])).await.unwrap();
    server.write_all(b"FATAL").await.unwrap();
    // Closing with unread input sends a reset behind the last words.
    drop(server);
    assert_eq!(read_n(&mut client, 5).await, b"FATAL");
    assert_eq!(
        read_to_end(&mut client).await,
        (vec![], Err(ConnectionReset))
    );
    assert_eq!(rig.fact(closed).await.0, ClosedBy::Upstream);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_upstream_closes_the_client_and_says_why() {
    let mut rig = Rig::new();
    let nobody = chaosproxy::sys::net::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = nobody.local_addr().unwrap();
    drop(nobody);
    let proxy = rig.add(spec("db", addr)).await.unwrap();
    let mut client = patiently(TcpStream::connect(proxy)).await.unwrap();
    client.write_all(b"anybody there?").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, (vec![], Ok(())));
    drop(client);
    let why = format!("connection refused by {addr}");
    assert_eq!(rig.fact(closed).await, (ClosedBy::Dial(why), 0, 0));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_closed_by_request_end_with_a_fin() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let (mut client, mut server) = path.connect().await;
    let proxy = "db".into();
    let action = Action::CloseConnections { proxy };
    rig.engine.apply(action).await.unwrap();
    assert_eq!(read_to_end(&mut client).await, (vec![], Ok(())));
    assert_eq!(read_to_end(&mut server).await, (vec![], Ok(())));
    drop((client, server));
    assert_eq!(rig.fact(closed).await, (ClosedBy::Shutdown, 0, 0));
    path.connect().await;
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_leaves_no_listener_connection_or_thread() {
    let rig = Rig::new();
    let path = rig.path().await;
    let (mut client, mut server) = path.connect().await;
    rig.engine.shutdown().await;
    assert_eq!(read_to_end(&mut client).await, (vec![], Ok(())));
    assert_eq!(read_to_end(&mut server).await, (vec![], Ok(())));
    let refused = TcpStream::connect(path.proxy).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
