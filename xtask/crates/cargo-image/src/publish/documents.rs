//! The documents about an image, and the signed list of them. Documents are long and a public log is not for
//! them: a signature over their digests says as much.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use super::attach::Artifact;
use super::image_bundle::ImageBundle;
use super::kinds::KINDS;
use super::work::PublishSetup;
use cli_support::digest::Digest;

/// The documents about the image, the provenance first.
pub fn artifacts(setup: &PublishSetup, bundle: &ImageBundle) -> Result<Vec<Artifact>> {
    let of_kinds = KINDS.into_iter().map(|kind| (kind.produce)(kind, setup, bundle));
    Ok(of_kinds.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The predicate: the type and digest of each document.
pub fn predicate(artifacts: &[Artifact]) -> Value {
    let document = |artifact: &Artifact| {
        let digest = Digest::of(&artifact.bytes);
        json!({ "mediaType": artifact.kind, "digest": { "sha256": digest.hex() } })
    };
    json!({ "documents": artifacts.iter().map(document).collect::<Vec<_>>() })
}

/// The documents that statements list, each by its type and digest.
pub fn listed(statements: &[Value]) -> BTreeSet<(String, Digest)> {
    let lists = statements.iter().filter_map(|one| one.pointer("/predicate/documents")?.as_array());
    let document = |one: &Value| {
        let hex = one.pointer("/digest/sha256")?.as_str()?;
        Some((one["mediaType"].as_str()?.to_owned(), format!("sha256:{hex}").parse().ok()?))
    };
    lists.flatten().filter_map(document).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_list_names_only_attached_documents() {
        const SCAN: &str = "application/x-scan";
        const SBOM: &str = "application/x-sbom";
        let artifact = |kind: &'static str, bytes: &[u8]| Artifact {
            kind,
            bytes: bytes.to_vec(),
            annotations: oci_image::oci::Annotations::new(),
        };
        let predicate = predicate(&[artifact(SCAN, b"scan"), artifact(SBOM, b"sbom")]);
        let statement = json!({ "predicate": predicate });
        let all = listed(&[statement, json!({}), json!({ "predicate": { "documents": [{}, 5] } })]);
        let expected = [(SBOM.to_owned(), Digest::of(b"sbom")), (SCAN.to_owned(), Digest::of(b"scan"))];
        assert_eq!(all, expected.into());
    }
}
