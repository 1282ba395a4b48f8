//! Conversations over HTTP/1, and what `gateway check` says.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::conformance::gateway::{Gateway, Settings};
use crate::conformance::message::Wire;
use crate::conformance::script::{Bench, Script};
use crate::conformance::service::Reply;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// The rows.
pub const ROWS: &[Script] = &[
    Script { name: "requests sent at once are answered in order", rules: &["9112 9.3.2"], run: pipeline },
    Script { name: "a request byte by byte", rules: &["9112 2.2"], run: slowly },
    Script { name: "Expect: 100-continue has its 100", rules: &["9110 10.1.1"], run: expect },
    Script { name: "Expect: 100-continue of HTTP/1.0 has none", rules: &["9110 10.1.1"], run: expect_old },
    Script { name: "a request that breaks off is never whole", rules: &["9112 8"], run: breaks_off },
    Script {
        name: "chunks that break off are never whole",
        rules: &["9112 8", "9112 7.1"],
        run: chunks_break_off,
    },
    Script { name: "405 names the methods", rules: &["9110 15.5.6", "9110 10.2.1"], run: allow },
    Script { name: "a WebSocket over HTTP/1.1", rules: &["9110 7.8", "9110 15.2.2"], run: websocket },
    Script {
        name: "an answer before the end of a request",
        rules: &["9112 9.5", "9110 15.5.14"],
        run: early,
    },
    Script { name: "a head that is too slow is 408", rules: &["9110 15.5.9"], run: slow_head },
    Script { name: "a body that is too slow is 408", rules: &["9110 15.5.9"], run: slow_body },
    Script { name: "a body that trickles has a floor", rules: &["9110 15.5.9"], run: trickle },
    Script { name: "a body that is too long is 413", rules: &["9110 15.5.14"], run: too_long },
    Script { name: "no service is 503", rules: &["9110 15.6.4"], run: no_service },
    Script { name: "a silent service is 504", rules: &["9110 15.6.5"], run: silent_service },
    Script {
        name: "a request of which nothing was sent goes to another endpoint",
        rules: &["9110 9.2.2"],
        run: unsent,
    },
    Script { name: "a POST on a dead connection is sent once", rules: &["9110 9.2.2"], run: dead_post },
    Script { name: "a part of a response passes before its end", rules: &["9112 7.1"], run: events },
    Script {
        name: "a long head of a response, as the settings have it",
        rules: &["9110 5.4"],
        run: long_head,
    },
    Script { name: "check: a missing certificate and other mistakes", rules: &[], run: check_certificate },
    Script { name: "check: endpoints that are none", rules: &[], run: check_endpoints },
];

pub fn status(wire: &mut Wire, method: &str) -> Result<u16> {
    Ok(wire.response(method)?.context("closed without an answer")?.status())
}

fn pipeline(bench: &Bench<'_>) -> Result<()> {
    for index in 0..20 {
        let body = format!("{index:02}");
        bench.service.reply(Reply {
            bytes: format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}").into_bytes(),
            close: false,
        });
    }
    let mut wire = Wire::connect(bench.gateway.plain)?;
    wire.send(&GET.repeat(20));
    for index in 0..20 {
        let response = wire.response("GET")?.context("closed without an answer")?;
        ensure!(
            response.body == format!("{index:02}").as_bytes(),
            "answer {index} is '{}'",
            response.body.escape_ascii()
        );
    }
    Ok(())
}

fn slowly(bench: &Bench<'_>) -> Result<()> {
    let mut wire = Wire::connect(bench.gateway.plain)?;
    for byte in
        b"POST /s HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n"
    {
        wire.send(&[*byte]);
        thread::sleep(Duration::from_millis(1));
    }
    ensure!(status(&mut wire, "POST")? == 200, "not 200");
    let seen: Vec<_> = bench.service.seen().into_iter().flatten().collect();
    ensure!(seen.len() == 1 && seen[0].body == b"hello", "the service saw {seen:?}");
    Ok(())
}

