//! The steps of a promotion: the same manifest bytes under the environment's tag.

mod demands;
mod overlay;
mod tag;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::record::{History, Record};
use super::{Place, copy::Copy};
use crate::verify::Demands;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::plan::Action;
use cli_support::time::{now, rfc3339};
use cli_support::ui::Progress;
use oci_registry::retry::is_given_up;
use oci_registry::{Client, Reference};
pub use overlay::Overlay;
use rust_workspace::settings::Bytes;

/// One step.
#[derive(Debug)]
pub enum PromoteStep {
    /// Finds the image, and the one in the environment now.
    Find,
    /// Checks what the environment requires.
    Demands,
    /// Copies the image with its referrers into the environment's repository.
    Copy,
    /// Checks the copy in the same way.
    Verify,
    /// Puts the manifest under the environment's tag.
    Tag,
    /// Attaches the record to the image.
    Record,
    /// Writes the digest into the overlay.
    Overlay,
}

/// The inputs of a promotion.
#[derive(Debug)]
pub struct PromoteSetup {
    /// The image, by tag or digest.
    pub image: Reference,
    /// The environment.
    pub to: Place,
    /// The environment that the image must run in now.
    pub from: Option<Place>,
    /// The environment that the image must have been in.
    pub after: Option<Place>,
    /// The overlay that gets the digest.
    pub overlay: Option<Overlay>,
    /// Requirements on the image.
    pub demands: Demands,
    /// The user.
    pub by: String,
    /// The run's URL.
    pub run: Option<String>,
    /// A folder for temporary files.
    pub folder: PathBuf,
    /// Whether registries on other machines are used without TLS.
    pub plain_http: bool,
}

/// The state between the steps.
#[derive(Debug)]
pub struct PromoteWork {
    setup: PromoteSetup,
    client: Client,
    digest: Option<Digest>,
    previous: Option<Digest>,
    /// The record of the start, its digest, and the time when the tag was written.
    written: Option<(Record, Digest, String)>,
    record: Option<Record>,
}

/// The result of a promotion.
#[derive(Debug)]
pub struct Promoted {
    /// The image.
    pub digest: Digest,
    /// The image in the environment when the promotion started; the same image where it was there already.
    pub previous: Option<Digest>,
    /// The record, which may be that of an earlier run.
    pub record: Record,
}

impl PromoteWork {
    /// The state before the first step.
    pub fn new(setup: PromoteSetup, client: Client) -> Self {
        Self { setup, client, digest: None, previous: None, written: None, record: None }
    }

    /// The result, after all steps.
    pub fn promoted(self) -> Result<Promoted> {
        let (Some(digest), Some(record)) = (self.digest, self.record) else {
            return Err(anyhow::anyhow!("no image was promoted"));
        };
        Ok(Promoted { digest, previous: self.previous, record })
    }

    fn digest(&self) -> Result<Digest> {
        self.digest.ok_or_else(|| anyhow::anyhow!("the step 'find' did not run"))
    }

    fn running(&self, place: &Place) -> Result<Option<Digest>> {
        Ok(self.client.head_manifest(&place.at)?.map(|head| head.digest))
    }

    fn find(&mut self) -> Result<String> {
        let digest = match self.client.manifest_if_any(&self.setup.image)? {
            Some(manifest) => manifest.digest,
            None => return Err(self.not_found()?),
        };
        self.previous = self.before()?;
        self.digest = Some(digest);
        Ok(format!("{digest}; {} has {}", self.setup.to.environment.name, or_nothing(self.previous)))
    }

    /// The image in the environment now. Where that is refused, opens an upload first: a registry that refuses what is not
    /// there is understood once it has taken a write.
    fn before(&self) -> Result<Option<Digest>> {
        let to = &self.setup.to;
        match self.running(to) {
            Err(error) if !is_given_up(&error) => {
                let opened = self.client.open_upload(&to.at)?;
                let before = self.running(to);
                self.client.cancel_upload(&to.at, &opened);
                before
            }
            before => before,
        }
    }

