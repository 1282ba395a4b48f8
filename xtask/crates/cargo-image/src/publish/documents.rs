//! The documents about an image, and the signed list of them. Documents are long and a public log is not for
//! them: a signature over their digests says as much.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::attach::{Artifact, PREDICATE, PROVENANCE, SBOM, SCAN};
use super::image_bundle::ImageBundle;
use super::provenance;
use super::work::PublishSetup;
use cli_support::digest::Digest;
use oci_image::oci::Annotations;

/// What is said of the image, the provenance first.
pub fn artifacts(setup: &PublishSetup, parcel: &ImageBundle) -> Result<Vec<Artifact>> {
    let statement = provenance::statement(&setup.to.name(), parcel, &setup.parameters)?;
    let of_predicate = (PREDICATE.to_owned(), provenance::PREDICATE_TYPE.to_owned());
    let annotations = Annotations::from([of_predicate]);
    let mut artifacts = vec![Artifact { kind: PROVENANCE, bytes: statement, annotations }];
    if let Some(scan) = setup.scan.as_ref().filter(|scan| scan.digest == parcel.digest()) {
        let about = [("passed", scan.passed.to_string()), ("time", scan.time.clone())];
        let annotations =
            about.into_iter().map(|(name, value)| (format!("xtask.scan.{name}"), value)).collect();
        artifacts.push(Artifact { kind: SCAN, bytes: scan.bytes.clone(), annotations });
    }
    for path in &setup.sboms {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let annotations = Annotations::from([("org.opencontainers.image.title".to_owned(), name)]);
        artifacts.push(Artifact { kind: SBOM, bytes, annotations });
    }
    Ok(artifacts)
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
    fn a_list_names_what_was_attached_and_nothing_else() {
        let artifact = |kind: &'static str, bytes: &[u8]| Artifact {
            kind,
            bytes: bytes.to_vec(),
            annotations: Annotations::new(),
        };
        let predicate = predicate(&[artifact(SCAN, b"scan"), artifact(SBOM, b"sbom")]);
        let statement = json!({ "predicate": predicate });
        let all = listed(&[statement, json!({}), json!({ "predicate": { "documents": [{}, 5] } })]);
        let expected = [(SBOM.to_owned(), Digest::of(b"sbom")), (SCAN.to_owned(), Digest::of(b"scan"))];
        assert_eq!(all, expected.into());
    }
}
