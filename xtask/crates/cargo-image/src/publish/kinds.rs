//! The kinds of documents about an image. A new kind is one entry of this table.

use anyhow::Result;
use serde_json::Value;

use super::attach::Artifact;
use super::image_bundle::ImageBundle;
use super::provenance;
use super::trust::StatementKind;
use super::work::PublishSetup;
use oci_image::oci::Annotations;

/// A kind of document.
#[derive(Debug)]
pub struct DocumentKind {
    /// Its name in messages.
    pub name: &'static str,
    /// The media type of the document, and the artifact type of its referrer.
    pub media_type: &'static str,
    /// The type of the predicate, where the document is an in-toto statement.
    pub predicate_type: Option<&'static str>,
    /// Whether JSON is a document of this kind.
    pub is: fn(&Value) -> bool,
    /// The documents of this kind about an image.
    pub produce: fn(&Self, &PublishSetup, &ImageBundle) -> Result<Vec<Artifact>>,
    /// How a signature covers it.
    pub signed: SignedBy,
    /// The check of `verify` that reads it.
    pub check: &'static str,
}

/// How a signature covers a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// It is signed itself, as this statement.
    Statement(StatementKind),
    /// Its digest is in the signed list of documents: long documents do not belong in a public log.
    Digest,
}

/// The annotation with the predicate type of an in-toto statement.
const PREDICATE: &str = "in-toto.io/predicate-type";

/// SLSA provenance.
pub const PROVENANCE: DocumentKind = DocumentKind {
    name: "provenance",
    media_type: "application/vnd.in-toto+json",
    predicate_type: Some(provenance::PREDICATE_TYPE),
    is: |document| document["predicateType"] == provenance::PREDICATE_TYPE,
    produce: |kind, setup, image| {
        let statement = provenance::statement(&setup.to.name(), image, &setup.parameters)?;
        let predicate = kind.predicate_type.map(|predicate| (PREDICATE.to_owned(), predicate.to_owned()));
        Ok(vec![kind.artifact(statement, predicate.into_iter().collect())])
    },
    signed: SignedBy::Statement(StatementKind::Provenance),
    check: "provenance",
};

/// The result of `cargo xtask scan`.
pub const SCAN: DocumentKind = DocumentKind {
    name: "scan",
    media_type: "application/vnd.xtask.scan.v1+json",
    predicate_type: None,
    is: |document| document["schema"].as_str().is_some_and(|schema| schema.starts_with("xtask.scan/")),
    produce: |kind, setup, image| {
        let scan = setup.scan.iter().filter(|scan| scan.digest == image.digest());
        Ok(scan
            .map(|scan| {
                let about = [("passed", scan.passed.to_string()), ("time", scan.time.clone())];
                let about = about.map(|(name, value)| (format!("xtask.scan.{name}"), value));
                kind.artifact(scan.bytes.clone(), about.into())
            })
            .collect())
    },
    signed: SignedBy::Digest,
    check: "scan",
};

/// A bill of materials, CycloneDX 1.x in JSON.
pub const CYCLONEDX: DocumentKind = DocumentKind {
    name: "CycloneDX",
    media_type: "application/vnd.cyclonedx+json",
    predicate_type: None,
    is: |document| document["bomFormat"] == "CycloneDX",
    produce: sboms,
    signed: SignedBy::Digest,
    check: "sbom",
};

/// A bill of materials, SPDX 2.x in JSON.
pub const SPDX: DocumentKind = DocumentKind {
    name: "SPDX",
    media_type: "application/spdx+json",
    predicate_type: None,
    is: |document| document["spdxVersion"].as_str().is_some_and(|version| version.starts_with("SPDX-2.")),
    produce: sboms,
    signed: SignedBy::Digest,
    check: "sbom",
};

/// All kinds, in the order in which they are attached; the provenance first.
pub const KINDS: [&DocumentKind; 4] = [&PROVENANCE, &SCAN, &CYCLONEDX, &SPDX];

#[expect(clippy::unnecessary_wraps, reason = "an entry of the table may fail")]
fn sboms(kind: &DocumentKind, setup: &PublishSetup, _: &ImageBundle) -> Result<Vec<Artifact>> {
    let of_kind = setup.sboms.iter().filter(|sbom| sbom.kind.media_type == kind.media_type);
    Ok(of_kind
        .map(|sbom| {
            let title = ("org.opencontainers.image.title".to_owned(), sbom.name.clone());
            kind.artifact(sbom.bytes.clone(), [title].into())
        })
        .collect())
}

impl DocumentKind {
    fn artifact(&self, bytes: Vec<u8>, annotations: Annotations) -> Artifact {
        Artifact { kind: self.media_type, bytes, annotations }
    }

    /// The kinds that a check of `verify` reads.
    pub fn of_check(check: &str) -> impl Iterator<Item = &'static Self> {
        KINDS.into_iter().filter(move |kind| kind.check == check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_recognised_by_its_content_alone() {
        for (document, expected) in [
            (json!({ "bomFormat": "CycloneDX", "specVersion": "1.6" }), Some("CycloneDX")),
            (json!({ "spdxVersion": "SPDX-2.3" }), Some("SPDX")),
            (json!({ "spdxVersion": "SPDX-3.0" }), None),
            (json!({ "schema": "xtask.scan/1" }), Some("scan")),
            (json!({ "predicateType": "https://slsa.dev/provenance/v1" }), Some("provenance")),
            (json!({ "predicateType": "https://slsa.dev/provenance/v0.2" }), None),
            (json!([]), None),
            (json!(null), None),
        ] {
            let found = KINDS.into_iter().find(|kind| (kind.is)(&document)).map(|kind| kind.name);
            assert_eq!(found, expected, "{document}");
        }
    }

    #[test]
    fn each_kind_has_a_media_type_of_its_own() {
        let types: std::collections::BTreeSet<_> = KINDS.iter().map(|kind| kind.media_type).collect();
        assert_eq!(types.len(), KINDS.len());
    }
}
