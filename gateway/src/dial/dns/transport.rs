//! Sends queries over UDP, and over TCP if the response is truncated.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::config::Config;
use super::message::{Answer, Family, answer, question};

/// How long the answer for one family waits for the other (RFC 8305 section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Addresses and their TTL in seconds; no addresses if the name has none.
#[derive(Debug)]
pub(super) struct Found {
    pub addresses: Vec<IpAddr>,
    pub ttl: Option<u32>,
}

/// Looks up the addresses of both families, IPv6 first, of the first candidate that has any.
///
/// # Errors
///
/// No server answered for a candidate, and no other candidate has an address.
pub(super) async fn lookup(name: &str, config: &Config) -> io::Result<Found> {
    let mut failed = None;
    let mut nothing = Found { addresses: Vec::new(), ttl: None };
    for candidate in config.candidates(name) {
        match both(&candidate, config).await {
            Ok(found) if found.addresses.is_empty() => nothing.ttl = found.ttl.or(nothing.ttl),
            Ok(found) => return Ok(found),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(nothing), Err)
}

async fn both(name: &str, config: &Config) -> io::Result<Found> {
    let v6 = ask(name, Family::V6, config);
    let v4 = ask(name, Family::V4, config);
    tokio::pin!(v6, v4);
    let has_any = |answer: &io::Result<Found>| answer.as_ref().is_ok_and(|found| !found.addresses.is_empty());
    // The first family with addresses waits only briefly for the other.
    let (v6, v4) = tokio::select! {
        first = &mut v6 => {
            let second = if has_any(&first) { timeout(RESOLUTION_DELAY, v4).await.ok() } else { Some(v4.await) };
            (Some(first), second)
        }
        first = &mut v4 => {
            let second = if has_any(&first) { timeout(RESOLUTION_DELAY, v6).await.ok() } else { Some(v6.await) };
            (second, Some(first))
        }
    };
    let mut found = Vec::new();
    let mut failed = None;
    for answer in [v6, v4].into_iter().flatten() {
        match answer {
            Ok(answer) => found.push(answer),
            Err(error) => failed = Some(error),
        }
    }
    // The TTL of an empty family does not limit the TTL of the other.
    if found.iter().any(|answer| !answer.addresses.is_empty()) {
        found.retain(|answer| !answer.addresses.is_empty());
    } else if let Some(error) = failed {
        return Err(error);
    }
    let ttl = found.iter().filter_map(|answer| answer.ttl).min();
    Ok(Found { addresses: found.into_iter().flat_map(|answer| answer.addresses).collect(), ttl })
}

async fn ask(name: &str, family: Family, config: &Config) -> io::Result<Found> {
    let id = u16::try_from(RandomState::new().hash_one(name) & 0xffff).unwrap_or(0);
    let question = question(id, name, family)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is not a DNS name"))?;
    let mut failed = None;
    for _ in 0..config.attempts {
        for &server in &config.servers {
            let asked = timeout(config.timeout, exchange(server, &question)).await;
            let error = match asked {
                Ok(Ok(Answer::Addresses(addresses, ttl))) => return Ok(Found { addresses, ttl: Some(ttl) }),
                Ok(Ok(Answer::Nothing(ttl))) => return Ok(Found { addresses: Vec::new(), ttl }),
                Ok(Ok(Answer::Truncated)) => io::Error::other("the answer is truncated over TCP too"),
                Ok(Ok(Answer::Refused(code))) => io::Error::other(refusal(code)),
                Ok(Err(error)) => error,
                Err(_) => io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
            };
            failed = Some(io::Error::new(error.kind(), format!("DNS server {server}: {error}")));
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::other("no DNS server is configured")))
}

/// The name of a response code (RFC 1035 section 4.1.1).
fn refusal(code: u8) -> String {
    match code {
        1 => "it reports a malformed query (FORMERR)".to_owned(),
        2 => "it failed (SERVFAIL)".to_owned(),
        4 => "it does not support the query (NOTIMP)".to_owned(),
        5 => "it refused (REFUSED)".to_owned(),
        code => format!("it answered with code {code}"),
    }
}

async fn exchange(server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Each query has a port of its own, and the socket is connected, so that the system drops packets from
    // other addresses.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match answer(&buffer[..length], question) {
            Some(Answer::Truncated) => return over_tcp(server, question).await,
            Some(answer) => return Ok(answer),
            // Forged or malformed; the correct response may still arrive.
            None => {}
        }
    }
}

/// Messages over TCP have a length prefix (RFC 1035 section 4.2.2).
async fn over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    answer(&buffer, question).ok_or_else(|| io::Error::other("the answer is malformed"))
}
