//! A client of HTTP/2 that sends whatever frames it is told to, also wrong ones (RFC 9113 section 4).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// Frame types, section 6.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags.
pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A list of fields.
pub type Fields = Vec<(String, String)>;

/// A frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It ended with a response.
    Response(Answer),
    /// It was reset with this code.
    Reset(u32),
    /// The connection ended with this code.
    Goaway(u32),
    /// The connection ended without a word.
    Closed,
}

/// A whole response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub fields: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
    pub interim: Vec<u16>,
}

impl Answer {
    /// All values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        super::message::values(&self.fields, name)
    }
}

#[derive(Debug, Default)]
struct Stream {
    answer: Answer,
    end: Option<Outcome>,
}

/// A connection.
pub struct Client {
    stream: TcpStream,
    held: Vec<u8>,
    decoder: fluke_hpack::Decoder<'static>,
    next: u32,
    streams: BTreeMap<u32, Stream>,
    /// Settings of the gateway.
    pub settings: BTreeMap<u16, u32>,
    /// Codes and last streams of the GOAWAY frames so far.
    pub goaways: Vec<(u32, u32)>,
    /// Bytes of DATA so far.
    pub received: usize,
    /// Whether DATA is paid back with WINDOW_UPDATE.
    pub pays: bool,
    /// Bytes of WINDOW_UPDATE for the connection so far.
    pub window: u64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Client").field("next", &self.next).finish_non_exhaustive()
    }
}

