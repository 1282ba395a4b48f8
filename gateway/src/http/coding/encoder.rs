//! A body encoded while it passes.

use std::fmt;
use std::io::Write;

use brotli::CompressorWriter;
use flate2::write::GzEncoder;

use super::Coding;

/// A high level takes more time than it saves bytes, on a thread that serves other requests too.
const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: u32 = 4;
/// The binary logarithm of the window: 256 KiB are kept for each response.
const BROTLI_WINDOW: u32 = 18;
/// What brotli hands out at a time, in bytes.
const BROTLI_BUFFER: usize = 4 << 10;

/// Encodes one body.
pub struct Encoder {
    inner: Inner,
    /// How much of the output was taken.
    at: usize,
    /// Whether something was written since the last flush.
    holds: bool,
}

enum Inner {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Ended(Vec<u8>),
}

impl Encoder {
    /// An encoder for a body from its beginning.
    pub fn new(coding: Coding) -> Self {
        let inner = match coding {
            Coding::Gzip => Inner::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL))),
            Coding::Brotli => {
                let writer = CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI_QUALITY, BROTLI_WINDOW);
                Inner::Brotli(Box::new(writer))
            }
        };
        Self { inner, at: 0, holds: false }
    }

    /// Encodes a piece of the body.
    pub fn write(&mut self, piece: &[u8]) {
        self.holds = true;
        // Writing to memory does not fail.
        let _ = match &mut self.inner {
            Inner::Gzip(encoder) => encoder.write_all(piece),
            Inner::Brotli(encoder) => encoder.write_all(piece),
            Inner::Ended(_) => Ok(()),
        };
    }

    /// Puts everything that was written into the output.
    pub fn flush(&mut self) {
        if !std::mem::take(&mut self.holds) {
            return;
        }
        let _ = match &mut self.inner {
            Inner::Gzip(encoder) => encoder.flush(),
            Inner::Brotli(encoder) => encoder.flush(),
            Inner::Ended(_) => Ok(()),
        };
    }

    /// Ends the body.
    pub fn finish(&mut self) {
        let inner = std::mem::replace(&mut self.inner, Inner::Ended(Vec::new()));
        self.inner = Inner::Ended(match inner {
            Inner::Gzip(encoder) => encoder.finish().unwrap_or_default(),
            Inner::Brotli(encoder) => encoder.into_inner(),
            Inner::Ended(output) => output,
        });
    }

    /// What was encoded and not taken.
    pub fn output(&self) -> &[u8] {
        let output = match &self.inner {
            Inner::Gzip(encoder) => encoder.get_ref(),
            Inner::Brotli(encoder) => encoder.get_ref(),
            Inner::Ended(output) => output,
        };
        output.get(self.at..).unwrap_or_default()
    }

    /// Takes so many bytes of the output.
    pub fn consume(&mut self, count: usize) {
        self.at += count;
        if self.output().is_empty() {
            self.at = 0;
            match &mut self.inner {
                Inner::Gzip(encoder) => encoder.get_mut().clear(),
                Inner::Brotli(encoder) => encoder.get_mut().clear(),
                Inner::Ended(output) => output.clear(),
            }
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.inner {
            Inner::Gzip(_) => "Encoder(gzip)",
            Inner::Brotli(_) => "Encoder(br)",
            Inner::Ended(_) => "Encoder(ended)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use flate2::write::GzDecoder;

    use super::{Coding, Encoder};

    fn taken(encoder: &mut Encoder) -> Vec<u8> {
        let output = encoder.output().to_vec();
        encoder.consume(output.len());
        output
    }

    #[test]
    fn a_flush_gives_what_was_written() {
        let mut encoder = Encoder::new(Coding::Gzip);
        let mut decoder = GzDecoder::new(Vec::new());
        for number in 0..100 {
            let piece = format!("data: {number}\n\n");
            encoder.write(piece.as_bytes());
            encoder.flush();
            decoder.write_all(&taken(&mut encoder)).expect("gzip");
            decoder.flush().expect("gzip");
            assert!(decoder.get_ref().ends_with(piece.as_bytes()), "{number}");
            encoder.flush();
            assert!(encoder.output().is_empty(), "nothing new to flush");
        }
        encoder.finish();
        decoder.write_all(&taken(&mut encoder)).expect("gzip");
        assert!(decoder.finish().expect("a whole body").starts_with(b"data: 0\n\ndata: 1\n\n"));
    }

    #[test]
    fn brotli_gives_back_what_went_in() {
        let mut encoder = Encoder::new(Coding::Brotli);
        let (mut output, mut body) = (Vec::new(), Vec::new());
        for number in 0..1000 {
            let piece = format!("{{\"number\":{number},\"text\":\"some text\"}}\n");
            encoder.write(piece.as_bytes());
            if number % 100 == 0 {
                encoder.flush();
                assert!(!encoder.output().is_empty());
            }
            output.extend(taken(&mut encoder));
            body.extend(piece.into_bytes());
        }
        encoder.finish();
        output.extend(taken(&mut encoder));
        let mut decoded = Vec::new();
        brotli::Decompressor::new(&output[..], 4096).read_to_end(&mut decoded).expect("brotli");
        assert!(decoded == body);
        assert!(output.len() < body.len() / 4, "{}", output.len());
    }
}
