//! The steps of publishing. Tags are written after everything that they lead to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use semver::Version;

use super::attach::{self, Artifact, AttachMode};
use super::cosign::Signer;
use super::documents;
use super::image_bundle::ImageBundle;
use super::inventory::{Inventory, Proof};
use super::provenance::Parameters;
use super::push_blobs::{self, RegistryBlobs, Sent};
use super::report::{Attached, TagRow};
use super::sbom::Sbom;
use super::scan::{self, Scan};
use super::tag_guard;
use super::trust::StatementKind;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::plan::Action;
use cli_support::process::Cmd;
use cli_support::threads::at_once;
use cli_support::ui::Progress;
use oci_image::platform::Platform;
use oci_registry::{Client, OpenUpload, PutReferrers, Reference};
use rust_workspace::settings::Bytes;
use rust_workspace::tags::{Motion, Tag};

/// One step.
#[derive(Debug)]
pub enum PublishStep {
    /// Checks the result of the scan.
    Gate,
    /// Looks what the registry has, whether the version is free, and whether we may push.
    Rights,
    /// Pushes the blobs that the repository lacks.
    Blobs,
    /// Puts the platforms' manifests and the index under their digests.
    Manifests,
    /// Attaches documents.
    Attach,
    /// Signs the image and its platforms.
    Sign(Signer, Cmd),
    /// Signs a statement about the image.
    Attest(Signer, StatementKind, Cmd),
    /// Writes the version's tag and those that do not depend on others.
    Tags,
    /// Moves the moving tags forward.
    Moving,
    /// Reads back what was written and compares it.
    ReadBack,
}

/// The inputs of publishing.
#[derive(Debug)]
pub struct PublishSetup {
    /// The repository.
    pub to: Reference,
    /// A repository of the same registry that may have some of the blobs: the base's.
    pub from: Option<Reference>,
    /// The tags.
    pub tags: Vec<Tag>,
    /// The version for moving tags.
    pub version: Option<Version>,
    /// The scan's result.
    pub scan: Option<Scan>,
    /// Whether the scan must include Trivy.
    pub needs_trivy: bool,
    /// An expired exception of the settings.
    pub over: Option<String>,
    /// Whether documents are attached.
    pub attach: AttachMode,
    /// Whether the documents must be listed before a tag is put: they are required, or signed.
    pub keep_first: bool,
    /// The reason for publishing without a passing scan.
    pub unscanned: Option<String>,
    /// The platforms of the settings that the image lacks.
    pub lacks: Vec<Platform>,
    /// The content of the provenance.
    pub parameters: Parameters,
    /// Bills of materials.
    pub sboms: Vec<Sbom>,
    /// A folder for temporary files.
    pub folder: PathBuf,
    /// Whether a registry on another machine is used without TLS.
    pub plain_http: bool,
}

/// Progress of attaching the documents of an image.
#[derive(Debug)]
pub enum Attachment {
    /// The registry lists them all.
    Listed,
    /// They are put, and not yet seen in a list.
    Put(PutReferrers),
    /// The registry takes no referrers, or keeps no list of them.
    Refused(anyhow::Error),
}

/// The state between the steps.
#[derive(Debug)]
pub struct PublishWork {
    /// The inputs.
    pub setup: PublishSetup,
    /// The image.
    pub bundle: ImageBundle,
    /// The client.
    pub client: Client,
    /// The documents.
    pub artifacts: Vec<Artifact>,
    /// The content of the repository before the first upload.
    pub inventory: Inventory,
    /// An upload that only proved the right to push, and is to be given up.
    pub opened: Option<OpenUpload>,
    /// Uploads for blobs that are lacking.
    pub uploads: BTreeMap<Digest, OpenUpload>,
    /// The result of the push of blobs.
    pub sent: Sent,
    /// Progress of attaching the documents.
    pub attachment: Attachment,
    /// Whether the registry has been seen to list the documents.
    pub is_kept: bool,
    /// The content of the repository right before the first tag is put.
    pub proof: Option<Proof>,
    /// The same, once the first tags are put.
    pub before: Option<Proof>,
    /// The result of reading back all but the moving tags.
    pub read: Option<Result<Option<anyhow::Error>>>,
    /// The attached documents so far.
    pub attached: Vec<Attached>,
    /// The result of each tag so far.
    pub rows: Vec<TagRow>,
    /// Warnings: what the registry does not support, and what was left out because of it.
    pub warnings: Vec<String>,
}

