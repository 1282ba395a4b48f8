//! Pulling manifests (distribution-spec, "Pull").

use anyhow::Result;
use serde::Deserialize;
use ureq::http::header::{ACCEPT, CONTENT_TYPE};
use ureq::http::{HeaderValue, Method};

use super::client::Client;
use super::reference::Reference;
use super::refusal::Action;
use super::retry::{RequestError, Transient};
use super::session::{Call, Content, Session};
use super::token::Scope;
use super::url;
use super::wire::{Redirects, Response};
use cli_support::digest::Digest;
use cli_support::error::Fault;

/// The kinds of manifest that are understood.
pub(super) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// The longest manifest: what registries must take (distribution-spec, "Pushing Manifests"), and a
/// little for those that count otherwise.
pub(super) const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024 + 4 * 1024;

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

/// The headers of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its type.
    pub media_type: String,
}

impl Client {
    /// The manifest of an image (distribution-spec, "Pulling manifests").
    ///
    /// Its bytes match the digest in `reference`, or else the one that the registry names. An error
    /// where there is none, where it is not allowed, or where it is of the outdated schema 1.
    pub fn manifest(&self, reference: &Reference) -> Result<Manifest> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let mut mismatched = false;
        self.retry(|| {
            let manifest = get_manifest(&session, reference, &reference.wanted())?;
            match manifest {
                Err(fault) if mismatched => Err(RequestError::permanent(fault)),
                Err(fault) => {
                    mismatched = true;
                    Err(RequestError::transient(Transient::Broken, fault))
                }
                Ok(manifest) => Ok(manifest),
            }
        })
    }

    /// The headers of a manifest; none if it does not exist (distribution-spec,
    /// "Checking if content exists in the registry").
    pub fn head_manifest(&self, reference: &Reference) -> Result<Option<ManifestHead>> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
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
            None => Ok(self.manifest_if_any(reference)?.map(|manifest| ManifestHead {
                digest: manifest.digest,
                size: manifest.bytes.len() as u64,
                media_type: manifest.media_type,
            })),
        }
    }

    /// The manifest, or none where the registry knows no such one.
    pub fn manifest_if_any(&self, reference: &Reference) -> Result<Option<Manifest>> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let answer = self.retry(|| {
            let scopes = pull_scope(reference);
            let mut call = manifest_call(&session, Method::GET, reference, &reference.wanted(), &scopes)?;
            let answer = session.send(&mut call)?;
            match answer.status.as_u16() {
                200 => {
                    let manifest = read_manifest(answer, reference)?.map_err(RequestError::permanent)?;
                    Ok(Ok(Some(manifest)))
                }
                404 | 410 => Ok(Ok(None)),
                _ => match session.refused(answer, &call) {
                    RequestError { transient: None, error } => Ok(Err(error)),
                    failure => Err(failure),
                },
            }
        })?;
        match answer {
            Err(_) if self.is_absent(reference)? => Ok(None),
            answer => answer,
        }
    }
}

pub(super) fn pull_scope(reference: &Reference) -> [Scope; 1] {
    [Scope { repository: reference.repository().to_owned(), action: Action::Pull }]
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue, RequestError> {
    HeaderValue::from_str(text)
        .map_err(|_| RequestError::permanent(Fault::failed("no header can carry this").at(text)))
}

fn manifest_call<'a>(
    session: &Session,
    method: Method,
    reference: &Reference,
    wanted: &str,
    scopes: &'a [Scope],
) -> Result<Call<'a>, RequestError> {
    Ok(Call {
        method,
        url: session.url(&format!("v2/{}/manifests/{wanted}", reference.repository()))?,
        headers: vec![(ACCEPT, header_value(&MANIFEST_TYPES.join(", "))?)],
        scopes,
        content: Content::None,
        redirects: Redirects::Any,
    })
}

/// The manifest, or the contradiction in it.
fn get_manifest(
    session: &Session,
    reference: &Reference,
    wanted: &str,
) -> Result<Result<Manifest, Fault>, RequestError> {
    let scopes = pull_scope(reference);
    let mut call = manifest_call(session, Method::GET, reference, wanted, &scopes)?;
    read_manifest(session.expect(&mut call, &[200])?, reference)
}

fn read_manifest(answer: Response, reference: &Reference) -> Result<Result<Manifest, Fault>, RequestError> {
    let at = url::shown(&answer.url);
    let announced = content_type(&answer);
    let named = docker_digest(&answer);
    let bytes = answer.read(MAX_MANIFEST_BYTES)?;
    let digest = Digest::of(&bytes);
    if let Some(wanted) = reference.digest().or(named)
        && wanted != digest
    {
        let what = format!("the manifest should be {wanted} and is {digest}");
        return Ok(Err(Fault::failed(what).at(at).of_content()));
    }
    let media_type =
        media_type(announced, &bytes).map_err(|fault| RequestError::permanent(fault.at(at).of_content()))?;
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
            .hint("have its maker push it again with a newer tool"));
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

fn content_type(answer: &Response) -> Option<String> {
    let value = answer.header(CONTENT_TYPE)?.split(';').next()?.trim();
    (!value.is_empty()).then(|| value.to_ascii_lowercase())
}

/// The digest that a registry puts beside content; other algorithms than ours say nothing here.
pub(super) fn docker_digest(answer: &Response) -> Option<Digest> {
    answer.header("docker-content-digest")?.trim().parse().ok()
}

fn head(answer: &Response) -> Option<ManifestHead> {
    let media_type = content_type(answer).filter(|text| MANIFEST_TYPES.contains(&text.as_str()))?;
    Some(ManifestHead { digest: docker_digest(answer)?, size: answer.length()?, media_type })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_type_must_agree_in_header_and_manifest() {
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
}
