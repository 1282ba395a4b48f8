//! Documents about an image, as OCI 1.1 referrers of its digest (image-spec manifest.md, "Guidelines for Artifact
//! Usage").

use std::collections::BTreeSet;
use std::io::{self, Read};

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use cli_support::digest::Digest;
use cli_support::threads::each;
use oci_image::oci::{self, Annotations, Descriptor};
use oci_registry::{Client, OpenUpload, Pushed, PutReferrers, Reference};

/// Whether documents are attached to the image.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// Attach nothing
    Never,
    /// Attach them if the registry accepts referrers, otherwise warn
    #[default]
    Auto,
    /// Fail if the registry does not accept referrers
    Require,
}

const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";

/// A document about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The artifact type, which is also the document's media type.
    pub kind: &'static str,
    /// The document.
    pub bytes: Vec<u8>,
    /// Annotations of the referrer.
    pub annotations: Annotations,
}

impl Artifact {
    /// The manifest that refers to `subject`. Equal documents give equal bytes.
    pub fn manifest(&self, subject: &Descriptor) -> Result<Vec<u8>> {
        let of = |media_type: &str, bytes: &[u8]| Descriptor::of(media_type, bytes);
        let subject = Descriptor { platform: None, annotations: Annotations::new(), ..subject.clone() };
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": oci::MANIFEST,
            "artifactType": self.kind,
            "config": of(EMPTY_TYPE, EMPTY),
            "layers": [of(self.kind, &self.bytes)],
            "subject": subject,
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        oci::to_bytes(&manifest)
    }
}

/// Attaches documents to `subject` in the repository of `to`, blobs first. Returns the referrers' digests, in order.
pub fn attach(
    client: &Client,
    to: &Reference,
    subject: &Descriptor,
    artifacts: &[Artifact],
) -> Result<Vec<Digest>> {
    each(&blobs(artifacts), |bytes| push(client, to, bytes))?;
    let manifests = manifests(subject, artifacts)?;
    client.put_referrers(to, &manifests.iter().map(Vec::as_slice).collect::<Vec<_>>(), oci::MANIFEST)
}

/// The different blobs of documents.
pub fn blobs(artifacts: &[Artifact]) -> Vec<&[u8]> {
    if artifacts.is_empty() {
        return Vec::new();
    }
    let blobs = artifacts.iter().map(|artifact| &artifact.bytes[..]).chain([EMPTY]);
    blobs.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Puts the referrers of documents whose blobs the registry has. The inner error: the registry accepts no referrers,
/// or does not list them.
pub fn refer(
    client: &Client,
    to: &Reference,
    subject: &Descriptor,
    artifacts: &[Artifact],
) -> Result<Result<PutReferrers>> {
    let manifests = manifests(subject, artifacts)?;
    let manifests: Vec<_> = manifests.iter().map(Vec::as_slice).collect();
    client.put_referrers_unlisted(to, &manifests, oci::MANIFEST)
}

/// Adds them to the list of referrers again if another process has overwritten it.
pub fn keep(client: &Client, to: &Reference, subject: &Descriptor, artifacts: &[Artifact]) -> Result<()> {
    let manifests = manifests(subject, artifacts)?;
    client.keep_referrers(to, &manifests.iter().map(Vec::as_slice).collect::<Vec<_>>(), oci::MANIFEST)
}

fn manifests(subject: &Descriptor, artifacts: &[Artifact]) -> Result<Vec<Vec<u8>>> {
    artifacts.iter().map(|artifact| artifact.manifest(subject)).collect()
}

/// Pushes a blob from memory unless the repository has it.
fn push(client: &Client, to: &Reference, bytes: &[u8]) -> Result<Pushed> {
    client.push_blob(to, &mut || Ok(open(bytes)), &Digest::of(bytes), bytes.len() as u64, &|_| ())
}

/// Pushes a blob from memory that the repository was just asked for and does not have; `opened` is an upload for it.
pub fn push_missing(
    client: &Client,
    to: &Reference,
    bytes: &[u8],
    opened: Option<OpenUpload>,
) -> Result<Pushed> {
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    client.push_missing_blob(to, &mut || Ok(open(bytes)), &digest, size, &|_| (), opened)
}

fn open(bytes: &[u8]) -> Box<dyn Read> {
    Box::new(io::Cursor::new(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_referrer_names_its_subject_and_nothing_of_its_place() {
        let mut subject = Descriptor::of(oci::INDEX, b"index");
        subject.annotations.insert("org.opencontainers.image.ref.name".into(), "x".into());
        let artifact =
            Artifact { kind: "application/x", bytes: b"{}".to_vec(), annotations: Annotations::new() };
        let manifest = artifact.manifest(&subject).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(read["artifactType"], "application/x");
        assert_eq!(read["subject"], json!({"mediaType": oci::INDEX, "digest": subject.digest, "size": 5}));
        assert_eq!(manifest, artifact.manifest(&subject).unwrap());
    }
}
