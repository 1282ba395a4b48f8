//! Frames of HTTP/2 in an order that a list of fields cannot tell.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::floods::others;
use crate::conformance::frames::{
    CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PADDED, PING, PRIORITY,
    RST_STREAM, SETTINGS, block,
};
use crate::conformance::message::Wire;
use crate::conformance::script::{Bench, Script};
use crate::conformance::service::Reply;

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "t"), (":path", "/")];

/// The rows.
pub const ROWS: &[Script] = &[
    Script { name: "h2: fields in CONTINUATION", rules: &["9113 6.10"], run: continuation },
    Script { name: "h2: padding", rules: &["9113 6.1", "9113 6.2"], run: padding },
    Script {
        name: "h2: frames and settings that are not known, and PRIORITY, say nothing",
        rules: &["9113 5.5", "9113 6.3"],
        run: unknown,
    },
    Script { name: "h2: PING is answered", rules: &["9113 6.7"], run: ping },
    Script { name: "h2: sixty-four streams at a time", rules: &["9113 5.1.2"], run: many },
    Script { name: "h2: extended CONNECT is offered", rules: &["9113 8.5"], run: extended_connect },
    Script { name: "h2: Expect: 100-continue has its 100", rules: &["9110 10.1.1", "9113 8.1"], run: expect },
    Script { name: "h2: 103 passes", rules: &["9110 15.2", "9113 8.1"], run: early_hints },
    Script { name: "h2: HEAD has no body", rules: &["9110 9.3.2", "9113 8.1"], run: head },
    Script { name: "h2: a response has no connection fields", rules: &["9113 8.2.2"], run: response_fields },
    Script { name: "h2: trailers of a response", rules: &["9113 8.1", "9110 6.5"], run: trailers },
    Script { name: "h2: a response that breaks off is a reset", rules: &["9113 8.1", "9112 8"], run: broken },
    Script {
        name: "h2: 502 is one stream's answer",
        rules: &["9110 15.6.3", "9113 5.4.2"],
        run: bad_gateway,
    },
    Script {
        name: "h2: a field list of 20 KB is 431 on its stream",
        rules: &["9113 10.5.1", "9110 5.4"],
        run: long_20,
    },
    Script {
        name: "h2: a field list of 41 KB is 431 on its stream",
        rules: &["9113 10.5.1", "9110 5.4"],
        run: long_41,
    },
    Script {
        name: "h2: a field list of 100 KB is 431 on its stream",
        rules: &["9113 10.5.1", "9110 5.4"],
        run: long_100,
    },
    Script {
        name: "h2: five hundred fields are 431 on their stream",
        rules: &["9113 10.5.1", "9110 5.4"],
        run: many_fields,
    },
    Script {
        name: "h2: a long field list ends no other stream",
        rules: &["9113 10.5.1", "9113 5.4.2"],
        run: long_beside,
    },
    Script {
        name: "h2: a bad byte in a field ends no other stream",
        rules: &["9113 8.1.1", "9113 5.4.2"],
        run: bad_beside,
    },
    Script { name: "h2: an upload beyond the window", rules: &["9113 6.9", "9113 5.2"], run: upload },
    Script {
        name: "h2: no byte beyond the client's window",
        rules: &["9113 6.9.1", "9113 5.2.1"],
        run: window,
    },
    Script {
        name: "h2: a window of nothing, and one that grows",
        rules: &["9113 6.9.2"],
        run: window_of_nothing,
    },
    Script { name: "h2: a stream beyond the limit is refused", rules: &["9113 5.1.2"], run: too_many },
    Script {
        name: "h2: a reset ends the exchange with the service",
        rules: &["9113 5.4.2", "9113 6.4"],
        run: reset,
    },
    Script {
        name: "h2: a bad field block ends the connection with COMPRESSION_ERROR",
        rules: &["9113 4.3"],
        run: bad_block,
    },
    Script {
        name: "h2: an HTTP/1.1 request after the preface is an error",
        rules: &["9113 3.4"],
        run: preface,
    },
];

fn good(outcome: Outcome) -> Result<crate::conformance::frames::Answer> {
    match outcome {
        Outcome::Response(answer) if answer.status == 200 => Ok(answer),
        other => bail!("{other:?}"),
    }
}

