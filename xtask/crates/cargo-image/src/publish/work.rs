//! The steps of publishing, in the order that leaves no tag on something incomplete.

use std::path::PathBuf;

use anyhow::Result;
use semver::Version;

use super::attach::{self, Artifact, AttachMode};
use super::cosign::Signer;
use super::documents;
use super::image_bundle::ImageBundle;
use super::provenance::Parameters;
use super::push_blobs::{self, Sending};
use super::report::{Attached, TagRow};
use super::sbom::Sbom;
use super::scan::{self, Scan};
use super::tag_guard;
use super::tag_update::{self, Tagged};
use super::trust::StatementKind;
use cli_support::digest::Digest;
use cli_support::error::{ExitKind, Fault, kind};
use cli_support::plan::Action;
use cli_support::process::Cmd;
use cli_support::threads::{each, joined};
use cli_support::ui::Progress;
use oci_image::oci::Descriptor;
use oci_image::platform::Platform;
use oci_registry::{Client, Reference};
use rust_workspace::settings::Bytes;
use rust_workspace::tags::{Motion, Tag};

/// One step.
#[derive(Debug)]
pub enum PublishStep {
    /// Holds the scan's result against the image.
    Gate,
    /// Asks for the right to push, and whether the version is free.
    Rights,
    /// Sends what the repository lacks.
    Blobs,
    /// Puts the platforms' manifests and the index under their digests.
    Manifests,
    /// Attaches what is said of the image.
    Attach,
    /// Signs the image and its platforms.
    Sign(Signer, Cmd),
    /// Signs a statement about the image.
    Attest(Signer, StatementKind, Cmd),
    /// Puts the version's tag and those that depend on no other.
    Tags,
    /// Moves the moving tags forward.
    Moving,
    /// Reads back what was put, and compares.
    ReadBack,
}

/// What does not change from step to step.
#[derive(Debug)]
pub struct PublishSetup {
    /// The repository.
    pub to: Reference,
    /// A repository of the same registry that may have some of the blobs: the base's.
    pub from: Option<Reference>,
    /// The tags.
    pub tags: Vec<Tag>,
    /// The version that moving tags are decided by.
    pub version: Option<Version>,
    /// The scan's result.
    pub scan: Option<Scan>,
    /// Whether a scan without Trivy is not enough.
    pub needs_trivy: bool,
    /// An exception of the settings whose day is over, and with it whatever passed by it.
    pub over: Option<String>,
    /// Whether documents are attached.
    pub attach: AttachMode,
    /// Why a passing scan is not needed.
    pub unscanned: Option<String>,
    /// The platforms of the settings that the image has nothing for.
    pub lacks: Vec<Platform>,
    /// What provenance tells.
    pub parameters: Parameters,
    /// Bills of materials.
    pub sboms: Vec<Sbom>,
    /// A folder for files of our own.
    pub folder: PathBuf,
    /// Whether the registry is spoken to without TLS although it is not on this machine.
    pub plain_http: bool,
}

/// What the steps hand on.
#[derive(Debug)]
pub struct PublishWork {
    /// The same for every step.
    pub setup: PublishSetup,
    /// The image.
    pub parcel: ImageBundle,
    /// The client.
    pub client: Client,
    /// What is said of the image.
    pub artifacts: Vec<Artifact>,
    /// What was sent so far, and what is lacking.
    pub sending: Sending,
    /// What was attached so far.
    pub attached: Vec<Attached>,
    /// What happened to each tag so far.
    pub rows: Vec<TagRow>,
    /// What the registry cannot do, and what was left out because of it.
    pub warnings: Vec<String>,
}

impl PublishWork {
    /// The state before the first step.
    pub fn new(setup: PublishSetup, parcel: ImageBundle, client: Client) -> Result<Self> {
        let artifacts = match setup.attach {
            AttachMode::Never => Vec::new(),
            AttachMode::Auto | AttachMode::Require => documents::artifacts(&setup, &parcel)?,
        };
        let (sending, attached) = (Sending::default(), Vec::new());
        let (rows, warnings) = (Vec::new(), Vec::new());
        Ok(Self { setup, parcel, client, artifacts, sending, attached, rows, warnings })
    }

    pub(super) fn tag(&self, tag: &Tag) -> Result<Reference, Fault> {
        self.setup.to.with_tag(&tag.name)
    }

    fn rights(&self) -> Result<String> {
        let (client, to, digest) = (&self.client, &self.setup.to, self.parcel.digest());
        let fixed: Vec<_> = self.setup.tags.iter().filter(|tag| tag.motion == Motion::Fixed).collect();
        let unknown: Vec<_> = self.setup.tags.iter().filter(|tag| self.is_unknown(tag)).collect();
        let look = || each(&fixed, |tag| tag_update::check_fixed(client, to, tag, &digest));
        let there = std::thread::scope(|scope| {
            let there = scope.spawn(look);
            // Where both fail, this says more.
            client.check_push(to)?;
            // A registry that refuses what is not there is understood once it has taken a write.
            joined(there).or_else(|error| if is_gate(&error) { Err(error) } else { look() })
        })?;
        each(&unknown, |tag| tag_guard::check_unknown(client, to, tag, &digest))?;
        let source = client.credentials(to)?.source;
        let state =
            if there.contains(&true) { "; this version is there already, with these bytes" } else { "" };
        Ok(format!("may push, with {source}{state}"))
    }

    fn manifests(&self) -> Result<String> {
        let put = |entry: &Descriptor| {
            if self.sending.lacking.contains(&entry.digest) {
                let at = self.setup.to.with_digest(entry.digest);
                self.client.put_manifest(&at, &self.parcel.layout.read(entry)?, &entry.media_type)?;
            }
            Ok(())
        };
        each(&self.parcel.manifests, put)?;
        // A registry takes an index only when it has what that names.
        put(&self.parcel.top)?;
        Ok(self.parcel.digest().to_string())
    }

