//! Local settings, and the peer's settings (RFC 9113 section 6.5).

use std::time::Duration;

use super::code::Code;
use super::error::{Fault, frame_size, protocol};

/// Settings of a connection: limits for the peer, and flood protection.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Maximum size of a header list in bytes, with 32 added per field (RFC 9113 section 6.5.2). Announced to
    /// the peer; a longer request is answered with 431 on its stream.
    pub header_list_bytes: usize,
    /// Maximum number of fields in a head, after cookie fields were joined.
    pub fields: usize,
    /// Maximum size of a compressed field block in bytes. A longer one ends the connection, since it is
    /// buffered until it is complete.
    pub field_block_bytes: usize,
    /// Maximum number of CONTINUATION frames of a field block.
    pub continuations: usize,
    /// Size of the peer's compression table in bytes.
    pub header_table_bytes: usize,
    /// Maximum number of concurrent streams that the peer may open.
    pub concurrent_streams: u32,
    /// Receive window of a stream in bytes, up to 2^31-1.
    pub stream_window: u32,
    /// Receive window of the connection in bytes, from 65535 to 2^31-1.
    pub connection_window: u32,
    /// Maximum number of buffered output bytes; beyond it bodies wait.
    pub output_bytes: usize,
    /// Whether extended CONNECT is allowed (RFC 8441). A server announces it.
    pub connect_protocol: bool,
    /// Flood protection.
    pub floods: Floods,
}

/// Maximum number of events within [`Floods::interval`]; one more ends the connection with ENHANCE_YOUR_CALM.
#[derive(Debug, Clone)]
pub struct Floods {
    /// The interval in which events are counted.
    pub interval: Duration,
    /// Streams that the peer resets before their response has ended (CVE-2023-44487), minus those that ended
    /// normally.
    pub resets: u32,
    /// Streams that must be reset because of the peer's faults (CVE-2025-8671).
    pub faults: u32,
    /// SETTINGS frames.
    pub settings: u32,
    /// PING frames, minus one per 1024 bytes of data sent.
    pub pings: u32,
    /// DATA frames without data (CVE-2019-9518).
    pub empty_data: u32,
    /// WINDOW_UPDATE frames, minus one per 64 bytes of data sent.
    pub window_updates: u32,
    /// PRIORITY frames and frames of unknown types, minus one per stream that ended normally.
    pub ignored: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            header_list_bytes: 64 * 1024,
            fields: 128,
            field_block_bytes: 256 * 1024,
            continuations: 64,
            header_table_bytes: 4096,
            concurrent_streams: 128,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            output_bytes: 64 * 1024,
            connect_protocol: true,
            floods: Floods::default(),
        }
    }
}

impl Default for Floods {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            resets: 200,
            faults: 100,
            settings: 100,
            pings: 2000,
            empty_data: 1000,
            window_updates: 10_000,
            ignored: 2000,
        }
    }
}

/// SETTINGS_HEADER_TABLE_SIZE
pub(super) const HEADER_TABLE_SIZE: u16 = 1;
/// SETTINGS_ENABLE_PUSH
pub(super) const ENABLE_PUSH: u16 = 2;
/// SETTINGS_MAX_CONCURRENT_STREAMS
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
/// SETTINGS_INITIAL_WINDOW_SIZE
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
/// SETTINGS_MAX_FRAME_SIZE
pub(super) const MAX_FRAME_SIZE: u16 = 5;
/// SETTINGS_MAX_HEADER_LIST_SIZE
pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;
/// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3)
pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// The peer's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub concurrent_streams: u32,
    pub initial_window: u32,
    pub frame_bytes: usize,
    pub connect_protocol: bool,
}

impl Peer {
    /// The values before any SETTINGS frame.
    pub const fn new() -> Self {
        Self {
            concurrent_streams: u32::MAX,
            initial_window: 65_535,
            frame_bytes: 16_384,
            connect_protocol: false,
        }
    }

    /// Applies the payload of a SETTINGS frame. Returns whether it has the table size.
    pub fn apply(&mut self, payload: &[u8], from_server: bool) -> Result<bool, Fault> {
        let (entries, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(frame_size("a SETTINGS frame with a length that is not a multiple of 6"));
        }
        let mut table = false;
        for &[high, low, a, b, c, d] in entries {
            let value = u32::from_be_bytes([a, b, c, d]);
            match u16::from_be_bytes([high, low]) {
                HEADER_TABLE_SIZE => table = true,
                ENABLE_PUSH if value > 1 => return Err(protocol("SETTINGS_ENABLE_PUSH is not 0 or 1")),
                ENABLE_PUSH if value == 1 && from_server => {
                    return Err(protocol("a server sent SETTINGS_ENABLE_PUSH"));
                }
                MAX_CONCURRENT_STREAMS => self.concurrent_streams = value,
                INITIAL_WINDOW_SIZE if value > 0x7fff_ffff => {
                    let reason = "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1";
                    return Err(Fault::Connection(Code::FLOW_CONTROL_ERROR, reason));
                }
                INITIAL_WINDOW_SIZE => self.initial_window = value,
                MAX_FRAME_SIZE if !(16_384..=0x00ff_ffff).contains(&value) => {
                    return Err(protocol("SETTINGS_MAX_FRAME_SIZE is below 2^14 or above 2^24-1"));
                }
                MAX_FRAME_SIZE => self.frame_bytes = usize::try_from(value).unwrap_or(16_384),
                ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.connect_protocol) => {
                    return Err(protocol("SETTINGS_ENABLE_CONNECT_PROTOCOL is not 0 or 1, or was revoked"));
                }
                ENABLE_CONNECT_PROTOCOL => self.connect_protocol = value == 1,
                _ => {}
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Peer};
    use crate::http2::code::Code;

    fn setting(id: u8, value: u32) -> Vec<u8> {
        [&[0, id][..], &value.to_be_bytes()].concat()
    }

    #[test]
    fn values_are_validated() {
        let table = [
            (1, 0, None),
            (2, 0, None),
            (2, 2, Some(Code::PROTOCOL_ERROR)),
            (3, 0, None),
            (4, 0x7fff_ffff, None),
            (4, 0x8000_0000, Some(Code::FLOW_CONTROL_ERROR)),
            (5, 16_383, Some(Code::PROTOCOL_ERROR)),
            (5, 16_384, None),
            (5, 0x00ff_ffff, None),
            (5, 0x0100_0000, Some(Code::PROTOCOL_ERROR)),
            (6, u32::MAX, None),
            (8, 1, None),
            (8, 2, Some(Code::PROTOCOL_ERROR)),
            (99, u32::MAX, None),
        ];
        for (id, value, expected) in table {
            let code = match Peer::new().apply(&setting(id, value), false) {
                Ok(_) => None,
                Err(Fault::Connection(code, _) | Fault::Stream(_, code, _)) => Some(code),
            };
            assert_eq!(code, expected, "setting {id} of {value}");
        }
        assert!(Peer::new().apply(&[0; 7], false).is_err());
        assert!(Peer::new().apply(&setting(2, 1), true).is_err());
        let mut peer = Peer::new();
        assert_eq!(peer.apply(&[setting(8, 1), setting(4, 7), setting(1, 9)].concat(), false), Ok(true));
        assert!(peer.connect_protocol && peer.initial_window == 7);
        assert!(peer.apply(&setting(8, 0), false).is_err());
    }
}