fn continuation(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let bytes = block(&GET);
    let stream = client.stream();
    let parts: Vec<&[u8]> = bytes.chunks(bytes.len() / 3).collect();
    client.frame(HEADERS, END_STREAM, stream, parts[0]);
    for (index, part) in parts.iter().enumerate().skip(1) {
        let last = if index + 1 == parts.len() { END_HEADERS } else { 0 };
        client.frame(CONTINUATION, last, stream, part);
    }
    good(client.outcome(stream)?)?;
    client.alive()
}

fn padding(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let mut fields = GET;
    fields[0].1 = "POST";
    let mut payload = vec![9];
    payload.extend(block(&fields));
    payload.extend([0; 9]);
    let stream = client.stream();
    client.frame(HEADERS, END_HEADERS | PADDED, stream, &payload);
    client.frame(DATA, END_STREAM | PADDED, stream, b"\x03hello\0\0\0");
    good(client.outcome(stream)?)?;
    let body = bench.service.seen().into_iter().flatten().map(|message| message.body).next();
    ensure!(body.as_deref() == Some(b"hello"), "the service saw {body:?}");
    client.alive()
}

fn unknown(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open_with(bench.gateway.plain, &[(0x4242, 7)])?;
    client.frame(0x42, 0xff, 0, b"anything");
    client.frame(0x42, 0xff, 1, b"anything");
    client.frame(PRIORITY, 0, 3, &[0, 0, 0, 0, 16]);
    client.alive()
}

fn ping(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    client.frame(PING, 0, 0, b"12345678");
    loop {
        let Some(frame) = client.read()? else { bail!("closed") };
        if frame.kind == PING && frame.flags == 1 {
            ensure!(frame.payload == b"12345678", "another payload: {:?}", frame.payload);
            return Ok(());
        }
        client.take(frame)?;
    }
}

fn many(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let streams: Vec<u32> = (0..64).map(|index| client.get(&format!("/{index}"))).collect();
    for stream in streams {
        good(client.outcome(stream)?)?;
    }
    Ok(())
}

fn extended_connect(bench: &Bench<'_>) -> Result<()> {
    let client = Client::open(bench.gateway.plain)?;
    // RFC 8441 section 3.
    ensure!(
        client.settings.get(&8) == Some(&1),
        "SETTINGS_ENABLE_CONNECT_PROTOCOL is {:?}",
        client.settings.get(&8)
    );
    Ok(())
}

fn expect(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let mut fields = GET.to_vec();
    fields[0].1 = "POST";
    fields.extend([("expect", "100-continue"), ("content-length", "5")]);
    let stream = client.stream();
    client.headers(stream, &fields, false);
    client.patience(Duration::from_secs(2))?;
    ensure!(client.interim(stream, 100)?, "no 100");
    client.frame(DATA, END_STREAM, stream, b"hello");
    good(client.outcome(stream)?)?;
    Ok(())
}

fn reply(bench: &Bench<'_>, bytes: &str, close: bool) {
    bench.service.seen();
    for _ in 0..4 {
        bench.service.reply(Reply { bytes: bytes.as_bytes().to_vec(), close });
    }
}

fn answer(bench: &Bench<'_>, bytes: &str, close: bool) -> Result<Outcome> {
    reply(bench, bytes, close);
    let mut client = Client::open(bench.gateway.plain)?;
    let stream = client.get("/");
    let outcome = client.outcome(stream)?;
    bench.service.seen();
    client.alive()?;
    Ok(outcome)
}

fn early_hints(bench: &Bench<'_>) -> Result<()> {
    let bytes =
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let answer = good(answer(bench, bytes, false)?)?;
    ensure!(answer.interim == [103], "interim responses {:?}", answer.interim);
    Ok(())
}

