//! Pushing blobs and manifests, and deleting them (distribution-spec, "Push" and "Content Management").

use anyhow::Result;
use ureq::http::Method;
use ureq::http::header::CONTENT_TYPE;

use super::client::Client;
use super::pull::{MAX_MANIFEST_BYTES, docker_digest, header_value};
use super::push_request::{
    OpenUpload, Pushed, blob_exists, open_upload, push_scope, uploads_url, with_query,
};
use super::reference::Reference;
use super::refusal::Action;
use super::retry::{RequestError, Transient};
use super::session::{Call, Content, Open};
use super::token::Scope;
use super::upload::Upload;
use super::url;
use super::wire::Redirects;
use cli_support::digest::Digest;
use cli_support::error::Fault;

/// Attempts to put a manifest if the registry does not find its blobs yet. Some registries find a blob only
/// after a delay, or not during another upload of it.
const TRIES_OF_UNSEEN: u32 = 4;

/// The digest of a put manifest, and its subject if the registry confirms it (`OCI-Subject`).
type Put = (Digest, Option<String>);

/// The state of a blob in the repository before its push.
enum Before {
    NotAsked,
    Missing,
    /// Missing, and an upload for it is open.
    Opened(OpenUpload),
}

fn is_unseen(failure: &RequestError) -> bool {
    failure.transient.is_none() && format!("{:#}", failure.error).contains("MANIFEST_BLOB_UNKNOWN")
}

