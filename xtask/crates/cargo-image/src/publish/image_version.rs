//! The release version of a published image.

use anyhow::Result;
use semver::Version;
use serde_json::Value;

use cli_support::digest::Digest;
use oci_image::oci;
use oci_registry::{Client, Reference};
use rust_workspace::version::version_of;

const VERSION: &str = "org.opencontainers.image.version";

/// The release version in an annotation of the image's index or manifest, or in a label of its configuration; none if
/// there is none, or a pre-release.
pub fn image_version(client: &Client, at: &Reference, digest: &Digest) -> Result<Option<Version>> {
    let top = client.manifest(&at.with_digest(*digest))?;
    let mut document = read(&top.bytes);
    if let Some(text) = annotated(&document) {
        return Ok(release(&text));
    }
    if oci::is_index(&top.media_type) {
        let Some(first) = digest_at(&document, "/manifests/0/digest") else { return Ok(None) };
        document = read(&client.manifest(&at.with_digest(first))?.bytes);
        if let Some(text) = annotated(&document) {
            return Ok(release(&text));
        }
    }
    let size =
        document.pointer("/config/size").and_then(Value::as_u64).filter(|size| *size <= oci::MAX_DOCUMENT);
    let (Some(config), Some(size)) = (digest_at(&document, "/config/digest"), size) else { return Ok(None) };
    let mut bytes = Vec::new();
    client.blob(at, &config, size, &mut bytes, &|_| ())?;
    Ok(labelled(&read(&bytes)).and_then(|text| release(&text)))
}

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn annotated(document: &Value) -> Option<String> {
    document["annotations"][VERSION].as_str().map(str::to_owned)
}

fn labelled(config: &Value) -> Option<String> {
    config["config"]["Labels"][VERSION].as_str().map(str::to_owned)
}

fn digest_at(document: &Value, pointer: &str) -> Option<Digest> {
    document.pointer(pointer)?.as_str()?.parse().ok()
}

fn release(text: &str) -> Option<Version> {
    version_of(text).filter(|version| version.pre.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_release_is_named_by_an_annotation_or_a_label() {
        for (text, expected) in [
            ("1.2.3", Some("1.2.3")),
            ("v1.2.3", Some("1.2.3")),
            ("1.2.3-rc.1", None),
            ("22.04", None),
            ("main", None),
        ] {
            let annotated = annotated(&json!({ "annotations": { VERSION: text } })).unwrap();
            let labelled = labelled(&json!({ "config": { "Labels": { VERSION: text } } })).unwrap();
            for found in [annotated, labelled] {
                assert_eq!(release(&found), expected.map(|text| text.parse().unwrap()), "{text}");
            }
        }
        for other in
            [json!({}), json!([]), json!({ "annotations": { VERSION: 1 }, "config": { "Labels": null } })]
        {
            assert_eq!((annotated(&other), labelled(&other)), (None, None), "{other}");
        }
    }
}
