//! The server's side against raw frames: what ends a stream, and what the connection.

use gateway::http2::Settings;

use crate::wire::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PROTOCOL_ERROR, RST_STREAM, WINDOW_UPDATE,
    Wire, block, get, literal, post, run,
};

async fn answered(wire: &mut Wire, stream: u32) {
    assert_eq!(wire.status(stream).await, 200);
    wire.until(|frame| frame.stream == stream && frame.flags & END_STREAM != 0).await;
}

#[test]
fn a_head_that_is_too_large_is_answered_on_its_stream_and_the_table_stays_right() {
    run(async {
        let (mut wire, _) = Wire::client(Settings::default()).await;
        let filler = "x".repeat(8000);
        // A field for the dynamic table stands behind 104 KB of others.
        let many: Vec<(String, &str)> =
            (0..13).map(|number| (format!("x-{number}"), filler.as_str())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let mut head = get(&many);
        head.extend([0x40, 5]);
        head.extend(b"x-key\x05value");
        wire.send_block(END_STREAM, 1, &head).await;
        assert_eq!(wire.status(1).await, 431);
        // Index 62 is the newest field of the table.
        wire.send(HEADERS, END_STREAM | END_HEADERS, 3, &[&get(&[])[..], &[0x80 | 0x3e]].concat()).await;
        assert_eq!(wire.status(3).await, 206, "the field was seen");
        // The same by the number of fields.
        let fields = vec![("a", "b"); 129];
        wire.send_block(END_STREAM, 5, &get(&fields)).await;
        assert_eq!(wire.status(5).await, 431);
        wire.send_block(END_STREAM, 7, &get(&fields[1..])).await;
        answered(&mut wire, 7).await;
    });
}

#[test]
fn pieces_of_a_cookie_are_one_field() {
    run(async {
        let (mut wire, _) = Wire::client(Settings { fields: 16, ..Settings::default() }).await;
        let mut fields = vec![("a", "b"); 15];
        fields.extend(vec![("cookie", "c=d"); 50]);
        wire.send_block(END_STREAM, 1, &get(&fields)).await;
        answered(&mut wire, 1).await;
        fields.push(("e", "f"));
        wire.send_block(END_STREAM, 3, &get(&fields)).await;
        assert_eq!(wire.status(3).await, 431);
    });
}

#[test]
fn a_malformed_request_ends_its_stream_and_no_other() {
    let table: [(&str, Vec<u8>); 30] = [
        ("upper case", get(&[("X-A", "b")])),
        ("a space in a name", get(&[("x a", "b")])),
        ("an empty name", get(&[("", "b")])),
        ("a bad byte in a name", get(&[("x\u{e9}", "b")])),
        ("CR in a value", get(&[("a", "b\rc")])),
        ("LF in a value", get(&[("a", "b\nc")])),
        ("NUL in a value", get(&[("a", "b\0c")])),
        ("a control byte in a value", get(&[("a", "b\x01c")])),
        ("a space before a value", get(&[("a", " b")])),
        ("a tab behind a value", get(&[("a", "b\t")])),
        ("connection", get(&[("connection", "close")])),
        ("keep-alive", get(&[("keep-alive", "1")])),
        ("proxy-connection", get(&[("proxy-connection", "close")])),
        ("transfer-encoding", get(&[("transfer-encoding", "chunked")])),
        ("upgrade", get(&[("upgrade", "h2c")])),
        ("te of another value", get(&[("te", "gzip")])),
        ("a pseudo-header field after a regular field", get(&[("a", "b"), (":authority", "a")])),
        ("a repeated pseudo-header field", get(&[(":path", "/")])),
        ("an unknown pseudo-header field", get(&[(":a", "b")])),
        ("a status", get(&[(":status", "200")])),
        ("no method", block(&[(":scheme", "http"), (":path", "/")])),
        ("no path", block(&[(":method", "GET"), (":scheme", "http")])),
        ("an empty path", block(&[(":method", "GET"), (":scheme", "http"), (":path", "")])),
        ("a path without a slash", block(&[(":method", "GET"), (":scheme", "http"), (":path", "a")])),
        ("a path with a space", block(&[(":method", "GET"), (":scheme", "http"), (":path", "/a b")])),
        ("CONNECT with a path", block(&[(":method", "CONNECT"), (":authority", "a"), (":path", "/")])),
        ("another host", get(&[("host", "b")])),
        ("two content-lengths", post(&[("content-length", "1"), ("content-length", "1")])),
        ("a malformed content-length", post(&[("content-length", "+1")])),
        ("a content-length without a body", post(&[("content-length", "1")])),
    ];
    run(async {
        let settings = Settings::default();
        let (mut wire, _) = Wire::client(settings).await;
        // A stream that is open all the while.
        wire.send(HEADERS, END_HEADERS, 1, &post(&[])).await;
        let mut stream = 3;
        for (case, head) in table {
            wire.send(HEADERS, END_HEADERS | END_STREAM, stream, &head).await;
            assert_eq!(wire.status(stream).await, 400, "{case}");
            let reset = wire.until(|frame| frame.stream == stream).await;
            assert_eq!((reset.kind, reset.code()), (RST_STREAM, PROTOCOL_ERROR), "{case}");
            stream += 2;
        }
        wire.send(DATA, END_STREAM, 1, b"hello").await;
        let data = wire.until(|frame| frame.kind == DATA).await;
        assert_eq!((data.stream, &data.payload[..]), (1, &b"hello"[..]));
    });
}

#[test]
fn valid_requests_are_not_refused() {
    let table: [(&str, Vec<u8>); 10] = [
        ("te: trailers", get(&[("te", "trailers")])),
        ("the same host", get(&[("host", "A")])),
        ("a host alone", block(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "a")])),
        (
            "OPTIONS *",
            block(&[(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "a")]),
        ),
        ("CONNECT", block(&[(":method", "CONNECT"), (":authority", "a:1")])),
        ("bytes above ASCII in a value", get(&[("a", "\u{e9}")])),
        ("an empty value", get(&[("a", "")])),
        ("white space within a value", get(&[("a", "b \t c")])),
        ("a content-length of 0", post(&[("content-length", "0")])),
        (
            "a query with odd bytes",
            block(&[(":method", "GET"), (":scheme", "http"), (":path", "/?a=<\">"), (":authority", "a")]),
        ),
    ];
    run(async {
        let (mut wire, _) = Wire::client(Settings::default()).await;
        for (number, (_, head)) in table.iter().enumerate() {
            let stream = 2 * u32::try_from(number).expect("a number") + 1;
            wire.send(HEADERS, END_HEADERS | END_STREAM, stream, head).await;
            answered(&mut wire, stream).await;
        }
    });
}

