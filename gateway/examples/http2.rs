//! A small HTTP/2 server over plain TCP, for conformance tools and load generators.
//!
//!     cargo run --release -p gateway --example http2 -- 127.0.0.1:8080
//!
//! `GET` is answered with 1024 bytes, `GET /bytes/N` with N bytes, a request with a body with the
//! same body, and `/refuse` with 413 before the body was read.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;

use gateway::http::name::Name;
use gateway::http2::{BodyEvent, Refusal, Request, Settings, Stream, StreamError, fields, recycle, serve};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

static BODY: [u8; 65_536] = [b'x'; 65_536];

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args().nth(1).ok_or("usage: http2 ADDRESS")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(address).await?;
        let settings = Rc::new(Settings::default());
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            spawn_local(connection(socket, Rc::clone(&settings)));
        }
    })
}

async fn connection(socket: TcpStream, settings: Rc<Settings>) {
    let mut driver = serve(socket, &[], settings);
    while let Some(request) = poll_fn(|cx| driver.poll_request(cx)).await {
        spawn_local(async move {
            // A client that goes away is no fault.
            let _ = answer(request).await;
        });
    }
}

async fn answer(request: Request) -> Result<(), StreamError> {
    let Request { head, refused, stream } = request;
    let mut fields = fields();
    if let Some(refusal) = refused {
        let status = if refusal == Refusal::HeadTooLarge { 431 } else { 400 };
        return stream.send_head(status, &fields, true);
    }
    fields.add(Name::ContentType, b"text/plain");
    if head.path() == Some(b"/refuse") {
        stream.send_head(413, &fields, false)?;
        return send(&stream, b"too large\n", true).await;
    }
    if !stream.is_received() {
        stream.send_head(200, &fields, false)?;
        return echo(&stream).await;
    }
    let len = match head.path().and_then(|path| path.strip_prefix(b"/bytes/")) {
        Some(digits) => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0),
        None => 1024,
    };
    fields.write(Name::ContentLength, |value| value.extend_from_slice(len.to_string().as_bytes()));
    if head.method() == b"HEAD" {
        return stream.send_head(200, &fields, true);
    }
    stream.send_head(200, &fields, len == 0)?;
    recycle(fields);
    recycle(head.fields);
    let mut left = len;
    while left > 0 {
        let piece = BODY.get(..left.min(BODY.len())).unwrap_or_default();
        left -= piece.len();
        send(&stream, piece, left == 0).await?;
    }
    Ok(())
}

async fn echo(stream: &Stream) -> Result<(), StreamError> {
    loop {
        match poll_fn(|cx| stream.poll_body(cx)).await? {
            BodyEvent::Data(piece) => {
                send(stream, &piece, false).await?;
                stream.release(piece.len());
            }
            BodyEvent::Trailers(trailers) => return stream.send_trailers(&trailers),
            BodyEvent::End => return send(stream, b"", true).await,
        }
    }
}

async fn send(stream: &Stream, mut data: &[u8], end: bool) -> Result<(), StreamError> {
    loop {
        let sent = poll_fn(|cx| stream.poll_send(cx, data, end)).await?;
        data = data.get(sent..).unwrap_or_default();
        if data.is_empty() {
            return Ok(());
        }
    }
}
