//! The report of a publish: as a table, JSON and Markdown.

use semver::Version;
use serde::{Serialize, Serializer};

use super::push_blobs::Sent;
use super::tag_guard::TagHold;
use cli_support::digest::Digest;
use cli_support::plan::StepReport;
use cli_support::ui::{Table, seconds};
use rust_workspace::settings::Bytes;

/// The result for a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagState {
    /// It is new.
    Created,
    /// It named another image before.
    Moved,
    /// It named this image before.
    Unchanged,
    /// Not moved: a higher version exists.
    Left(TagHold),
    /// Not moved: it names this image, which was built from the same commit before.
    Taken(Digest),
    /// Not moved: the registry lists no tags, and the tagged image has no version.
    Undecided,
    /// Not moved: it is not a tag of this version, which is a pre-release or of another line.
    NotOurs,
}

impl TagState {
    /// Whether this run left it on this image.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Created | Self::Moved | Self::Unchanged)
    }

    fn words(&self) -> String {
        match self {
            Self::Created => "created".to_owned(),
            Self::Moved => "moved".to_owned(),
            Self::Unchanged => "unchanged".to_owned(),
            Self::Left(hold) => format!("left: {hold}"),
            Self::Taken(digest) => format!("left: it names {digest}"),
            Self::Undecided => {
                "left: the registry lists no tags, and the image there names no version".to_owned()
            }
            Self::NotOurs => "left: not for this version".to_owned(),
        }
    }
}

impl Serialize for TagState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.words())
    }
}

/// A tag and its result.
#[derive(Debug, Clone, Serialize)]
pub struct TagRow {
    /// The tag.
    pub tag: String,
    /// `version`, `moving`, `commit` or `free`.
    pub moves: &'static str,
    /// The result.
    pub state: TagState,
}

/// An attached document.
#[derive(Debug, Clone, Serialize)]
pub struct Attached {
    /// Its artifact type.
    pub artifact_type: String,
    /// The referrer's digest.
    pub digest: Digest,
}

/// The result of `cargo xtask publish` (docs/json.md).
#[derive(Debug, Serialize)]
pub struct PublishReport {
    schema: &'static str,
    command: &'static str,
    /// The image's digest.
    pub digest: Digest,
    /// `repository@digest`.
    pub reference: String,
    /// The repository.
    pub repository: String,
    /// The tags, in the order of writing.
    pub tags: Vec<TagRow>,
    /// The attached documents.
    pub attached: Vec<Attached>,
    /// All blobs of the image and of the documents.
    pub blobs: usize,
    /// Pushed blobs.
    pub blobs_sent: usize,
    /// Blobs that were mounted from another repository.
    pub blobs_mounted: usize,
    /// The bytes of all blobs.
    pub bytes: u64,
    /// The bytes of pushed blobs.
    pub bytes_sent: u64,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Each step's time and outcome.
    pub steps: Vec<StepReport>,
}

impl PublishReport {
    /// Makes the report.
    pub fn new(
        repository: String,
        digest: Digest,
        tags: Vec<TagRow>,
        attached: Vec<Attached>,
        sent: Sent,
        steps: Vec<StepReport>,
    ) -> Self {
        Self {
            schema: "xtask.publish/1",
            command: "publish",
            digest,
            reference: format!("{repository}@{digest}"),
            repository,
            tags,
            attached,
            blobs: sent.blobs,
            blobs_sent: sent.new,
            blobs_mounted: sent.mounted,
            bytes: sent.bytes,
            bytes_sent: sent.bytes_new,
            seconds: steps.iter().map(|step| step.seconds).sum(),
            steps,
        }
    }

    /// Warnings about tags that were not moved to `version`.
    pub fn doubts(&self, version: &Version) -> Vec<String> {
        let doubt = |row: &TagRow| match &row.state {
            TagState::Left(hold) => hold.doubt(&row.tag, version),
            _ => None,
        };
        self.tags.iter().filter_map(doubt).collect()
    }

    /// One row for each tag.
    pub fn table(&self) -> Table {
        let mut table = Table::new(&["tag", "moves", "state"]);
        for row in &self.tags {
            table.row([row.tag.clone(), row.moves.to_owned(), row.state.words()]);
        }
        table
    }

    /// The counts, in one line.
    pub fn summary(&self) -> String {
        format!(
            "{} of {} blobs sent, {} of {}, {} mounted, in {}",
            self.blobs_sent,
            self.blobs,
            Bytes(self.bytes_sent),
            Bytes(self.bytes),
            self.blobs_mounted,
            seconds(self.seconds)
        )
    }

    /// The report for GitHub's step summary.
    pub fn markdown(&self) -> String {
        let mut out = format!(
            "### Published {}\n\n`{}`\n\n{}\n{}\n",
            self.repository,
            self.reference,
            self.table().markdown(),
            self.summary()
        );
        for attached in &self.attached {
            out.push_str(&format!("\n- {} `{}`", attached.artifact_type, attached.digest));
        }
        out.push('\n');
        out
    }
}