impl Client {
    /// Whether a repository has a blob (distribution-spec, "Checking if content exists in the registry").
    /// Asks with the right to push, so that one token serves the whole push.
    pub fn has_blob(&self, reference: &Reference, digest: &Digest) -> Result<bool> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let scopes = push_scope(reference);
        let answer = self.retry_or_refusal(|| blob_exists(&session, reference, digest, &scopes))?;
        // Some registries refuse what is not there.
        answer.or_else(
            |refused| if session.is_writable(reference.repository()) { Ok(false) } else { Err(refused) },
        )
    }

    /// Asks for the right to push by opening an upload (distribution-spec, "Pushing blobs"). An error says why
    /// there is no such right. Nothing is stored; [`Client::cancel_upload`] gives the upload up.
    pub fn open_upload(&self, reference: &Reference) -> Result<OpenUpload> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let scopes = push_scope(reference);
        self.retry(|| open_upload(&session, reference, &scopes))
    }

    /// Cancels an upload without data. Registries remove unfinished uploads; some have no
    /// request for that, so a refusal is no error.
    pub fn cancel_upload(&self, reference: &Reference, upload: &OpenUpload) {
        let Ok(session) = self.session(reference) else { return };
        let scopes = push_scope(reference);
        let mut call = Call {
            method: Method::DELETE,
            url: upload.location.clone(),
            headers: Vec::new(),
            scopes: &scopes,
            content: Content::None,
            redirects: Redirects::None,
        };
        drop(session.send(&mut call));
    }

    /// Lets a repository have a blob of another one in the same registry, without sending it
    /// (distribution-spec, "Mounting a blob from another repository"). False where the registry would not:
    /// then the blob is to be pushed.
    pub fn mount_blob(&self, reference: &Reference, from: &Reference, digest: &Digest) -> Result<bool> {
        if from.registry() != reference.registry() {
            return Ok(false);
        }
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let [push] = push_scope(reference);
        let read = Scope { repository: from.repository().to_owned(), action: Action::Pull };
        let scopes = [push, read];
        self.retry(|| {
            let uploads = uploads_url(&session, reference)?;
            let params = [("mount", &*digest.to_string()), ("from", from.repository())];
            let mut call = Call {
                method: Method::POST,
                url: with_query(&uploads, &params)?,
                headers: Vec::new(),
                scopes: &scopes,
                content: Content::Bytes(b""),
                redirects: Redirects::None,
            };
            // A refused mount is no error: the push reports what matters.
            let answer = match session.send(&mut call) {
                Ok(answer) => answer,
                Err(RequestError { transient: None, .. }) => return Ok(false),
                Err(failure) => return Err(failure),
            };
            match answer.status.as_u16() {
                201 => Ok(true),
                200..=499 if answer.status.as_u16() != 429 => Ok(false),
                _ => Err(session.refused(answer, &call)),
            }
        })
    }

    /// Pushes a blob if the repository does not have it (distribution-spec, "Pushing blobs").
    ///
    /// Asks first whether it is there. Then it is sent in one stream; when that breaks, the registry is
    /// asked how much has arrived, and the rest follows in chunks where it can tell, or else all of it is
    /// sent again. `open` gives the `size` bytes with this digest from their start, each time it is
    /// called. `progress` gets the number of bytes sent so far.
    pub fn push_blob(
        &self,
        reference: &Reference,
        open: &mut Open<'_>,
        digest: &Digest,
        size: u64,
        progress: &dyn Fn(u64),
    ) -> Result<Pushed> {
        self.push(reference, open, digest, size, progress, Before::NotAsked)
    }

    /// The same for a blob that the repository did not have when it was asked just now: it is asked again only
    /// after a failure. `opened` is an upload for it; without one it opens one.
    pub fn push_missing_blob(
        &self,
        reference: &Reference,
        open: &mut Open<'_>,
        digest: &Digest,
        size: u64,
        progress: &dyn Fn(u64),
        opened: Option<OpenUpload>,
    ) -> Result<Pushed> {
        self.push(reference, open, digest, size, progress, opened.map_or(Before::Missing, Before::Opened))
    }

    fn push(
        &self,
        reference: &Reference,
        open: &mut Open<'_>,
        digest: &Digest,
        size: u64,
        progress: &dyn Fn(u64),
        before: Before,
    ) -> Result<Pushed> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let scopes = push_scope(reference);
        let mut upload = Upload::new(self, &session, reference, &scopes, *digest, size, open, progress);
        upload.is_missing = !matches!(before, Before::NotAsked);
        if let Before::Opened(opened) = before {
            upload.opened = Some(opened);
        }
        self.retry_transfer(size, || upload.attempt())
    }

    /// Puts a manifest under the tag or digest of `reference`, or under its own digest where that has
    /// neither (distribution-spec, "Pushing Manifests"). Gives the digest of the bytes, which the registry
    /// does not contradict.
    pub fn put_manifest(&self, reference: &Reference, bytes: &[u8], media_type: &str) -> Result<Digest> {
        self.put_always(reference, bytes, media_type)?.map(|(digest, _)| digest)
    }

    /// Puts a manifest as `put_manifest` does, but asks `may` before each try: a registry knows no
    /// conditional writes, and another client may write between attempts. None if `may` returns false.
    pub fn put_manifest_if(
        &self,
        reference: &Reference,
        bytes: &[u8],
        media_type: &str,
        may: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<Option<Digest>> {
        self.put(reference, bytes, media_type, may)?.map(|put| put.map(|(digest, _)| digest))
    }

    /// Puts a manifest; also gives the subject if the registry confirms it. The inner error
    /// is a permanent refusal.
    pub(super) fn put_always(
        &self,
        reference: &Reference,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<Result<Put>> {
        let put = self.put(reference, bytes, media_type, &mut || Ok(true))?;
        let sent =
            |put: Option<_>| put.ok_or_else(|| Fault::failed("the manifest was not sent").at(reference));
        Ok(match put {
            Ok(put) => Ok(sent(put)?),
            Err(refused) => Err(refused),
        })
    }

    fn put(
        &self,
        reference: &Reference,
        bytes: &[u8],
        media_type: &str,
        may: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<Result<Option<Put>>> {
        let digest = Digest::of(bytes);
        if bytes.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(Fault::failed(format!("the manifest is longer than {MAX_MANIFEST_BYTES} bytes"))
                .at(reference)
                .into());
        }
        if reference.digest().is_some_and(|wanted| wanted != digest) {
            return Err(Fault::failed(format!("the manifest to be pushed has the digest {digest}"))
                .at(reference)
                .into());
        }
        let wanted = match (reference.digest(), reference.tag()) {
            (None, Some(tag)) => tag.to_owned(),
            _ => digest.to_string(),
        };
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let scopes = push_scope(reference);
        let mut unseen = 0;
        self.retry_or_refusal(|| {
            if !may().map_err(RequestError::permanent)? {
                return Ok(None);
            }
            let mut call = Call {
                method: Method::PUT,
                url: session.url(&format!("v2/{}/manifests/{wanted}", reference.repository()))?,
                headers: vec![(CONTENT_TYPE, header_value(media_type)?)],
                scopes: &scopes,
                content: Content::Bytes(bytes),
                redirects: Redirects::None,
            };
            let answer = match session.write(&mut call) {
                Err(failure) if unseen < TRIES_OF_UNSEEN && is_unseen(&failure) => {
                    unseen += 1;
                    return Err(RequestError::transient(Transient::Busy(None), failure.error));
                }
                outcome => outcome?,
            };
            if let Some(stored) = docker_digest(&answer).filter(|stored| *stored != digest) {
                let what =
                    format!("the manifest that was sent is {digest}, and the registry stored {stored}");
                return Err(RequestError::permanent(Fault::failed(what).at(url::shown(&answer.url))));
            }
            Ok(Some((digest, answer.header("oci-subject").map(str::to_owned))))
        })
    }

    /// Deletes the manifest with the digest of `reference` (distribution-spec, "Deleting Manifests").
    /// False where there is none; an error where the registry does not delete, as ghcr.io does not.
    pub fn delete_manifest(&self, reference: &Reference) -> Result<bool> {
        match reference.digest() {
            Some(digest) => self.delete(reference, &digest.to_string()),
            None => Err(Fault::usage("manifests are deleted by their digest").at(reference).into()),
        }
    }

    /// Deletes a tag (distribution-spec, "Deleting tags"), which is left over in registries that keep the
    /// tags of a manifest that is deleted. False where there is none.
    pub fn delete_tag(&self, reference: &Reference) -> Result<bool> {
        match reference.tag() {
            Some(tag) => self.delete(reference, tag),
            None => Err(Fault::usage("there is no tag to delete").at(reference).into()),
        }
    }

    fn delete(&self, reference: &Reference, wanted: &str) -> Result<bool> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let scopes = [Scope { repository: reference.repository().to_owned(), action: Action::Delete }];
        self.retry(|| {
            let mut call = Call {
                method: Method::DELETE,
                url: session.url(&format!("v2/{}/manifests/{wanted}", reference.repository()))?,
                headers: Vec::new(),
                scopes: &scopes,
                content: Content::None,
                redirects: Redirects::None,
            };
            Ok(session.expect(&mut call, &[200, 202, 204, 404])?.status.as_u16() != 404)
        })
    }
}