fn expect(bench: &Bench<'_>) -> Result<()> {
    let mut wire = Wire::connect(bench.gateway.plain)?;
    wire.send(b"POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let first = status(&mut wire, "POST")?;
    ensure!(first == 100, "{first}, not 100");
    wire.send(b"hello");
    ensure!(status(&mut wire, "POST")? == 200, "not 200");
    Ok(())
}

fn expect_old(bench: &Bench<'_>) -> Result<()> {
    let mut wire = Wire::connect(bench.gateway.plain)?;
    wire.send(b"POST / HTTP/1.0\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    let first = status(&mut wire, "POST")?;
    ensure!(first == 200, "{first}");
    Ok(())
}

fn never_whole(bench: &Bench<'_>, bytes: &[u8]) -> Result<()> {
    let mut wire = Wire::connect(bench.gateway.plain)?;
    wire.send(bytes);
    wire.finish();
    let answer = wire.response("POST")?.map(|response| response.status());
    ensure!(answer.is_none_or(|status| (400..500).contains(&status)), "{answer:?}");
    thread::sleep(Duration::from_millis(50));
    let seen = bench.service.seen();
    ensure!(!seen.iter().flatten().any(|message| !message.cut), "the service saw {seen:?}");
    Ok(())
}

fn breaks_off(bench: &Bench<'_>) -> Result<()> {
    never_whole(bench, b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhello")?;
    never_whole(bench, b"POST / HTTP/1.1\r\nHost: t\r\nContent-Le")
}

fn chunks_break_off(bench: &Bench<'_>) -> Result<()> {
    for end in ["5\r\nhello\r\n", "5\r\nhel", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\nX: y\r\n"] {
        never_whole(
            bench,
            format!("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{end}").as_bytes(),
        )?;
    }
    Ok(())
}

fn allow(bench: &Bench<'_>) -> Result<()> {
    let gateway =
        bench.gateway_with(Settings { route: "methods = ['GET', 'PUT']", ..Settings::default() })?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.send(b"DELETE / HTTP/1.1\r\nHost: t\r\n\r\n");
    let response = wire.response("DELETE")?.context("closed without an answer")?;
    ensure!(response.status() == 405, "{}", response.status());
    let allow = response.values("allow").join(", ");
    ensure!(allow.contains("GET") && allow.contains("PUT"), "Allow: {allow}");
    Ok(())
}

fn websocket(bench: &Bench<'_>) -> Result<()> {
    let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        .to_vec();
    bytes.extend(b"\x81\x02hi");
    bench.service.reply(Reply { bytes, close: false });
    let mut wire = Wire::connect(bench.gateway.plain)?;
    wire.send(
        b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let response = wire.response("GET")?.context("closed without an answer")?;
    ensure!(response.status() == 101, "{}", response.status());
    ensure!(response.values("upgrade") == ["websocket"], "{:?}", response.fields);
    let data = wire.take(4)?;
    ensure!(data == b"\x81\x02hi", "{}", data.escape_ascii());
    let seen = bench.service.seen();
    let request = seen.first().and_then(|seen| seen.as_ref().ok()).context("the service saw nothing")?;
    ensure!(request.values("upgrade") == ["websocket"], "the service saw {request:?}");
    ensure!(request.values("connection").join(",").to_ascii_lowercase().contains("upgrade"), "{request:?}");
    Ok(())
}

fn early(bench: &Bench<'_>) -> Result<()> {
    // A service that answers after the head, and closes.
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut byte = [0; 1];
                let _ = std::io::Read::read(&mut stream, &mut byte);
                let _ = stream
                    .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
                // Read on for a while: a reset would take the answer with it.
                let mut bytes = [0; 8192];
                while std::io::Read::read(&mut stream, &mut bytes).is_ok_and(|count| count > 0) {}
            });
        }
    });
    let gateway = Gateway::start(bench.binary, bench.dir, &[address.to_string()], Settings::default())?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n");
    wire.send(&[b'x'; 1000]);
    let response = wire.response("POST")?.context("closed without an answer")?;
    ensure!(response.status() == 403 && response.body == b"no", "{response:?}");
    Ok(())
}

