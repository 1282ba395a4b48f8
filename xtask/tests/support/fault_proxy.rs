//! A real HTTP proxy in front of a real registry that misbehaves on request.
//!
//! Requests pass through unchanged until a rule says otherwise; each rule holds for a number of
//! requests. The proxy can also want tokens as ghcr.io does ([`Guard`]), and keep the uploads that
//! broke so that they can be taken up again, which Debian's registry does not.
//!
//! One request a connection, a thread for each; nothing depends on timing.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// What goes wrong.
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

/// Wants bearer tokens, as ghcr.io does.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// The user and password that may push.
    pub(crate) user: (&'static str, &'static str),
    /// The refresh token that may push.
    pub(crate) refresh: &'static str,
    /// Requests that a token is good for before it has expired.
    pub(crate) uses: usize,
    /// What `expires_in` says.
    pub(crate) expires_in: u64,
    /// Whether anyone may pull.
    pub(crate) open: bool,
    /// Whether a user and password are wanted directly, without a token service.
    pub(crate) basic: bool,
    /// The token service; the proxy's own `/token` without one.
    pub(crate) realm: Option<String>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            user: ("user", "hunter2-password"),
            refresh: "hunter2-refresh",
            uses: usize::MAX,
            expires_in: 300,
            open: true,
            basic: false,
            realm: None,
        }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The length of the body that was announced.
    pub(crate) length: usize,
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

struct Request {
    seen: Seen,
    lines: Vec<String>,
}

/// An answer of the registry, read to its end.
struct Answer {
    head: String,
    body: Vec<u8>,
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

    /// Uploads as the distribution-spec has them, "Pushing a blob in chunks"; the whole blob goes to the
    /// registry in the end. No answer where the connection broke.
    fn upload(&self, seen: &Seen, body: &[u8], broke: bool) -> io::Result<Option<String>> {
        let mut state = self.state.lock().expect("no other thread panicked");
        let path = seen.target.split('?').next().unwrap_or_default().to_owned();
        if seen.method == "POST" {
            let location = format!("{path}{}", state.uploads.len());
            state.uploads.insert(location.clone(), Vec::new());
            // Relative, and with a query that must be kept.
            return Ok(Some(text(202, &[("Location", format!("{location}?_state=a%3D"))], "")));
        }
        let Some(stored) = state.uploads.get_mut(&path).filter(|_| seen.target.contains("_state=a%3D"))
        else {
            let unknown = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"no such upload"}]}"#;
            return Ok(Some(text(404, &[], unknown)));
        };
        let at = seen.headers.get("content-range").and_then(|range| range.split('-').next()?.parse().ok());
        if seen.method == "PATCH" && at != Some(stored.len()) {
            return Ok(Some(text(416, &[("Range", format!("0-{}", stored.len().saturating_sub(1)))], "")));
        }
        stored.extend_from_slice(body);
        let range = format!("0-{}", stored.len().saturating_sub(1));
        let location = format!("{path}?_state=a%3D&n={}", stored.len());
        if broke {
            return Ok(None);
        }
        let headers = [("Location", location), ("Range", range)];
        match seen.method.as_str() {
            "GET" => return Ok(Some(text(204, &headers, ""))),
            "PATCH" => return Ok(Some(text(202, &headers, ""))),
            _ => {}
        }
        let blob = stored.clone();
        let digest = seen.target.split("digest=").nth(1).unwrap_or_default();
        let folder = &path[..path.rfind('/').unwrap_or_default()];
        let ask = |method: &str, target: &str, body: &[u8]| -> io::Result<Answer> {
            let mut upstream = TcpStream::connect(self.upstream)?;
            let length = body.len();
            write!(
                upstream,
                "{method} {target} HTTP/1.1\r\nHost: r\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            )?;
            upstream.write_all(body)?;
            read_answer(&mut upstream)
        };
        let opened = ask("POST", &format!("{folder}/"), b"")?;
        let location = opened.header("location").unwrap_or_default();
        let target = location.strip_prefix("http://r").unwrap_or(&location).to_owned();
        let separator = if target.contains('?') { '&' } else { '?' };
        let closed = ask("PUT", &format!("{target}{separator}digest={digest}"), &blob)?;
        Ok(Some(closed.head + &String::from_utf8_lossy(&closed.body)))
    }
}

