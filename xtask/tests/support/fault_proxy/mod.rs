//! A real HTTP proxy in front of a real registry that misbehaves on request.
//!
//! Requests pass through unchanged until a rule says otherwise; each rule holds for a number of
//! requests. The proxy can also want tokens as ghcr.io does ([`Guard`]), and keep the uploads that
//! broke so that they can be taken up again, which Debian's registry does not.
//!
//! One request a connection, a thread for each; nothing depends on timing.

mod chance;
mod guard;
mod http;
mod uploads;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

pub(crate) use guard::Guard;
use http::{Request, Seen, discard, read_answer, read_body, read_head, text};

/// A fault.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This answer, without asking the registry: a status, headers, a body.
    Answer(u16, Vec<(&'static str, String)>, &'static str),
    /// The registry's answer, cut off after so many bytes of its body.
    CutAnswer(usize),
    /// The registry's answer, its connection reset after so many bytes of its body.
    Reset(usize),
    /// So many bytes of the registry's answer, then silence.
    Stall(usize),
    /// The registry's answer a byte at a time, with so many milliseconds between.
    Drip(u64),
    /// The registry's answer with one bit of this byte of its body flipped.
    Corrupt(usize),
    /// The registry's answer with this header instead of its own.
    Header(&'static str, String),
    /// The registry's answer to the request without its `Range`.
    IgnoreRange,
    /// A redirect to the same path at another `host:port`.
    Redirect(String),
    /// So many bytes of the request's body are taken, then the connection ends.
    CutRequest(usize),
    /// The registry does what was asked, and its answer gets lost.
    LoseAnswer,
    /// The registry's answer after so many milliseconds.
    Slow(u64),
}

struct Rule {
    method: &'static str,
    part: String,
    left: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    guard: Option<Guard>,
    /// Issued tokens: whether they may push, and the requests that they are good for.
    tokens: BTreeMap<String, (bool, usize)>,
    resumable: bool,
    uploads: BTreeMap<String, Vec<u8>>,
    /// The share of requests that go wrong, in percent; where the chance is; how many have.
    chaos: (u64, u64, usize),
}

struct Shared {
    upstream: SocketAddr,
    address: SocketAddr,
    state: Mutex<State>,
    stopped: AtomicBool,
    stop: (Mutex<()>, Condvar),
}

/// A running proxy; it ends with this value.
pub(crate) struct FaultProxy(Arc<Shared>);

impl FaultProxy {
    /// Starts a proxy in front of `upstream`, on a free port.
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let shared = Arc::new(Shared {
            upstream,
            address: listener.local_addr().expect("an address"),
            state: Mutex::default(),
            stopped: AtomicBool::new(false),
            stop: Default::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A client that goes away in the middle is what some tests are about.
                thread::spawn(move || stream.and_then(|stream| shared.serve(&stream)));
            }
        });
        Self(shared)
    }

    /// Its `host:port`, as in an image name.
    pub(crate) fn registry(&self) -> String {
        self.0.address.to_string()
    }

    /// From now on, the next `times` requests with this method and this part of a path go wrong so.
    pub(crate) fn on(&self, method: &'static str, part: impl Into<String>, times: usize, fault: Fault) {
        self.state().rules.push(Rule { method, part: part.into(), left: times, fault });
    }

    /// Nothing more goes wrong by a rule.
    #[allow(dead_code, reason = "not every test changes its rules")]
    pub(crate) fn forget(&self) {
        self.state().rules.clear();
    }

    /// From now on, tokens are wanted.
    pub(crate) fn guard(&self, guard: Guard) {
        self.state().guard = Some(guard);
    }

    /// From now on, uploads are kept here until they are whole, and can be taken up again.
    pub(crate) fn resumable(&self) {
        self.state().resumable = true;
    }

    /// From now on, this share of requests goes wrong, each in one of the ways that ghcr.io is known for.
    #[allow(dead_code, reason = "not every test is about chance")]
    pub(crate) fn chaos(&self, percent: u64, seed: u64) {
        self.state().chaos = (percent, seed | 1, 0);
    }

    /// How many requests have gone wrong by chance.
    #[allow(dead_code, reason = "not every test is about chance")]
    pub(crate) fn went_wrong(&self) -> usize {
        self.state().chaos.2
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// How many requests with this method and this part of a path have come.
    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.state().seen.iter().filter(|seen| seen.method == method && seen.target.contains(part)).count()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().expect("no other thread panicked")
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        drop(self.0.stop.0.lock());
        self.0.stop.1.notify_all();
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(self.0.address));
    }
}

