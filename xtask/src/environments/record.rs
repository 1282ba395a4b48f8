//! The records of promotions: referrers of the image in the environment's repository.
//!
//! A promotion leaves two, one before it writes the environment's tag and one after it: where the second
//! is missing the run broke off in between, and the next one can say what happened. A record names the
//! place that it was made for, and counts nowhere else: copying an image takes its records along.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::digest::Digest;
use crate::image::oci::{self, Annotations, Descriptor};
use crate::publish::{Artifact, Sent, attach};
use crate::registry::{Client, Referrer};

/// The artifact type of the record of a promotion that is done.
const DONE: &str = "application/vnd.xtask.promotion.v1+json";
/// That of one that is about to write the tag.
const BEGUN: &str = "application/vnd.xtask.promotion-begun.v1+json";
const PREFIX: &str = "xtask.promotion.";

/// Whether a manifest is a record, by what it says itself: lists of referrers may say otherwise. Registries
/// go by the artifact's type, or else by the config's.
pub fn is_record(manifest: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Types {
        #[serde(rename = "artifactType")]
        artifact: Option<String>,
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    let Ok(types) = serde_json::from_slice::<Types>(manifest) else { return false };
    let of_config = types.config.and_then(|config| config.media_type);
    [types.artifact, of_config].into_iter().flatten().any(|kind| kind == DONE || kind == BEGUN)
}

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

    /// The record that a referrer is, from its annotations.
    fn of(referrer: &Referrer) -> Option<Self> {
        let get = |name: &str| referrer.annotations.get(&format!("{PREFIX}{name}")).cloned();
        let digest = |name: &str| get(name).and_then(|text| text.parse().ok());
        Some(Self {
            to: get("to")?,
            place: get("place")?,
            from: get("from"),
            digest: digest("digest")?,
            previous: digest("previous"),
            by: get("by")?,
            at: get("at")?,
            run: get("run"),
            begun: digest("begun"),
        })
    }

    /// Attaches it before the tag is written; gives its digest.
    pub fn begin(&self, client: &Client, place: &Place) -> Result<Digest> {
        self.attach(client, place, BEGUN)
    }

    /// Attaches it when the tag is written.
    pub fn end(&self, client: &Client, place: &Place) -> Result<()> {
        self.attach(client, place, DONE).map(drop)
    }

    fn attach(&self, client: &Client, place: &Place, kind: &'static str) -> Result<Digest> {
        let manifest = client.manifest(&place.at.with_digest(self.digest))?;
        let (media_type, size) = (manifest.media_type, manifest.bytes.len() as u64);
        let annotations = Annotations::new();
        let subject = Descriptor { media_type, digest: self.digest, size, platform: None, annotations };
        let artifact = self.artifact(kind)?;
        let digests = attach(client, &place.at, &subject, &[artifact], &mut Sent::default())?;
        digests.first().copied().ok_or_else(|| anyhow::anyhow!("the record was not attached"))
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
        Ok(Self::of(&client.referrers(&place.at, digest, None)?, place, digest))
    }

    fn of(referrers: &[Referrer], place: &Place, digest: &Digest) -> Self {
        let counts = |record: &Record| {
            record.to == place.environment.name
                && record.place == place.at.to_string()
                && record.digest == *digest
        };
        let mut history = Self::default();
        for referrer in referrers {
            let Some(record) = Record::of(referrer).filter(counts) else { continue };
            match referrer.artifact_type.as_deref() {
                Some(DONE) => history.done.push(record),
                Some(BEGUN) => history.begun.push((referrer.digest, record)),
                _ => {}
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
    use crate::settings::Environment;

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

    /// The referrer that a record is; its own digest is that of its time.
    fn referrer(kind: &'static str, record: &Record) -> Referrer {
        let artifact = record.artifact(kind).unwrap();
        Referrer {
            digest: Digest::of(record.at.as_bytes()),
            size: 1,
            media_type: oci::MANIFEST.into(),
            artifact_type: Some(artifact.kind.into()),
            annotations: artifact.annotations,
        }
    }

    #[test]
    fn a_record_is_read_back_from_its_annotations() {
        let record = record("2026-01-02T03:04:05Z", Some(Digest::of(b"begun")));
        let referrer = referrer(DONE, &record);
        assert_eq!(Record::of(&referrer), Some(record));
        assert_eq!(Record::of(&Referrer { annotations: Annotations::new(), ..referrer }), None);
    }

    #[test]
    fn a_manifest_says_itself_whether_it_is_a_record() {
        for (manifest, expected) in [
            (format!(r#"{{"artifactType":"{DONE}"}}"#), true),
            (format!(r#"{{"artifactType":"x","config":{{"mediaType":"{BEGUN}"}}}}"#), true),
            (r#"{"artifactType":"x","config":{"mediaType":"y"}}"#.to_owned(), false),
            (r#"{"config":null}"#.to_owned(), false),
            ("[".to_owned(), false),
        ] {
            assert_eq!(is_record(manifest.as_bytes()), expected, "{manifest}");
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
            let history = History::of(&[referrer(DONE, &record)], &place(), &right.digest);
            assert_eq!(history.has_been_there(), expected, "{name}");
        }
    }

    #[test]
    fn a_promotion_without_an_end_is_seen() {
        let at = |time: &str| Digest::of(time.as_bytes());
        let done = |time: &str, of: &str| referrer(DONE, &record(time, Some(at(of))));
        let begun = |time: &str| referrer(BEGUN, &record(time, None));
        for (name, referrers, current, broken_off) in [
            ("nothing", vec![], None, None),
            ("whole", vec![begun("1"), done("2", "1")], Some("2"), None),
            ("broken off", vec![begun("1")], None, Some("1")),
            ("once more, broken off", vec![begun("1"), done("2", "1"), begun("5")], None, Some("5")),
            ("in any order", vec![done("6", "5"), begun("5"), done("2", "1"), begun("1")], Some("6"), None),
            ("lost, and then another", vec![begun("1"), begun("3"), done("4", "3")], Some("4"), None),
        ] {
            let history = History::of(&referrers, &place(), &Digest::of(b"new"));
            assert_eq!(history.current().map(|record| &*record.at), current, "{name}");
            assert_eq!(history.broken_off().map(|(_, record)| &*record.at), broken_off, "{name}");
        }
    }
}
