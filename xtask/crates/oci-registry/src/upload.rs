//! The upload of one blob, resumed over several connections if necessary.

use std::cell::Cell;

use ureq::http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE};
use ureq::http::{HeaderValue, Method, Uri};

use super::client::Client;
use super::pull::header_value;
use super::push_request::{OpenUpload, Pushed, blob_exists, location, open_upload, with_query};
use super::reference::Reference;
use super::retry::{RequestError, Transient};
use super::session::{Call, Content, Open, Session};
use super::token::Scope;
use super::wire::{Redirects, Response};
use cli_support::digest::Digest;

/// The length of a chunk, below the 4 MiB that ghcr.io takes at most.
const CHUNK: u64 = 4_000_000;

pub(super) struct Upload<'a, 'o> {
    client: &'a Client,
    session: &'a Session,
    reference: &'a Reference,
    scopes: &'a [Scope],
    digest: Digest,
    size: u64,
    open: &'a mut Open<'o>,
    progress: &'a dyn Fn(u64),
    sent: Cell<u64>,
    /// The upload that broke, and the length of chunks that the registry wants for it.
    broken: Option<Place>,
    has_sent: bool,
    /// Whether the registry has just said that it does not have the blob.
    pub(super) is_missing: bool,
    /// An open upload without data.
    pub(super) opened: Option<OpenUpload>,
}

#[derive(Clone)]
struct Place {
    location: Uri,
    chunk: u64,
}

