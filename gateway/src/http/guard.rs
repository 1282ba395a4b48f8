//! The guard before the HTTP/1 codec: it lets bytes through only as whole, strictly formed heads
//! and bodies, so that the codec never has a choice in how to read them.

use bytes::{Bytes, BytesMut};

use super::chunked::Chunked;
use super::failure::Rejection;
use super::head::{self, Framing, HeadLimits};

/// Empty lines before a request line that are let pass (RFC 9112 section 2.2 asks for one).
const MAX_EMPTY_LINES: u8 = 4;

/// The state of one connection's incoming bytes.
#[derive(Debug)]
pub struct Guard {
    limits: HeadLimits,
    state: State,
    /// Bytes received and not yet passed on.
    held: BytesMut,
    /// How many bytes of `held` are known not to end the head.
    searched: usize,
    empty_lines: u8,
}

#[derive(Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    /// Everything passes: the connection speaks another protocol by now.
    Open,
    /// Nothing passes any more.
    Shut,
}

/// What the guard lets through next.
#[derive(Debug, PartialEq, Eq)]
pub enum Passed {
    /// A whole head.
    Head(Bytes),
    /// A piece of a body.
    Body(Bytes),
    /// Nothing before more bytes arrive.
    Nothing,
}

impl Guard {
    /// A guard before a new connection.
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, state: State::Head, held: BytesMut::new(), searched: 0, empty_lines: 0 }
    }

    /// A guard that checks nothing, for protocols with framing of their own.
    pub fn open() -> Self {
        let mut guard = Self::new(HeadLimits { max_bytes: 0, max_fields: 0 });
        guard.state = State::Open;
        guard
    }

    /// Where received bytes are to be appended.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.held
    }

    /// Whether the guard is between two requests and holds no byte of the next.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && self.held.is_empty()
    }

    /// Whether the guard is waiting for a head or the rest of it.
    pub fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head)
    }

    /// Whether the guard lets everything pass.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether the client may still be sending something that nobody will read.
    pub fn is_unfinished(&self) -> bool {
        match self.state {
            State::Head => !self.held.is_empty(),
            State::Length(_) | State::Chunked(_) | State::Shut => true,
            State::Open => false,
        }
    }

    /// Lets everything pass from here on, as after `101 Switching Protocols`.
    pub fn throw_open(&mut self) {
        self.state = State::Open;
    }

    /// Lets nothing pass from here on.
    pub fn shut(&mut self) {
        self.state = State::Shut;
        self.held.clear();
    }

    /// How many bytes may be received directly into the body without passing through `input`.
    ///
    /// Bytes received so are reported with [`Guard::bypassed`].
    pub fn bypass(&self) -> Option<u64> {
        match self.state {
            _ if !self.held.is_empty() => None,
            State::Length(left) => Some(left),
            State::Open => Some(u64::MAX),
            _ => None,
        }
    }

    /// Accounts for body bytes that did not pass through `input`.
    pub fn bypassed(&mut self, count: u64) {
        if let State::Length(left) = &mut self.state {
            *left = left.saturating_sub(count);
            if *left == 0 {
                self.state = State::Head;
            }
        }
    }

    /// The next head or piece of a body.
    ///
    /// # Errors
    ///
    /// What is wrong with the head or the chunked body; the guard is shut then.
    pub fn pass(&mut self) -> Result<Passed, Rejection> {
        let passed = self.let_through();
        if passed.is_err() {
            self.shut();
        }
        passed
    }

    fn let_through(&mut self) -> Result<Passed, Rejection> {
        if self.held.is_empty() {
            return Ok(Passed::Nothing);
        }
        match &mut self.state {
            State::Head => self.head(),
            State::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(self.held.len());
                let piece = self.held.split_to(here).freeze();
                self.bypassed(here as u64);
                Ok(Passed::Body(piece))
            }
            State::Chunked(chunked) => {
                let used = chunked.advance(&self.held)?;
                if chunked.is_done() {
                    self.state = State::Head;
                }
                Ok(Passed::Body(self.held.split_to(used).freeze()))
            }
            State::Open => Ok(Passed::Body(self.held.split().freeze())),
            State::Shut => Ok(Passed::Nothing),
        }
    }

    fn head(&mut self) -> Result<Passed, Rejection> {
        while self.searched == 0 && self.held.starts_with(b"\r\n") {
            if self.empty_lines == MAX_EMPTY_LINES {
                return Err(Rejection::bad("request_line", "There is no request line."));
            }
            self.empty_lines += 1;
            let _ = self.held.split_to(2);
        }
        let Some(end) = head::find_end(&self.held, self.searched)? else {
            if self.held.len() > self.limits.max_bytes {
                return Err(head::TOO_LARGE);
            }
            // A CR at the start may become an empty line: look at it again.
            self.searched = match &self.held[..] {
                b"\r" => 0,
                held => held.len(),
            };
            return Ok(Passed::Nothing);
        };
        let framing = head::examine(&self.held[..end], &self.limits)?;
        self.searched = 0;
        self.empty_lines = 0;
        self.state = match framing {
            Framing::None => State::Head,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new(self.limits.max_bytes)),
        };
        Ok(Passed::Head(self.held.split_to(end).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Guard, HeadLimits, Passed};

    const STREAM: &[u8] = b"\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
        POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
        GET /c HTTP/1.1\r\nHost: a\r\n\r\n";

    fn guard() -> Guard {
        Guard::new(HeadLimits { max_bytes: 128, max_fields: 8 })
    }

    fn drain(guard: &mut Guard, heads: &mut Vec<String>, body: &mut Vec<u8>) {
        loop {
            match guard.pass().expect("a good stream") {
                Passed::Head(head) => {
                    heads.push(String::from_utf8_lossy(&head[..7]).into_owned());
                }
                Passed::Body(piece) => body.extend_from_slice(&piece),
                Passed::Nothing => break,
            }
        }
    }

    #[test]
    fn pipelined_requests_pass_one_head_at_a_time_however_they_are_cut() {
        for size in 1..STREAM.len() {
            let (mut guard, mut heads, mut body) = (guard(), Vec::new(), Vec::new());
            for piece in STREAM.chunks(size) {
                guard.input().extend_from_slice(piece);
                drain(&mut guard, &mut heads, &mut body);
            }
            assert_eq!(heads, ["POST /a", "POST /b", "GET /c "], "{size}");
            assert_eq!(body, b"abc3\r\nabc\r\n0\r\n\r\n", "{size}");
            assert!(guard.is_idle(), "{size}");
        }
    }

    #[test]
    fn nothing_passes_after_a_fault() {
        let mut guard = guard();
        guard.input().extend_from_slice(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(guard.pass().is_err());
        assert_eq!(guard.pass(), Ok(Passed::Nothing));
        assert!(guard.is_unfinished());
    }

    #[test]
    fn a_head_without_end_is_refused_by_size() {
        let mut guard = guard();
        guard.input().extend_from_slice(&[b'a'; 129]);
        assert_eq!(guard.pass().expect_err("too long").status.as_u16(), 431);
    }

    #[test]
    fn an_open_guard_lets_everything_pass() {
        let mut guard = Guard::open();
        guard.input().extend_from_slice(b"\0\n");
        assert_eq!(guard.pass(), Ok(Passed::Body(b"\0\n"[..].into())));
    }

    #[test]
    fn bytes_of_a_known_length_may_bypass_the_guard() {
        let mut guard = guard();
        guard.input().extend_from_slice(b"P / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
        assert!(matches!(guard.pass(), Ok(Passed::Head(_))));
        assert_eq!(guard.bypass(), Some(9));
        guard.bypassed(9);
        assert!(guard.is_idle());
        assert_eq!(guard.bypass(), None);
    }
}
