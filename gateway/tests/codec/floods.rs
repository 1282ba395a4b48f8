//! Floods end the connection; the same frames in a sound number do not.

use std::time::Duration;

use gateway::http2::{Floods, Settings};

use crate::wire::{
    ACK, CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, Wire, get, post, run,
};

const LIMIT: u32 = 20;

fn settings() -> Settings {
    let floods = Floods {
        interval: Duration::from_mins(1),
        resets: LIMIT,
        faults: LIMIT,
        settings: LIMIT,
        pings: LIMIT,
        empty_data: LIMIT,
        window_updates: LIMIT,
        ignored: LIMIT,
    };
    Settings { floods, continuations: LIMIT as usize, ..Settings::default() }
}

/// Sends one event of a flood by its number. The errors of a connection that is over are left aside.
async fn event(wire: &mut Wire, kind: &str, number: u32) {
    let stream = 2 * number + 1;
    let first = END_HEADERS | END_STREAM;
    let sent = match kind {
        "resets" => {
            let _ = wire.try_send(HEADERS, first, stream, &get(&[])).await;
            wire.try_send(RST_STREAM, 0, stream, &[0, 0, 0, 8]).await
        }
        "resets that the server is made to send" => {
            let _ = wire.try_send(HEADERS, END_HEADERS, stream, &post(&[])).await;
            wire.try_send(WINDOW_UPDATE, 0, stream, &[0; 4]).await
        }
        "malformed requests" => wire.try_send(HEADERS, first, stream, &get(&[("A", "b")])).await,
        "settings" => wire.try_send(SETTINGS, 0, 0, &[]).await,
        "pings" => wire.try_send(PING, 0, 0, &[0; 8]).await,
        "empty data" => {
            if number == 0 {
                let _ = wire.try_send(HEADERS, END_HEADERS, 1, &post(&[])).await;
            }
            wire.try_send(DATA, 0, 1, &[]).await
        }
        "window updates" => wire.try_send(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).await,
        "priorities" => wire.try_send(PRIORITY, 0, 1, &[0, 0, 0, 3, 0]).await,
        "unknown frames" => wire.try_send(0xee, 0, 1, &[0; 10]).await,
        "continuations" => {
            if number == 0 {
                let _ = wire.try_send(HEADERS, 0, 1, &get(&[])).await;
            }
            wire.try_send(CONTINUATION, 0, 1, &[]).await
        }
        other => panic!("{other}"),
    };
    drop(sent);
}

#[test]
fn floods_end_the_connection_with_enhance_your_calm() {
    let kinds = [
        "resets",
        "resets that the server is made to send",
        "malformed requests",
        "settings",
        "pings",
        "empty data",
        "window updates",
        "priorities",
        "unknown frames",
        "continuations",
    ];
    for kind in kinds {
        run(async {
            // The settings frame of the greeting is an event as well.
            let allowed = if kind == "settings" { LIMIT - 1 } else { LIMIT };
            let (mut wire, control) = Wire::client(settings()).await;
            for number in 0..allowed {
                event(&mut wire, kind, number).await;
            }
            if kind != "continuations" {
                let mut marker = Wire { io: wire.io };
                // An acknowledgement nobody asked for is no event; GET shows that all was read.
                marker.send(HEADERS, END_HEADERS | END_STREAM, 2 * LIMIT + 1, &get(&[])).await;
                marker.until(|frame| frame.stream == 2 * LIMIT + 1).await;
                wire = marker;
            }
            assert_eq!(control.ended(), None, "{kind}");
            for number in LIMIT + 1..LIMIT + 4 {
                event(&mut wire, kind, number).await;
            }
            let goaway = wire.until(|frame| frame.kind == GOAWAY).await;
            assert_eq!(goaway.code(), CALM, "{kind}");
        });
    }
}

#[test]
fn a_field_block_has_a_hard_bound() {
    run(async {
        let (mut wire, _) =
            Wire::client(Settings { field_block_bytes: 100_000, ..Settings::default() }).await;
        wire.send(HEADERS, 0, 1, &get(&[])).await;
        for _ in 0..7 {
            let _ = wire.try_send(CONTINUATION, 0, 1, &[0; 16_384]).await;
        }
        let goaway = wire.until(|frame| frame.kind == GOAWAY).await;
        assert_eq!(goaway.code(), CALM);
    });
}

#[test]
fn useful_work_earns_resets_back() {
    run(async {
        let (mut wire, control) = Wire::client(settings()).await;
        for number in 0..6 * LIMIT {
            let stream = 4 * number + 1;
            wire.send(HEADERS, END_HEADERS | END_STREAM, stream, &get(&[])).await;
            wire.until(|frame| frame.stream == stream && frame.flags & END_STREAM != 0).await;
            wire.send(HEADERS, END_HEADERS, stream + 2, &post(&[])).await;
            wire.send(RST_STREAM, 0, stream + 2, &[0, 0, 0, 8]).await;
        }
        wire.send(PING, 0, 0, b"sentinel").await;
        wire.until(|frame| frame.kind == PING && frame.flags == ACK).await;
        assert_eq!(control.ended(), None);
    });
}

#[test]
fn streams_above_the_limit_are_refused() {
    run(async {
        let (mut wire, control) =
            Wire::client(Settings { concurrent_streams: 3, ..Settings::default() }).await;
        for number in 0..4 {
            wire.send(HEADERS, END_HEADERS, 2 * number + 1, &post(&[])).await;
        }
        let reset = wire.until(|frame| frame.kind == RST_STREAM).await;
        assert_eq!((reset.stream, reset.code()), (7, crate::wire::REFUSED_STREAM));
        assert_eq!(control.active(), 3);
    });
}
