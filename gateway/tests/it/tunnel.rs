//! Clients and upstreams of WebSocket over HTTP/2 (RFC 8441).

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use bytes::Bytes;
use gateway::http::websocket::accept;
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::client::field;
use crate::gateway::Gateway;
use crate::upstream::{Upstream, response};

/// A client's side of an open tunnel.
pub struct Tunnel {
    pub send: SendStream<Bytes>,
    receive: RecvStream,
}

impl Tunnel {
    pub fn send(&mut self, text: &'static str) {
        self.send.send_data(Bytes::from(text), false).expect("an open stream");
    }

    pub async fn next(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let piece = self.receive.data().await?;
        if let Ok(piece) = &piece {
            self.receive.flow_control().release_capacity(piece.len()).expect("a held window");
        }
        Some(piece)
    }

    /// What comes until the given number of bytes is there.
    pub async fn take(&mut self, bytes: usize) -> String {
        let mut taken = Vec::new();
        while taken.len() < bytes {
            taken.extend(self.next().await.expect("more data").expect("an open stream"));
        }
        String::from_utf8(taken).expect("text")
    }

    /// Everything up to END_STREAM.
    pub async fn rest(&mut self) -> String {
        let mut taken = Vec::new();
        while let Some(piece) = self.next().await {
            taken.extend(piece.expect("an orderly end"));
        }
        String::from_utf8(taken).expect("text")
    }

    /// Why the stream was reset.
    pub async fn reset(&mut self) -> Reason {
        loop {
            match self.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.reason().expect("a reset"),
                None => panic!("an orderly end"),
            }
        }
    }
}

pub async fn connect(gateway: &Gateway) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(gateway.address).await.expect("a listening gateway");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let mut sender = sender.ready().await.expect("an open connection");
    // The settings come with the first response.
    let request = Request::get("http://t/none").body(()).expect("a request");
    let (response, _) = sender.send_request(request, true).expect("a stream");
    let _ = response.await.expect("a response");
    assert!(sender.is_extended_connect_protocol_enabled());
    sender
}

/// Sends an extended CONNECT, with data right behind it.
pub async fn ask(
    sender: &mut SendRequest<Bytes>,
    protocol: &'static str,
    path: &str,
    early: &'static str,
) -> (Response<()>, Tunnel) {
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://t{path}"))
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
        .header("origin", "http://o")
        .body(())
        .expect("a request");
    let (response, mut send) = sender.send_request(request, false).expect("a stream");
    if !early.is_empty() {
        send.send_data(Bytes::from(early), false).expect("an open stream");
    }
    let (head, receive) = response.await.expect("a response").into_parts();
    (Response::from_parts(head, ()), Tunnel { send, receive })
}

/// An upstream of HTTP/1 that answers `GET /none` and sends what `handshake` makes of the key and the
/// path otherwise, then echoes lines until `bye`.
pub fn http1_upstream(handshake: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |head, client| {
        if head.starts_with("GET /none ") {
            client.send(response(200, "x"));
            return true;
        }
        let key = field(head, "sec-websocket-key").expect("a key");
        let answer = handshake(key, head);
        client.send(&answer);
        if !answer.starts_with("HTTP/1.1 101") {
            return true;
        }
        loop {
            let line = client.until(b"\n");
            if line == b"bye\n" {
                return false;
            }
            client.send(line);
        }
    })
}

pub fn agreed(key: &str) -> String {
    let accept = String::from_utf8(accept(key.as_bytes()).to_vec()).expect("base64");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
    )
}

/// An upstream of HTTP/2 that echoes in tunnels until `bye`. It refuses those for `/no` with 403 and
/// resets those for `/cut`. The heads of requests come out of the channel.
pub fn http2_upstream(allows_connect: bool) -> (SocketAddr, Receiver<Request<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    listener.set_nonblocking(true).expect("a socket");
    let (heads, receiver) = channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((stream, _)) = listener.accept().await {
                let heads = heads.clone();
                tokio::spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    if allows_connect {
                        builder.enable_connect_protocol();
                    }
                    let mut connection = builder.handshake::<_, Bytes>(stream).await.expect("HTTP/2");
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let (parts, body) = request.into_parts();
                        let path = parts.uri.path().to_owned();
                        let is_connect = parts.method == Method::CONNECT;
                        let _ = heads.send(Request::from_parts(parts, ()));
                        tokio::spawn(serve(path, is_connect, body, respond));
                    }
                });
            }
        });
    });
    (address, receiver)
}

async fn serve(
    path: String,
    is_connect: bool,
    mut body: RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
) {
    let status = if path == "/no" { 403 } else { 200 };
    let mut head = Response::builder().status(status).header("sec-websocket-protocol", "chat");
    if is_connect && status == 200 {
        // A length means nothing in this response (RFC 9110 section 9.3.6).
        head = head.header("content-length", "0");
    }
    let head = head.body(()).expect("a response");
    let mut send = respond.send_response(head, !is_connect).expect("an open stream");
    if !is_connect {
        return;
    }
    if status != 200 {
        send.send_data(Bytes::from("no"), true).expect("an open stream");
        return;
    }
    while let Some(Ok(piece)) = body.data().await {
        body.flow_control().release_capacity(piece.len()).expect("a held window");
        if path == "/cut" {
            send.send_reset(Reason::INTERNAL_ERROR);
            return;
        }
        if piece.ends_with(b"bye\n") {
            break;
        }
        send.send_data(piece, false).expect("an open stream");
    }
    let _ = send.send_data(Bytes::new(), true);
}

pub fn before_http2(address: SocketAddr) -> Gateway {
    Gateway::start(&format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[upstreams.a]\nendpoints = ['h2c://{address}']\n\
         [[routes]]\nupstream = 'a'\nmethods = ['GET']\n"
    ))
}

/// The line of the access log about a path.
pub fn logged(gateway: &Gateway, path: &str) -> String {
    loop {
        let line = gateway.logged();
        if line.contains(&format!("\"path\":\"{path}\"")) {
            return line;
        }
    }
}