/// A field list without compression.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        // Literal without indexing, new name (RFC 7541 section 6.2.2).
        bytes.push(0);
        for text in [name, value] {
            integer(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
#[allow(clippy::cast_possible_truncation)] // Seven bits each.
fn integer(bytes: &mut Vec<u8>, value: usize) {
    if value < 127 {
        bytes.push(value as u8);
        return;
    }
    bytes.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        bytes.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    bytes.push(rest as u8);
}

impl Client {
    /// Connects and exchanges settings.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Self::open_with(address, &[])
    }

    /// The same with settings of its own.
    pub fn open_with(address: SocketAddr, settings: &[(u16, u32)]) -> Result<Self> {
        let stream = TcpStream::connect(address).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_write_timeout(Some(Duration::from_secs(5)))?;
        let mut client = Self {
            stream,
            held: Vec::new(),
            decoder: fluke_hpack::Decoder::new(),
            next: 1,
            streams: BTreeMap::new(),
            settings: BTreeMap::new(),
            goaways: Vec::new(),
            received: 0,
            pays: true,
            window: 0,
        };
        client.write(PREFACE);
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
            .collect();
        client.frame(SETTINGS, 0, 0, &payload);
        while client.settings.is_empty() {
            let frame = client.read()?.context("closed before SETTINGS")?;
            client.take(frame)?;
        }
        Ok(client)
    }

    /// Another limit for silence.
    pub fn patience(&self, time: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(time))?)
    }

    /// Writes bytes; false where the connection has ended.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Writes a frame.
    #[allow(clippy::cast_possible_truncation)] // A frame is shorter than 2^24.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        self.write(&bytes)
    }

    /// The next stream of this client.
    pub fn stream(&mut self) -> u32 {
        let id = self.next;
        self.next += 2;
        id
    }

    /// Sends fields as HEADERS and as many CONTINUATION as they need.
    pub fn headers(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) -> bool {
        let block = block(fields);
        let parts: Vec<&[u8]> = block.chunks(16_384).collect();
        let mut good = true;
        for (index, part) in parts.iter().enumerate() {
            let last = if index + 1 == parts.len() { END_HEADERS } else { 0 };
            good = if index == 0 {
                self.frame(HEADERS, last | u8::from(end), stream, part)
            } else {
                self.frame(CONTINUATION, last, stream, part)
            };
        }
        good
    }

    /// Sends a request without a body on a new stream.
    pub fn request(&mut self, fields: &[(&str, &str)]) -> u32 {
        let stream = self.stream();
        self.headers(stream, fields, true);
        stream
    }

    /// Sends `GET` of a path on a new stream.
    pub fn get(&mut self, path: &str) -> u32 {
        self.request(&[(":method", "GET"), (":scheme", "http"), (":authority", "t"), (":path", path)])
    }

    /// The next frame; nothing where the connection ends.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        loop {
            if self.held.len() >= 9 {
                let length = usize::from(self.held[0]) << 16
                    | usize::from(self.held[1]) << 8
                    | usize::from(self.held[2]);
                if self.held.len() >= 9 + length {
                    let bytes: Vec<u8> = self.held.drain(..9 + length).collect();
                    ensure!(length <= 16_384, "a frame of {length} bytes");
                    return Ok(Some(Frame {
                        kind: bytes[3],
                        flags: bytes[4],
                        stream: number(&bytes[5..9]) & 0x7fff_ffff,
                        payload: bytes[9..].to_vec(),
                    }));
                }
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(None),
                Ok(count) => self.held.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => bail!("silent for too long"),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes a frame into account, and answers what must be answered.
    pub fn take(&mut self, frame: Frame) -> Result<()> {
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => {
                for pair in frame.payload.chunks_exact(6) {
                    self.settings.insert(u16::from_be_bytes([pair[0], pair[1]]), number(&pair[2..6]));
                }
                self.settings.entry(0).or_default();
                self.frame(SETTINGS, ACK, 0, &[]);
            }
            PING if frame.flags & ACK == 0 => {
                self.frame(PING, ACK, 0, &frame.payload);
            }
            GOAWAY => {
                ensure!(frame.payload.len() >= 8, "a short GOAWAY");
                self.goaways.push((number(&frame.payload[4..8]), number(&frame.payload[..4]) & 0x7fff_ffff));
            }
            WINDOW_UPDATE if frame.stream == 0 => self.window += u64::from(number(&frame.payload)),
            RST_STREAM => {
                let code = number(&frame.payload);
                self.streams.entry(frame.stream).or_default().end.get_or_insert(Outcome::Reset(code));
            }
            DATA => {
                self.received += frame.payload.len();
                if self.pays && !frame.payload.is_empty() {
                    #[allow(clippy::cast_possible_truncation)] // A frame is short.
                    let count = (frame.payload.len() as u32).to_be_bytes();
                    self.frame(WINDOW_UPDATE, 0, 0, &count);
                    if frame.flags & END_STREAM == 0 {
                        self.frame(WINDOW_UPDATE, 0, frame.stream, &count);
                    }
                }
                let stream = self.streams.entry(frame.stream).or_default();
                stream.answer.body.extend(&frame.payload);
                if frame.flags & END_STREAM != 0 {
                    stream.end.get_or_insert(Outcome::Response(stream.answer.clone()));
                }
            }
            HEADERS => {
                let mut payload = frame.payload;
                let mut flags = frame.flags;
                while flags & END_HEADERS == 0 {
                    let more = self.read()?.context("closed within a field list")?;
                    ensure!(more.kind == CONTINUATION, "a frame of type {} within a field list", more.kind);
                    payload.extend(more.payload);
                    flags |= more.flags & END_HEADERS;
                }
                let list =
                    self.decoder.decode(&payload).map_err(|error| anyhow::anyhow!("HPACK: {error:?}"))?;
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                let list: Fields = list.into_iter().map(|(name, value)| (text(name), text(value))).collect();
                let stream = self.streams.entry(frame.stream).or_default();
                let status = list.iter().find(|(name, _)| name == ":status");
                match status.map(|(_, status)| status.parse::<u16>().unwrap_or_default()) {
                    Some(status @ 100..200) => stream.answer.interim.push(status),
                    Some(status) => {
                        stream.answer.status = status;
                        stream.answer.fields = list;
                    }
                    None => stream.answer.trailers = list,
                }
                if flags & END_STREAM != 0 {
                    stream.end.get_or_insert(Outcome::Response(stream.answer.clone()));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads until the stream has ended.
    pub fn outcome(&mut self, stream: u32) -> Result<Outcome> {
        self.until(stream, |stream| stream.end.is_some())?;
        let ended =
            |client: &Self| client.goaways.last().map_or(Outcome::Closed, |(code, _)| Outcome::Goaway(*code));
        Ok(self.streams.get(&stream).and_then(|stream| stream.end.clone()).unwrap_or_else(|| ended(self)))
    }

    /// Reads until the stream has this interim response, or has ended.
    pub fn interim(&mut self, stream: u32, status: u16) -> Result<bool> {
        let there = |stream: &Stream| stream.answer.interim.contains(&status);
        self.until(stream, |stream| there(stream) || stream.end.is_some())?;
        Ok(self.streams.get(&stream).is_some_and(there))
    }

    /// Reads until the stream has the head of its response and so many bytes of its body, or has ended.
    pub fn begun(&mut self, stream: u32, bytes: usize) -> Result<Answer> {
        self.until(stream, |stream| {
            stream.answer.status != 0 && stream.answer.body.len() >= bytes || stream.end.is_some()
        })?;
        Ok(self.streams.get(&stream).map(|stream| stream.answer.clone()).unwrap_or_default())
    }

    fn until(&mut self, stream: u32, done: impl Fn(&Stream) -> bool) -> Result<()> {
        while !self.streams.get(&stream).is_some_and(&done) {
            let Some(frame) = self.read()? else { return Ok(()) };
            self.take(frame)?;
            // A connection that failed answers no more.
            if self.goaways.last().is_some_and(|(code, _)| *code != 0) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The connection still works.
    pub fn alive(&mut self) -> Result<()> {
        let stream = self.get("/behind");
        match self.outcome(stream)? {
            Outcome::Response(answer) if answer.status == 200 => Ok(()),
            other => bail!("the connection's next request: {other:?}"),
        }
    }
}

/// Four bytes as a number.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let long = "x".repeat(1000);
        let bytes = block(&[(":path", "/"), ("x-long", &long)]);
        let list = fluke_hpack::Decoder::new().decode(&bytes).expect("a field list");
        assert_eq!(list[0], (b":path".to_vec(), b"/".to_vec()));
        assert_eq!(list[1].1, long.as_bytes());
    }
}
