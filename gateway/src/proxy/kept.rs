//! The beginning of a request body, kept for an endpoint that did not look at the request.
//!
//! An HTTP/2 endpoint may refuse a stream, or close its connection below it, after the body was sent
//! (RFC 9113 section 8.7): the request may be sent again, whatever its method, if its body is still there.

use std::task::{Context, Poll};

use crate::http::fields::Fields;
use crate::http::message::{Broken, Progress, Source};

/// The longest body that is kept, in bytes.
const MOST: usize = 64 << 10;

/// The bytes of a body that were given to an endpoint.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    /// Some bytes were not kept.
    lacks: bool,
    /// What is to be sent once more, and how much of it was.
    again: Vec<u8>,
    at: usize,
}

impl Kept {
    /// Keeps a piece, or forgets all that cannot be sent once more.
    pub fn push(&mut self, piece: &[u8], wanted: bool) {
        self.lacks |= !wanted || self.bytes.len() + piece.len() > MOST;
        if self.lacks {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// Whether the first `sent` bytes can be sent once more.
    pub fn has(&self, sent: u64) -> bool {
        sent == 0 || (!self.lacks && usize::try_from(sent).is_ok_and(|sent| sent <= self.bytes.len()))
    }

    /// Has the first `sent` bytes sent once more, before what the client still has to send.
    pub fn rewind(&mut self, sent: u64) {
        let sent = usize::try_from(sent).unwrap_or_default().min(self.bytes.len());
        self.again.clear();
        self.again.extend_from_slice(&self.bytes[..sent]);
        self.at = 0;
    }

    /// Takes what is to be sent once more out, for the time of a [`Again`].
    pub fn take(&mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.again), self.at)
    }

    /// Puts it back.
    pub fn put(&mut self, again: Vec<u8>, at: usize) {
        self.again = again;
        self.at = at;
    }
}

/// A body whose beginning comes from memory.
pub(super) struct Again<'a, S> {
    pub bytes: &'a [u8],
    pub at: usize,
    pub rest: &'a mut S,
}

impl<S: Source> Source for Again<'_, S> {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Broken>> {
        if self.at < self.bytes.len() { Poll::Ready(Ok(Progress::Data)) } else { self.rest.poll_body(cx) }
    }

    fn body(&self) -> &[u8] {
        if self.at < self.bytes.len() { &self.bytes[self.at..] } else { self.rest.body() }
    }

    fn consume(&mut self, count: usize) {
        if self.at < self.bytes.len() {
            self.at += count;
        } else {
            self.rest.consume(count);
        }
    }

    fn trailers(&mut self) -> Option<Fields> {
        self.rest.trailers()
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;

    #[test]
    fn a_body_is_there_again_only_as_a_whole() {
        let mut kept = Kept::default();
        assert!(kept.has(0));
        kept.push(b"hello", true);
        assert!(kept.has(5) && kept.has(3) && !kept.has(6));
        kept.rewind(3);
        assert_eq!(kept.take(), (b"hel".to_vec(), 0));
        kept.push(&vec![0; 64 << 10], true);
        assert!(kept.has(0) && !kept.has(3));
        let mut kept = Kept::default();
        kept.push(b"a", false);
        kept.push(b"b", true);
        assert!(!kept.has(1));
    }
}
