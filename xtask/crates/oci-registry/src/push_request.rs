//! The requests that a push consists of (distribution-spec, "Pushing blobs").

use anyhow::Result;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use ureq::http::header::LOCATION;
use ureq::http::{Method, Uri};

use super::reference::Reference;
use super::refusal::Action;
use super::retry::RequestError;
use super::session::{Call, Content, Session};
use super::token::Scope;
use super::url;
use super::wire::{Redirects, Response};

/// What pushing a blob came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The registry had it already.
    Present,
    /// It was sent.
    Sent,
}

pub(super) fn push_scope(reference: &Reference) -> [Scope; 1] {
    [Scope { repository: reference.repository().to_owned(), action: Action::Push }]
}

pub(super) fn head_blob<'a>(
    session: &Session,
    reference: &Reference,
    digest: &Digest,
    scopes: &'a [Scope],
) -> Result<Call<'a>, RequestError> {
    Ok(Call {
        method: Method::HEAD,
        url: session.url(&format!("v2/{}/blobs/{digest}", reference.repository()))?,
        headers: Vec::new(),
        scopes,
        content: Content::None,
        redirects: Redirects::Any,
    })
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
