//! The records of promotions: referrers of the image in the environment's repository.
//!
//! A promotion leaves two, one before it writes the environment's tag and one after it: where the second
//! is missing the run broke off in between, and the next one can say what happened. A record names the
//! place that it was made for, and counts nowhere else. What a list of referrers says of a record counts for
//! nothing: its own bytes do, in which its digest has a part.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::reading::Reading;
use super::{Place, subject_of};
use crate::publish::{Artifact, attach, keep};
use cli_support::digest::Digest;
use cli_support::threads::each;
use oci_image::oci::{self, Annotations, Descriptor};
use oci_registry::Client;

/// The artifact type of the record of a promotion that is done.
const DONE: &str = "application/vnd.xtask.promotion.v1+json";
/// That of one that is about to write the tag.
const BEGUN: &str = "application/vnd.xtask.promotion-begun.v1+json";
const PREFIX: &str = "xtask.promotion.";

/// That an image was promoted, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The environment.
    pub to: String,
    /// The environment's tag in its repository.
    pub place: String,
    /// The environment that it came from, where somebody said so.
    pub from: Option<String>,
    /// The image.
    pub digest: Digest,
    /// What ran there before.
    pub previous: Option<Digest>,
    /// Who did it.
    pub by: String,
    /// When the tag was written, or was about to be; RFC 3339.
    pub at: String,
    /// The run's URL.
    pub run: Option<String>,
    /// The record of the promotion's beginning, where this is of its end.
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

    /// The record that a manifest is, and of what kind; none where it is no record of its subject.
    fn of(manifest: &[u8]) -> Option<(&'static str, Self)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Artifact {
            artifact_type: String,
            annotations: Annotations,
        }
        if Reading::of(manifest) == Reading::Ambiguous {
            return None;
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
        (subject_of(manifest) == Some(record.digest)).then_some((kind, record))
    }

    /// Attaches it before the tag is written; gives its digest.
    pub fn begin(&self, client: &Client, place: &Place) -> Result<Digest> {
        self.attach(client, place, BEGUN)
    }

    /// Attaches it when the tag is written.
    pub fn end(&self, client: &Client, place: &Place) -> Result<()> {
        self.attach(client, place, DONE).map(drop)
    }

    /// Sees to it that the record of the end is listed a moment after it was attached: another promotion may
    /// have written the same list.
    pub fn keep(&self, client: &Client, place: &Place) -> Result<()> {
        keep(client, &place.at, &self.subject(client, place)?, &[self.artifact(DONE)?])
    }

    fn attach(&self, client: &Client, place: &Place, kind: &'static str) -> Result<Digest> {
        let subject = self.subject(client, place)?;
        let digests = attach(client, &place.at, &subject, &[self.artifact(kind)?])?;
        digests.first().copied().ok_or_else(|| anyhow::anyhow!("the record was not attached"))
    }

    fn subject(&self, client: &Client, place: &Place) -> Result<Descriptor> {
        let manifest = client.manifest(&place.at.with_digest(self.digest))?;
        let (media_type, size) = (manifest.media_type, manifest.bytes.len() as u64);
        let annotations = Annotations::new();
        Ok(Descriptor { media_type, digest: self.digest, size, platform: None, annotations })
    }
}

/// What is recorded of one image in one environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Its promotions, the oldest first.
    done: Vec<Record>,
    /// Those that were begun, with the digests of their records.
    begun: Vec<(Digest, Record)>,
}

impl History {
    /// Asks the environment's repository, and no other.
    pub fn read(client: &Client, place: &Place, digest: &Digest) -> Result<Self> {
        let mut listed = client.referrers(&place.at, digest, None)?;
        listed.retain(|one| matches!(one.artifact_type.as_deref(), Some(DONE | BEGUN)));
        // A list that is kept under a tag may name what is gone.
        let manifests = each(&listed, |one| client.manifest_if_any(&place.at.with_digest(one.digest)))?;
        let manifests = manifests.into_iter().flatten();
        Ok(Self::of(manifests.map(|manifest| (manifest.digest, manifest.bytes)), place, digest))
    }

    /// Of manifests and their digests.
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

    /// Whether it has been there.
    pub fn has_been_there(&self) -> bool {
        !self.done.is_empty()
    }

    /// How it came to run there now, given that it does; none where nothing says so.
    pub fn current(&self) -> Option<&Record> {
        self.done.last().filter(|_| self.broken_off().is_none())
    }

    /// The beginning, with its digest, of a promotion that was the last one and has no end.
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
