//! The client's side, against the codec's own server and against raw frames.

use std::future::poll_fn;
use std::rc::Rc;

use gateway::http::fields::Fields;
use gateway::http2::{
    By, Code, OpenError, RequestLine, ResponseHead, Sender, Settings, Stream, StreamError, connect,
};
use tokio::io::{AsyncReadExt, BufWriter, duplex};
use tokio::task::spawn_local;

use crate::wire::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM,
    SETTINGS, Wire, answer_all, block, read_all, run, send_all,
};

fn line<'l>(method: &'l [u8], path: &'l [u8]) -> RequestLine<'l> {
    RequestLine {
        method,
        scheme: Some(b"http"),
        authority: Some(b"a"),
        path: Some(path),
        protocol: None,
        content_length: None,
    }
}

/// A client of the codec's own server.
fn pair(client: Settings, server: Settings) -> Sender {
    let (ours, theirs) = duplex(10_000);
    answer_all(theirs, server);
    let (driver, sender) = connect(ours, Rc::new(client));
    spawn_local(driver);
    sender
}

async fn head(stream: &Stream) -> Result<ResponseHead, StreamError> {
    poll_fn(|cx| stream.poll_head(cx)).await
}

#[test]
fn bodies_of_all_sizes_and_trailers_come_back() {
    let windows = |stream_window, output_bytes| Settings {
        stream_window,
        connection_window: 70_000,
        output_bytes,
        ..Settings::default()
    };
    for settings in [Settings::default(), windows(1000, 2000), windows(65_535, 100)] {
        run(async {
            let sender = pair(settings.clone(), settings);
            poll_fn(|cx| sender.poll_ready(cx)).await.expect("settings");
            let mut tasks = Vec::new();
            for size in [0, 1, 999, 1000, 16_384, 16_385, 100_000, 400_000] {
                let sender = sender.clone();
                tasks.push(spawn_local(async move {
                    let body: Vec<u8> =
                        (0..size).map(|at: usize| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
                    let mut fields = Fields::new();
                    fields.push(b"X-Mixed", b"case");
                    fields.push(b"connection", b"close");
                    let stream =
                        Rc::new(sender.open(&line(b"POST", b"/"), &fields, false).expect("a stream"));
                    let (sending, sent) = (Rc::clone(&stream), body.clone());
                    spawn_local(async move {
                        send_all(&sending, &sent, false).await.expect("the body is sent");
                        let mut trailers = Fields::new();
                        trailers.push(b"x-trailer", b"end");
                        sending.send_trailers(&trailers).expect("trailers are sent");
                    });
                    let head = head(&stream).await.expect("a response");
                    assert_eq!(head.status, 200);
                    let seen: Vec<_> = head.fields.named(b"x-seen").collect();
                    assert_eq!(seen, [b"x-mixed=case"]);
                    let (came, trailers) = read_all(&stream).await.expect("a body");
                    assert!(came == body, "{size}");
                    let trailers = trailers.expect("trailers");
                    assert_eq!(trailers.named(b"x-trailer").collect::<Vec<_>>(), [b"end"]);
                }));
            }
            for task in tasks {
                task.await.expect("a task");
            }
            assert_eq!(sender.active(), 0);
        });
    }
}

#[test]
fn cookies_interim_responses_head_and_extended_connect() {
    run(async {
        let sender = pair(Settings::default(), Settings::default());
        let mut fields = Fields::new();
        fields.push(b"cookie", b"a=b");
        fields.push(b"x", b"y");
        fields.push(b"cookie", b"c=d");
        let stream = sender.open(&line(b"GET", b"/interim"), &fields, true).expect("a stream");
        assert_eq!(head(&stream).await.expect("an interim head").status, 103);
        let last = head(&stream).await.expect("the final head");
        let seen: Vec<_> = last.fields.named(b"x-seen").collect();
        assert_eq!(seen, [&b"x=y"[..], b"cookie=a=b; c=d"]);
        assert_eq!(read_all(&stream).await.expect("a body").0, b"");

        let stream = sender.open(&line(b"HEAD", b"/"), &Fields::new(), true).expect("a stream");
        let last = head(&stream).await.expect("a head");
        assert_eq!((last.content_length, last.end), (Some(5), true));

        assert_eq!(sender.connect_protocol(), Some(true));
        let connect = RequestLine { protocol: Some(b"websocket"), ..line(b"CONNECT", b"/chat") };
        let stream = sender.open(&connect, &Fields::new(), false).expect("a stream");
        let last = head(&stream).await.expect("a head");
        assert_eq!(last.fields.named(b"x-protocol").collect::<Vec<_>>(), [b"websocket"]);
        send_all(&stream, b"ping", false).await.expect("it is sent");
        send_all(&stream, b"", true).await.expect("it is sent");
        assert_eq!(read_all(&stream).await.expect("a body").0, b"ping");

        let plain = pair(Settings::default(), Settings { connect_protocol: false, ..Settings::default() });
        poll_fn(|cx| plain.poll_ready(cx)).await.expect("settings");
        let refused = plain.open(&connect, &Fields::new(), false).expect_err("not allowed");
        assert_eq!(refused, OpenError::NoConnectProtocol);
    });
}

/// A layer that keeps what is written until it is flushed, as TLS may do.
#[test]
fn what_a_layer_above_the_socket_keeps_is_flushed() {
    run(async {
        let (ours, theirs) = duplex(64);
        answer_all(BufWriter::with_capacity(200_000, theirs), Settings::default());
        let (driver, sender) = connect(BufWriter::with_capacity(200_000, ours), Rc::new(Settings::default()));
        spawn_local(driver);
        let stream = sender.open(&line(b"POST", b"/"), &Fields::new(), false).expect("a stream");
        send_all(&stream, &vec![b'x'; 50_000], true).await.expect("the body is sent");
        assert_eq!(head(&stream).await.expect("a head").status, 200);
        assert_eq!(read_all(&stream).await.expect("a body").0.len(), 50_000);
    });
}

/// A client of raw frames, with one request sent.
async fn raw() -> (Sender, Stream, Wire) {
    let (ours, theirs) = duplex(100_000);
    let (driver, sender) = connect(ours, Rc::new(Settings::default()));
    spawn_local(driver);
    let mut wire = Wire { io: theirs };
    wire.io.read_exact(&mut [0; 24]).await.expect("the preface");
    wire.send(SETTINGS, 0, 0, &[]).await;
    wire.until(|frame| frame.kind == SETTINGS && frame.flags == ACK).await;
    let stream = sender.open(&line(b"GET", b"/"), &Fields::new(), true).expect("a stream");
    wire.until(|frame| frame.kind == HEADERS).await;
    (sender, stream, wire)
}

#[test]
fn malformed_responses_are_errors_of_their_stream() {
    let ok = |fields: &[(&str, &str)]| [&[0x88][..], &block(fields)].concat();
    let end = END_HEADERS | END_STREAM;
    let table: [(&str, u8, Vec<u8>); 10] = [
        ("no status", end, block(&[("a", "b")])),
        ("a malformed status", end, block(&[(":status", "20")])),
        ("status 101", END_HEADERS, block(&[(":status", "101")])),
        ("an interim response that ends", end, block(&[(":status", "103")])),
        ("a method", end, ok(&[(":method", "GET")])),
        ("upper case", end, ok(&[("A", "b")])),
        ("a bad value", end, ok(&[("a", "b\n")])),
        ("connection", end, ok(&[("connection", "close")])),
        ("a length without a body", end, ok(&[("content-length", "1")])),
        ("two lengths", END_HEADERS, ok(&[("content-length", "1"), ("content-length", "2")])),
    ];
    for (case, flags, response) in table {
        run(async {
            let (sender, stream, mut wire) = raw().await;
            wire.send(HEADERS, flags, 1, &response).await;
            let error = head(&stream).await.expect_err(case);
            assert_eq!(
                (error.by, error.code, error.unprocessed),
                (By::Local, Code::PROTOCOL_ERROR, false),
                "{case}"
            );
            let reset = wire.until(|frame| frame.kind == RST_STREAM).await;
            assert_eq!((reset.stream, reset.code()), (1, PROTOCOL_ERROR), "{case}");
            assert!(sender.is_usable());
        });
    }
}

#[test]
fn a_response_that_is_complete_is_read_after_its_stream_was_reset() {
    run(async {
        let (_sender, stream, mut wire) = raw().await;
        wire.send(HEADERS, END_HEADERS, 1, &[0x88]).await;
        wire.send(DATA, END_STREAM, 1, b"body").await;
        wire.send(RST_STREAM, 0, 1, &[0; 4]).await;
        assert_eq!(head(&stream).await.expect("a head").status, 200);
        assert_eq!(read_all(&stream).await.expect("a body").0, b"body");
        // One that is not complete is an error.
        let (_sender, stream, mut wire) = raw().await;
        wire.send(HEADERS, END_HEADERS, 1, &[0x88]).await;
        wire.send(DATA, 0, 1, b"body").await;
        wire.send(RST_STREAM, 0, 1, &[0, 0, 0, 2]).await;
        assert_eq!(head(&stream).await.expect("a head").status, 200);
        let error = read_all(&stream).await.expect_err("it broke off");
        assert_eq!((error.by, error.code), (By::Peer, Code::INTERNAL_ERROR));
    });
}

#[test]
fn what_was_certainly_not_processed_is_told() {
    run(async {
        let (_sender, stream, mut wire) = raw().await;
        wire.send(RST_STREAM, 0, 1, &REFUSED_STREAM.to_be_bytes()).await;
        assert!(head(&stream).await.expect_err("refused").unprocessed);

        let (sender, stream, mut wire) = raw().await;
        let second = sender.open(&line(b"GET", b"/"), &Fields::new(), true).expect("a stream");
        wire.until(|frame| frame.kind == HEADERS).await;
        wire.send(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]).await;
        assert!(head(&second).await.expect_err("above the last").unprocessed);
        assert!(!sender.is_usable());
        let refused = sender.open(&line(b"GET", b"/"), &Fields::new(), true).expect_err("closed");
        assert_eq!(refused, OpenError::Closed);
        wire.send(HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]).await;
        assert_eq!(head(&stream).await.expect("a head").status, 200);

        let (sender, stream, wire) = raw().await;
        let unsent = sender.open(&line(b"GET", b"/"), &Fields::new(), true).expect("a stream");
        drop(wire);
        let error = head(&stream).await.expect_err("lost");
        assert_eq!((error.by, error.unprocessed), (By::Transport, false));
        assert!(head(&unsent).await.expect_err("lost").unprocessed);
    });
}

