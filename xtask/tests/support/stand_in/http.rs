//! HTTP/1.1, as far as a server of one request a connection needs it.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A request; none where the connection ends first. One on its way through a proxy (CONNECT) is the one behind it.
pub(super) fn read(mut stream: &TcpStream) -> io::Result<Option<Asked>> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let (method, target) = (word(&line, 0), word(&line, 1));
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        if method == "CONNECT" {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            continue;
        }
        let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(name, value)| (name.to_owned(), value.replace("%3A", ":"))).collect();
        return Ok(Some(Asked { method, path: path.to_owned(), query, headers, body }));
    }
}

fn word(line: &str, number: usize) -> String {
    line.split_whitespace().nth(number).unwrap_or_default().to_owned()
}

/// An answer.
pub(super) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn error(status: u16, code: &str) -> Self {
        Self::new(status)
            .json(&format!(r#"{{"errors":[{{"code":"{code}","message":"{}"}}]}}"#, code.to_lowercase()))
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn json(self, text: &str) -> Self {
        self.with("Content-Type", "application/json").bytes(text.as_bytes())
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.body = bytes.to_vec();
        self
    }

    /// An answer that never comes: the connection ends.
    pub(super) fn none() -> Self {
        Self::new(0)
    }

    /// Puts a page in place of a refusal's body.
    pub(super) fn explain_by_page(&mut self) {
        if self.status >= 400 {
            self.headers.retain(|(name, _)| name != "Content-Type");
            self.headers.push(("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned()));
            let page = "<!doctype html><html><head><title>{}</title></head><body><h1>{}</h1></body></html>";
            self.body = page.replace("{}", &self.status.to_string()).into_bytes();
        }
    }

    /// Writes the names of headers in capitals.
    pub(super) fn shout(&mut self) {
        for (name, _) in &mut self.headers {
            name.make_ascii_uppercase();
        }
    }

    pub(super) fn write(&self, mut stream: &TcpStream, head_only: bool, has_length: bool) -> io::Result<()> {
        if self.status == 0 {
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {} Habit\r\nConnection: close\r\n", self.status);
        if self.status != 204 && (has_length || !head_only) {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;
        if head_only { Ok(()) } else { stream.write_all(&self.body) }
    }
}
