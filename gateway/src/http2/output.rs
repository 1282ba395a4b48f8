//! Output frames: one buffer, so that many frames are sent in one write.

use super::frame::{self, HEADER, flag, kind};
use super::pool;

/// The output buffer.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// Total bytes written on the connection.
    total: u64,
}

impl Output {
    /// The buffer for new frames.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = pool::take_output();
        }
        &mut self.bytes
    }

    /// The bytes not written yet.
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// Total bytes written on the connection.
    pub const fn total(&self) -> u64 {
        self.total
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Records that `bytes` bytes were written. An empty buffer is returned to the pool.
    pub fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        self.total += u64::try_from(bytes).unwrap_or(0);
        if self.sent >= self.bytes.len() {
            self.sent = 0;
            pool::give_output(std::mem::take(&mut self.bytes));
        }
    }

    /// Appends a field block as HEADERS and, if it is longer than the peer's maximum frame, CONTINUATION
    /// frames.
    pub fn headers(&mut self, id: u32, end: bool, frame_bytes: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        let out = self.buffer();
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        encode(out);
        let flags = if end { flag::END_STREAM } else { 0 };
        let len = out.len() - start - HEADER;
        if len <= frame_bytes {
            let head = frame::header_bytes(len, kind::HEADERS, flags | flag::END_HEADERS, id);
            if let Some(place) = out.get_mut(start..start + HEADER) {
                place.copy_from_slice(&head);
            }
            return;
        }
        let block = out.split_off(start + HEADER);
        out.truncate(start);
        let last = block.len().div_ceil(frame_bytes) - 1;
        for (number, piece) in block.chunks(frame_bytes).enumerate() {
            let (kind, first) = if number == 0 { (kind::HEADERS, flags) } else { (kind::CONTINUATION, 0) };
            let flags = first | if number == last { flag::END_HEADERS } else { 0 };
            frame::header(out, piece.len(), kind, flags, id);
            out.extend_from_slice(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Output, flag, kind};
    use crate::http2::frame::{HEADER, Head};

    #[test]
    fn long_block_uses_continuation_frames() {
        let mut output = Output::default();
        output.headers(3, true, 4, |out| out.extend_from_slice(b"abcdefghij"));
        let mut rest = output.pending();
        let mut seen = Vec::new();
        while let Some((head, behind)) = rest.split_first_chunk::<HEADER>() {
            let head = Head::read(*head);
            let (payload, behind) = behind.split_at(head.len);
            seen.push((head.kind, head.flags, payload.to_vec()));
            rest = behind;
        }
        let expected = [
            (kind::HEADERS, flag::END_STREAM, b"abcd".to_vec()),
            (kind::CONTINUATION, 0, b"efgh".to_vec()),
            (kind::CONTINUATION, flag::END_HEADERS, b"ij".to_vec()),
        ];
        assert_eq!(seen, expected);
    }
}
