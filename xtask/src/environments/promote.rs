//! The steps of a promotion: the same manifest bytes under the environment's tag.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::copy::Copy;
use super::record::{Record, records};
use crate::digest::Digest;
use crate::error::Fault;
use crate::image::oci::{Annotations, Descriptor};
use crate::plan::Action;
use crate::process::Cmd;
use crate::publish::{Sent, attach};
use crate::registry::{Client, Reference};
use crate::settings::{Bytes, Environment};
use crate::ui::Progress;
use crate::verify::{Demands, State, verify};

/// How long after a promotion the tag is looked at once more: two that begin at the same moment have both
/// written by then.
const SETTLE: Duration = Duration::from_millis(300);

/// One step.
#[derive(Debug)]
pub enum Step {
    /// Finds the image and what runs in the environment now.
    Find,
    /// Holds the image against what the environment demands.
    Demands,
    /// Brings the image with all that refers to it into the environment's repository.
    Copy,
    /// Puts the manifest under the environment's tag.
    Tag,
    /// Attaches the record to the image.
    Record,
}

/// What does not change from step to step.
#[derive(Debug)]
pub struct Setup {
    /// The image, by tag or digest.
    pub image: Reference,
    /// The environment.
    pub to: Environment,
    /// Its tag in its repository.
    pub place: Reference,
    /// The environment that the image must run in now, and its tag.
    pub from: Option<(String, Reference)>,
    /// The environment that the image must have been in, and its tag.
    pub after: Option<(String, Reference)>,
    /// What is asked of the image.
    pub demands: Demands,
    /// Who promotes.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// The run's URL.
    pub run: Option<String>,
    /// A folder for files of our own.
    pub folder: PathBuf,
    /// Whether registries beyond this machine are spoken to without TLS.
    pub plain_http: bool,
}

/// What the steps hand on.
#[derive(Debug)]
pub struct Work {
    /// The same for every step.
    pub setup: Setup,
    /// The client.
    pub client: Client,
    /// The image's digest, when found.
    pub digest: Option<Digest>,
    /// What ran in the environment before.
    pub previous: Option<Digest>,
}

impl Work {
    fn digest(&self) -> Result<Digest> {
        self.digest.ok_or_else(|| anyhow::anyhow!("the image was not looked for"))
    }

    fn running(&self, place: &Reference) -> Result<Option<Digest>> {
        Ok(self.client.head_manifest(place)?.map(|head| head.digest))
    }

    fn find(&mut self) -> Result<String> {
        let digest = self.client.manifest(&self.setup.image)?.digest;
        self.previous = self.running(&self.setup.place)?;
        self.digest = Some(digest);
        let before = self.previous.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        Ok(format!("{digest}; {} runs {before}", self.setup.to.name))
    }

    fn demands(&self) -> Result<String> {
        let (digest, setup) = (self.digest()?, &self.setup);
        let gate = |what: String| Fault::gate(what).at(setup.image.with_digest(digest));
        if let Some((name, place)) = &setup.from
            && self.running(place)? != Some(digest)
        {
            return Err(gate(format!("it does not run in {name}"))
                .cure("cargo xtask environments shows what does")
                .into());
        }
        if let Some((name, place)) = &setup.after
            && self.running(place)? != Some(digest)
            && !records(&self.client, &setup.image, &digest)?.iter().any(|record| record.to == *name)
        {
            return Err(gate(format!("it has never been in {name}, and {} wants that", setup.to.name))
                .cure(format!("cargo xtask promote {digest} --to {name}"))
                .into());
        }
        let checks =
            verify(&self.client, &setup.image, &digest, &setup.demands, &setup.folder, setup.plain_http)?;
        let failed: Vec<_> = checks.iter().filter(|check| check.state == State::Failed).collect();
        if failed.is_empty() {
            let held: Vec<_> =
                checks.iter().filter(|check| check.state == State::Ok).map(|check| check.name).collect();
            return Ok(held.join(", "));
        }
        let lines: Vec<_> = failed.iter().map(|check| format!("{}: {}", check.name, check.detail)).collect();
        Err(gate(format!("{} does not take it: {}", setup.to.name, lines.join("; "))).into())
    }

    fn copy(&self, digest: &Digest) -> Result<String> {
        let folder = self.setup.folder.join("copy");
        let copy =
            Copy { client: &self.client, from: &self.setup.image, to: &self.setup.place, folder: &folder };
        Ok(format!("{} sent", Bytes(copy.image(digest)?)))
    }

    fn tag(&self) -> Result<String> {
        let (digest, place) = (self.digest()?, &self.setup.place);
        let manifest = self.client.manifest(&self.setup.image.with_digest(digest))?;
        if self.previous == Some(digest) && self.running(place)? == Some(digest) {
            return Ok("it runs there already".to_owned());
        }
        self.client.put_manifest_if(place, &manifest.bytes, &manifest.media_type, &mut || {
            let now = self.running(place)?;
            match now == Some(digest) {
                // An earlier try arrived, and only its answer was lost; or another run wants the same.
                true => Ok(false),
                false if now == self.previous => Ok(true),
                false => Err(self.lost(now)),
            }
        })?;
        std::thread::sleep(SETTLE);
        let now = self.client.manifest(place)?.digest;
        if now != digest {
            return Err(self.lost(Some(now)));
        }
        Ok(place.to_string())
    }

    fn lost(&self, now: Option<Digest>) -> anyhow::Error {
        let now = now.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
        Fault::failed(format!(
            "another promotion to {} came in between: {now} runs there",
            self.setup.to.name
        ))
        .at(&self.setup.place)
        .cure("see what runs there, cargo xtask environments, and promote again if it is still wanted")
        .into()
    }

    fn record(&self) -> Result<String> {
        let (digest, setup) = (self.digest()?, &self.setup);
        if self.previous == Some(digest) {
            return Ok("nothing changed".to_owned());
        }
        let record = Record {
            to: setup.to.name.clone(),
            from: setup.from.as_ref().map(|(name, _)| name.clone()),
            digest,
            previous: self.previous,
            by: setup.by.clone(),
            at: setup.at.clone(),
            run: setup.run.clone(),
        };
        let artifact = record.artifact()?;
        let mut sent = Sent::default();
        let mut done = None;
        // At the image too where the environment has a repository of its own: `after` asks there.
        for at in [&setup.place, &setup.image] {
            if done.replace(at.name()).is_some_and(|name| name == at.name()) {
                continue;
            }
            let manifest = self.client.manifest(&at.with_digest(digest))?;
            let (media_type, size) = (manifest.media_type, manifest.bytes.len() as u64);
            let annotations = Annotations::new();
            let subject = Descriptor { media_type, digest, size, platform: None, annotations };
            attach(&self.client, at, &subject, std::slice::from_ref(&artifact), &mut sent)?;
        }
        Ok(format!("by {} at {}", record.by, record.at))
    }
}

impl Action for Step {
    type State = Work;

    fn command(&self) -> Option<&Cmd> {
        None
    }

    fn run(&self, work: &mut Work, _: &Progress) -> Result<String> {
        match self {
            Self::Find => work.find(),
            Self::Demands => work.demands(),
            Self::Copy => work.copy(&work.digest()?),
            Self::Tag => work.tag(),
            Self::Record => work.record(),
        }
    }
}
