//! Compresses a response body while it is forwarded.

use std::fmt;
use std::io::Write;

use brotli::CompressorWriter;
use flate2::write::GzEncoder;

use super::Coding;

/// A higher level costs more CPU time than the saved bytes are worth, on a thread that also serves other
/// requests.
const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: u32 = 4;
/// Window size as a power of two: 256 KiB per response.
const BROTLI_WINDOW: u32 = 18;
/// Size of brotli's output pieces, in bytes.
const BROTLI_BUFFER: usize = 4 << 10;

/// Encodes one body.
pub struct Encoder {
    inner: Inner,
    /// Number of output bytes that were consumed.
    at: usize,
    /// Whether there is unflushed input.
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

    /// Flushes all input to the output.
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

    /// Output that was not consumed yet.
    pub fn output(&self) -> &[u8] {
        let output = match &self.inner {
            Inner::Gzip(encoder) => encoder.get_ref(),
            Inner::Brotli(encoder) => encoder.get_ref(),
            Inner::Ended(output) => output,
        };
        output.get(self.at..).unwrap_or_default()
    }

    /// Consumes `count` bytes of the output.
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
    fn flush_outputs_all_input() {
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
        assert!(decoder.finish().expect("a complete body").starts_with(b"data: 0\n\ndata: 1\n\n"));
    }

    #[test]
    fn brotli_round_trip_is_lossless() {
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
