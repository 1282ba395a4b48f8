//! What clients do, each load on threads of its own until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::service::{body, size};
use super::tally::Tally;
use crate::conformance::{Frames, Message, Outcome, Wire, frames};
use crate::oracles::tools;

/// What a load works with.
#[derive(Clone, Debug)]
pub struct Place {
    pub plain: u16,
    pub python: Option<PathBuf>,
    pub tally: Arc<Tally>,
    pub stop: Arc<AtomicBool>,
}

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub name: &'static str,
    pub threads: usize,
    pub run: fn(&Place, usize),
}

/// All of them.
pub const LOADS: [Load; 10] = [
    Load { name: "http1", threads: 8, run: http1 },
    Load { name: "http2", threads: 4, run: http2 },
    Load { name: "posts", threads: 2, run: posts },
    Load { name: "large", threads: 2, run: large },
    Load { name: "websocket", threads: 2, run: websocket },
    Load { name: "grpc", threads: 1, run: grpc },
    Load { name: "slow", threads: 4, run: slow },
    Load { name: "resets", threads: 2, run: resets },
    Load { name: "malformed", threads: 1, run: malformed },
    Load { name: "floods", threads: 1, run: floods },
];

impl Place {
    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.plain))
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Repeats something whose error is not as expected.
    fn repeat(&self, load: &'static str, pause: Duration, mut once: impl FnMut() -> Result<bool>) {
        while self.goes_on() {
            match once() {
                Ok(true) => self.tally.expected(load),
                Ok(false) => self.tally.cut(load),
                Err(error) => self.tally.unexpected(load, format!("{error:#}")),
            }
            thread::sleep(pause);
        }
    }
}

/// A GET on a connection that is kept as long as it lasts; the body must be whole.
fn get(held: &mut Option<Wire>, place: &Place, target: &str) -> Result<Message> {
    // The gateway may end a connection at rest at the moment of a request: then a new one.
    let reused = held.is_some();
    let mut wire = match held.take() {
        Some(wire) => wire,
        None => Wire::connect(place.address())?,
    };
    wire.send(format!("GET {target} HTTP/1.1\r\nHost: soak\r\n\r\n").as_bytes());
    match wire.response("GET")? {
        None if reused => get(held, place, target),
        None => bail!("closed without an answer"),
        Some(response) => {
            if response.values("connection") != ["close"] && !response.cut {
                *held = Some(wire);
            }
            Ok(response)
        }
    }
}

/// Small GETs: not one may fail, whichever service is killed.
fn http1(place: &Place, index: usize) {
    let mut held = None;
    let mut count = 0_usize;
    place.repeat("http1", Duration::from_millis(3), || {
        count += 1;
        let target = format!("/bytes/{}", [2, 100, 1000][count % 3]);
        if count % 50 == index {
            held = None;
        }
        let response = get(&mut held, place, &target)?;
        ensure!(
            response.status() == 200,
            "{} {}",
            response.status(),
            String::from_utf8_lossy(&response.body).trim()
        );
        ensure!(response.body == body(size(&target)), "{target}: {} bytes", response.body.len());
        Ok(true)
    });
}

