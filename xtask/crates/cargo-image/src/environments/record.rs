//! Records of promotions: referrers of the image in the environment's repository.
//!
//! A promotion writes one record before it writes the environment's tag, and one after. Without the second one the run
//! stopped in between, and the next run completes it. A record names its environment's tag and counts only there.
//! Lists of referrers are not trusted: the record's own bytes are read.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::publish::{Artifact, attach, keep};
use cli_support::digest::Digest;
use cli_support::threads::each;
use oci_image::oci::{self, Annotations, Descriptor};
use oci_registry::Client;

/// The artifact type of the second record.
const DONE: &str = "application/vnd.xtask.promotion.v1+json";
/// The artifact type of the first record.
const BEGUN: &str = "application/vnd.xtask.promotion-begun.v1+json";
const PREFIX: &str = "xtask.promotion.";
/// The part of media types and annotations that marks records.
const OF_RECORDS: &str = "xtask.promotion";

/// Whether a manifest names promotions somewhere, also in JSON escapes or in another case.
pub(super) fn names_promotions(manifest: &[u8]) -> bool {
    let value: serde_json::Value = serde_json::from_slice(manifest).unwrap_or_default();
    let texts = [String::from_utf8_lossy(manifest).into_owned(), value.to_string()];
    texts.iter().any(|text| text.to_lowercase().contains(OF_RECORDS))
}

/// The record of a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The environment.
    pub to: String,
    /// The environment's tag in its repository.
    pub place: String,
    /// The environment of `--from`.
    pub from: Option<String>,
    /// The image.
    pub digest: Digest,
    /// The earlier image.
    pub previous: Option<Digest>,
    /// The user.
    pub by: String,
    /// The time of writing the tag; RFC 3339.
    pub at: String,
    /// The run's URL.
    pub run: Option<String>,
    /// In a second record, the digest of the first one.
    pub begun: Option<Digest>,
}

impl Record {
    /// The record as a document with annotations.
    fn artifact(&self, kind: &'static str) -> Result<Artifact> {
        let values = [
            ("to", Some(self.to.clone())),
            ("place", Some(self.place.clone())),
            ("from", self.from.clone()),
            ("digest", Some(self.digest.to_string())),
            ("previous", self.previous.map(|digest| digest.to_string())),
            ("by", Some(self.by.clone())),
            ("at", Some(self.at.clone())),
            ("run", self.run.clone()),
            ("begun", self.begun.map(|digest| digest.to_string())),
        ];
        let annotations: Annotations = values
            .into_iter()
            .filter_map(|(name, value)| Some((format!("{PREFIX}{name}"), value?)))
            .collect();
        Ok(Artifact { kind, bytes: oci::to_bytes(self)?, annotations })
    }

    /// Parses a manifest; none if it is not a record about its subject.
    fn of(manifest: &[u8]) -> Option<(&'static str, Self)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Artifact {
            artifact_type: String,
            annotations: Annotations,
        }
        let artifact: Artifact = serde_json::from_slice(manifest).ok()?;
        let kind = [DONE, BEGUN].into_iter().find(|kind| *kind == artifact.artifact_type)?;
        let get = |name: &str| artifact.annotations.get(&format!("{PREFIX}{name}")).cloned();
        let digest = |name: &str| get(name).and_then(|text| text.parse().ok());
        let record = Self {
            to: get("to")?,
            place: get("place")?,
            from: get("from"),
            digest: digest("digest")?,
            previous: digest("previous"),
            by: get("by")?,
            at: get("at")?,
            run: get("run"),
            begun: digest("begun"),
        };
        // Readers of JSON differ about keys that exist twice or in another case. Only the form that is written here counts.
        let value: serde_json::Value = serde_json::from_slice(manifest).ok()?;
        let subject: Descriptor = serde_json::from_value(value["subject"].clone()).ok()?;
        let written = record.artifact(kind).and_then(|artifact| artifact.manifest(&subject)).ok()?;
        (written == manifest && subject.digest == record.digest).then_some((kind, record))
    }

    /// Attaches the first record; returns its digest.
    pub fn begin(&self, client: &Client, place: &Place) -> Result<Digest> {
        self.attach(client, place, BEGUN)
    }

    /// Attaches the second record.
    pub fn end(&self, client: &Client, place: &Place) -> Result<()> {
        self.attach(client, place, DONE).map(drop)
    }

    /// Adds the second record to the list of referrers again if another promotion has overwritten the list.
    pub fn keep(&self, client: &Client, place: &Place) -> Result<()> {
        keep(client, &place.at, &self.subject(client, place)?, &[self.artifact(DONE)?])
    }

    fn attach(&self, client: &Client, place: &Place, kind: &'static str) -> Result<Digest> {
        let subject = self.subject(client, place)?;
        let digests = attach(client, &place.at, &subject, &[self.artifact(kind)?])?;
        digests.first().copied().ok_or_else(|| anyhow::anyhow!("the registry did not attach the record"))
    }

    fn subject(&self, client: &Client, place: &Place) -> Result<Descriptor> {
        let manifest = client.manifest(&place.at.with_digest(self.digest))?;
        let (media_type, size) = (manifest.media_type, manifest.bytes.len() as u64);
        let annotations = Annotations::new();
        Ok(Descriptor { media_type, digest: self.digest, size, platform: None, annotations })
    }
}

