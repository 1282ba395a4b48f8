//! HTTP/1.1, as far as a proxy of one request a connection needs it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::TcpStream;

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The length of the body that was announced.
    pub(crate) length: usize,
}

pub(super) struct Request {
    pub(super) seen: Seen,
    pub(super) lines: Vec<String>,
}

/// An answer of the registry, read to its end.
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let line =
            self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }

    pub(super) fn replace(&mut self, name: &str, value: &str) {
        let prefix = format!("{}:", name.to_ascii_lowercase());
        let kept =
            self.head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with(&prefix));
        let kept: Vec<_> = kept.collect();
        self.head = format!("{}\r\n{name}: {value}\r\n\r\n", kept.join("\r\n"));
    }
}

/// A whole answer.
pub(super) fn text(status: u16, headers: &[(&str, String)], body: &str) -> String {
    let mut out = format!("HTTP/1.1 {status} Fault\r\nConnection: close\r\n");
    for (name, value) in headers {
        out.extend([name, ": ", value, "\r\n"]);
    }
    if status != 204 {
        out.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    out + "\r\n" + body
}

/// A request's head but for its last byte; none where the connection ends first.
pub(super) fn read_head(client: &mut impl Read) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r") {
        let mut byte = [0];
        if client.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let lines: Vec<_> = head.trim_end().lines().map(str::to_owned).collect();
    let mut words = lines.first().map_or("", String::as_str).split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: BTreeMap<_, _> = lines.iter().skip(1).filter_map(header).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    Ok(Some(Request { seen: Seen { method, target, headers, length }, lines }))
}

pub(super) fn read_body(client: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    Ok(body)
}

pub(super) fn discard(client: &mut impl Read, length: usize) -> io::Result<u64> {
    io::copy(&mut client.take(length as u64), &mut io::sink())
}

pub(super) fn read_answer(upstream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    upstream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let body = bytes.split_off(end);
    Ok(Answer { head: String::from_utf8_lossy(&bytes).into_owned(), body })
}
