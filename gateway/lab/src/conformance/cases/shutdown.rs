//! SIGTERM: what was sent before a client could know is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use super::lifecycle::status;
use crate::conformance::frames::{Client, DATA, END_STREAM, Outcome};
use crate::conformance::gateway::Settings;
use crate::conformance::message::Wire;
use crate::conformance::script::{Bench, Script};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// The rows.
pub const ROWS: &[Script] = &[
    Script { name: "SIGTERM: a request on a connection that was open", rules: &["9112 9.6"], run: term_open },
    Script { name: "SIGTERM: a connection that never sent a byte", rules: &["9112 9.6"], run: term_fresh },
    Script { name: "SIGTERM: the rest of a head", rules: &["9112 9.6"], run: term_half },
    Script { name: "SIGTERM: busy connections lose nothing", rules: &["9112 9.6"], run: term_busy },
    Script { name: "SIGTERM: two GOAWAYs, and no stream is lost", rules: &["9113 6.8"], run: term_http2 },
];

fn term_open(bench: &Bench<'_>) -> Result<()> {
    let gateway = bench.gateway_with(Settings::default())?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.send(GET);
    ensure!(status(&mut wire, "GET")? == 200, "not 200 before the signal");
    gateway.program.signal(Signal::TERM);
    // A client that cannot know yet: its request crosses the close.
    wire.send(GET);
    let response = wire.response("GET")?.context("closed without an answer")?;
    ensure!(response.status() == 200, "{}", response.status());
    Ok(())
}

fn term_late(bench: &Bench<'_>, before: &[u8], after: &[u8]) -> Result<()> {
    let gateway = bench.gateway_with(Settings::default())?;
    let mut wire = Wire::connect(gateway.plain)?;
    wire.send(before);
    thread::sleep(Duration::from_millis(100));
    gateway.program.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(100));
    wire.send(after);
    let response = wire.response("GET")?.context("closed without an answer")?;
    ensure!(response.status() == 200, "{}", response.status());
    ensure!(response.values("connection") == ["close"], "{:?}", response.fields);
    Ok(())
}

fn term_fresh(bench: &Bench<'_>) -> Result<()> {
    term_late(bench, b"", GET)
}

fn term_half(bench: &Bench<'_>) -> Result<()> {
    term_late(bench, b"GET / HTTP/1.1\r\nHo", b"st: t\r\n\r\n")
}

/// Clients that send one request after another; each ends when its connection says so. Lost is a request without
/// an answer.
fn term_busy(bench: &Bench<'_>) -> Result<()> {
    let gateway = bench.gateway_with(Settings::default())?;
    let (lost, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..32)
        .map(|_| {
            let (lost, answered, stop) = (Arc::clone(&lost), Arc::clone(&answered), Arc::clone(&stop));
            let address = gateway.plain;
            thread::spawn(move || {
                // A refused connection is no request.
                while let Ok(mut wire) = Wire::connect(address) {
                    loop {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        if !wire.send(GET) {
                            lost.fetch_add(1, Ordering::Relaxed);
                            return;
                        }
                        let Ok(Some(response)) = wire.response("GET") else {
                            lost.fetch_add(1, Ordering::Relaxed);
                            return;
                        };
                        answered.fetch_add(1, Ordering::Relaxed);
                        if response.values("connection") == ["close"] {
                            break;
                        }
                    }
                }
            })
        })
        .collect();
    // As long as a busy machine needs for some hundred.
    let end = Instant::now() + Duration::from_secs(20);
    while answered.load(Ordering::Relaxed) < 300 && Instant::now() < end {
        thread::sleep(Duration::from_millis(50));
    }
    gateway.program.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(1500));
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        let _ = thread.join();
    }
    let (lost, answered) = (lost.load(Ordering::Relaxed), answered.load(Ordering::Relaxed));
    ensure!(answered > 100, "only {answered} requests");
    ensure!(lost == 0, "{lost} of {} requests lost", answered + lost);
    Ok(())
}

fn term_http2(bench: &Bench<'_>) -> Result<()> {
    let gateway = bench.gateway_with(Settings::default())?;
    let mut client = Client::open(gateway.plain)?;
    client.alive()?;
    let post = [(":method", "POST"), (":scheme", "http"), (":authority", "t"), (":path", "/")];
    let first = client.stream();
    client.headers(first, &post, false);
    gateway.program.signal(Signal::TERM);
    while client.goaways.is_empty() {
        let Some(frame) = client.read()? else { bail!("closed without GOAWAY") };
        client.take(frame)?;
    }
    let (code, last) = client.goaways[0];
    ensure!(code == 0 && last == 0x7fff_ffff, "the first GOAWAY: code {code}, last stream {last}");
    // A request that crossed it.
    let second = client.get("/crossed");
    client.frame(DATA, END_STREAM, first, b"x");
    for stream in [first, second] {
        let outcome = client.outcome(stream)?;
        ensure!(matches!(&outcome, Outcome::Response(answer) if answer.status == 200), "{outcome:?}");
    }
    while client.goaways.len() < 2 {
        let Some(frame) = client.read()? else { bail!("closed without a second GOAWAY") };
        client.take(frame)?;
    }
    let (code, last) = client.goaways[1];
    ensure!(
        code == 0 && last >= second && last < 0x7fff_ffff,
        "the second GOAWAY: code {code}, last stream {last}"
    );
    Ok(())
}