/// The records of an image in an environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Second records, the oldest first.
    done: Vec<Record>,
    /// First records with their digests, the oldest first.
    begun: Vec<(Digest, Record)>,
}

impl History {
    /// Reads the records from the environment's repository.
    pub fn read(client: &Client, place: &Place, digest: &Digest) -> Result<Self> {
        let mut listed = client.referrers(&place.at, digest, None)?;
        listed.retain(|one| matches!(one.artifact_type.as_deref(), Some(DONE | BEGUN)));
        // A list under a tag may name manifests that were deleted.
        let manifests = each(&listed, |one| client.manifest_if_any(&place.at.with_digest(one.digest)))?;
        let manifests = manifests.into_iter().flatten();
        Ok(Self::of(manifests.map(|manifest| (manifest.digest, manifest.bytes)), place, digest))
    }

    /// The records among manifests.
    fn of(manifests: impl IntoIterator<Item = (Digest, Vec<u8>)>, place: &Place, digest: &Digest) -> Self {
        let counts = |record: &Record| {
            record.to == place.environment.name
                && record.place == place.at.to_string()
                && record.digest == *digest
        };
        let mut history = Self::default();
        for (own, bytes) in manifests {
            match Record::of(&bytes).filter(|(_, record)| counts(record)) {
                Some((DONE, record)) => history.done.push(record),
                Some((_, record)) => history.begun.push((own, record)),
                None => {}
            }
        }
        history.done.sort_by(|a, b| a.at.cmp(&b.at));
        history.begun.sort_by(|(_, a), (_, b)| a.at.cmp(&b.at));
        history
    }

    /// Whether the image has been in the environment.
    pub fn has_been_there(&self) -> bool {
        !self.done.is_empty()
    }

    /// The record of the present deployment; none if the last promotion is incomplete.
    pub fn current(&self) -> Option<&Record> {
        self.done.last().filter(|_| self.broken_off().is_none())
    }

