//! Pulling manifests and blobs (distribution-spec, "Pull").

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use ureq::http::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use ureq::http::{HeaderValue, Method};

use super::client::Client;
use super::reference::Reference;
use super::refusal::Action;
use super::retry::{Passing, Trouble};
use super::session::{Call, Content, Session};
use super::token::Scope;
use super::url;
use super::wire::{Answer, Redirects};
use crate::digest::{Digest, Hasher};
use crate::error::Fault;

/// The kinds of manifest that are understood.
pub(super) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// The longest manifest: what registries must take (distribution-spec, "Pushing Manifests"), and a
/// little for those that count otherwise.
pub(super) const MOST_OF_MANIFEST: u64 = 4 * 1024 * 1024 + 4 * 1024;

/// A manifest as the registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The bytes that the digest is of.
    pub bytes: Vec<u8>,
    /// One of the OCI or Docker types for an index or an image.
    pub media_type: String,
    /// The digest of `bytes`.
    pub digest: Digest,
}

/// What a registry says of a manifest without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its type.
    pub media_type: String,
}

/// Where a blob is written to. It starts over when what came was not what the digest says.
pub trait Sink: Write {
    /// Throws away all that was written.
    fn restart(&mut self) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

impl Sink for File {
    fn restart(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        self.rewind()
    }
}

impl Sink for BufWriter<File> {
    fn restart(&mut self) -> io::Result<()> {
        self.flush()?;
        self.get_mut().restart()
    }
}

impl Client {
    /// The manifest of an image (distribution-spec, "Pulling manifests").
    ///
    /// Its bytes match the digest in `reference`, or else the one that the registry names. An error
    /// where there is none, where it is not allowed, or where it is of the outdated schema 1.
    pub fn manifest(&self, reference: &Reference) -> Result<Manifest> {
        let session = self.session(reference).map_err(|trouble| trouble.error)?;
        let mut mismatched = false;
        self.retry(|| {
            let manifest = get_manifest(&session, reference, &reference.wanted())?;
            match manifest {
                Err(fault) if mismatched => Err(Trouble::lasting(fault)),
                Err(fault) => {
                    mismatched = true;
                    Err(Trouble::passing(Passing::Broken, fault))
                }
                Ok(manifest) => Ok(manifest),
            }
        })
    }

    /// What the registry says of a manifest; none where there is no such one (distribution-spec,
    /// "Checking if content exists in the registry").
    pub fn head_manifest(&self, reference: &Reference) -> Result<Option<Head>> {
        let session = self.session(reference).map_err(|trouble| trouble.error)?;
        let head = self.retry(|| {
            let scopes = pull_scope(reference);
            let mut call = manifest_call(&session, Method::HEAD, reference, &reference.wanted(), &scopes)?;
            let answer = session.send(&mut call)?;
            Ok(match answer.status.as_u16() {
                404 => Some(None),
                200 => head(&answer).map(Some),
                // A refusal without a body explains nothing; asking for all of it brings one.
                _ => None,
            })
        })?;
        match head {
            Some(head) => Ok(head),
            None => Ok(self.manifest_if_any(reference)?.map(|manifest| Head {
                digest: manifest.digest,
                size: manifest.bytes.len() as u64,
                media_type: manifest.media_type,
            })),
        }
    }

    /// The manifest, or none where the registry knows no such one.
    pub(super) fn manifest_if_any(&self, reference: &Reference) -> Result<Option<Manifest>> {
        let session = self.session(reference).map_err(|trouble| trouble.error)?;
        self.retry(|| {
            let scopes = pull_scope(reference);
            let mut call = manifest_call(&session, Method::GET, reference, &reference.wanted(), &scopes)?;
            let answer = session.expect(&mut call, &[200, 404])?;
            if answer.status.as_u16() == 404 {
                return Ok(None);
            }
            read_manifest(answer, reference)?.map(Some).map_err(Trouble::lasting)
        })
    }