impl Shared {
    fn serve(&self, mut client: &TcpStream) -> io::Result<()> {
        let Some(mut request) = read_head(&mut client)? else { return Ok(()) };
        // As an HTTP proxy on the way to any host, it is that host.
        if request.seen.method == "CONNECT" {
            client.read_exact(&mut [0])?;
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            let Some(inner) = read_head(&mut client)? else { return Ok(()) };
            request = inner;
        }
        let (fault, refusal) = {
            let mut state = self.state.lock().expect("no other thread panicked");
            state.seen.push(request.seen.clone());
            let refusal = state.check(&request.seen, self.address);
            let matching = |rule: &&mut Rule| {
                rule.left > 0
                    && rule.method == request.seen.method
                    && request.seen.target.contains(&rule.part)
            };
            let rule = if refusal.is_none() { state.rules.iter_mut().find(matching) } else { None };
            let fault = rule.map(|rule| {
                rule.left -= 1;
                rule.fault.clone()
            });
            let fault = fault.or_else(|| if refusal.is_none() { state.chance(&request.seen) } else { None });
            (fault, refusal)
        };
        // The last byte of the head stays unread where a reset is wanted: closing a connection with
        // unread data is what resets it.
        if !matches!(fault, Some(Fault::Reset(_))) {
            client.read_exact(&mut [0])?;
        }
        if let Some(answer) = refusal {
            discard(&mut client, request.seen.length)?;
            return client.write_all(answer.as_bytes());
        }
        if request.seen.target.starts_with("/token") {
            let body = read_body(&mut client, request.seen.length)?;
            let mut state = self.state.lock().expect("no other thread panicked");
            let answer = match fault {
                Some(Fault::Answer(status, headers, body)) => text(status, &headers, body),
                _ => state.issue(&request.seen, &String::from_utf8_lossy(&body)),
            };
            return client.write_all(answer.as_bytes());
        }
        self.pass_on(client, &request, fault.as_ref())
    }

    fn pass_on(&self, mut client: &TcpStream, request: &Request, fault: Option<&Fault>) -> io::Result<()> {
        let length = request.seen.length;
        match fault {
            Some(Fault::Answer(status, headers, body)) => {
                discard(&mut client, length)?;
                return client.write_all(text(*status, headers, body).as_bytes());
            }
            Some(Fault::Redirect(host)) => {
                let location = format!("http://{host}{}", request.seen.target);
                return client.write_all(text(307, &[("Location", location)], "").as_bytes());
            }
            _ => {}
        }
        let taken = match fault {
            Some(Fault::CutRequest(most)) => length.min(*most),
            _ => length,
        };
        let is_resumable = self.state.lock().expect("no other thread panicked").resumable;
        if is_resumable && request.seen.target.contains("/blobs/uploads/") {
            let body = read_body(&mut client, taken)?;
            let answer = self.upload(&request.seen, &body, taken < length)?;
            return match answer.filter(|_| !matches!(fault, Some(Fault::LoseAnswer))) {
                Some(answer) => client.write_all(answer.as_bytes()),
                None => Ok(()),
            };
        }
        let ignores_range = matches!(fault, Some(Fault::IgnoreRange));
        let mut upstream = TcpStream::connect(self.upstream)?;
        for line in &request.lines {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            if name != "connection" && !(name == "range" && ignores_range) {
                write!(upstream, "{line}\r\n")?;
            }
        }
        write!(upstream, "Connection: close\r\n\r\n")?;
        let sent = io::copy(&mut (&mut client).take(taken as u64), &mut upstream)?;
        if taken < length || sent < taken as u64 {
            return upstream.shutdown(Shutdown::Both);
        }
        let mut answer = read_answer(&mut upstream)?;
        match fault {
            Some(Fault::LoseAnswer) => return Ok(()),
            Some(Fault::Slow(millis)) => thread::sleep(std::time::Duration::from_millis(*millis)),
            Some(Fault::CutAnswer(bytes) | Fault::Reset(bytes)) => answer.body.truncate(*bytes),
            Some(Fault::Corrupt(byte)) => {
                if let Some(byte) = answer.body.get_mut(*byte) {
                    *byte ^= 1;
                }
            }
            Some(Fault::Header(name, value)) => answer.replace(name, value),
            Some(Fault::Stall(bytes)) => {
                let bytes = answer.body.len().min(*bytes);
                client.write_all(answer.head.as_bytes())?;
                client.write_all(&answer.body[..bytes])?;
                self.wait_for_the_end();
                return Ok(());
            }
            Some(Fault::Drip(millis)) => {
                client.write_all(answer.head.as_bytes())?;
                return answer.body.iter().try_for_each(|byte| {
                    thread::sleep(std::time::Duration::from_millis(*millis));
                    client.write_all(&[*byte])
                });
            }
            _ => {}
        }
        client.write_all(answer.head.as_bytes())?;
        client.write_all(&answer.body)
    }

    fn wait_for_the_end(&self) {
        let mut guard = self.stop.0.lock().expect("no other thread panicked");
        while !self.stopped.load(Ordering::SeqCst) {
            guard = self.stop.1.wait(guard).expect("no other thread panicked");
        }
    }
}
