//! HTTP/2 downstream.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{Builder as Handshake, SendRequest};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::gateway::{Gateway, PATIENCE};
use crate::upstream::{Upstream, echoed, response};

/// Runs a test's client, for so long at most.
pub fn run(client: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, client).await.expect("an answer in time") });
}

pub async fn connect<B>(address: SocketAddr) -> SendRequest<B>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(address).await.expect("a listening gateway");
    let (sender, connection) = Handshake::new(TokioExecutor::new())
        // Smaller than what the tests send, so that flow control takes part.
        .initial_stream_window_size(65_535)
        .handshake(TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

async fn text(response: Response<impl Body<Error: std::fmt::Debug>>) -> String {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn requests_pass_to_an_upstream_of_http_1() {
    let upstream = Upstream::echo();
    let gateway = Gateway::before(upstream.address);
    run(async {
        let mut sender = connect(gateway.address).await;
        let request = Request::post("http://Test.example:81/a/../b?c")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("x-forwarded-for", "203.0.113.9")
            .body(Full::new(Bytes::from("hello")))
            .expect("a request");
        let response = sender.send_request(request).await.expect("a response");
        assert_eq!((response.version(), response.status()), (Version::HTTP_2, StatusCode::OK));
        let body = text(response).await;
        assert!(body.starts_with("POST /b?c HTTP/1.1\r\n"), "{body}");
        assert!(body.ends_with("\r\n\r\nhello"), "{body}");
        let expected = [
            ("host", "Test.example:81"),
            ("cookie", "a=1; b=2"),
            ("x-forwarded-for", "127.0.0.1"),
            ("via", "2 gateway"),
            ("content-length", "5"),
        ];
        for (name, value) in expected {
            assert_eq!(echoed(&body, name), Some(value), "{name}\n{body}");
        }
    });
    assert!(gateway.logged().contains("\"protocol\":\"HTTP/2\""));
}

#[test]
fn many_requests_share_one_connection() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::before(upstream.address);
    run(async {
        let sender = connect(gateway.address).await;
        let requests = (0..50).map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let request = Request::get("http://t/").body(Empty::<Bytes>::new()).expect("a request");
                let response = sender.send_request(request).await.expect("a response");
                assert_eq!(text(response).await, "x");
            })
        });
        for request in requests.collect::<Vec<_>>() {
            request.await.expect("an answer");
        }
    });
    assert_eq!(upstream.requests(), 50);
}

#[test]
fn bodies_are_streams_both_ways() {
    let upstream = Upstream::start(|_, client| {
        client.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(chunk) = client.chunk() {
            client.send([b"1\r\n", &chunk[..1], b"\r\n"].concat());
        }
        client.until(b"\r\n");
        client.send("0\r\n\r\n");
        true
    });
    let gateway = Gateway::before(upstream.address);
    run(async {
        let (send, receive) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
        let receive = std::sync::Mutex::new(receive);
        let body = StreamBody::new(PollFrames(receive));
        let mut sender = connect(gateway.address).await;
        let request = Request::post("http://t/").body(body).expect("a request");
        let mut response = sender.send_request(request).await.expect("a response");
        for letter in ["a", "b", "c"] {
            send.send(Bytes::from(letter)).expect("a reader");
            let frame = response.frame().await.expect("a frame").expect("a frame");
            assert_eq!(frame.into_data().expect("data"), letter);
        }
        drop(send);
        assert_eq!(text(response).await, "");
    });
}

/// The frames of a channel as a stream.
struct PollFrames(std::sync::Mutex<tokio::sync::mpsc::UnboundedReceiver<Bytes>>);

