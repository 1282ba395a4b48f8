//! Pulling blobs (distribution-spec, "Pulling blobs"), over as many connections as it takes.

use std::io::{Read, Write};

use anyhow::{Context as _, Result};
use ureq::http::Method;
use ureq::http::header::{CONTENT_RANGE, RANGE};

use super::client::Client;
use super::pull::{header_value, pull_scope};
use super::reference::Reference;
use super::retry::{RequestError, Transient};
use super::session::{Call, Content, Session};
use super::url;
use super::wire::{Redirects, Response};
use cli_support::digest::{Digest, Hasher};
use cli_support::error::Fault;
use cli_support::files::Sink;

impl Client {
    /// Writes a blob to `sink` (distribution-spec, "Pulling blobs").
    ///
    /// The content must have `size` bytes and this digest. A broken download is resumed
    /// (RFC 9110, section 14.2). `progress` gets the number of bytes received so far.
    pub fn blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        size: u64,
        sink: &mut dyn Sink,
        progress: &dyn Fn(u64),
    ) -> Result<()> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let mut started_over = false;
        loop {
            let mut download =
                Download { digest: *digest, size, received: 0, hasher: Hasher::new(), sink, progress };
            self.retry_transfer(size, || download.attempt(&session, reference))?;
            let (seen, _) = download.hasher.finish();
            if seen == *digest {
                return Ok(());
            }
            if started_over {
                return Err(Fault::failed(format!("the registry sends other bytes than {digest}: {seen}"))
                    .at(reference.name())
                    .of_content()
                    .hint("the registry's storage, or a proxy in between, is damaged: push the image again")
                    .into());
            }
            started_over = true;
            sink.restart().context("start over what was written of a blob")?;
        }
    }
}

struct Download<'a> {
    digest: Digest,
    size: u64,
    received: u64,
    hasher: Hasher,
    sink: &'a mut dyn Sink,
    progress: &'a dyn Fn(u64),
}

impl Download<'_> {
    /// Gets what is missing, as far as the connection holds.
    fn attempt(&mut self, session: &Session, reference: &Reference) -> Result<(), RequestError> {
        if self.received == self.size && self.size > 0 {
            return Ok(());
        }
        let scopes = pull_scope(reference);
        let path = format!("v2/{}/blobs/{}", reference.repository(), self.digest);
        let mut headers = Vec::new();
        if self.received > 0 {
            headers.push((RANGE, header_value(&format!("bytes={}-", self.received))?));
        }
        let mut call = Call {
            method: Method::GET,
            url: session.url(&path)?,
            headers,
            scopes: &scopes,
            content: Content::None,
            redirects: Redirects::Any,
        };
        let mut answer = session.expect(&mut call, &[200, 206])?;
        let from = self.start_of(&answer)?;
        let announced = answer.length().map(|length| from.saturating_add(length));
        if announced.is_some_and(|end| end != self.size) {
            return Err(self.wrong_size(&answer, announced));
        }
        let mut buffer = vec![0; 64 * 1024];
        let mut at = from;
        loop {
            let read = answer.body.read(&mut buffer).map_err(|error| answer.broke(error))?;
            if read == 0 {
                break;
            }
            let end = at + read as u64;
            if end > self.size {
                return Err(self.wrong_size(&answer, None));
            }
            // A server that ignores ranges sends again what is there already.
            let known = usize::try_from(self.received.saturating_sub(at)).unwrap_or(usize::MAX).min(read);
            self.take(&buffer[known..read]).map_err(RequestError::permanent)?;
            at = end;
        }
        if at < self.size {
            let what = format!("the answer ended after {at} of {} bytes", self.size);
            let fault = Fault::failed(what).at(url::shown(&answer.url)).of_content();
            return Err(RequestError::transient(Transient::Broken, fault));
        }
        Ok(())
    }

    /// The place of the first byte that comes.
    fn start_of(&self, answer: &Response) -> Result<u64, RequestError> {
        if answer.status.as_u16() == 200 {
            return Ok(0);
        }
        let range = answer.header(CONTENT_RANGE).unwrap_or_default();
        match range_start(range) {
            Some(start) if start <= self.received => Ok(start),
            _ => {
                let what = format!("asked for bytes from {}, and it sends '{range}'", self.received);
                Err(RequestError::permanent(Fault::failed(what).at(url::shown(&answer.url))))
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes).context("write a blob")?;
        self.hasher.write_all(bytes)?;
        self.received += bytes.len() as u64;
        (self.progress)(self.received);
        Ok(())
    }

    fn wrong_size(&self, answer: &Response, announced: Option<u64>) -> RequestError {
        let seen = announced.map_or_else(|| "more".to_owned(), |end| format!("{end} bytes"));
        let what = format!("the manifest says {} bytes, and the registry sends {seen}", self.size);
        RequestError::permanent(Fault::failed(what).at(url::shown(&answer.url)).of_content())
    }
}

/// The first byte of `bytes 5-9/10`.
fn range_start(range: &str) -> Option<u64> {
    range.trim().strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_or_not() {
        let cases = [
            ("bytes 5-9/10", Some(5)),
            ("bytes 0-0/*", Some(0)),
            ("bytes */10", None),
            ("5-9", None),
            ("", None),
        ];
        for (range, expected) in cases {
            assert_eq!(range_start(range), expected, "{range}");
        }
    }
}
