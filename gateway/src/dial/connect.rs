//! Connects to several addresses in parallel (RFC 8305).

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::open::late;

/// Delay after which the next address is tried in parallel (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);

const UNSPECIFIED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Connects to the first address that answers.
///
/// The next address is tried as soon as one fails, or after a quarter of a second without an answer, so that
/// an address which drops packets does not use up the deadline.
///
/// # Errors
///
/// The last failure, or, if the deadline is reached first, the first address that did not answer. `addresses`
/// is not empty.
pub(super) async fn connect(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), (SocketAddr, io::Error)> {
    let mut waiting: VecDeque<_> = interleave(addresses).into();
    let mut silent = Vec::new();
    let mut attempts = JoinSet::new();
    let mut failed = None;
    let mut next_at = Instant::now();
    loop {
        if (attempts.is_empty() || next_at <= Instant::now())
            && let Some(address) = waiting.pop_front()
        {
            silent.push(address);
            attempts.spawn(async move { (address, open(address).await) });
            next_at = Instant::now() + STAGGER;
        }
        let wake = if waiting.is_empty() { deadline } else { next_at.min(deadline) };
        tokio::select! {
            done = attempts.join_next() => match done {
                Some(Ok((address, Ok(stream)))) => return Ok((stream, address)),
                Some(Ok((address, Err(error)))) => {
                    silent.retain(|&other| other != address);
                    failed = Some((address, error));
                    next_at = Instant::now();
                }
                // An attempt does not panic, and is not cancelled during the wait.
                Some(Err(_)) => {}
                None => {
                    let none = || (UNSPECIFIED, io::Error::new(io::ErrorKind::NotFound, "no address"));
                    return Err(failed.unwrap_or_else(none));
                }
            },
            () = sleep_until(wake) => {
                if Instant::now() >= deadline {
                    return Err((silent.first().copied().unwrap_or(UNSPECIFIED), late()));
                }
            }
        }
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Alternates the families, beginning with that of the first address (RFC 8305 section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (same, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let mut mixed = Vec::with_capacity(same.len() + other.len());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        let before = mixed.len();
        mixed.extend(same.next());
        mixed.extend(other.next());
        if mixed.len() == before {
            return mixed;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::interleave;

    #[test]
    fn families_alternate() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().expect("an address")).collect()
        };
        let table: [(&[&str], &[&str]); 4] = [
            (&[], &[]),
            (&["10.0.0.1:1", "10.0.0.2:1"], &["10.0.0.1:1", "10.0.0.2:1"]),
            (
                &["[::1]:1", "[::2]:1", "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"],
                &["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "10.0.0.3:1"],
            ),
            (&["10.0.0.1:1", "10.0.0.2:1", "[::1]:1"], &["10.0.0.1:1", "[::1]:1", "10.0.0.2:1"]),
        ];
        for (given, expected) in table {
            assert_eq!(interleave(addresses(given)), addresses(expected));
        }
    }
}