impl futures_core::Stream for PollFrames {
    type Item = Result<Frame<Bytes>, std::convert::Infallible>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let mut receiver = self.0.lock().expect("unpoisoned");
        receiver.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[test]
fn what_is_refused_in_http_1_is_refused_here() {
    let upstream = Upstream::start(|_, client| {
        client.send(response(200, "x"));
        true
    });
    let gateway = Gateway::with(upstream.address, "max_body_bytes = 3\nmax_headers = 8", "", "");
    run(async {
        let mut sender = connect(gateway.address).await;
        let mut status = async |request: hyper::http::request::Builder, body: &'static str| {
            let request = request.body(Full::new(Bytes::from(body))).expect("a request");
            sender.send_request(request).await.expect("a response").status().as_u16()
        };
        let get = |uri| Request::get(uri);
        assert_eq!(status(get("http://t/"), "").await, 200);
        assert_eq!(status(get("http://t/a%2fb"), "").await, 400);
        assert_eq!(status(get("http://t/").header("host", "u"), "").await, 400);
        assert_eq!(status(Request::post("http://t/"), "long").await, 413);
        let mut many = get("http://t/");
        for number in 0..9 {
            many = many.header(format!("x-{number}"), "1");
        }
        assert_eq!(status(many, "").await, 431);
    });
    assert_eq!(upstream.requests(), 1);
}

#[test]
fn a_connection_without_requests_is_closed() {
    let upstream = Upstream::saying("x");
    let gateway = Gateway::with(upstream.address, "idle_timeout = '100ms'\nheader_timeout = '100ms'", "", "");
    run(async {
        let mut stream = TcpStream::connect(gateway.address).await.expect("a gateway");
        // The preface and empty settings, and nothing more.
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .await
            .expect("an open connection");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("an orderly end");
        // The last frame is GOAWAY without error, the type of which is 7.
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0];
        assert!(bytes.windows(9).any(|part| part == goaway), "{bytes:?}");
    });
}

/// The next frame: its type, its stream and what it holds.
pub async fn frame(stream: &mut TcpStream) -> (u8, u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.expect("a frame");
    let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await.expect("a whole frame");
    (head[3], head[8], payload)
}

#[test]
fn a_client_that_withholds_its_window_is_not_waited_for() {
    const RST_STREAM: u8 = 3;
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    let endless = Upstream::start(|_, client| {
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        client.send_until_broken(&[b'x'; 8192])
    });
    // Small enough to wait for the window as a whole.
    let short = Upstream::saying("x");
    for (upstream, window) in [(&endless, 0u32), (&endless, 50_000), (&short, 0)] {
        let gateway = Gateway::with(upstream.address, "body_timeout = '200ms'", "", "");
        run(async {
            let mut stream = TcpStream::connect(gateway.address).await.expect("a gateway");
            // The preface, and settings with the initial window of a stream.
            let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04".to_vec();
            bytes.extend(window.to_be_bytes());
            stream.write_all(&bytes).await.expect("an open connection");
            // The second shows that the connection lives on; its number is the last byte.
            for number in [1, 3] {
                let get = [0, 0, 6, 1, 5, 0, 0, 0, number, 0x82, 0x86, 0x84, 0x41, 1, b't'];
                stream.write_all(&get).await.expect("an open connection");
                loop {
                    let (kind, of, payload) = frame(&mut stream).await;
                    if (kind, of) == (RST_STREAM, number) {
                        assert_eq!(payload, CANCEL);
                        break;
                    }
                }
            }
        });
        let line = gateway.logged();
        assert!(line.contains("\"status\":200"), "{line}");
        assert!(line.contains("\"failure\":\"client_closed\""), "{line}");
    }
}

#[test]
fn a_client_that_takes_a_response_slowly_gets_it_whole() {
    const LENGTH: usize = 400_000;
    let upstream = Upstream::start(|_, client| {
        client.send(response(200, &"x".repeat(LENGTH)));
        true
    });
    let gateway = Gateway::with(upstream.address, "body_timeout = '1s'", "", "");
    run(async {
        let mut sender = connect(gateway.address).await;
        let request = Request::get("http://t/").body(Empty::<Bytes>::new()).expect("a request");
        let mut response = sender.send_request(request).await.expect("a response");
        let mut received = 0;
        while let Some(frame) = response.frame().await {
            received += frame.expect("a frame").into_data().map_or(0, |data| data.len());
            // More than the limit in all, less than it for each window.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert_eq!(received, LENGTH);
    });
}
