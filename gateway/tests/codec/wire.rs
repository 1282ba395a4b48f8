//! One end of a connection in raw frames, and small servers and clients of the codec.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::time::Duration;

use gateway::http::fields::Fields;
use gateway::http2::{BodyEvent, Control, PREFACE, Refusal, Request, Settings, Stream, StreamError, serve};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::{LocalSet, spawn_local};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PROTOCOL_ERROR: u32 = 1;
pub const REFUSED_STREAM: u32 = 7;
pub const CALM: u32 = 11;

/// Runs a test on one thread; a test that waits for ever fails.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test hangs");
    });
}

/// A field without indexing or Huffman code.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        match u8::try_from(text.len()) {
            Ok(len) if len < 127 => out.push(len),
            _ => {
                let rest = text.len() - 127;
                assert!(rest < 1 << 21);
                let low = |value: usize| value.to_le_bytes()[0];
                out.extend([127, low(rest) | 128, low(rest >> 7) | 128, low(rest >> 14)]);
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
    out
}

pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// `GET http://a/` and more fields.
pub fn get(more: &[(&str, &str)]) -> Vec<u8> {
    [&[0x82, 0x86, 0x84, 0x01, 1, b'a'], &block(more)[..]].concat()
}

/// `POST http://a/` and more fields.
pub fn post(more: &[(&str, &str)]) -> Vec<u8> {
    [&[0x83, 0x86, 0x84, 0x01, 1, b'a'], &block(more)[..]].concat()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("a code"))
    }

    /// The last stream of GOAWAY.
    pub fn last(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().expect("a stream"))
    }
}

/// An end of a connection.
pub struct Wire {
    pub io: DuplexStream,
}

impl Wire {
    /// A client of a server of the codec, past the exchange of settings.
    pub async fn client(settings: Settings) -> (Self, Control) {
        let (ours, theirs) = duplex(1 << 20);
        let control = answer_all(theirs, settings);
        let mut wire = Self { io: ours };
        wire.io.write_all(PREFACE).await.expect("the preface");
        wire.send(SETTINGS, 0, 0, &[]).await;
        wire.send(SETTINGS, ACK, 0, &[]).await;
        wire.until(|frame| frame.kind == SETTINGS && frame.flags == ACK).await;
        (wire, control)
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.try_send(kind, flags, stream, payload).await.expect("a frame is sent");
    }

    pub async fn try_send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        let len = u32::try_from(payload.len()).expect("a length");
        let mut frame = len.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.io.write_all(&frame).await
    }

    /// A field block in frames of 16 KB.
    pub async fn send_block(&mut self, flags: u8, stream: u32, block: &[u8]) {
        let last = block.chunks(16_384).count() - 1;
        for (number, piece) in block.chunks(16_384).enumerate() {
            let (kind, flags) = if number == 0 { (HEADERS, flags) } else { (CONTINUATION, 0) };
            let flags = if number == last { flags | END_HEADERS } else { flags };
            self.send(kind, flags, stream, piece).await;
        }
    }

    /// The next frame; nothing at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; len];
        self.io.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame that is wanted; others are passed over.
    pub async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection ended");
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// The status of the response on a stream: 200, 204, 206, 304, 400, 404, 500 by index, else by
    /// digits.
    pub async fn status(&mut self, stream: u32) -> u16 {
        let frame = self.until(|frame| frame.stream == stream && frame.kind != WINDOW_UPDATE).await;
        assert_eq!(frame.kind, HEADERS, "{frame:?}");
        status_of(&frame.payload)
    }
}

pub fn status_of(block: &[u8]) -> u16 {
    match block {
        [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        [0x08, 3, digits @ ..] => digits[..3].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')),
        _ => panic!("no status first: {block:?}"),
    }
}

/// Serves a connection: bodies come back, with their trailers; `/wait` is never answered; `/early` is
/// answered before its body is read. The result for a head comes back as `x-seen`.
pub fn answer_all<S>(io: S, settings: Settings) -> Control
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut driver = serve(io, &[], Rc::new(settings));
    let control = driver.control();
    spawn_local(async move {
        while let Some(request) = poll_fn(|cx| driver.poll_request(cx)).await {
            spawn_local(async move {
                // The client ends streams in the middle in some tests.
                let _ = answer(request).await;
            });
        }
    });
    control
}

async fn answer(request: Request) -> Result<(), StreamError> {
    let Request { head, refused, stream } = request;
    let mut fields = Fields::new();
    if let Some(refusal) = refused {
        let status = if refusal == Refusal::HeadTooLarge { 431 } else { 400 };
        return stream.send_head(status, &fields, true);
    }
    match head.path() {
        Some(b"/wait") => {
            poll_fn(|cx| stream.poll_reset(cx)).await;
            return Ok(());
        }
        Some(b"/early") => return stream.send_head(413, &fields, true),
        Some(b"/interim") => stream.send_interim(103, &fields)?,
        _ => {}
    }
    for field in head.fields.iter() {
        fields.push(b"x-seen", &[field.name, b"=", field.value].concat());
    }
    if let Some(protocol) = head.protocol() {
        fields.push(b"x-protocol", protocol);
    }
    if head.method() == b"HEAD" {
        fields.push(b"content-length", b"5");
        return stream.send_head(200, &fields, true);
    }
    let known = head.fields.named(b"x-key").next() == Some(b"value");
    stream.send_head(if known { 206 } else { 200 }, &fields, false)?;
    loop {
        match poll_fn(|cx| stream.poll_body(cx)).await? {
            BodyEvent::Data(piece) => {
                send_all(&stream, &piece, false).await?;
                stream.release(piece.len());
            }
            BodyEvent::Trailers(trailers) => return stream.send_trailers(&trailers),
            BodyEvent::End => return send_all(&stream, b"", true).await,
        }
    }
}

pub async fn send_all(stream: &Stream, mut data: &[u8], end: bool) -> Result<(), StreamError> {
    loop {
        let sent = poll_fn(|cx| stream.poll_send(cx, data, end)).await?;
        data = &data[sent..];
        if data.is_empty() {
            return Ok(());
        }
    }
}

/// The whole body with its trailers.
pub async fn read_all(stream: &Stream) -> Result<(Vec<u8>, Option<Fields>), StreamError> {
    let (mut body, mut trailers) = (Vec::new(), None);
    loop {
        match poll_fn(|cx| stream.poll_body(cx)).await? {
            BodyEvent::Data(piece) => {
                body.extend_from_slice(&piece);
                stream.release(piece.len());
            }
            BodyEvent::Trailers(fields) => trailers = Some(fields),
            BodyEvent::End => return Ok((body, trailers)),
        }
    }
}
