//! Against another implementation, in both roles.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use gateway::http::fields::Fields;
use gateway::http2::{RequestLine, Settings, connect};
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::io::duplex;
use tokio::task::spawn_local;

use crate::wire::{answer_all, read_all, run, send_all};

const SIZES: [usize; 6] = [0, 1, 16_384, 16_385, 65_536, 1_000_000];

fn body(size: usize) -> Bytes {
    (0..size).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect::<Vec<u8>>().into()
}

async fn read(mut from: h2::RecvStream) -> (Vec<u8>, Option<HeaderMap>) {
    let mut came = Vec::new();
    while let Some(piece) = from.data().await {
        let piece = piece.expect("data");
        let _ = from.flow_control().release_capacity(piece.len());
        came.extend_from_slice(&piece);
    }
    (came, from.trailers().await.expect("trailers"))
}

#[test]
fn another_client_gets_its_bodies_and_trailers_back() {
    run(async {
        let (ours, theirs) = duplex(50_000);
        answer_all(ours, Settings::default());
        let (client, connection) = h2::client::handshake(theirs).await.expect("a handshake");
        spawn_local(async move { connection.await.expect("the connection ends well") });
        let mut tasks = Vec::new();
        for size in SIZES.into_iter().cycle().take(60) {
            let client = client.clone();
            tasks.push(spawn_local(async move {
                let mut client = client.ready().await.expect("ready");
                let request = Request::post("http://a/").header("x-long", "v".repeat(size % 5000)).body(());
                let (response, mut send) =
                    client.send_request(request.expect("a request"), false).expect("sent");
                send.send_data(body(size), false).expect("data is sent");
                let trailers =
                    HeaderMap::from_iter([("x-end".parse().expect("a name"), HeaderValue::from(size))]);
                send.send_trailers(trailers.clone()).expect("trailers are sent");
                let response = response.await.expect("a response");
                assert_eq!(response.status(), 200);
                let (came, end) = read(response.into_body()).await;
                assert!(came == body(size), "{size}");
                assert_eq!(end, Some(trailers));
            }));
        }
        for task in tasks {
            task.await.expect("a task");
        }
    });
}

#[test]
fn another_server_gets_whole_requests() {
    run(async {
        let (ours, theirs) = duplex(50_000);
        spawn_local(async move {
            let mut server = h2::server::handshake(theirs).await.expect("a handshake");
            while let Some(request) = server.accept().await {
                let (request, mut respond) = request.expect("a request");
                spawn_local(async move {
                    assert_eq!(request.headers()["cookie"], "a=b");
                    assert_eq!(request.uri(), "http://a/path?query");
                    let mut send =
                        respond.send_response(Response::new(()), false).expect("a response is sent");
                    let (came, trailers) = read(request.into_body()).await;
                    send.send_data(came.into(), false).expect("data is sent");
                    send.send_trailers(trailers.expect("trailers")).expect("trailers are sent");
                });
            }
        });
        let (driver, sender) = connect(ours, Rc::new(Settings::default()));
        let driver = spawn_local(driver);
        let mut tasks = Vec::new();
        for size in SIZES.into_iter().cycle().take(60) {
            let sender = sender.clone();
            tasks.push(spawn_local(async move {
                let line = RequestLine {
                    method: b"POST",
                    scheme: Some(b"http"),
                    authority: Some(b"a"),
                    path: Some(b"/path?query"),
                    protocol: None,
                    content_length: None,
                };
                let mut fields = Fields::new();
                fields.push(b"Cookie", b"a=b");
                let stream = sender.open(&line, &fields, false).expect("a stream");
                send_all(&stream, &body(size), false).await.expect("the body is sent");
                let mut trailers = Fields::new();
                trailers.push(b"x-end", size.to_string().as_bytes());
                stream.send_trailers(&trailers).expect("trailers are sent");
                let head = poll_fn(|cx| stream.poll_head(cx)).await.expect("a response");
                assert_eq!(head.status, 200);
                let (came, trailers) = read_all(&stream).await.expect("a body");
                assert!(came == body(size), "{size}");
                let trailers = trailers.expect("trailers");
                assert_eq!(trailers.named(b"x-end").next(), Some(size.to_string().as_bytes()));
            }));
        }
        for task in tasks {
            task.await.expect("a task");
        }
        drop(sender);
        assert_eq!(driver.await.expect("a task").reason, "the connection is no longer needed");
    });
}
