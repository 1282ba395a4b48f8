//! The graceful end (RFC 9113 section 6.8).

use gateway::http2::Settings;

use crate::wire::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, REFUSED_STREAM, RST_STREAM, Wire, get,
    post, run,
};

fn is_end(stream: u32) -> impl Fn(&Frame) -> bool {
    move |frame| frame.stream == stream && frame.flags & END_STREAM != 0 && frame.kind == DATA
}

#[test]
fn requests_on_their_way_are_answered_and_late_ones_refused_before_the_last_goaway() {
    run(async {
        let (mut wire, control) = Wire::client(Settings::default()).await;
        wire.send(HEADERS, END_HEADERS, 1, &post(&[])).await;
        wire.status(1).await;
        control.shutdown();
        control.shutdown();
        let goaway = wire.until(|frame| frame.kind == GOAWAY).await;
        assert_eq!((goaway.last(), goaway.code()), (0x7fff_ffff, 0));
        let ping = wire.until(|frame| frame.kind == PING).await;
        // On its way when the GOAWAY came.
        wire.send(HEADERS, END_HEADERS | END_STREAM, 3, &get(&[])).await;
        wire.send(PING, ACK, 0, &ping.payload).await;
        wire.until(is_end(3)).await;
        // Late: refused, and a round trip before the last GOAWAY.
        wire.send(HEADERS, END_HEADERS | END_STREAM, 5, &get(&[])).await;
        let reset = wire.until(|frame| frame.stream == 5).await;
        assert_eq!((reset.kind, reset.code()), (RST_STREAM, REFUSED_STREAM));
        let ping = wire.until(|frame| frame.kind == PING).await;
        wire.send(DATA, END_STREAM, 1, b"end").await;
        wire.until(is_end(1)).await;
        assert_eq!(control.ended(), None);
        wire.send(PING, ACK, 0, &ping.payload).await;
        let goaway = wire.next().await.expect("a frame");
        assert_eq!((goaway.kind, goaway.last(), goaway.code()), (GOAWAY, 5, 0));
        assert_eq!(wire.next().await, None);
    });
}

#[test]
fn a_client_that_does_not_answer_is_not_waited_for() {
    run(async {
        let (mut wire, control) = Wire::client(Settings::default()).await;
        control.shutdown();
        wire.until(|frame| frame.kind == GOAWAY && frame.last() == 0x7fff_ffff).await;
        wire.until(|frame| frame.kind == GOAWAY && frame.last() == 0).await;
        assert_eq!(wire.next().await, None);
    });
}