#[test]
fn a_body_is_held_to_its_length() {
    let table: [(&str, &[&[u8]]); 3] =
        [("10", &[b"hello"]), ("5", &[b"hel", b"lo", b"!"]), ("4", &[b"hello"])];
    run(async {
        for (length, pieces) in table {
            let (mut wire, _) = Wire::client(Settings::default()).await;
            wire.send(HEADERS, END_HEADERS, 1, &post(&[("content-length", length)])).await;
            for (number, piece) in pieces.iter().enumerate() {
                let flags = if number + 1 == pieces.len() { END_STREAM } else { 0 };
                wire.send(DATA, flags, 1, piece).await;
            }
            let reset = wire.until(|frame| frame.kind == RST_STREAM).await;
            assert_eq!((reset.stream, reset.code()), (1, PROTOCOL_ERROR), "{length}");
        }
    });
}

#[test]
fn data_in_single_bytes_and_padding_comes_back_whole() {
    run(async {
        let (mut wire, _) = Wire::client(Settings::default()).await;
        wire.send(HEADERS, END_HEADERS, 1, &post(&[])).await;
        for byte in 0..200_u8 {
            wire.send(DATA, 8, 1, &[3, byte, 0, 0, 0]).await;
        }
        wire.send(DATA, END_STREAM, 1, b"").await;
        let mut seen = Vec::new();
        loop {
            let frame = wire.until(|frame| frame.kind == DATA).await;
            seen.extend_from_slice(&frame.payload);
            if frame.flags & END_STREAM != 0 {
                break;
            }
        }
        assert_eq!(seen, (0..200).collect::<Vec<u8>>());
    });
}

#[test]
fn what_is_read_or_thrown_away_opens_the_windows_again() {
    run(async {
        let settings = Settings { stream_window: 65_535, connection_window: 65_535, ..Settings::default() };
        let (mut wire, _) = Wire::client(settings).await;
        // The server waits without reading; its stream is reset with the window full.
        let wait = literal(":path", "/wait");
        let head = [&[0x83, 0x86][..], &wait, &[0x01, 1, b'a']].concat();
        let mut stream = 1;
        for _ in 0..5 {
            wire.send(HEADERS, END_HEADERS, stream, &head).await;
            for _ in 0..3 {
                wire.send(DATA, 0, stream, &[0; 16_384]).await;
            }
            wire.send(RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
            wire.until(|frame| frame.kind == WINDOW_UPDATE && frame.stream == 0).await;
            stream += 2;
        }
        wire.send(PING, 0, 0, b"sentinel").await;
        wire.until(|frame| frame.kind == PING && frame.flags == ACK && frame.payload == b"sentinel").await;
    });
}

#[test]
fn an_early_response_is_followed_by_its_reset_after_a_round_trip() {
    run(async {
        let (mut wire, control) = Wire::client(Settings::default()).await;
        let early = literal(":path", "/early");
        wire.send(HEADERS, END_HEADERS, 1, &[&[0x83, 0x86][..], &early, &[0x01, 1, b'a']].concat()).await;
        assert_eq!(wire.status(1).await, 413);
        let ping = wire.until(|frame| frame.stream == 1 || frame.kind == PING).await;
        assert_eq!(ping.kind, PING, "{ping:?}");
        wire.send(DATA, 0, 1, b"more").await;
        wire.send(PING, ACK, 0, &ping.payload).await;
        let reset = wire.until(|frame| frame.stream == 1).await;
        assert_eq!((reset.kind, reset.code()), (RST_STREAM, 0));
        assert_eq!(control.active(), 0);
        // The client may be quicker.
        wire.send(HEADERS, END_HEADERS, 3, &[&[0x83, 0x86][..], &early, &[0x01, 1, b'a']].concat()).await;
        assert_eq!(wire.status(3).await, 413);
        wire.send(DATA, END_STREAM, 3, b"more").await;
        wire.send(HEADERS, END_HEADERS | END_STREAM, 5, &get(&[])).await;
        answered(&mut wire, 5).await;
        assert_eq!(control.active(), 0);
    });
}

#[test]
fn a_block_that_cannot_be_decoded_ends_the_connection() {
    run(async {
        let (mut wire, _) = Wire::client(Settings::default()).await;
        wire.send(HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]).await;
        let goaway = wire.until(|frame| frame.kind == GOAWAY).await;
        assert_eq!(goaway.code(), 9);
        assert_eq!(wire.next().await, None);
    });
}