/// Ten streams at a time.
fn http2(place: &Place, _index: usize) {
    let mut held: Option<Frames> = None;
    while place.goes_on() {
        let once = |held: &mut Option<Frames>| -> Result<usize> {
            let mut client = match held.take() {
                Some(client) => client,
                None => Frames::open(place.address())?,
            };
            let streams: Vec<u32> = (0..10).map(|_| client.get("/bytes/1000")).collect();
            for stream in &streams {
                match client.outcome(*stream)? {
                    Outcome::Response(answer) => {
                        ensure!(
                            answer.status == 200,
                            "{} {}",
                            answer.status,
                            String::from_utf8_lossy(&answer.body)
                        );
                        ensure!(answer.body == body(1000), "{} bytes", answer.body.len());
                    }
                    other => bail!("{other:?}"),
                }
            }
            let count = streams.len();
            // Its numbers would end some day, and so does each connection.
            if streams[0] < 5000 {
                *held = Some(client);
            }
            Ok(count)
        };
        match once(&mut held) {
            Ok(count) => (0..count).for_each(|_| place.tally.expected("http2")),
            Err(error) => place.tally.unexpected("http2", format!("{error:#}")),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Bodies of both framings, which come back. A POST whose service was killed must not be sent again.
fn posts(place: &Place, _index: usize) {
    let mut count = 0_usize;
    place.repeat("posts", Duration::from_millis(10), || {
        count += 1;
        let sent = body([0, 10, 5000, 100_000][count % 4]);
        let mut wire = Wire::connect(place.address())?;
        let message = if count.is_multiple_of(2) {
            [
                format!("POST /p HTTP/1.1\r\nHost: soak\r\nContent-Length: {}\r\n\r\n", sent.len())
                    .as_bytes(),
                &sent,
            ]
            .concat()
        } else {
            let mut message =
                b"POST /p HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in sent.chunks(700) {
                message.extend(format!("{:x}\r\n", chunk.len()).bytes());
                message.extend(chunk);
                message.extend(b"\r\n");
            }
            message.extend(b"0\r\n\r\n");
            message
        };
        wire.send(&message);
        let response = wire.response("POST")?.context("closed without an answer")?;
        if response.status() == 502 || response.cut {
            return Ok(false);
        }
        ensure!(response.status() == 200, "{}", response.status());
        ensure!(response.body == sent, "{} of {} bytes came back", response.body.len(), sent.len());
        Ok(true)
    });
}

/// Responses that take a while: one whose service is killed is seen to be cut.
fn large(place: &Place, _index: usize) {
    place.repeat("large", Duration::from_millis(50), || {
        let response = get(&mut None, place, "/bytes/2000000")?;
        ensure!(response.status() == 200, "{}", response.status());
        if response.cut {
            return Ok(false);
        }
        ensure!(response.body == body(2_000_000), "{} bytes", response.body.len());
        Ok(true)
    });
}

/// Messages that come back (RFC 6455 section 5.2: the client's are masked).
fn websocket(place: &Place, _index: usize) {
    place.repeat("websocket", Duration::from_millis(20), || {
        let mut wire = Wire::connect(place.address())?;
        wire.send(
            b"GET /websocket HTTP/1.1\r\nHost: soak\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        let response = wire.response("GET")?.context("closed without an answer")?;
        ensure!(response.status() == 101, "{}", response.status());
        for number in 0..50_u8 {
            let text = format!("message {number:03}");
            let mask = [1, 2, 3, number];
            #[allow(clippy::cast_possible_truncation)] // Eleven bytes.
            let mut frame = vec![0x81, 0x80 | text.len() as u8];
            frame.extend(mask);
            frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            wire.send(&frame);
            let back = wire.take(2 + text.len())?;
            ensure!(back.get(2..) == Some(text.as_bytes()), "'{}' came back", back.escape_ascii());
        }
        wire.send(&[0x88, 0x80, 0, 0, 0, 0]);
        wire.rest()?;
        Ok(true)
    });
}

/// All calls of the oracle, again and again; those of the gateway's own failures have routes there alone.
fn grpc(place: &Place, _index: usize) {
    let Some(python) = &place.python else { return };
    while place.goes_on() {
        let output = Command::new(python)
            .arg(tools::script("grpc_calls.py"))
            .args(["call", &format!("127.0.0.1:{}", place.plain)])
            .output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let case = line["case"].as_str().unwrap_or_default();
            if case.contains("no service") || case.contains("of the gateway") {
                continue;
            }
            match line["fault"].as_str() {
                None => place.tally.expected("grpc"),
                Some(fault) => place.tally.unexpected("grpc", format!("{case}: {fault}")),
            }
        }
        if text.is_empty() {
            place.tally.unexpected("grpc", "the calls did not run");
            thread::sleep(Duration::from_secs(1));
        }
    }
}

/// A head that never ends is 408; one that comes byte by byte in time is answered; a response may be read slowly.
fn slow(place: &Place, index: usize) {
    place.repeat("slow", Duration::from_millis(10), || {
        let mut wire = Wire::connect(place.address())?;
        match index % 3 {
            0 => {
                wire.send(b"GET / HTTP/1.1\r\nHost: so");
                let response = wire.response("GET")?.context("closed without an answer")?;
                ensure!(response.status() == 408, "{}", response.status());
            }
            1 => {
                for byte in b"GET / HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n" {
                    wire.send(&[*byte]);
                    thread::sleep(Duration::from_millis(5));
                }
                let response = wire.response("GET")?.context("closed without an answer")?;
                ensure!(response.status() == 200, "{}", response.status());
            }
            _ => {
                wire.send(b"GET /bytes/200000 HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n");
                for _ in 0..20 {
                    wire.take(5000)?;
                    thread::sleep(Duration::from_millis(20));
                }
                wire.rest()?;
            }
        }
        Ok(true)
    });
}

/// Clients that go away: within a head, a body, a response. Dropping a socket with unread bytes resets it.
fn resets(place: &Place, _index: usize) {
    let mut count = 0_usize;
    place.repeat("resets", Duration::from_millis(5), || {
        count += 1;
        let mut wire = Wire::connect(place.address())?;
        match count % 4 {
            0 => drop(wire.send(b"GET / HTTP")),
            1 => drop(wire.send(b"POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: 1000\r\n\r\nhello")),
            2 => drop(
                wire.send(b"POST / HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
            ),
            _ => {
                wire.send(b"GET /bytes/2000000 HTTP/1.1\r\nHost: soak\r\n\r\n");
                wire.take(1000)?;
            }
        }
        Ok(true)
    });
}

/// What is no HTTP is refused, again and again.
fn malformed(place: &Place, _index: usize) {
    let bad: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: t\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ];
    let mut count = 0_usize;
    place.repeat("malformed", Duration::from_millis(10), || {
        count += 1;
        let mut wire = Wire::connect(place.address())?;
        wire.send(bad[count % bad.len()]);
        let response = wire.response("GET")?.context("closed without an answer")?;
        ensure!(response.status() == 400, "{}", response.status());
        Ok(true)
    });
}

/// Floods of resets, pings, settings and empty frames: their connections may end, the gateway may not.
fn floods(place: &Place, _index: usize) {
    let mut count = 0_usize;
    place.repeat("floods", Duration::from_secs(1), || {
        count += 1;
        let mut client = Frames::open(place.address())?;
        let stream = client.get("/bytes/2");
        for _ in 0..2000 {
            let sent = match count % 4 {
                0 => {
                    let stream = client.get("/bytes/2");
                    client.frame(frames::RST_STREAM, 0, stream, &[0, 0, 0, 8])
                }
                1 => client.frame(frames::PING, 0, 0, b"12345678"),
                2 => client.frame(frames::SETTINGS, 0, 0, &[]),
                _ => client.frame(frames::WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]),
            };
            if !sent {
                break;
            }
        }
        drop(client);
        // Somebody else is served.
        let response = get(&mut None, place, "/bytes/2")?;
        ensure!(response.status() == 200, "{} beside a flood", response.status());
        Ok(true)
    });
}