impl State {
    /// What goes wrong with this request by chance, if anything does.
    fn chance(&mut self, seen: &Seen) -> Option<Fault> {
        let (percent, state, count) = &mut self.chaos;
        if *percent == 0 {
            return None;
        }
        let mut next = |below: u64| {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            (*state >> 11) % below
        };
        if next(100) >= *percent {
            return None;
        }
        *count += 1;
        let few = usize::try_from(next(2000)).unwrap_or_default();
        let limit = r#"{"errors":[{"code":"DENIED","message":"You have exceeded a secondary rate limit"}]}"#;
        let busy = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 880.092\u00b5s, allowed: 44000/minute"}]}"#;
        Some(match next(10) {
            0 => Fault::Answer(429, vec![("Retry-After", "0".to_owned())], busy),
            1 => Fault::Answer(403, Vec::new(), limit),
            2 => Fault::Answer(500, Vec::new(), ""),
            3 => Fault::Answer(502, Vec::new(), "<html>Bad Gateway</html>"),
            4 => Fault::Answer(503, vec![("Retry-After", "0".to_owned())], ""),
            5 if seen.length > 0 => Fault::CutRequest(few),
            6 if seen.method == "GET" => Fault::CutAnswer(few),
            7 if seen.method == "GET" => Fault::Reset(few),
            8 => Fault::Slow(few as u64 / 10),
            9 if seen.method == "GET" => Fault::Stall(few),
            _ => Fault::LoseAnswer,
        })
    }

    /// The answer to a request that lacks a token, if it lacks one.
    fn check(&mut self, seen: &Seen, address: SocketAddr) -> Option<String> {
        let guard = self.guard.clone()?;
        if seen.target.starts_with("/token") {
            return None;
        }
        let shown = seen.headers.get("authorization").map_or("", String::as_str);
        let reads = seen.method == "GET" || seen.method == "HEAD";
        let challenge = if guard.basic {
            if shown == guard.basic_value() {
                return None;
            }
            r#"Basic realm="registry""#.to_owned()
        } else {
            if let Some((pushes, left)) =
                shown.strip_prefix("Bearer ").and_then(|token| self.tokens.get_mut(token))
                && *left > 0
                && (reads || *pushes)
            {
                *left -= 1;
                return None;
            }
            let realm = guard.realm.unwrap_or_else(|| format!("http://{address}/token"));
            format!(r#"Bearer realm="{realm}",service="proxy",scope="repository:user/image:pull""#)
        };
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        Some(text(401, &[("WWW-Authenticate", challenge)], body))
    }

    /// The token service's answer.
    fn issue(&mut self, seen: &Seen, form: &str) -> String {
        let guard = self.guard.clone().unwrap_or_default();
        let shown = seen.headers.get("authorization");
        let known = shown.is_some_and(|shown| *shown == guard.basic_value())
            || seen.method == "POST" && form.contains(&format!("refresh_token={}", guard.refresh));
        let asked = if seen.method == "POST" { form } else { &seen.target };
        let pushes = asked.contains("push");
        if !known && (shown.is_some() || seen.method == "POST" || pushes || !guard.open) {
            return text(403, &[], r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#);
        }
        let token = format!("hunter2-token-{}", self.tokens.len());
        self.tokens.insert(token.clone(), (pushes, guard.uses));
        text(200, &[], &format!(r#"{{"token":"{token}","expires_in":{}}}"#, guard.expires_in))
    }
}

impl Guard {
    fn basic_value(&self) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = "Basic ".to_owned();
        for group in format!("{}:{}", self.user.0, self.user.1).as_bytes().chunks(3) {
            let word =
                (0..3).fold(0, |word, i| word << 8 | group.get(i).map_or(0, |byte| usize::from(*byte)));
            for i in 0..4 {
                let digit = char::from(DIGITS[word >> (18 - 6 * i) & 63]);
                out.push(if i <= group.len() { digit } else { '=' });
            }
        }
        out
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<String> {
        let line =
            self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }

    fn replace(&mut self, name: &str, value: &str) {
        let prefix = format!("{}:", name.to_ascii_lowercase());
        let kept =
            self.head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with(&prefix));
        let kept: Vec<_> = kept.collect();
        self.head = format!("{}\r\n{name}: {value}\r\n\r\n", kept.join("\r\n"));
    }
}

/// A whole answer.
fn text(status: u16, headers: &[(&str, String)], body: &str) -> String {
    let mut out = format!("HTTP/1.1 {status} Fault\r\nConnection: close\r\n");
    for (name, value) in headers {
        out.extend([name, ": ", value, "\r\n"]);
    }
    if status != 204 {
        out.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    out + "\r\n" + body
}

/// A request's head but for its last byte; none where the connection ends first.
fn read_head(client: &mut impl Read) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r") {
        let mut byte = [0];
        if client.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let lines: Vec<_> = head.trim_end().lines().map(str::to_owned).collect();
    let mut words = lines.first().map_or("", String::as_str).split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: BTreeMap<_, _> = lines.iter().skip(1).filter_map(header).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    Ok(Some(Request { seen: Seen { method, target, headers, length }, lines }))
}

fn read_body(client: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    Ok(body)
}

fn discard(client: &mut impl Read, length: usize) -> io::Result<u64> {
    io::copy(&mut client.take(length as u64), &mut io::sink())
}

fn read_answer(upstream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    upstream.read_to_end(&mut bytes)?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let body = bytes.split_off(end);
    Ok(Answer { head: String::from_utf8_lossy(&bytes).into_owned(), body })
}