#[test]
fn the_servers_limit_on_streams_is_kept() {
    run(async {
        let settings = Settings { concurrent_streams: 1, ..Settings::default() };
        let sender = pair(Settings::default(), settings);
        poll_fn(|cx| sender.poll_ready(cx)).await.expect("settings");
        let stream = sender.open(&line(b"GET", b"/wait"), &Fields::new(), true).expect("a stream");
        let refused = sender.open(&line(b"GET", b"/"), &Fields::new(), true).expect_err("full");
        assert_eq!(refused, OpenError::Full);
        assert!(sender.is_usable());
        let waiting = sender.clone();
        let opened = spawn_local(async move { poll_fn(|cx| waiting.poll_ready(cx)).await });
        tokio::task::yield_now().await;
        assert!(!opened.is_finished());
        drop(stream);
        opened.await.expect("a task").expect("a stream may be opened");
        let stream = sender.open(&line(b"GET", b"/"), &Fields::new(), true).expect("a stream");
        assert_eq!(head(&stream).await.expect("a head").status, 200);
    });
}

#[test]
fn a_client_that_is_no_longer_needed_says_so() {
    run(async {
        let (sender, stream, mut wire) = raw().await;
        drop(sender);
        wire.send(HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]).await;
        assert_eq!(head(&stream).await.expect("a head").status, 200);
        let goaway = wire.until(|frame| frame.kind == GOAWAY).await;
        assert_eq!(goaway.code(), 0);
        assert_eq!(wire.next().await, None);
    });
}
