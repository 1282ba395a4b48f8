//! Frame headers and frames with a fixed format (RFC 9113 sections 4.1 and 6).

use super::code::Code;

/// Length of a frame header in bytes.
pub const HEADER: usize = 9;

/// Maximum length of a received frame's payload; the default of SETTINGS_MAX_FRAME_SIZE.
pub const MAX_PAYLOAD: usize = 16_384;

/// The client's connection preface (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types.
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// PRIORITY
    pub const PRIORITY: u8 = 2;
    /// RST_STREAM
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// PUSH_PROMISE
    pub const PUSH_PROMISE: u8 = 5;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

/// Frame flags.
pub mod flag {
    /// The last frame that a peer sends on a stream.
    pub const END_STREAM: u8 = 0x1;
    /// A SETTINGS or PING frame that answers another.
    pub const ACK: u8 = 0x1;
    /// The last frame of a field block.
    pub const END_HEADERS: u8 = 0x4;
    /// The payload is padded.
    pub const PADDED: u8 = 0x8;
    /// The payload of HEADERS begins with a priority.
    pub const PRIORITY: u8 = 0x20;
}

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The length of the payload.
    pub len: usize,
    /// The type.
    pub kind: u8,
    /// The flags.
    pub flags: u8,
    /// The stream; 0 for the connection.
    pub stream: u32,
}

impl Head {
    /// Parses a frame header; the reserved bit is ignored.
    pub const fn read(bytes: [u8; HEADER]) -> Self {
        let [high, middle, low, kind, flags, stream @ ..] = bytes;
        Self {
            len: u32::from_be_bytes([0, high, middle, low]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    /// Whether the flag is set.
    pub const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a frame header. The payload has at most 2^24-1 bytes.
pub fn header(out: &mut Vec<u8>, len: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&header_bytes(len, kind, flags, stream));
}

/// The bytes of a frame header.
pub fn header_bytes(len: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEADER] {
    let [_, high, middle, low] = u32::try_from(len).unwrap_or(0).to_be_bytes();
    let mut head = [high, middle, low, kind, flags, 0, 0, 0, 0];
    head[5..].copy_from_slice(&stream.to_be_bytes());
    head
}

/// Appends RST_STREAM.
pub fn rst_stream(out: &mut Vec<u8>, stream: u32, code: Code) {
    header(out, 4, kind::RST_STREAM, 0, stream);
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Appends WINDOW_UPDATE.
pub fn window_update(out: &mut Vec<u8>, stream: u32, bytes: u32) {
    header(out, 4, kind::WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&bytes.to_be_bytes());
}

/// Appends PING.
pub fn ping(out: &mut Vec<u8>, flags: u8, data: &[u8]) {
    header(out, data.len(), kind::PING, flags, 0);
    out.extend_from_slice(data);
}

/// Appends GOAWAY.
pub fn goaway(out: &mut Vec<u8>, last: u32, code: Code) {
    header(out, 8, kind::GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
}

/// Appends SETTINGS.
pub fn settings(out: &mut Vec<u8>, entries: &[(u16, u32)]) {
    header(out, entries.len() * 6, kind::SETTINGS, 0, 0);
    for (id, value) in entries {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// The payload without its padding (RFC 9113 section 6.1); `None` if the padding is longer than the payload.
pub fn unpadded(head: Head, payload: &[u8]) -> Option<&[u8]> {
    if !head.has(flag::PADDED) {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(padding))?)
}

#[cfg(test)]
mod tests {
    use super::{Head, flag, header_bytes, kind, unpadded};

    #[test]
    fn frame_headers_round_trip() {
        let table = [
            Head { len: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 },
            Head { len: 0x01_0203, kind: 0xab, flags: 0xff, stream: 0x7fff_ffff },
        ];
        for head in table {
            assert_eq!(Head::read(header_bytes(head.len, head.kind, head.flags, head.stream)), head);
        }
        assert_eq!(Head::read([0, 0, 1, 0, 0, 0x80, 0, 0, 5]).stream, 5, "the reserved bit is ignored");
    }

    #[test]
    fn padding_must_fit_the_payload() {
        let table: [(&[u8], Option<&[u8]>); 5] = [
            (&[], None),
            (&[0], Some(&[])),
            (&[1, b'a', 0], Some(b"a")),
            (&[2, b'a', 0], Some(&[])),
            (&[3, b'a', 0], None),
        ];
        for (payload, expected) in table {
            let head = Head { len: payload.len(), kind: 0, flags: flag::PADDED, stream: 1 };
            assert_eq!(unpadded(head, payload), expected, "{payload:?}");
        }
    }
}
