//! Services behind the gateway.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::client::{Client, field};

/// A service that counts its connections and requests.
pub struct Upstream {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Upstream {
    /// Runs `serve` for each request with its head; a connection ends when it returns false.
    pub fn start(serve: impl Fn(&str, &mut Client) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let serve = Arc::new(serve);
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, count_requests) = (Arc::clone(&connections), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                let requests = Arc::clone(&count_requests);
                thread::spawn(move || {
                    let mut client = Client::of(stream);
                    while let Some(head) = client.next_head() {
                        requests.fetch_add(1, Ordering::SeqCst);
                        if !serve(&head, &mut client) {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, connections, requests }
    }

    /// Answers each request with its own head and body.
    pub fn echo() -> Self {
        Self::start(|head, client| {
            let body = client.body(head);
            let text = format!("{head}{body}");
            client.send(response(200, &text));
            true
        })
    }

    /// Answers each request with a text.
    pub fn saying(text: &'static str) -> Self {
        Self::start(move |head, client| {
            client.body(head);
            client.send(response(200, text));
            true
        })
    }

    /// Answers each request with these bytes and closes.
    pub fn raw(bytes: &'static [u8]) -> Self {
        Self::start(move |_, client| {
            client.send(bytes);
            false
        })
    }

    /// An address where nobody listens.
    pub fn nowhere() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("bound")
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A response with a text.
pub fn response(status: u16, text: &str) -> String {
    format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

/// The request target of a head.
pub fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// The value of a field of the request that an echoing upstream sent back.
pub fn echoed<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    field(body, name)
}