fn slow_head(bench: &Bench<'_>) -> Result<()> {
    let gateway =
        bench.gateway_with(Settings { listener: "header_timeout = '500ms'", ..Settings::default() })?;
    for start in [&b"GET / HT"[..], b"GET / HTTP/1.1\r\nHost: t\r\n"] {
        let mut wire = Wire::connect(gateway.plain)?;
        wire.send(start);
        ensure!(status(&mut wire, "GET")? == 408, "not 408");
        ensure!(wire.rest()?.is_empty(), "more after 408");
    }
    Ok(())
}

fn slow_body(bench: &Bench<'_>) -> Result<()> {
    let gateway =
        bench.gateway_with(Settings { listener: "body_timeout = '500ms'", ..Settings::default() })?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhel");
    ensure!(status(&mut wire, "POST")? == 408, "not 408");
    Ok(())
}

/// Ten bytes a second, with a floor of 1 KB a second after a second.
fn trickle(bench: &Bench<'_>) -> Result<()> {
    let listener = "min_body_rate = '1KiB'\nmin_body_rate_grace = '1s'";
    let gateway = bench.gateway_with(Settings { listener, ..Settings::default() })?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(15) {
        if !wire.send(b"x") {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    wire.patience(Duration::from_millis(100))?;
    match wire.response("POST") {
        Ok(Some(response)) if response.status() != 408 => bail!("{}", response.status()),
        Ok(_) => Ok(()),
        Err(_) => bail!("ten bytes a second for 15 seconds, and the gateway waits"),
    }
}

fn too_long(bench: &Bench<'_>) -> Result<()> {
    let gateway =
        bench.gateway_with(Settings { listener: "max_body_bytes = '1KiB'", ..Settings::default() })?;
    let bodies = [
        format!("Content-Length: 2000\r\n\r\n{}", "x".repeat(2000)),
        format!("Transfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000)),
    ];
    for body in bodies {
        let mut wire = Wire::connect(gateway.plain)?;
        wire.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{body}").as_bytes());
        ensure!(status(&mut wire, "POST")? == 413, "not 413");
        let seen = bench.service.seen();
        ensure!(!seen.iter().flatten().any(|message| !message.cut), "the service saw {seen:?}");
    }
    Ok(())
}

/// An address where nobody listens.
fn nowhere() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn no_service(bench: &Bench<'_>) -> Result<()> {
    let gateway = Gateway::start(bench.binary, bench.dir, &[nowhere()?.to_string()], Settings::default())?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.send(GET);
    ensure!(status(&mut wire, "GET")? == 503, "not 503");
    wire.send(GET);
    ensure!(status(&mut wire, "GET")? == 503, "the connection did not go on");
    Ok(())
}

fn silent_service(bench: &Bench<'_>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let settings = Settings { upstream: "response_timeout = '500ms'", ..Settings::default() };
    let gateway = Gateway::start(bench.binary, bench.dir, &[address.to_string()], settings)?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.send(GET);
    ensure!(status(&mut wire, "GET")? == 504, "not 504");
    drop(listener);
    Ok(())
}

/// One endpoint takes connections and closes them at once; each request must be answered by the other.
fn unsent(bench: &Bench<'_>) -> Result<()> {
    let dead = TcpListener::bind("127.0.0.1:0")?;
    let endpoints = [dead.local_addr()?.to_string(), bench.service.address.to_string()];
    thread::spawn(move || {
        for stream in dead.incoming().map_while(Result::ok) {
            drop::<TcpStream>(stream);
        }
    });
    let gateway = Gateway::start(bench.binary, bench.dir, &endpoints, Settings::default())?;
    for index in 0..20 {
        let mut wire = Wire::connect(gateway.plain)?;
        wire.send(GET);
        let status = status(&mut wire, "GET")?;
        ensure!(status == 200, "request {index}: {status}");
    }
    Ok(())
}

/// A service that ends a connection as a second request arrives on it: a POST may have taken effect.
fn dead_post(bench: &Bench<'_>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let posts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&posts);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let count = Arc::clone(&count);
            thread::spawn(move || {
                let Ok(mut wire) = Wire::of(stream) else { return };
                while let Ok(Some(request)) = wire.request() {
                    if request.line.starts_with("POST") {
                        count.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
            });
        }
    });
    let gateway = Gateway::start(bench.binary, bench.dir, &[address.to_string()], Settings::default())?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.send(GET);
    ensure!(status(&mut wire, "GET")? == 200, "not 200");
    wire.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi");
    let status = status(&mut wire, "POST")?;
    ensure!(status == 502, "{status}, not 502");
    let posts = posts.load(Ordering::SeqCst);
    ensure!(posts == 1, "the service saw it {posts} times");
    Ok(())
}

/// Server-sent events: each must arrive when it is sent.
fn events(bench: &Bench<'_>) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> Result<()> {
        let (stream, _) = listener.accept()?;
        let mut wire = Wire::of(stream)?;
        wire.request()?;
        wire.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        wire.send(b"9\r\ndata: 1\n\n\r\n");
        thread::sleep(Duration::from_secs(3));
        wire.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n");
        Ok(())
    });
    let gateway = Gateway::start(bench.binary, bench.dir, &[address.to_string()], Settings::default())?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.patience(Duration::from_secs(2))?;
    wire.send(GET);
    let mut held = Vec::new();
    while !held.windows(7).any(|bytes| bytes == b"data: 1") {
        let byte = wire.take(1).context("the first event did not come in two seconds")?;
        ensure!(!byte.is_empty(), "closed: {}", held.escape_ascii());
        held.extend(byte);
    }
    Ok(())
}

