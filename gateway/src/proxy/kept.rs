//! The start of a request body, buffered for a retry after an endpoint did not process the request.
//!
//! An HTTP/2 endpoint may refuse a stream, or close its connection below it, after the body was sent (RFC
//! 9113 section 8.7): the request can be retried with any method, if its body is still available.

use std::task::{Context, Poll};

use crate::http::fields::Fields;
use crate::http::message::{Broken, Progress, Source};

/// Maximum length of a buffered body, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// The bytes of a body that were sent to an endpoint.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    /// Some bytes were not buffered.
    lacks: bool,
    /// The bytes to send again, and the number already sent again.
    again: Vec<u8>,
    at: usize,
}

impl Kept {
    /// Buffers a piece, or drops everything that cannot be sent again.
    pub fn push(&mut self, piece: &[u8], wanted: bool) {
        self.lacks |= !wanted || self.bytes.len() + piece.len() > MAX_BYTES;
        if self.lacks {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(piece);
        }
    }

    /// Whether the first `sent` bytes can be sent again.
    pub fn has(&self, sent: u64) -> bool {
        sent == 0 || (!self.lacks && usize::try_from(sent).is_ok_and(|sent| sent <= self.bytes.len()))
    }

    /// Sends the first `sent` bytes again, before the rest of the client's body.
    pub fn rewind(&mut self, sent: u64) {
        let sent = usize::try_from(sent).unwrap_or_default().min(self.bytes.len());
        self.again.clear();
        self.again.extend_from_slice(&self.bytes[..sent]);
        self.at = 0;
    }

    /// Takes the bytes to send again out, for an [`Again`].
    pub fn take(&mut self) -> (Vec<u8>, usize) {
        (std::mem::take(&mut self.again), self.at)
    }

    /// Returns them.
    pub fn put(&mut self, again: Vec<u8>, at: usize) {
        self.again = again;
        self.at = at;
    }
}

/// A body that begins with buffered bytes.
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
    fn body_is_available_again_only_if_complete() {
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
