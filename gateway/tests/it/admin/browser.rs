//! A headless Chromium, driven by the DevTools protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::gateway::PATIENCE;

/// A page of a browser, ended with the test.
pub struct Page {
    child: Child,
    stream: TcpStream,
    next: u64,
    /// What the console and the network said went wrong.
    pub errors: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Page {
    pub fn open() -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
            .args(["--remote-debugging-port=0", "--no-first-run", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium");
        let said = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = said.lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("DevTools listening on")).expect("an address");
        std::thread::spawn(move || lines.for_each(drop));
        let address = line.split("ws://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        let path = target(address);
        let mut stream = TcpStream::connect(address).expect("the browser");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the browser");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a response");
            head.push(byte[0]);
        }
        let mut page = Self { child, stream, next: 0, errors: Vec::new(), _profile: profile };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page
    }

    /// Calls a method and waits for its result.
    pub fn call(&mut self, method: &str, params: impl Into<Option<Value>>) -> Value {
        let params = params.into();
        self.next += 1;
        let id = self.next;
        let text = json!({"id": id, "method": method, "params": params}).to_string();
        self.send(text.as_bytes());
        loop {
            let message: Value = serde_json::from_slice(&self.receive()).expect("JSON");
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        let is_error = match message["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => true,
            "Runtime.consoleAPICalled" => params["type"] == "error",
            "Log.entryAdded" => params["entry"]["level"] == "error",
            _ => false,
        };
        if is_error {
            self.errors.push(params.to_string());
        }
    }

    /// The value of an expression.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn wait_for(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate(expression) != true {
            assert!(Instant::now() < deadline, "never {expression}; {:?}", self.errors);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses and releases a key.
    pub fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if key == "Enter" && kind == "keyDown" {
                params["text"] = json!("\r");
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// The picture of what is in view, as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png", "optimizeForSpeed": false}));
        let text = shot["data"].as_str().expect("a picture");
        let mut picture = vec![0; text.len()];
        let length = STANDARD.decode_slice(text, &mut picture).expect("base64");
        picture.truncate(length);
        picture
    }

    /// Sends a text frame (RFC 6455 section 5.2), masked with zeros.
    fn send(&mut self, text: &[u8]) {
        // The length in two bytes, which may be fewer than it would take.
        let length = u16::try_from(text.len()).expect("a short message");
        let mut frame = vec![0x81, 0xfe];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text);
        self.stream.write_all(&frame).expect("the browser");
    }

    /// The next message.
    fn receive(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        loop {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).expect("a frame");
            let mut length = u64::from(head[1] & 0x7f);
            let more = match length {
                126 => 2,
                127 => 8,
                _ => 0,
            };
            if more > 0 {
                let mut bytes = [0; 8];
                self.stream.read_exact(&mut bytes[8 - more..]).expect("a length");
                length = u64::from_be_bytes(bytes);
            }
            let mut payload = vec![0; usize::try_from(length).expect("a length")];
            self.stream.read_exact(&mut payload).expect("a payload");
            message.extend_from_slice(&payload);
            if head[0] & 0x80 != 0 {
                return message;
            }
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path of the WebSocket of the first page.
fn target(address: &str) -> String {
    let address = address.parse().expect("an address");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = format!("GET /json/list HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = crate::client::ask(address, request);
        let list: Value = serde_json::from_str(&answer.body).expect("JSON");
        let page = list.as_array().and_then(|all| all.iter().find(|one| one["type"] == "page"));
        if let Some(url) = page.and_then(|page| page["webSocketDebuggerUrl"].as_str()) {
            let at = url.find("/devtools").expect("a path");
            return url[at..].to_owned();
        }
        assert!(Instant::now() < deadline, "no page: {list}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
