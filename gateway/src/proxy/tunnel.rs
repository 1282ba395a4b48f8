//! A connection that has switched to another protocol.

use std::io;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use super::Pending;
use crate::http::Source;

/// How long one direction may go on after the other has ended.
const HALF_CLOSED: Duration = Duration::from_secs(5);
const PIECE: usize = 8 << 10;

/// Joins client and upstream until both directions have ended.
pub async fn join(downstream: OnUpgrade, upstream: OnUpgrade, pending: Pending) {
    let (Ok(downstream), Ok(upstream)) = tokio::join!(downstream, upstream) else {
        pending.exchange.fail_with(Source::Downstream, "switch_failed");
        return;
    };
    let (client_reads, client_writes) = split(TokioIo::new(downstream));
    let (upstream_reads, upstream_writes) = split(TokioIo::new(upstream));
    let exchange = &pending.exchange;
    let up = pump(client_reads, upstream_writes, |bytes| exchange.add_received(bytes));
    let down = pump(upstream_reads, client_writes, |bytes| exchange.add_sent(bytes));
    tokio::pin!(up, down);
    // A tunnel may break at any time; its bytes are nobody's but the two ends'.
    tokio::select! {
        _ = &mut up => {
            let _ = tokio::time::timeout(HALF_CLOSED, down).await;
        }
        _ = &mut down => {
            let _ = tokio::time::timeout(HALF_CLOSED, up).await;
        }
    }
}

/// Copies until the end and passes the end on.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: impl Fn(usize),
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..length]).await?;
        to.flush().await?;
        count(length);
    }
}
