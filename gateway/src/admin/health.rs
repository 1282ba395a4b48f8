//! Queries the readiness of a running gateway, for containers without a shell or curl.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The gateway is not ready or does not answer.
#[derive(Debug)]
pub enum HealthError {
    /// No response.
    Silent(SocketAddr, io::Error),
    /// A response other than 200, with its status line.
    NotReady(SocketAddr, String),
}

impl fmt::Display for HealthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(address, error) => {
                write!(f, "no answer from the admin listener at {address}: {error}")
            }
            Self::NotReady(address, line) => {
                write!(f, "the gateway at {address} is not ready: {line}")
            }
        }
    }
}

impl std::error::Error for HealthError {}

/// Sends `GET /readyz` to the admin listener bound to `address`; `limit` is the total time.
///
/// # Errors
///
/// [`HealthError`] unless the answer is 200.
pub fn ask(address: SocketAddr, limit: Duration) -> Result<(), HealthError> {
    let address = reachable(address);
    let line = status_line(address, limit).map_err(|error| HealthError::Silent(address, error))?;
    // `HTTP/1.1 200 OK`
    if line.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(HealthError::NotReady(address, line.escape_debug().to_string()))
}

/// The body of a 200 response to `GET path`; `limit` is the total time.
///
/// # Errors
///
/// [`HealthError`] unless the status is 200.
pub fn body(address: SocketAddr, path: &str, limit: Duration) -> Result<Vec<u8>, HealthError> {
    let address = reachable(address);
    let silent = |error| HealthError::Silent(address, error);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let response = exchange(address, &request, limit, |_| false).map_err(silent)?;
    let Some(end) = response.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Err(silent(io::ErrorKind::UnexpectedEof.into()));
    };
    let (head, body) = response.split_at(end + 4);
    let line = String::from_utf8_lossy(head).lines().next().unwrap_or_default().to_owned();
    if line.split(' ').nth(1) == Some("200") {
        return Ok(body.to_vec());
    }
    let why = String::from_utf8_lossy(body).trim().to_owned();
    Err(HealthError::NotReady(address, format!("{line}: {why}").escape_debug().to_string()))
}

fn status_line(address: SocketAddr, limit: Duration) -> io::Result<String> {
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let is_enough = |bytes: &[u8]| bytes.contains(&b'\n') || bytes.len() >= 4096;
    let bytes = exchange(address, request, limit, is_enough)?;
    if !bytes.contains(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).trim_end().to_owned())
}

/// Sends a request and reads until the response is complete or the connection ends.
fn exchange(
    address: SocketAddr,
    request: &str,
    limit: Duration,
    is_enough: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + limit;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        Ok(left)
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !is_enough(&bytes) {
        stream.set_read_timeout(Some(left()?))?;
        let count = stream.read(&mut piece)?;
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&piece[..count]);
    }
    Ok(bytes)
}

/// The address by which this host reaches a socket bound to `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn unspecified_addresses_map_to_loopback() {
        let table = [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")];
        for (bound, expected) in table {
            let bound = bound.parse().expect("an address");
            assert_eq!(reachable(bound).to_string(), expected);
        }
    }
}
