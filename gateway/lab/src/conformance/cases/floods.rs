//! Floods over HTTP/2: everybody else is served, whatever becomes of the connection.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::conformance::frames::{
    CONTINUATION, Client, DATA, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, block,
};
use crate::conformance::script::{Bench, Script};

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "t"), (":path", "/")];

/// The rows.
pub const ROWS: &[Script] = &[
    Script { name: "h2: a flood of resets ends the connection", rules: &["9113 10.5"], run: flood_resets },
    Script {
        name: "h2: a flood of CONTINUATION ends the connection",
        rules: &["9113 10.5"],
        run: flood_continuation,
    },
    Script { name: "h2: a flood of settings harms nobody else", rules: &["9113 10.5"], run: flood_settings },
    Script { name: "h2: a flood of pings harms nobody else", rules: &["9113 10.5"], run: flood_pings },
    Script {
        name: "h2: a flood of empty DATA frames harms nobody else",
        rules: &["9113 10.5"],
        run: flood_data,
    },
];

/// Everybody else is still served.
pub fn others(bench: &Bench<'_>) -> Result<()> {
    bench.service.seen();
    for _ in 0..8 {
        Client::open(bench.gateway.plain)?.alive()?;
    }
    bench.service.seen();
    Ok(())
}

/// Sends until the connection ends or `count` are sent, then tells whether it ended.
fn flood(client: &mut Client, count: usize, mut send: impl FnMut(&mut Client) -> bool) -> Result<bool> {
    for _ in 0..count {
        if !send(client) {
            return Ok(true);
        }
    }
    client.patience(Duration::from_secs(1))?;
    loop {
        match client.read() {
            Ok(None) => return Ok(true),
            Ok(Some(frame)) if frame.kind == GOAWAY => return Ok(true),
            Ok(Some(_)) => {}
            // Silence: it goes on.
            Err(_) => return Ok(false),
        }
    }
}

fn flood_resets(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let ended = flood(&mut client, 20_000, |client| {
        let stream = client.get("/flood");
        client.frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])
    })?;
    ensure!(ended, "20,000 resets, and the connection goes on");
    others(bench)
}

fn flood_continuation(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let stream = client.stream();
    client.frame(HEADERS, END_STREAM, stream, &block(&GET));
    let part = block(&[("x", "y"); 100]);
    let ended = flood(&mut client, 20_000, |client| client.frame(CONTINUATION, 0, stream, &part))?;
    ensure!(ended, "20,000 CONTINUATION frames, and the connection goes on");
    others(bench)
}

fn flood_settings(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    flood(&mut client, 20_000, |client| client.frame(SETTINGS, 0, 0, &[]))?;
    others(bench)
}

fn flood_pings(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    flood(&mut client, 20_000, |client| client.frame(PING, 0, 0, b"12345678"))?;
    others(bench)
}

fn flood_data(bench: &Bench<'_>) -> Result<()> {
    let mut client = Client::open(bench.gateway.plain)?;
    let mut post = GET;
    post[0].1 = "POST";
    let stream = client.stream();
    client.headers(stream, &post, false);
    flood(&mut client, 20_000, |client| client.frame(DATA, 0, stream, &[]))?;
    others(bench)
}
