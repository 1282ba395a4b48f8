//! zstd layers (RFC 8878): several frames, some of them skippable. `ruzstd`'s own reader stops after one frame.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Bytes that are decompressed at a time. `ruzstd` limits a frame's window to 100 MiB.
const PIECE: usize = 1 << 17;

/// Decompresses a stream of frames.
pub struct Decoder<R> {
    packed: R,
    frame: FrameDecoder,
    within: bool,
}

impl<R: BufRead> Decoder<R> {
    /// A reader of the decompressed bytes.
    pub fn new(packed: R) -> Self {
        Self { packed, frame: FrameDecoder::new(), within: false }
    }

    /// Starts the next frame with content; false at the end.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.packed) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.packed).take(length), &mut io::sink())? != length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(format!("zstd: {error}"))),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.within && self.frame.can_collect() > 0 {
                return self.frame.read(buffer);
            }
            if self.within && !self.frame.is_finished() {
                let strategy = BlockDecodingStrategy::UptoBytes(PIECE);
                let done = self.frame.decode_blocks(&mut self.packed, strategy);
                done.map_err(|error| io::Error::other(format!("zstd: {error}")))?;
                continue;
            }
            self.within = self.next_frame()?;
            if !self.within {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with one block of these bytes as they are (RFC 8878, 3.1.1).
    fn frame(content: &[u8]) -> Vec<u8> {
        let size = u8::try_from(content.len()).unwrap();
        let block = (u32::from(size) << 3 | 1).to_le_bytes();
        [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, size][..], &block[..3], content].concat()
    }

    fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Decoder::new(packed).take(1 << 20).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn several_frames_are_read() {
        let skipped = [&0x184D_2A50_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"xyz"].concat();
        let whole = [frame(b"one"), skipped.clone(), frame(b""), frame(b"two")].concat();
        assert_eq!(unpack(&whole).unwrap(), b"onetwo");
        assert_eq!(unpack(b"").unwrap(), b"");
        for bad in
            [&whole[..whole.len() - 1], &skipped[..9], b"nothing", &[frame(b"a"), b"x".to_vec()].concat()]
        {
            assert!(unpack(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn damaged_input_is_an_error() {
        // 64 KiB of text, compressed by the program `zstd`.
        let good = include_bytes!("fixture/text.zst");
        assert_eq!(unpack(good).unwrap().len(), 1 << 16);
        for at in 0..good.len() {
            for bit in [1, 0x10, 0x80] {
                let mut bad = good.to_vec();
                bad[at] ^= bit;
                let _ = unpack(&bad);
            }
            assert!(unpack(&good[..at]).is_err() || at == 0, "{at}");
        }
    }
}
