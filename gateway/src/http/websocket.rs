//! The opening handshake of WebSocket in HTTP/1.1 (RFC 6455 section 4). Extended CONNECT has none
//! (RFC 8441 section 5).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1_smol::Sha1;

/// The length of a key: 16 bytes in base64.
const KEY: usize = 24;
/// Length of `Sec-WebSocket-Accept`: 20 bytes in base64.
const ACCEPT: usize = 28;
/// The GUID of RFC 6455 section 1.3.
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A `Sec-WebSocket-Key` that the gateway generates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; KEY]);

impl Key {
    /// The key for a nonce.
    pub fn new(nonce: [u8; 16]) -> Self {
        Self(encode(&nonce))
    }

    /// The value of the field.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
pub fn accept(key: &[u8]) -> [u8; ACCEPT] {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(SUFFIX);
    encode(&hash.digest().bytes())
}

/// Base64 of as many bytes as fill the result.
fn encode<const LENGTH: usize>(bytes: &[u8]) -> [u8; LENGTH] {
    let mut text = [b'='; LENGTH];
    let written = STANDARD.encode_slice(bytes, &mut text);
    debug_assert_eq!(written, Ok(LENGTH));
    text
}

#[cfg(test)]
mod tests {
    use super::{Key, accept};

    #[test]
    fn example_of_rfc_6455_section_1_3() {
        let key = Key::new(*b"the sample nonce");
        assert_eq!(key.as_bytes(), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&accept(key.as_bytes()), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
