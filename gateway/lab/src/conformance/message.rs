//! HTTP/1.1 messages read from a socket by the letter of RFC 9112, on either side of the gateway.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The longest a gateway may take for an answer that needs no waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none, and nothing says one.
    Nothing,
    Length(u64),
    Chunked,
    /// Up to the end of the connection.
    Close,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Message {
    /// Request line or status line.
    pub line: String,
    /// Fields in their order, names as they came.
    pub fields: Vec<(String, String)>,
    pub framing: Framing,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Whether the connection ended before the message did.
    pub cut: bool,
}

impl Message {
    /// All values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }
}

/// All values of a field in a list.
pub fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect()
}

/// A socket with what was read ahead of it.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Wire {
    /// Connects to a gateway.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Self::of(TcpStream::connect(address).context("connecting")?)
    }

    /// Over a connection that is there.
    pub fn of(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, held: Vec::new() })
    }

    /// Another limit for silence.
    pub fn patience(&self, time: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(time))?)
    }

    /// Writes bytes; that the other end closed already is no error, since an answer may wait.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Says that nothing more comes.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    fn fill(&mut self) -> Result<bool> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(count) => {
                self.held.extend_from_slice(&bytes[..count]);
                Ok(count > 0)
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                bail!("silent for too long; so far '{}'", self.held.escape_ascii())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// So many bytes, or fewer where the connection ended.
    pub fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.held.len() < count && self.fill()? {}
        let count = count.min(self.held.len());
        Ok(self.held.drain(..count).collect())
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Result<Vec<u8>> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.held))
    }

    /// Bytes up to and without the line's end; nothing where the connection ends before.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.held.windows(2).position(|two| two == b"\r\n") {
                let line = self.held.drain(..at).collect();
                self.held.drain(..2);
                return Ok(Some(line));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn fields(&mut self) -> Result<Option<Vec<(String, String)>>> {
        let mut fields = Vec::new();
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            if line.is_empty() {
                return Ok(Some(fields));
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            let Some((name, value)) = text.split_once(':') else { bail!("no field: {text}") };
            if name.is_empty() || name.ends_with([' ', '\t']) || name.starts_with([' ', '\t']) {
                bail!("no field name: '{name}'");
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
    }

    /// The request that comes next; nothing where the connection ends first.
    pub fn request(&mut self) -> Result<Option<Message>> {
        self.message(None)
    }

    /// The response that comes next to a request with this method; nothing where the connection ends first.
    pub fn response(&mut self, method: &str) -> Result<Option<Message>> {
        self.message(Some(method))
    }

    fn message(&mut self, answers: Option<&str>) -> Result<Option<Message>> {
        let Some(line) = self.line()? else {
            if self.held.is_empty() {
                return Ok(None);
            }
            bail!("ended within a line: {}", self.held.escape_ascii());
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        let fields = self.fields()?.with_context(|| format!("ended within a head: {line}"))?;
        let mut message = Message {
            line,
            fields,
            framing: Framing::Nothing,
            body: Vec::new(),
            trailers: Vec::new(),
            cut: false,
        };
        message.framing = framing(&message, answers)?;
        match message.framing {
            Framing::Nothing => {}
            Framing::Close => message.body = self.rest()?,
            Framing::Length(length) => {
                message.body = self.take(usize::try_from(length)?)?;
                message.cut = (message.body.len() as u64) < length;
            }
            Framing::Chunked => self.chunks(&mut message)?,
        }
        Ok(Some(message))
    }

    fn chunks(&mut self, message: &mut Message) -> Result<()> {
        message.cut = true;
        loop {
            let Some(line) = self.line()? else { return Ok(()) };
            let text = String::from_utf8_lossy(&line).into_owned();
            let digits = text.split(';').next().unwrap_or_default();
            let size =
                usize::from_str_radix(digits, 16).with_context(|| format!("no chunk line: '{text}'"))?;
            if size == 0 {
                let Some(trailers) = self.fields()? else { return Ok(()) };
                message.trailers = trailers;
                message.cut = false;
                return Ok(());
            }
            let chunk = self.take(size)?;
            let whole = chunk.len() == size;
            message.body.extend(chunk);
            if !whole {
                return Ok(());
            }
            let end = self.take(2)?;
            if end.len() < 2 {
                return Ok(());
            }
            if end != b"\r\n" {
                bail!("no line's end after a chunk: '{}'", end.escape_ascii());
            }
        }
    }
}

/// RFC 9112 section 6.3, strictly: whatever says two things is an error, also the same twice.
fn framing(message: &Message, answers: Option<&str>) -> Result<Framing> {
    let lengths = message.values("content-length");
    let codings = message.values("transfer-encoding");
    let status = message.status();
    if lengths.len() + codings.len() > 1 {
        bail!("framing told more than once: {:?}", message.fields);
    }
    if answers.is_some_and(|method| method == "HEAD")
        || (answers.is_some() && matches!(status, 100..200 | 204 | 304))
    {
        if matches!(status, 100..200 | 204) && lengths.len() + codings.len() > 0 {
            bail!("{status} with framing: {:?}", message.fields);
        }
        return Ok(Framing::Nothing);
    }
    match (lengths.first(), codings.first()) {
        (Some(length), _) => {
            if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
                bail!("no length: '{length}'");
            }
            Ok(Framing::Length(length.parse()?))
        }
        (_, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        (_, Some(coding)) => bail!("transfer coding '{coding}'"),
        _ if answers.is_some() => Ok(Framing::Close),
        _ => Ok(Framing::Nothing),
    }
}
