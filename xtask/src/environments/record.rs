//! The record of a promotion: a referrer of the image, so that it goes wherever the image goes.

use anyhow::Result;
use serde::Serialize;

use crate::digest::Digest;
use crate::image::oci::{self, Annotations};
use crate::publish::Artifact;
use crate::registry::{Client, Reference, Referrer};

/// The artifact type of a record.
const PROMOTION: &str = "application/vnd.xtask.promotion.v1+json";
const PREFIX: &str = "xtask.promotion.";

/// That an image was promoted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The environment.
    pub to: String,
    /// The environment that it came from, where somebody said so.
    pub from: Option<String>,
    /// The image.
    pub digest: Digest,
    /// What ran there before.
    pub previous: Option<Digest>,
    /// Who did it.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// The run's URL.
    pub run: Option<String>,
}

impl Record {
    /// The record as a document with annotations.
    pub fn artifact(&self) -> Result<Artifact> {
        let values = [
            ("to", Some(self.to.clone())),
            ("from", self.from.clone()),
            ("digest", Some(self.digest.to_string())),
            ("previous", self.previous.map(|digest| digest.to_string())),
            ("by", Some(self.by.clone())),
            ("at", Some(self.at.clone())),
            ("run", self.run.clone()),
        ];
        let annotations: Annotations = values
            .into_iter()
            .filter_map(|(name, value)| Some((format!("{PREFIX}{name}"), value?)))
            .collect();
        Ok(Artifact { kind: PROMOTION, bytes: oci::to_bytes(self)?, annotations })
    }

    /// The record that a referrer is, from its annotations.
    fn of(referrer: &Referrer) -> Option<Self> {
        let get = |name: &str| referrer.annotations.get(&format!("{PREFIX}{name}")).cloned();
        Some(Self {
            to: get("to")?,
            from: get("from"),
            digest: get("digest")?.parse().ok()?,
            previous: get("previous").and_then(|text| text.parse().ok()),
            by: get("by")?,
            at: get("at")?,
            run: get("run"),
        })
    }
}

/// The promotions of an image, the oldest first.
pub fn records(client: &Client, at: &Reference, digest: &Digest) -> Result<Vec<Record>> {
    let referrers = client.referrers(at, digest, Some(PROMOTION))?;
    let mut records: Vec<_> = referrers.iter().filter_map(Record::of).collect();
    records.sort_by(|a, b| a.at.cmp(&b.at));
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_from_its_annotations() {
        let record = Record {
            to: "production".into(),
            from: Some("staging".into()),
            digest: Digest::of(b"new"),
            previous: Some(Digest::of(b"old")),
            by: "somebody".into(),
            at: "2026-01-02T03:04:05Z".into(),
            run: None,
        };
        let artifact = record.artifact().unwrap();
        let referrer = Referrer {
            digest: Digest::of(b"r"),
            size: 1,
            media_type: oci::MANIFEST.into(),
            artifact_type: Some(artifact.kind.into()),
            annotations: artifact.annotations,
        };
        assert_eq!(Record::of(&referrer), Some(record));
        assert_eq!(Record::of(&Referrer { annotations: Annotations::new(), ..referrer }), None);
    }
}
