//! A connection that has switched to another protocol.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::Pending;
use crate::http::Source;

/// Joins client and upstream until one of them ends.
pub async fn join(downstream: OnUpgrade, upstream: OnUpgrade, pending: Pending) {
    let (Ok(downstream), Ok(upstream)) = tokio::join!(downstream, upstream) else {
        pending.exchange.fail_with(Source::Downstream, "switch_failed");
        return;
    };
    let mut downstream = TokioIo::new(downstream);
    let mut upstream = TokioIo::new(upstream);
    // A tunnel may break at any time; its bytes are nobody's but the two ends'.
    if let Ok((received, sent)) = tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await {
        let count = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        pending.exchange.add_received(count(received));
        pending.exchange.add_sent(count(sent));
    }
}