    /// Writes a blob to `sink` (distribution-spec, "Pulling blobs").
    ///
    /// What arrives is `size` bytes with this digest, or an error. A connection that breaks is taken up
    /// where it broke (RFC 9110, section 14.2). `progress` is told how many bytes have arrived in all.
    pub fn blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        size: u64,
        sink: &mut dyn Sink,
        progress: &dyn Fn(u64),
    ) -> Result<()> {
        let session = self.session(reference).map_err(|trouble| trouble.error)?;
        let mut started_over = false;
        loop {
            let mut download =
                Download { digest: *digest, size, received: 0, hasher: Hasher::new(), sink, progress };
            self.retry(|| download.attempt(&session, reference))?;
            let (seen, _) = download.hasher.finish();
            if seen == *digest {
                return Ok(());
            }
            if started_over {
                return Err(Fault::failed(format!("the registry sends other bytes than {digest}: {seen}"))
                    .at(reference.name())
                    .cure("the registry's storage, or a proxy in between, is damaged: push the image again")
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
    fn attempt(&mut self, session: &Session, reference: &Reference) -> Result<(), Trouble> {
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
            self.take(&buffer[known..read]).map_err(Trouble::lasting)?;
            at = end;
        }
        if at < self.size {
            let what = format!("the answer ended after {at} of {} bytes", self.size);
            return Err(Trouble::passing(Passing::Broken, Fault::failed(what).at(url::shown(&answer.url))));
        }
        Ok(())
    }

    /// The place of the first byte that comes.
    fn start_of(&self, answer: &Answer) -> Result<u64, Trouble> {
        if answer.status.as_u16() == 200 {
            return Ok(0);
        }
        let range = answer.header(CONTENT_RANGE).unwrap_or_default();
        match range_start(range) {
            Some(start) if start <= self.received => Ok(start),
            _ => {
                let what = format!("asked for bytes from {}, and it sends '{range}'", self.received);
                Err(Trouble::lasting(Fault::failed(what).at(url::shown(&answer.url))))
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

    fn wrong_size(&self, answer: &Answer, announced: Option<u64>) -> Trouble {
        let seen = announced.map_or_else(|| "more".to_owned(), |end| format!("{end} bytes"));
        let what = format!("the manifest says {} bytes, and the registry sends {seen}", self.size);
        Trouble::lasting(Fault::failed(what).at(url::shown(&answer.url)))
    }
}

/// The first byte of `bytes 5-9/10`.
fn range_start(range: &str) -> Option<u64> {
    range.trim().strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

pub(super) fn pull_scope(reference: &Reference) -> [Scope; 1] {
    [Scope { repository: reference.repository().to_owned(), action: Action::Pull }]
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue, Trouble> {
    HeaderValue::from_str(text)
        .map_err(|_| Trouble::lasting(Fault::failed("no header can carry this").at(text)))
}

fn manifest_call<'a>(
    session: &Session,
    method: Method,
    reference: &Reference,
    wanted: &str,
    scopes: &'a [Scope],
) -> Result<Call<'a>, Trouble> {
    Ok(Call {
        method,
        url: session.url(&format!("v2/{}/manifests/{wanted}", reference.repository()))?,
        headers: vec![(ACCEPT, header_value(&MANIFEST_TYPES.join(", "))?)],
        scopes,
        content: Content::None,
        redirects: Redirects::Any,
    })
}

/// The manifest, or what does not fit together about it.
fn get_manifest(
    session: &Session,
    reference: &Reference,
    wanted: &str,
) -> Result<Result<Manifest, Fault>, Trouble> {
    let scopes = pull_scope(reference);
    let mut call = manifest_call(session, Method::GET, reference, wanted, &scopes)?;
    read_manifest(session.expect(&mut call, &[200])?, reference)
}

fn read_manifest(answer: Answer, reference: &Reference) -> Result<Result<Manifest, Fault>, Trouble> {
    let at = url::shown(&answer.url);
    let announced = content_type(&answer);
    let named = docker_digest(&answer);
    let bytes = answer.read(MOST_OF_MANIFEST)?;
    let digest = Digest::of(&bytes);
    if let Some(wanted) = reference.digest().or(named)
        && wanted != digest
    {
        return Ok(Err(Fault::failed(format!("the manifest should be {wanted} and is {digest}")).at(at)));
    }
    let media_type = media_type(announced, &bytes).map_err(|fault| Trouble::lasting(fault.at(at)))?;
    Ok(Ok(Manifest { bytes, media_type, digest }))
}

/// The type of a manifest, by the header and by itself, which must agree (distribution-spec, "Pulling
/// manifests"): what reads as an image for one tool and as an index for another is a trap.
fn media_type(announced: Option<String>, bytes: &[u8]) -> Result<String, Fault> {
    #[derive(Deserialize)]
    struct Any {
        #[serde(rename = "schemaVersion")]
        schema_version: Option<u64>,
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    let any: Any =
        serde_json::from_slice(bytes).map_err(|_| Fault::failed("the manifest is not a JSON object"))?;
    let is_old = |text: &str| text.starts_with("application/vnd.docker.distribution.manifest.v1+");
    if any.schema_version == Some(1) || announced.as_deref().is_some_and(is_old) {
        return Err(Fault::failed("the image has the outdated format 'schema 1'")
            .cure("have its maker push it again with a newer tool"));
    }
    let known = |text: &String| MANIFEST_TYPES.contains(&text.as_str());
    match (announced.filter(known), any.media_type) {
        (Some(header), Some(own)) if header != own => {
            Err(Fault::failed(format!("the registry calls it {header}, and it calls itself {own}")))
        }
        (Some(header), _) => Ok(header),
        (None, Some(own)) if known(&own) => Ok(own),
        (None, Some(own)) => Err(Fault::failed(format!("not an image: {own}"))),
        (None, None) => {
            Err(Fault::failed("not an image: neither the registry nor the manifest names its type"))
        }
    }
}

fn content_type(answer: &Answer) -> Option<String> {
    let value = answer.header(CONTENT_TYPE)?.split(';').next()?.trim();
    (!value.is_empty()).then(|| value.to_ascii_lowercase())
}

/// The digest that a registry puts beside content; other algorithms than ours say nothing here.
pub(super) fn docker_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

fn head(answer: &Answer) -> Option<Head> {
    let media_type = content_type(answer).filter(|text| MANIFEST_TYPES.contains(&text.as_str()))?;
    Some(Head { digest: docker_digest(answer)?, size: answer.length()?, media_type })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_what_header_and_manifest_agree_on() {
        let [index, image, list, _] = MANIFEST_TYPES;
        let own = |own: &str| format!(r#"{{"schemaVersion":2,"mediaType":"{own}"}}"#);
        let bare = r#"{"schemaVersion":2}"#.to_owned();
        let cases = [
            (Some(index), own(index), Ok(index)),
            (Some(image), bare.clone(), Ok(image)),
            (None, own(list), Ok(list)),
            (Some("application/json"), own(image), Ok(image)),
            (Some("text/plain"), bare.clone(), Err("neither")),
            (Some(index), own(image), Err("calls itself")),
            (None, own("application/x"), Err("not an image: application/x")),
            (Some("application/vnd.docker.distribution.manifest.v1+prettyjws"), bare, Err("schema 1")),
            (None, r#"{"schemaVersion":1}"#.into(), Err("schema 1")),
            (Some(index), "[]x".into(), Err("not a JSON")),
        ];
        for (header, bytes, expected) in cases {
            let found = media_type(header.map(str::to_owned), bytes.as_bytes());
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
                (found, _) => panic!("{header:?} {bytes}: {found:?}"),
            }
        }
    }

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