    /// The first record, with its digest, of an incomplete last promotion.
    pub fn broken_off(&self) -> Option<&(Digest, Record)> {
        let last = self.begun.last()?;
        let ended = self.done.iter().any(|done| done.begun == Some(last.0) || done.at >= last.1.at);
        (!ended).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_workspace::settings::Environment;

    fn place() -> Place {
        let environment = Environment { name: "live".into(), ..Environment::default() };
        Place { environment, at: "r.io/prod/app:live".parse().unwrap() }
    }

    fn record(at: &str, begun: Option<Digest>) -> Record {
        Record {
            to: "live".into(),
            place: "r.io/prod/app:live".into(),
            from: Some("staging".into()),
            digest: Digest::of(b"new"),
            previous: Some(Digest::of(b"old")),
            by: "somebody".into(),
            at: at.into(),
            run: None,
            begun,
        }
    }

    fn manifest(kind: &'static str, record: &Record) -> Vec<u8> {
        let subject = Descriptor { digest: record.digest, ..Descriptor::of(oci::INDEX, b"") };
        record.artifact(kind).unwrap().manifest(&subject).unwrap()
    }

    /// A record's manifest under the digest of its time.
    fn at(kind: &'static str, record: &Record) -> (Digest, Vec<u8>) {
        (Digest::of(record.at.as_bytes()), manifest(kind, record))
    }

    #[test]
    fn records_are_recognised_in_any_spelling() {
        for (manifest, expected) in [
            (r#"{"artifactType":"x","config":{"mediaType":"y"}}"#, false),
            (r#"{"artifactType":"application/vnd.xtask.promotion.v1+json"}"#, true),
            (r#"{"Config":{"mediaType":"application/vnd.XTASK.promotion.v1+json"}}"#, true),
            (r#"{"artifactType":"application/vnd.\u0078task.promotion\u002ev1"}"#, true),
            (r#"{"annotations":{"xtask.promotion.to":"staging"}}"#, true),
            (r#"{"a":"xtask.promotion","a":"b"}"#, true),
            ("[", false),
        ] {
            assert_eq!(names_promotions(manifest.as_bytes()), expected, "{manifest}");
        }
    }

    #[test]
    fn a_record_is_read_back_from_its_own_bytes_and_from_no_others() {
        let record = record("2026-01-02T03:04:05Z", Some(Digest::of(b"begun")));
        let good = String::from_utf8(manifest(DONE, &record)).unwrap();
        assert_eq!(Record::of(good.as_bytes()), Some((DONE, record.clone())));
        let (this, other) = (record.digest.to_string(), Digest::of(b"other").to_string());
        for (what, bad) in [
            ("another kind", good.replacen(DONE, "application/x.note", 1)),
            ("no annotations", good.replace(PREFIX, "x.")),
            ("another subject", good.replacen(&this, &other, 2).replacen(&other, &this, 1)),
            ("two subjects", good.replacen('{', r#"{"Subject":{},"#, 1)),
            ("garbage", good.replacen('{', "[", 1)),
        ] {
            assert_eq!(Record::of(bad.as_bytes()), None, "{what}: {bad}");
        }
    }

    #[test]
    fn only_records_of_this_very_place_and_image_count() {
        let right = record("1", None);
        for (name, record, expected) in [
            ("right", right.clone(), true),
            ("another environment", Record { to: "staging".into(), ..right.clone() }, false),
            ("another repository", Record { place: "r.io/dev/app:live".into(), ..right.clone() }, false),
            ("another image", Record { digest: Digest::of(b"x"), ..right.clone() }, false),
        ] {
            let history = History::of([at(DONE, &record)], &place(), &right.digest);
            assert_eq!(history.has_been_there(), expected, "{name}");
        }
    }

    #[test]
    fn a_promotion_without_an_end_is_seen() {
        let done = |time: &str, of: &str| at(DONE, &record(time, Some(Digest::of(of.as_bytes()))));
        let begun = |time: &str| at(BEGUN, &record(time, None));
        for (name, manifests, current, broken_off) in [
            ("nothing", vec![], None, None),
            ("whole", vec![begun("1"), done("2", "1")], Some("2"), None),
            ("broken off", vec![begun("1")], None, Some("1")),
            ("once more, broken off", vec![begun("1"), done("2", "1"), begun("5")], None, Some("5")),
            ("in any order", vec![done("6", "5"), begun("5"), done("2", "1"), begun("1")], Some("6"), None),
            ("lost, and then another", vec![begun("1"), begun("3"), done("4", "3")], Some("4"), None),
        ] {
            let history = History::of(manifests, &place(), &Digest::of(b"new"));
            assert_eq!(history.current().map(|record| &*record.at), current, "{name}");
            assert_eq!(history.broken_off().map(|(_, record)| &*record.at), broken_off, "{name}");
        }
    }
}
