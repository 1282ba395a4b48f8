//! The body of a request, opened again for each attempt.

use std::io::{self, Read};

use anyhow::Result;

use super::super::failure::SourceFailed;
use cli_support::error::Fault;

/// Opens what is to be sent; again for each try.
pub(in super::super) type Open<'a> = dyn FnMut() -> io::Result<Box<dyn Read>> + 'a;

/// The body of a request, which can be sent several times.
pub(in super::super) enum Content<'a> {
    /// Nothing at all.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// A part of a source: so many bytes after so many others; told of each byte that was sent.
    Part { open: &'a mut Open<'a>, skip: u64, length: u64, sent: &'a dyn Fn(u64) },
}

pub(super) fn open_at(open: &mut Open<'_>, skip: u64) -> Result<Box<dyn Read>> {
    let failed = |error| Fault::failed(SourceFailed(error).to_string());
    let mut reader = open().map_err(failed)?;
    let skipped = io::copy(&mut reader.by_ref().take(skip), &mut io::sink()).map_err(failed)?;
    if skipped < skip {
        let early = io::Error::other(format!("it ends after {skipped} bytes"));
        return Err(failed(early).into());
    }
    Ok(reader)
}

/// A reader that reports progress.
pub(super) struct Counted<'a> {
    pub(super) reader: Box<dyn Read>,
    pub(super) sent: &'a dyn Fn(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        (self.sent)(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_upload_reads_from_the_received_offset() {
        let mut open = || Ok(Box::new(&b"hello"[..]) as Box<dyn Read>);
        let mut text = String::new();
        open_at(&mut open, 3).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "lo");
        let error = open_at(&mut open, 6).err().unwrap();
        assert!(error.to_string().contains("ends after 5 bytes"), "{error}");
    }
}