    fn attach(&mut self) -> Result<String> {
        let refused = match attach::refer(&self.client, &self.setup.to, &self.parcel.top, &self.artifacts)? {
            // A registry may take note of a referrer and not list it.
            Ok(digests) => {
                match attach::keep(&self.client, &self.setup.to, &self.parcel.top, &self.artifacts) {
                    Ok(()) => return Ok(self.note_attached(digests)),
                    Err(unlisted) => unlisted,
                }
            }
            Err(refused) => refused,
        };
        if self.setup.attach == AttachMode::Require {
            return Err(refused.context("--attach require"));
        }
        self.artifacts.clear();
        self.warnings.push(format!("nothing is attached to the image: {refused:#}"));
        Ok("nothing: the registry takes no referrers".to_owned())
    }

    fn note_attached(&mut self, digests: Vec<Digest>) -> String {
        let attached = self.artifacts.iter().zip(digests);
        self.attached.extend(
            attached.map(|(artifact, digest)| Attached { artifact_type: artifact.kind.to_owned(), digest }),
        );
        let kinds: Vec<_> = self.attached.iter().map(|one| one.artifact_type.as_str()).collect();
        kinds.join(", ")
    }

    /// A registry may lose what it took or had, and still take the manifests above it.
    fn check_all(&self) -> Result<()> {
        let (client, to) = (&self.client, &self.setup.to);
        let documents = attach::blobs(&self.artifacts).into_iter().map(Digest::of);
        let blobs = self.parcel.blobs.iter().map(|blob| blob.digest).chain(documents);
        let manifests = self.parcel.manifests.iter().chain([&self.parcel.top]);
        let all = blobs.map(|digest| ("blob", digest));
        let all = all.chain(manifests.map(|entry| ("manifest", entry.digest)));
        let is_there = |(kind, digest): &(&str, Digest)| {
            let there = match *kind {
                "blob" => client.has_blob(to, digest)?,
                _ => client.head_manifest(&to.with_digest(*digest))?.is_some(),
            };
            if there {
                return Ok(());
            }
            Err(Fault::failed(format!("the registry took the {kind} {digest} and does not have it"))
                .at(to.name())
                .hint("no tag was touched; publish again, and ask who runs the registry if it stays so")
                .into())
        };
        each(&all.collect::<Vec<_>>(), is_there).map(drop)
    }

    fn put_tags(&mut self, moving: bool) -> Result<String> {
        if !moving {
            self.check_all()?;
        }
        let bytes = self.parcel.layout.read(&self.parcel.top)?;
        let media_type = self.parcel.top.media_type.clone();
        let tagged = Tagged { bytes: &bytes, media_type: &media_type, digest: self.parcel.digest() };
        let mut names = Vec::new();
        let fixed = self.setup.tags.iter().filter(|tag| tag.motion == Motion::Fixed);
        let known: Vec<_> = fixed.map(|tag| tag.name.as_str()).collect();
        let mut tags: Vec<_> =
            self.setup.tags.iter().filter(|tag| tag.motion.is_forward() == moving).collect();
        // The version first: everything else may then be made from it again.
        tags.sort_by_key(|tag| tag.motion != Motion::Fixed);
        let mut rows = Vec::new();
        for tag in tags {
            let (client, to) = (&self.client, &self.setup.to);
            let state = match &self.setup.version {
                Some(version) if self.moves(tag) => {
                    tag_update::forward(client, &self.tag(tag)?, tag, version, tagged, &known)?
                }
                _ => {
                    if self.is_unknown(tag) {
                        tag_guard::check_unknown(client, to, tag, &tagged.digest)?;
                    }
                    tag_update::put(client, to, tag, tagged)?
                }
            };
            names.push(tag.name.clone());
            rows.push(TagRow { tag: tag.name.clone(), moves: tag.motion.word(), state });
        }
        self.rows.extend(rows);
        Ok(names.join(", "))
    }

    /// Whether a tag goes forward by versions.
    pub(super) fn moves(&self, tag: &Tag) -> bool {
        tag.motion.is_forward() && self.setup.version.is_some()
    }

    /// Whether a tag goes forward by versions, and nobody knows which one the image is.
    fn is_unknown(&self, tag: &Tag) -> bool {
        tag.motion.is_forward() && self.setup.version.is_none()
    }
}

fn is_gate(error: &anyhow::Error) -> bool {
    kind(error) == ExitKind::Gate
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
                scan::whole(&setup.lacks, work.parcel.layout.dir())?;
                let (scan, digest) = (setup.scan.as_ref(), work.parcel.digest());
                Ok(scan::gate(
                    scan,
                    &digest,
                    setup.needs_trivy,
                    setup.over.as_deref(),
                    setup.unscanned.as_deref(),
                )?)
            }
            Self::Rights => work.rights(),
            Self::Blobs => {
                let from = setup.from.as_ref();
                let documents = attach::blobs(&work.artifacts);
                work.sending =
                    push_blobs::send(&work.client, &setup.to, from, &work.parcel, &documents, progress)?;
                let sent = work.sending.sent;
                Ok(format!("{} of {} sent", Bytes(sent.bytes_new), Bytes(sent.bytes)))
            }
            Self::Manifests => work.manifests(),
            Self::Attach => work.attach(),
            Self::Sign(signer, command) => work.sign(signer, command, progress),
            Self::Attest(signer, said, command) => work.attest(signer, *said, command, progress),
            Self::Tags => work.put_tags(false),
            Self::Moving => work.put_tags(true),
            Self::ReadBack => work.read_back(),
        }
    }
}