    /// The error where the image is not in its repository. Old images may only be in an environment's repository.
    fn not_found(&self) -> Result<anyhow::Error> {
        let (image, to) = (&self.setup.image, &self.setup.to);
        let fault = Fault::failed("the registry has no such image").at(image);
        let there = image.digest().map(|digest| to.at.with_digest(digest)).filter(|there| there != image);
        Ok(match there {
            Some(there) if self.client.head_manifest(&there)?.is_some() => {
                let name = &to.environment.name;
                fault.hint(format!("{name} has it: cargo xtask promote {there} --to {name}")).into()
            }
            _ => fault.hint("cargo xtask environments lists the images").into(),
        })
    }

    fn copy(&self) -> Result<String> {
        let (from, to, folder) = (&self.setup.image, &self.setup.to.at, self.setup.folder.join("copy"));
        let mut copy = Copy { client: &self.client, from, to, folder: &folder, sent: 0, referrers: 0 };
        copy.image(&self.digest()?)?;
        Ok(format!("{} referrers; {} sent", copy.referrers, Bytes(copy.sent)))
    }

    fn overlay(&self) -> Result<String> {
        let digest = self.digest()?;
        self.setup
            .overlay
            .as_ref()
            .map_or_else(|| Ok("no overlay".to_owned()), |overlay| overlay.write(digest))
    }

    /// The record of this promotion, at this time.
    fn record_of(&self, digest: Digest) -> Record {
        let setup = &self.setup;
        Record {
            to: setup.to.environment.name.clone(),
            place: setup.to.at.to_string(),
            from: setup.from.as_ref().map(|from| from.environment.name.clone()),
            digest,
            previous: self.previous.filter(|previous| *previous != digest),
            by: setup.by.clone(),
            at: rfc3339(now()),
            run: setup.run.clone(),
            begun: None,
        }
    }

    fn record(&mut self) -> Result<String> {
        let (digest, to) = (self.digest()?, &self.setup.to);
        let record = match &self.written {
            Some((record, begun, at)) => Record { at: at.clone(), begun: Some(*begun), ..record.clone() },
            None => match self.of_earlier_run(digest)? {
                (there, true) => {
                    let outcome = format!("by {} at {}, unchanged", there.by, there.at);
                    self.record = Some(there);
                    return Ok(outcome);
                }
                (missing, false) => missing,
            },
        };
        let kept = record.end(&self.client, to).and_then(|()| {
            std::thread::sleep(tag::SETTLE);
            record.keep(&self.client, to)
        });
        kept.context(
            Fault::failed("the image is deployed, but the record could not be written")
                .at(&to.at)
                .hint("run the same command again to write it"),
        )?;
        let outcome = format!("by {} at {}", record.by, record.at);
        self.record = Some(record);
        Ok(outcome)
    }

    /// The record of an earlier run, and whether it is complete. It is not where that run stopped after it wrote the
    /// tag, or where another program wrote the tag.
    fn of_earlier_run(&self, digest: Digest) -> Result<(Record, bool)> {
        let history = History::read(&self.client, &self.setup.to, &digest)?;
        Ok(match (history.current(), history.broken_off()) {
            (Some(record), _) => (record.clone(), true),
            (None, Some((begun, record))) => (Record { begun: Some(*begun), ..record.clone() }, false),
            (None, None) => (self.record_of(digest), false),
        })
    }
}

fn or_nothing(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string())
}

impl Action for PromoteStep {
    type State = PromoteWork;

    fn run(&self, work: &mut PromoteWork, _: &Progress) -> Result<String> {
        match self {
            Self::Find => work.find(),
            Self::Demands => work.demands(),
            Self::Copy => work.copy(),
            Self::Verify => work.verify(&work.setup.to.at),
            Self::Tag => work.tag(),
            Self::Record => work.record(),
            Self::Overlay => work.overlay(),
        }
    }
}
