//! An HTTP proxy in front of a registry that adds a delay to each request, and counts the round trips that follow
//! each other.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The longest head of a request or an answer.
const MAX_HEAD: u64 = 64 * 1024;

/// A running proxy; it runs as long as this process does.
pub struct DelayProxy {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Span>>>,
}

/// When a request came, and when its answer did.
type Span = (Instant, Instant);

/// Requests since the last count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    /// Requests.
    pub requests: usize,
    /// The most requests of which each came after the answer to the one before.
    pub sequential: usize,
}

impl DelayProxy {
    /// Starts a proxy that passes each request to `registry` after `delay`.
    pub fn start(registry: &str, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (registry, spans) = (registry.to_owned(), Arc::clone(&seen));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (registry, spans) = (registry.clone(), Arc::clone(&spans));
                // A connection that ends early is the affair of the client that is measured.
                thread::spawn(move || serve(&client, &registry, delay, &spans));
            }
        });
        Ok(Self { address, seen })
    }

    /// Counts what came since the last call.
    pub fn take(&self) -> Count {
        let spans = std::mem::take(&mut *locked(&self.seen));
        Count { requests: spans.len(), sequential: sequential(spans) }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most spans of which none overlaps another: the earliest end is taken each time.
fn sequential<T: Ord + Copy>(mut spans: Vec<(T, T)>) -> usize {
    spans.sort_by_key(|(_, end)| *end);
    let (mut count, mut last) = (0, None);
    for (start, end) in spans {
        if last.is_none_or(|last| start >= last) {
            (count, last) = (count + 1, Some(end));
        }
    }
    count
}

/// Passes on the requests of one connection.
fn serve(client: &TcpStream, registry: &str, delay: Duration, seen: &Mutex<Vec<Span>>) -> io::Result<()> {
    // Answered at once, as a registry without TLS does it: crane tries TLS first, and waits 0.3 s for an answer.
    if is_tls(client)? {
        let mut client = client;
        if client.read(&mut [0; 4096])? == 0 {
            return Ok(());
        }
        return client_write(client, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    }
    let registry = TcpStream::connect(registry)?;
    for stream in [client, &registry] {
        stream.set_nodelay(true)?;
    }
    let (mut from_client, mut from_registry) = (BufReader::new(client), BufReader::new(&registry));
    loop {
        let request = head(&mut from_client)?;
        if request.is_empty() {
            return registry.shutdown(Shutdown::Both);
        }
        let start = Instant::now();
        thread::sleep(delay);
        (&registry).write_all(request.as_bytes())?;
        pass_body(&request, false, &mut from_client, &registry)?;
        let mut answer = head(&mut from_registry)?;
        while answer.starts_with("HTTP/1.1 1") {
            client_write(client, &answer)?;
            answer = head(&mut from_registry)?;
        }
        // Before the client has it, and may end.
        locked(seen).push((start, Instant::now()));
        client_write(client, &answer)?;
        let is_empty = request.starts_with("HEAD ")
            || [" 204 ", " 304 "].iter().any(|status| answer.get(8..13) == Some(status));
        if !is_empty {
            pass_body(&answer, true, &mut from_registry, client)?;
        }
        if answer.is_empty()
            || value(&answer, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
        {
            return client.shutdown(Shutdown::Both);
        }
    }
}

/// Whether a connection begins with a TLS handshake (RFC 8446, section 5.1).
fn is_tls(client: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    client.peek(&mut first)?;
    Ok(first == [22])
}

fn client_write(mut client: &TcpStream, text: &str) -> io::Result<()> {
    client.write_all(text.as_bytes())
}

/// A head with its empty line; nothing where the connection has ended.
fn head(from: &mut impl BufRead) -> io::Result<String> {
    let mut from = from.take(MAX_HEAD);
    let mut text = String::new();
    while from.read_line(&mut text)? > 0 && !text.ends_with("\r\n\r\n") {}
    Ok(text)
}

fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// Passes on the body that a head announces (RFC 9112, section 6.3). An answer without a length goes on to the end of
/// the connection.
fn pass_body(head: &str, is_answer: bool, from: &mut impl BufRead, mut to: &TcpStream) -> io::Result<()> {
    if value(head, "transfer-encoding").is_some() {
        return pass_chunks(from, to);
    }
    let length = value(head, "content-length").and_then(|text| text.parse().ok());
    let length = length.unwrap_or(if is_answer { u64::MAX } else { 0 });
    io::copy(&mut from.take(length), &mut to).map(drop)
}

/// Passes on chunks as they come (RFC 9112, section 7.1).
fn pass_chunks(from: &mut impl BufRead, mut to: &TcpStream) -> io::Result<()> {
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        to.write_all(line.as_bytes())?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            let mut end = String::new();
            while from.read_line(&mut end)? > 2 {}
            return to.write_all(end.as_bytes());
        }
        io::copy(&mut from.take(size + 2), &mut to)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_at_the_same_time_are_one_round_trip() {
        for (spans, expected) in [
            (vec![], 0),
            (vec![(0, 40)], 1),
            (vec![(0, 40), (1, 41), (2, 42)], 1),
            (vec![(0, 40), (1, 41), (41, 80), (42, 90)], 2),
            // One that takes long beside three that follow each other.
            (vec![(0, 200), (0, 40), (41, 80), (81, 120)], 3),
        ] {
            assert_eq!(sequential(spans.clone()), expected, "{spans:?}");
        }
    }

    #[test]
    fn the_proxy_forwards_all_bytes_and_counts_them() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (stream, _) = server.accept().unwrap();
            let mut from = BufReader::new(&stream);
            for answer in
                ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No Content\r\n\r\n"]
            {
                head(&mut from).unwrap();
                let mut body = String::new();
                while !body.ends_with("0\r\n\r\n") {
                    from.read_line(&mut body).unwrap();
                }
                assert_eq!(body, "3\r\nabc\r\n0\r\n\r\n");
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        });
        let proxy = DelayProxy::start(&address, Duration::from_millis(5)).unwrap();
        let client = TcpStream::connect(proxy.address).unwrap();
        let mut from = BufReader::new(&client);
        let ask = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let mut ok = [0; 2];
        (&client).write_all(ask.as_bytes()).unwrap();
        assert!(head(&mut from).unwrap().starts_with("HTTP/1.1 200"));
        from.read_exact(&mut ok).unwrap();
        (&client).write_all(ask.as_bytes()).unwrap();
        assert!(head(&mut from).unwrap().starts_with("HTTP/1.1 204"));
        assert_eq!((ok, proxy.take()), (*b"ok", Count { requests: 2, sequential: 2 }));
    }
}
