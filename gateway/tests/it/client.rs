//! A client of HTTP/1 that writes exactly the bytes it is given.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::gateway::PATIENCE;

/// A connection to a server.
pub struct Client {
    stream: TcpStream,
    held: Vec<u8>,
}

/// A response as it came over the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and fields.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// The value of a field in a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Sends one request and reads its response.
pub fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(address);
    client.send(request);
    client.answer()
}

/// GETs a path.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).expect("a listening server"))
    }

    /// A connection from another address of this machine.
    pub fn from(own: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((own, 0)).into()).expect("an address of the loopback");
        socket.connect(&address.into()).expect("a listening server");
        Self::of(socket.into())
    }

    /// A connection made elsewhere.
    pub fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, held: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("an open connection");
    }

    /// Writes the same bytes until the other end closes; false, since nothing can follow.
    pub fn send_until_broken(&mut self, bytes: &[u8]) -> bool {
        while self.stream.write_all(bytes).is_ok() {}
        false
    }

    /// The head that comes next.
    pub fn head(&mut self) -> String {
        let head = self.until(b"\r\n\r\n");
        String::from_utf8_lossy(&head).into_owned()
    }

    /// The head that comes next, unless the connection ends or stays silent before it.
    pub fn next_head(&mut self) -> Option<String> {
        while self.held.is_empty() {
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).ok().filter(|&count| count > 0)?;
            self.held.extend_from_slice(&bytes[..count]);
        }
        Some(self.head())
    }

    /// The same, if it comes in this time.
    pub fn head_within(&mut self, time: Duration) -> Option<String> {
        self.stream.set_read_timeout(Some(time)).expect("a socket");
        let head = self.next_head();
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        head
    }

    /// Bytes up to and with the given ones.
    pub fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self.held.windows(end.len()).position(|part| part == end);
            if let Some(at) = found {
                return self.held.drain(..at + end.len()).collect();
            }
            assert!(self.receive(), "ended before {end:?}: {}", self.held.escape_ascii());
        }
    }

    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.held.len() < count {
            assert!(self.receive(), "ended early: {}", self.held.escape_ascii());
        }
        self.held.drain(..count).collect()
    }

    /// Ends the sending direction.
    pub fn end(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("an open connection");
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.receive() {}
        std::mem::take(&mut self.held)
    }

    /// Everything up to the reset of the connection.
    pub fn until_reset(&mut self) -> Vec<u8> {
        let ended = self.stream.read_to_end(&mut self.held);
        assert_eq!(ended.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
        std::mem::take(&mut self.held)
    }

    fn receive(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(count) => {
                self.held.extend_from_slice(&bytes[..count]);
                count > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}; so far: {}", self.held.escape_ascii()),
        }
    }

    /// The response that comes next, interim ones left out.
    pub fn answer(&mut self) -> Answer {
        loop {
            let head = self.head();
            let status =
                head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
            if status == 100 {
                continue;
            }
            let body = self.body(&head);
            return Answer { status, head, body };
        }
    }

    /// The body that belongs to a head.
    pub fn body(&mut self, head: &str) -> String {
        let bytes = if let Some(length) = field(head, "content-length") {
            self.bytes(length.parse().expect("a length"))
        } else if field(head, "transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk() {
                body.extend(chunk);
            }
            self.until(b"\r\n");
            body
        } else {
            Vec::new()
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The chunk that comes next; none for the last, whose trailers follow.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n");
        let line = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(line.trim_end(), 16).expect("a chunk size");
        if size == 0 {
            return None;
        }
        let chunk = self.bytes(size);
        self.until(b"\r\n");
        Some(chunk)
    }
}
