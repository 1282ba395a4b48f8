//! A connection that has switched to another protocol.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use super::Failed;
use super::downstream::Downstream;
use super::pump::Pump;
use crate::exchange::Exchange;
use crate::exchange::fault::ClientFault;
use crate::http1::head::Framing;
use crate::http1::wire::Wire;
use crate::worker::watch::For;

/// How long one direction may go on after the other has ended.
const HALF_CLOSED: Duration = Duration::from_secs(5);

/// Joins client and upstream until both directions have ended.
pub(super) async fn join<D: Downstream>(
    exchange: &mut Exchange<'_>,
    down: &mut D,
    mut wire: Box<Wire>,
) -> Result<(), Failed> {
    let early = |client: &mut Wire| !client.received().is_empty();
    if down.switchable().is_none_or(early) {
        return Err(ClientFault::SwitchEarly.into());
    }
    exchange.response.fields.push(b"connection", b"upgrade");
    exchange.response.fields.push(b"upgrade", b"websocket");
    exchange.set_status(exchange.response.status);
    down.send_head(&mut exchange.response, Framing::None, false);
    down.close_after();
    down.deadlines().unset(For::Request);
    if let Some(client) = down.switchable() {
        client.switch();
    }
    wire.switch();
    let (mut up, mut back) = (Pump::new(false), Pump::new(false));
    let silence = exchange.peer.listener.stream_timeout;
    let mut moved = 0;
    // A tunnel may break at any time; its bytes belong to its two ends.
    poll_fn(|cx| {
        down.deadlines().register(cx);
        let ups = up.poll(cx, down, &mut *wire, |_, _| Ok(()));
        let backs = back.poll(cx, &mut *wire, down, |_, _| Ok(()));
        let failed = |polled: &Poll<Result<(), _>>| matches!(polled, Poll::Ready(Err(_)));
        if failed(&ups) || failed(&backs) || (up.is_done() && back.is_done()) {
            return Poll::Ready(());
        }
        if up.is_done() || back.is_done() {
            down.deadlines().set_once(For::Client, HALF_CLOSED);
        }
        if up.bytes + back.bytes != moved {
            moved = up.bytes + back.bytes;
            down.deadlines().unset(For::Upstream);
        }
        if let Some(silence) = silence {
            down.deadlines().set_once(For::Upstream, silence);
        }
        let late = down.deadlines().has_passed(For::Client) || down.deadlines().has_passed(For::Upstream);
        if late { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    exchange.received = up.bytes;
    exchange.sent = back.bytes;
    Ok(())
}