impl<'a, 'o> Upload<'a, 'o> {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        client: &'a Client,
        session: &'a Session,
        reference: &'a Reference,
        scopes: &'a [Scope],
        digest: Digest,
        size: u64,
        open: &'a mut Open<'o>,
        progress: &'a dyn Fn(u64),
    ) -> Self {
        let (sent, broken) = (Cell::new(0), None);
        Self {
            client,
            session,
            reference,
            scopes,
            digest,
            size,
            open,
            progress,
            sent,
            broken,
            has_sent: false,
            is_missing: false,
            opened: None,
        }
    }

    /// Makes one attempt, and resumes the upload of the last one.
    pub(super) fn attempt(&mut self) -> Result<Pushed, RequestError> {
        // Also after a failure: the upload may be complete although its answer was lost.
        if !std::mem::take(&mut self.is_missing) && self.is_there()? {
            return Ok(if self.has_sent { Pushed::Sent } else { Pushed::Present });
        }
        if let Some(place) = self.broken.clone() {
            if let Some((place, from)) = self.arrived(&place)? {
                match self.send_rest(place, from) {
                    Err(RequestError { transient: None, .. }) => {}
                    outcome => return outcome,
                }
            }
            self.broken = None;
        }
        self.send_all()
    }

    /// Repeated by itself, as opening an upload is: what fails once in a while must not use up the tries of
    /// the transfer.
    fn is_there(&self) -> Result<bool, RequestError> {
        let ask = || blob_exists(self.session, self.reference, &self.digest, self.scopes);
        let answer = self.client.retry_or_refusal(ask).map_err(RequestError::permanent)?;
        // The answer to an upload explains a refusal better.
        Ok(answer.unwrap_or(false))
    }

    /// Sends all of it to an upload that is open, or that it opens (distribution-spec, "POST then PUT").
    fn send_all(&mut self) -> Result<Pushed, RequestError> {
        let opened = if let Some(opened) = self.opened.take() {
            opened
        } else {
            let open = || open_upload(self.session, self.reference, self.scopes);
            self.client.retry(open).map_err(RequestError::permanent)?
        };
        let chunk = opened.shortest.map_or(CHUNK, |shortest| CHUNK.max(shortest));
        let place = Place { location: opened.location, chunk };
        let url = with_query(&place.location, &[("digest", &self.digest.to_string())])?;
        self.broken = Some(place);
        self.part(Method::PUT, url, Vec::new(), 0, self.size)?;
        Ok(Pushed::Sent)
    }

    /// How much of a broken upload has arrived, and where the rest goes; none where the registry cannot
    /// tell or has nothing (distribution-spec, "Pushing a blob in chunks").
    fn arrived(&self, place: &Place) -> Result<Option<(Place, u64)>, RequestError> {
        let mut call = Call {
            method: Method::GET,
            url: place.location.clone(),
            headers: Vec::new(),
            scopes: self.scopes,
            content: Content::None,
            redirects: Redirects::None,
        };
        let answer = self.session.send(&mut call)?;
        if !matches!(answer.status.as_u16(), 200 | 204) {
            return Ok(None);
        }
        let Some(from) = answer.header(RANGE).and_then(next_byte).filter(|from| *from <= self.size) else {
            return Ok(None);
        };
        Ok(Some((Place { location: self.next(place, &answer)?, chunk: place.chunk }, from)))
    }

    /// Sends what is missing in chunks, and ends the upload.
    fn send_rest(&mut self, mut place: Place, mut from: u64) -> Result<Pushed, RequestError> {
        while from < self.size {
            let length = place.chunk.min(self.size - from);
            self.broken = Some(place.clone());
            let range = header_value(&format!("{from}-{}", from + length - 1))?;
            let headers = vec![(CONTENT_RANGE, range)];
            let answer = self.part(Method::PATCH, place.location.clone(), headers, from, length)?;
            place.location = self.next(&place, &answer)?;
            from += length;
        }
        let url = with_query(&place.location, &[("digest", &self.digest.to_string())])?;
        self.broken = Some(place);
        self.part(Method::PUT, url, Vec::new(), self.size, 0)?;
        Ok(Pushed::Sent)
    }

    /// The URL at which the upload continues; the last one if the registry gives none.
    fn next(&self, place: &Place, answer: &Response) -> Result<Uri, RequestError> {
        if answer.headers.contains_key(ureq::http::header::LOCATION) {
            location(self.session, answer)
        } else {
            Ok(place.location.clone())
        }
    }

    fn part(
        &mut self,
        method: Method,
        url: Uri,
        mut headers: Vec<(HeaderName, HeaderValue)>,
        skip: u64,
        length: u64,
    ) -> Result<Response, RequestError> {
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")));
        self.sent.set(skip);
        let (sent, progress) = (&self.sent, self.progress);
        let count = |bytes: u64| {
            sent.set(sent.get() + bytes);
            progress(sent.get());
        };
        self.has_sent = true;
        let content = if length == 0 {
            Content::Bytes(b"")
        } else {
            Content::Part { open: &mut *self.open, skip, length, sent: &count }
        };
        let mut call =
            Call { method, url, headers, scopes: self.scopes, content, redirects: Redirects::None };
        let answer = self.session.send(&mut call)?;
        match answer.status.as_u16() {
            200..=299 => Ok(answer),
            // The upload is new: it may be unknown only to one of several servers.
            404 => {
                let refused = self.session.refused(answer, &call);
                self.broken = None;
                Err(RequestError { transient: Some(Transient::Broken), ..refused })
            }
            _ => Err(self.session.refused(answer, &call)),
        }
    }
}

/// The first byte that is missing, by `0-99`. Where nothing has arrived, registries say `0-0`.
fn next_byte(range: &str) -> Option<u64> {
    let range = range.trim();
    let range = range.strip_prefix("bytes=").or_else(|| range.strip_prefix("bytes ")).unwrap_or(range);
    let (start, end) = range.split_once('-')?;
    let end: u64 = end.trim().parse().ok()?;
    (start.trim() == "0" && end > 0).then(|| end.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_received_range_is_parsed() {
        let cases = [
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("0-0", None),
            ("5-9", None),
            ("0-", None),
            ("x", None),
            ("", None),
        ];
        for (range, expected) in cases {
            assert_eq!(next_byte(range), expected, "{range}");
        }
    }
}