fn head(bench: &Bench<'_>) -> Result<()> {
    reply(bench, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", false);
    let mut client = Client::open(bench.gateway.plain)?;
    let mut fields = GET;
    fields[0].1 = "HEAD";
    let stream = client.request(&fields);
    let answer = good(client.outcome(stream)?)?;
    bench.service.seen();
    ensure!(answer.body.is_empty(), "a body of {} bytes", answer.body.len());
    ensure!(answer.values("content-length") == ["100"], "{:?}", answer.fields);
    client.alive()
}

fn response_fields(bench: &Bench<'_>) -> Result<()> {
    let bytes = "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
        Proxy-Connection: close\r\nUpgrade: h2c\r\nX-Stays: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = good(answer(bench, bytes, false)?)?;
    for name in ["connection", "x-hop", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding"] {
        ensure!(answer.values(name).is_empty(), "{name} passed");
    }
    ensure!(answer.values("x-stays") == ["1"], "{:?}", answer.fields);
    Ok(())
}

fn trailers(bench: &Bench<'_>) -> Result<()> {
    reply(
        bench,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        false,
    );
    let mut client = Client::open(bench.gateway.plain)?;
    let mut fields = GET.to_vec();
    fields.push(("te", "trailers"));
    let stream = client.request(&fields);
    let answer = good(client.outcome(stream)?)?;
    ensure!(answer.trailers == [("x-sum".to_owned(), "1".to_owned())], "trailers {:?}", answer.trailers);
    Ok(())
}

fn broken(bench: &Bench<'_>) -> Result<()> {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
    ] {
        let outcome = answer(bench, bytes, true)?;
        ensure!(matches!(outcome, Outcome::Reset(_)), "{outcome:?} for {bytes:?}");
    }
    Ok(())
}

fn bad_gateway(bench: &Bench<'_>) -> Result<()> {
    let outcome = answer(bench, "nonsense\r\n\r\n", true)?;
    ensure!(matches!(&outcome, Outcome::Response(answer) if answer.status == 502), "{outcome:?}");
    Ok(())
}

fn long(bench: &Bench<'_>, fields: &[(&str, &str)]) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let all = [&GET[..], fields].concat();
    let stream = client.request(&all);
    let outcome = client.outcome(stream)?;
    ensure!(matches!(&outcome, Outcome::Response(answer) if answer.status == 431), "{outcome:?}");
    ensure!(bench.service.seen().is_empty(), "the service saw it");
    client.alive()
}

fn long_20(bench: &Bench<'_>) -> Result<()> {
    long(bench, &[("x-long", &"y".repeat(20_000))])
}

fn long_41(bench: &Bench<'_>) -> Result<()> {
    long(bench, &[("x-long", &"y".repeat(41_000))])
}

fn long_100(bench: &Bench<'_>) -> Result<()> {
    long(bench, &[("x-long", &"y".repeat(100_000))])
}

fn many_fields(bench: &Bench<'_>) -> Result<()> {
    long(bench, &[("x", "y"); 500])
}

/// A stream in flight, then another that is wrong: the first must have its answer.
fn beside(bench: &Bench<'_>, fields: &[(&str, &str)]) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let mut post = GET;
    post[0].1 = "POST";
    let first = client.stream();
    client.headers(first, &post, false);
    client.frame(DATA, 0, first, b"hel");
    let all = [&GET[..], fields].concat();
    let second = client.request(&all);
    let outcome = client.outcome(second)?;
    ensure!(
        matches!(&outcome, Outcome::Reset(_))
            || matches!(&outcome, Outcome::Response(answer) if matches!(answer.status, 400 | 431)),
        "the bad stream: {outcome:?}"
    );
    client.frame(DATA, END_STREAM, first, b"lo");
    good(client.outcome(first)?)?;
    Ok(())
}

fn long_beside(bench: &Bench<'_>) -> Result<()> {
    beside(bench, &[("x-long", &"y".repeat(60_000))])
}

fn bad_beside(bench: &Bench<'_>) -> Result<()> {
    for field in [("x", "a\0b"), ("x", "a\nb"), ("X", "a"), ("x y", "a"), ("x", "a\x01b")] {
        beside(bench, &[field])?;
    }
    Ok(())
}

/// Bytes of the upload beyond the window.
const ALL: usize = 1_000_000;

