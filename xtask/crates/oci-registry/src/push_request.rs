//! The requests that a push consists of (distribution-spec, "Pushing blobs").

use anyhow::Result;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use ureq::http::header::{LOCATION, RANGE};
use ureq::http::{HeaderValue, Method, Uri};

use super::reference::Reference;
use super::refusal::Action;
use super::retry::RequestError;
use super::session::{Call, Content, Session};
use super::token::Scope;
use super::url;
use super::wire::{Redirects, Response};

/// Result of the push of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The registry had it already.
    Present,
    /// It was sent.
    Sent,
}

/// An upload that was opened and that nothing was sent to.
#[derive(Clone, Debug)]
pub struct OpenUpload {
    pub(super) location: Uri,
    /// The shortest chunk that the registry takes, if it says so.
    pub(super) shortest: Option<u64>,
}

/// Opens an upload (distribution-spec, "POST then PUT").
pub(super) fn open_upload(
    session: &Session,
    reference: &Reference,
    scopes: &[Scope],
) -> Result<OpenUpload, RequestError> {
    let mut call = Call {
        method: Method::POST,
        url: uploads_url(session, reference)?,
        headers: Vec::new(),
        scopes,
        content: Content::Bytes(b""),
        redirects: Redirects::None,
    };
    let answer = session.write(&mut call)?;
    let shortest = answer.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok());
    Ok(OpenUpload { location: location(session, &answer)?, shortest })
}

pub(super) fn push_scope(reference: &Reference) -> [Scope; 1] {
    [Scope { repository: reference.repository().to_owned(), action: Action::Push }]
}

/// Whether a repository has a blob (distribution-spec, "Checking if content exists in the registry"). Where
/// HEAD is refused, by the registry or by the storage that it redirects to, one byte is asked for with GET.
pub(super) fn blob_exists(
    session: &Session,
    reference: &Reference,
    digest: &Digest,
    scopes: &[Scope],
) -> Result<bool, RequestError> {
    let url = session.url(&format!("v2/{}/blobs/{digest}", reference.repository()))?;
    let call = |method: Method, headers| Call {
        method,
        url: url.clone(),
        headers,
        scopes,
        content: Content::None,
        redirects: Redirects::Any,
    };
    let mut head = call(Method::HEAD, Vec::new());
    let answer = session.send(&mut head)?;
    match answer.status.as_u16() {
        200..=299 => return Ok(true),
        404 => return Ok(false),
        408 | 429 | 500 | 502..=504 => return Err(session.refused(answer, &head)),
        _ => {}
    }
    let mut get = call(Method::GET, vec![(RANGE, HeaderValue::from_static("bytes=0-0"))]);
    let answer = session.send(&mut get)?;
    match answer.status.as_u16() {
        // An empty blob has no first byte (RFC 9110, section 15.5.17).
        200..=299 | 416 => Ok(true),
        404 => Ok(false),
        _ => Err(session.refused(answer, &get)),
    }
}

pub(super) fn uploads_url(session: &Session, reference: &Reference) -> Result<Uri, RequestError> {
    session.url(&format!("v2/{}/blobs/uploads/", reference.repository()))
}

pub(super) fn with_query(base: &Uri, params: &[(&str, &str)]) -> Result<Uri, RequestError> {
    url::with_query(base, params)
        .ok_or_else(|| RequestError::permanent(Fault::failed("this makes no URL").at(url::shown(base))))
}

/// Where an upload goes on.
pub(super) fn location(session: &Session, answer: &Response) -> Result<Uri, RequestError> {
    let named = answer.header(LOCATION).ok_or_else(|| {
        RequestError::permanent(
            Fault::failed("the registry does not say where to upload to").at(url::shown(&answer.url)),
        )
    })?;
    session.join(&answer.url, named)
}
