//! What a consumer reads out of the documents that are attached to an image.

use anyhow::Result;
use serde_json::Value;

use crate::digest::Digest;
use crate::image::oci::{self, Manifest};
use crate::registry::{Client, Reference, Referrer};

/// The document that a referrer holds: the one layer of its manifest, its bytes as its digest says.
pub(super) fn document(client: &Client, at: &Reference, referrer: &Referrer) -> Result<Vec<u8>> {
    let manifest = client.manifest(&at.with_digest(referrer.digest))?;
    let manifest: Manifest = oci::from_bytes(&referrer.digest.to_string(), &manifest.bytes)?;
    let mut bytes = Vec::new();
    if let Some(layer) = manifest.layers.first() {
        if layer.size > oci::MAX_DOCUMENT * 8 {
            anyhow::bail!(
                crate::error::Fault::failed("a document of this size is not read").at(layer.digest)
            );
        }
        client.blob(at, &layer.digest, layer.size, &mut bytes, &|_| ())?;
    }
    Ok(bytes)
}

/// What provenance says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Provenance {
    pub(super) builder: String,
    pub(super) revision: Option<String>,
    pub(super) unscanned: Option<String>,
}

/// Reads a statement about `digest`, or says why it is none.
pub(super) fn provenance(bytes: &[u8], digest: &Digest) -> Result<Provenance, String> {
    let statement: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON".to_owned())?;
    let text = |pointer: &str| statement.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    if text("/predicateType").as_deref() != Some("https://slsa.dev/provenance/v1") {
        return Err("it is no SLSA v1 provenance".to_owned());
    }
    let subjects = statement["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !subjects.iter().any(|subject| subject["digest"]["sha256"] == digest.hex()) {
        return Err("it is about another image".to_owned());
    }
    let builder = text("/predicate/runDetails/builder/id").ok_or("it names no builder")?;
    let materials = statement.pointer("/predicate/buildDefinition/resolvedDependencies");
    let commits = materials.and_then(Value::as_array).into_iter().flatten();
    Ok(Provenance {
        builder,
        revision: commits.filter_map(|one| one["digest"]["gitCommit"].as_str()).map(str::to_owned).next(),
        unscanned: text("/predicate/buildDefinition/externalParameters/allowUnscanned"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn provenance_is_about_this_image_or_it_is_none() {
        let digest = Digest::of(b"image");
        let good = json!({
            "predicateType": "https://slsa.dev/provenance/v1",
            "subject": [{ "digest": { "sha256": digest.hex() } }],
            "predicate": {
                "buildDefinition": { "resolvedDependencies": [{ "digest": { "gitCommit": "abc" } }] },
                "runDetails": { "builder": { "id": "urn:b" } },
            },
        });
        let read = |value: &Value| provenance(value.to_string().as_bytes(), &digest);
        assert_eq!(
            read(&good).unwrap(),
            Provenance { builder: "urn:b".into(), revision: Some("abc".into()), unscanned: None }
        );
        for (pointer, words) in [
            ("/predicateType", "no SLSA"),
            ("/subject/0/digest/sha256", "another image"),
            ("/predicate/runDetails/builder/id", "no builder"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = Value::Null;
            assert!(read(&bad).unwrap_err().contains(words), "{pointer}");
        }
        assert!(provenance(b"x", &digest).is_err());
    }
}