fn upload(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let mut post = GET;
    post[0].1 = "POST";
    let stream = client.stream();
    client.headers(stream, &post, false);
    let initial = *client.settings.get(&4).unwrap_or(&65_535);
    let (mut windows, mut sent) = ([65_535_i64, i64::from(initial)], 0_usize);
    while sent < ALL {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Windows are below 2^31.
        let count = (windows[0].min(windows[1]).max(0) as usize).min(16_384).min(ALL - sent);
        if count > 0 {
            sent += count;
            client.frame(DATA, u8::from(sent == ALL), stream, &vec![b'x'; count]);
            windows = windows.map(|window| window - i64::try_from(count).unwrap_or_default());
            continue;
        }
        let Some(frame) = client.read()? else { bail!("closed after {sent} bytes") };
        if frame.kind == 8 {
            let grown = frame.payload.iter().fold(0_i64, |sum, byte| sum << 8 | i64::from(*byte));
            windows[usize::from(frame.stream != 0)] += grown;
        }
        client.take(frame)?;
    }
    good(client.outcome(stream)?)?;
    let length = bench.service.seen().into_iter().flatten().map(|message| message.body.len()).next();
    ensure!(length == Some(ALL), "the service saw {length:?} bytes");
    Ok(())
}

fn large() -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n{}", "x".repeat(300_000))
}

fn window(bench: &Bench<'_>) -> Result<()> {
    reply(bench, &large(), false);
    let mut client = Client::open(bench.gateway.plain)?;
    client.pays = false;
    client.patience(Duration::from_millis(500))?;
    let stream = client.get("/");
    ensure!(client.outcome(stream).is_err(), "a response of 300,000 bytes ended within a window of 65,535");
    ensure!(client.received == 65_535, "{} bytes within a window of 65,535", client.received);
    Ok(())
}

fn window_of_nothing(bench: &Bench<'_>) -> Result<()> {
    reply(bench, &large(), false);
    let mut client = Client::open_with(bench.gateway.plain, &[(4, 0)])?;
    client.patience(Duration::from_millis(300))?;
    let stream = client.get("/");
    ensure!(client.outcome(stream).is_err(), "a response within a window of nothing");
    ensure!(client.received == 0, "{} bytes within a window of nothing", client.received);
    client.patience(Duration::from_secs(5))?;
    // The window of streams grows by the setting.
    client.frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
    let answer = good(client.outcome(stream)?)?;
    ensure!(answer.body.len() == 300_000, "{} bytes", answer.body.len());
    Ok(())
}

fn too_many(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let Some(&limit) = client.settings.get(&3) else { bail!("no SETTINGS_MAX_CONCURRENT_STREAMS") };
    ensure!(limit <= 1000, "{limit} streams at a time");
    let mut post = GET;
    post[0].1 = "POST";
    let streams: Vec<u32> = (0..=limit)
        .map(|_| {
            let stream = client.stream();
            client.headers(stream, &post, false);
            stream
        })
        .collect();
    let last = streams[streams.len() - 1];
    let outcome = client.outcome(last)?;
    // REFUSED_STREAM or PROTOCOL_ERROR, on the stream or the connection.
    ensure!(matches!(outcome, Outcome::Reset(1 | 7) | Outcome::Goaway(1 | 7 | 11)), "{outcome:?}");
    Ok(())
}

fn reset(bench: &Bench<'_>) -> Result<()> {
    // The service sees the beginning of a request whose client goes away.
    bench.service.seen();
    let mut client = Client::open(bench.gateway.plain)?;
    let mut post = GET;
    post[0].1 = "POST";
    let stream = client.stream();
    client.headers(stream, &post, false);
    client.frame(DATA, 0, stream, b"hello");
    std::thread::sleep(Duration::from_millis(100));
    client.frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(20));
        match bench.service.seen().first() {
            Some(Ok(message)) => {
                ensure!(message.cut, "the service saw a whole request: {message:?}");
                return client.alive();
            }
            Some(Err(_)) => return client.alive(),
            None => {}
        }
    }
    bail!("the service waits for a body whose stream was reset")
}

fn bad_block(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let stream = client.stream();
    // An index far beyond any table.
    client.frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0xff, 0xff, 0xff, 0x7f]);
    let outcome = client.outcome(stream)?;
    ensure!(matches!(outcome, Outcome::Goaway(9)), "{outcome:?}");
    others(bench)
}

fn preface(bench: &Bench<'_>) -> Result<()> {
    let mut wire = Wire::connect(bench.gateway.plain)?;
    wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n");
    let rest = wire.rest()?;
    ensure!(!rest.windows(8).any(|bytes| bytes == b"HTTP/1.1"), "{}", rest.escape_ascii());
    ensure!(bench.service.seen().is_empty(), "the service saw a request");
    Ok(())
}