impl PublishWork {
    /// The state before the first step.
    pub fn new(setup: PublishSetup, bundle: ImageBundle, client: Client) -> Result<Self> {
        let artifacts = match setup.attach {
            AttachMode::Never => Vec::new(),
            AttachMode::Auto | AttachMode::Require => documents::artifacts(&setup, &bundle)?,
        };
        Ok(Self {
            setup,
            bundle,
            client,
            artifacts,
            inventory: Inventory::default(),
            opened: None,
            uploads: BTreeMap::new(),
            sent: Sent::default(),
            attachment: Attachment::Listed,
            is_kept: false,
            proof: None,
            before: None,
            read: None,
            attached: Vec::new(),
            rows: Vec::new(),
            warnings: Vec::new(),
        })
    }

    pub(super) fn tag(&self, tag: &Tag) -> Result<Reference, Fault> {
        self.setup.to.with_tag(&tag.name)
    }

    fn rights(&mut self) -> Result<String> {
        (self.opened, self.inventory) = self.take_inventory()?;
        self.open_uploads()?;
        let (client, to, digest) = (&self.client, &self.setup.to, self.bundle.digest());
        let unknown: Vec<_> = self.setup.tags.iter().filter(|tag| self.is_unknown(tag)).collect();
        at_once(&unknown, |tag| tag_guard::check_unknown(client, to, tag, &digest))?;
        let source = client.credentials(to)?.source;
        let fixed = self.setup.tags.iter().filter(|tag| tag.motion == Motion::Fixed);
        let is_there =
            |tag: &Tag| self.inventory.tags.get(&tag.name).is_some_and(|named| *named == Some(digest));
        let state = if fixed.into_iter().any(is_there) {
            "; the registry already has this version, with the same bytes"
        } else {
            ""
        };
        let may = if self.is_there()? { "the registry has all of it" } else { "may push" };
        Ok(format!("{may}, with {source}{state}"))
    }

    fn blobs(&mut self, progress: &Progress) -> Result<String> {
        let (client, to) = (&self.client, &self.setup.to);
        let documents = attach::blobs(&self.artifacts);
        let there = &self.inventory.blobs;
        let is_lacking = |digest: Digest| !there.contains(&digest);
        let opened = if self.bundle.blobs.iter().any(|blob| is_lacking(blob.digest)) {
            self.opened.take()
        } else {
            None
        };
        self.sent = std::thread::scope(|scope| {
            if let Some(upload) = &opened {
                scope.spawn(|| client.cancel_upload(to, upload));
            }
            let from = self.setup.from.as_ref();
            let blobs_there = RegistryBlobs { there, opened: &self.uploads };
            push_blobs::send(client, to, from, &self.bundle, &documents, blobs_there, progress)
        })?;
        Ok(format!("{} of {} sent", Bytes(self.sent.bytes_new), Bytes(self.sent.bytes)))
    }

    /// Whether a tag moves forward to the image's version.
    pub(super) fn moves(&self, tag: &Tag) -> bool {
        tag.motion.is_forward() && self.setup.version.is_some()
    }

    /// Whether a tag moves forward, but the image has no version.
    fn is_unknown(&self, tag: &Tag) -> bool {
        tag.motion.is_forward() && self.setup.version.is_none()
    }
}

impl Action for PublishStep {
    type State = PublishWork;

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Sign(_, command) | Self::Attest(_, _, command) => Some(command),
            _ => None,
        }
    }

    fn run(&self, work: &mut PublishWork, progress: &Progress) -> Result<String> {
        let setup = &work.setup;
        match self {
            Self::Gate => {
                scan::whole(&setup.lacks, work.bundle.layout.dir())?;
                let (scan, digest) = (setup.scan.as_ref(), work.bundle.digest());
                Ok(scan::gate(
                    scan,
                    &digest,
                    setup.needs_trivy,
                    setup.over.as_deref(),
                    setup.unscanned.as_deref(),
                )?)
            }
            Self::Rights => work.rights(),
            Self::Blobs => work.blobs(progress),
            Self::Manifests => work.manifests(),
            Self::Attach => work.attach(),
            Self::Sign(signer, command) => {
                // Signing takes a while.
                work.proof = None;
                work.sign(signer, command, progress)
            }
            Self::Attest(signer, kind, command) => work.attest(signer, *kind, command, progress),
            Self::Tags => work.put_tags(),
            Self::Moving => work.move_tags(),
            Self::ReadBack => work.read_back(),
        }
    }
}