fn long_head(bench: &Bench<'_>) -> Result<()> {
    let head = |fields: usize| {
        let fields = "X-Long: 0123456789abcdef0123456789abcdef0123456789abcdef\r\n".repeat(fields);
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok").into_bytes()
    };
    let ask = |gateway: &Gateway, fields: usize| -> Result<u16> {
        bench.service.seen();
        bench.service.reply(Reply { bytes: head(fields), close: true });
        let mut wire = Wire::connect(gateway.plain)?;
        wire.send(GET);
        let status = status(&mut wire, "GET");
        bench.service.seen();
        status
    };
    let wide =
        Settings { upstream: "max_header_bytes = '256KiB'\nmax_headers = 1024", ..Settings::default() };
    let wide = bench.gateway_with(wide)?;
    let narrow = Settings { upstream: "max_header_bytes = '1KiB'\nmax_headers = 8", ..Settings::default() };
    let narrow = bench.gateway_with(narrow)?;
    for (gateway, fields, wanted) in
        [(&wide, 1000, 200), (&wide, 2000, 502), (&narrow, 5, 200), (&narrow, 50, 502)]
    {
        let status = ask(gateway, fields)?;
        ensure!(status == wanted, "{fields} fields: {status}, not {wanted}");
    }
    Ok(())
}

/// What `gateway check` says of settings.
fn check(bench: &Bench<'_>, text: &str) -> Result<(Option<i32>, String)> {
    let file = bench.dir.join("check.toml");
    std::fs::write(&file, text)?;
    let output = Command::new(bench.binary).arg("check").arg("--config").arg(&file).output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn check_certificate(bench: &Bench<'_>) -> Result<()> {
    let (code, text) = check(
        bench,
        "[[listeners]]\naddress = '127.0.0.1:0'\nmax_headers = 1\n\
         tls = { certificate = '/none/a.crt', key = '/none/a.key' }\n\
         [upstreams.a]\nendpoints = ['a:1']\n[[routes]]\nupstream = 'a'\n",
    )?;
    ensure!(code == Some(2), "exit code {code:?}");
    for part in ["max_headers", "/none/a.crt", "/none/a.key"] {
        ensure!(text.contains(part), "'{part}' is not named: {text}");
    }
    Ok(())
}

fn check_endpoints(bench: &Bench<'_>) -> Result<()> {
    for endpoint in
        ["-x:80", "x..y:80", "x-:80", "x:0", "x:99999", "a b:80", ":80", "x", "[::1:80", "x_/y:80"]
    {
        let (code, text) = check(
            bench,
            &format!(
                "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['{endpoint}']\n[[routes]]\nupstream = 'a'\n"
            ),
        )?;
        ensure!(code == Some(2), "'{endpoint}' passes: {text}");
    }
    Ok(())
}
