//! Connections that the lab opens itself: where requests must come at a constant rate, rest, or be counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// A connection of HTTP/1.1 to the loopback.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    request: Arc<str>,
    held: Vec<u8>,
}

impl Connection {
    /// Opens one.
    pub async fn open(port: u16) -> Result<Self> {
        Self::open_with(port, "").await
    }

    /// Opens one for requests with these fields, each with CRLF behind it.
    pub async fn open_with(port: u16, fields: &str) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into();
        Ok(Self { stream, request, held: Vec::with_capacity(4096) })
    }

    /// Sends `GET /` and reads the whole response, which must be a success.
    pub async fn get(&mut self) -> Result<()> {
        match self.status().await? {
            200 => Ok(()),
            _ => bail!("no good response: {}", String::from_utf8_lossy(&self.held)),
        }
    }

    /// Sends `GET /` and reads the whole response, which must have a length; gives its status.
    pub async fn status(&mut self) -> Result<u16> {
        self.stream.write_all(self.request.as_bytes()).await?;
        self.held.clear();
        loop {
            if self.stream.read_buf(&mut self.held).await? == 0 {
                bail!("closed within a response");
            }
            let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.held[..end])?;
            let (status, length) =
                status_and_length(head).with_context(|| format!("no good response: {head}"))?;
            while self.held.len() < end + 4 + length {
                if self.stream.read_buf(&mut self.held).await? == 0 {
                    bail!("closed within a body");
                }
            }
            return Ok(status);
        }
    }

    /// Whether the other end keeps it open.
    pub fn is_open(&self) -> bool {
        let mut byte = [0];
        matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

/// The status of a response, and the length that it tells.
fn status_and_length(head: &str) -> Option<(u16, usize)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })?;
    Some((status, length))
}

/// Runs a future on a thread of its own.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

/// Opens connections, `together` at a time, and sends one request on each.
pub async fn open_all(port: u16, fields: &str, count: usize, together: usize) -> Result<Vec<Connection>> {
    let mut open = Vec::with_capacity(count);
    while open.len() < count {
        let mut tasks = JoinSet::new();
        for _ in 0..together.min(count - open.len()) {
            let fields = fields.to_owned();
            tasks.spawn(async move {
                let mut connection = Connection::open_with(port, &fields).await?;
                connection.get().await?;
                anyhow::Ok(connection)
            });
        }
        while let Some(connection) = tasks.join_next().await {
            open.push(connection??);
        }
    }
    Ok(open)
}

/// `rounds` requests on each of `count` connections, all connections at the same time.
pub async fn in_step(port: u16, fields: &str, count: usize, rounds: usize) -> Result<()> {
    let mut connections = open_all(port, fields, count, count).await?;
    for _ in 0..rounds {
        let mut tasks = JoinSet::new();
        for mut connection in connections.drain(..) {
            tasks.spawn(async move {
                connection.get().await?;
                anyhow::Ok(connection)
            });
        }
        while let Some(connection) = tasks.join_next().await {
            connections.push(connection??);
        }
    }
    Ok(())
}

/// Sends requests at a constant rate, whether answers come or not, and gives each one's seconds from the moment
/// at which it was due: what waits for a connection counts too (no coordinated omission).
pub fn at_rate(port: u16, connections: usize, rate: f64, time: f64) -> Result<Vec<f64>> {
    let (sender, receiver) = mpsc::unbounded_channel::<Instant>();
    let receiver = Arc::new(Mutex::new(receiver));
    let load = std::thread::spawn(move || {
        block_on(async move {
            let mut tasks = JoinSet::new();
            for _ in 0..connections {
                let receiver = Arc::clone(&receiver);
                tasks.spawn(async move {
                    let mut connection = Connection::open(port).await?;
                    connection.get().await?;
                    let mut latencies = Vec::new();
                    loop {
                        let Some(due) = receiver.lock().await.recv().await else {
                            return anyhow::Ok(latencies);
                        };
                        connection.get().await?;
                        latencies.push(due.elapsed().as_secs_f64());
                    }
                });
            }
            let mut all = Vec::new();
            while let Some(latencies) = tasks.join_next().await {
                all.extend(latencies??);
            }
            anyhow::Ok(all)
        })
    });
    // Connections open meanwhile.
    let start = Instant::now() + Duration::from_millis(300);
    let mut due = 0.0;
    while due < time {
        let moment = start + Duration::from_secs_f64(due);
        if let Some(rest) = moment.checked_duration_since(Instant::now()) {
            std::thread::sleep(rest);
        }
        if sender.send(moment).is_err() {
            break;
        }
        due += 1.0 / rate;
    }
    drop(sender);
    match load.join() {
        Ok(latencies) => latencies?,
        Err(_) => bail!("the load's thread panicked"),
    }
}

/// The value below which `share` of all lie.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let at = ((values.len() as f64 * share).ceil() as usize).max(1) - 1;
    values.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert!((quantile(&mut values, 0.99) - 198.0).abs() < f64::EPSILON);
        assert!((quantile(&mut values, 1.0) - 200.0).abs() < f64::EPSILON);
        assert!(quantile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn lengths() {
        assert_eq!(status_and_length("HTTP/1.1 200 OK\r\nContent-Length: 12"), Some((200, 12)));
        assert_eq!(status_and_length("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 12"), Some((502, 12)));
        assert_eq!(status_and_length("HTTP/1.1 200 OK"), None);
    }
}
