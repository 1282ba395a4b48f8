//! `cargo xtask publish`: the very bytes of the layout into a registry.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use super::version::Facts;
use crate::digest::Digest;
use crate::error::Fault;
use crate::image::layout::Lock;
use crate::plan::Plan;
use crate::publish::{Mode, Parameters, Parcel, Report, Scan, Setup, Signer, Step, Work, merge, need_cosign};
use crate::registry::auth::Given;
use crate::registry::retry::Policy;
use crate::registry::{Client, Options, Reference, Secret};
use crate::settings::Bytes;
use crate::tags::{Motion, Tag, version_of, version_tag};
use crate::ui::{self, Ui};

/// Put the image of target/image into a registry, byte for byte
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask publish                                   repository and tags as xtask/image.toml has them
  cargo xtask publish --dry-run                         show the plan and send nothing
  cargo xtask publish --repository localhost:5000/app --tag 1.2.3 --tag latest
  gh auth token | cargo xtask publish --token-stdin

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 no passing scan, or the version has other bytes")]
pub struct Flags {
    #[command(flatten)]
    target: Target,
    /// A tag, instead of those of `[[tags]]`; again for more
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// The layout's folder [default: target/image]
    #[arg(long, value_name = "DIR")]
    image: Option<PathBuf>,
    /// First join these layouts, of one platform each, into the one that is published; again for more
    #[arg(long, value_name = "DIR", num_args = 1..)]
    merge: Vec<PathBuf>,
    /// Publish without a passing scan, for this reason
    #[arg(long, value_name = "REASON")]
    allow_unscanned: Option<String>,
    /// How the image is signed
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    sign: Mode,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

/// Which repository, and how it is spoken to.
#[derive(Args, Debug, Default)]
pub struct Target {
    /// The repository, ghcr.io/OWNER/NAME [default: xtask/image.toml's]
    #[arg(long, value_name = "NAME")]
    pub repository: Option<String>,
    /// Speak to the registry without TLS; those on this machine always are
    #[arg(long)]
    pub plain_http: bool,
    /// Read a token for the registry from standard input
    #[arg(long)]
    pub token_stdin: bool,
    /// The user that goes with the token; not needed at ghcr.io
    #[arg(long, value_name = "NAME", requires = "token_stdin")]
    pub user: Option<String>,
}

impl Target {
    /// The repository, of the flag or of the settings. GitHub gives owners' names with capitals; image
    /// names have none.
    pub fn repository(&self, settings: Option<&str>) -> Result<Reference> {
        let name = self.repository.as_deref().or(settings).ok_or_else(|| {
            Fault::usage("no repository is named")
                .at(crate::settings::FILE)
                .cure("repository = \"ghcr.io/OWNER/NAME\" there, or --repository ghcr.io/OWNER/NAME")
        })?;
        let reference: Reference = name.to_lowercase().parse()?;
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(Fault::usage(format!("'{name}' is an image, and a repository is wanted"))
                .cure(format!("write {}", reference.name()))
                .into());
        }
        Ok(reference)
    }

    /// A client for the registry of `to`.
    pub fn client(&self, to: &Reference, ui: Ui) -> Result<Client> {
        self.client_for(to, &[], ui)
    }

    /// The same where other registries have a part in it; a token that is handed in is for that of `to`.
    pub fn client_for(&self, to: &Reference, others: &[&Reference], ui: Ui) -> Result<Client> {
        let given = if self.token_stdin { Some(self.given(to)?) } else { None };
        let all = others.iter().copied().chain([to]).filter(|_| self.plain_http);
        let plain_http = all.map(|reference| reference.registry().to_owned()).collect();
        let on_wait: crate::registry::OnWait = std::sync::Arc::new(move |wait| {
            ui.warn(&format!("{}; trying again in {:.1} s", wait.why, wait.delay.as_secs_f32()));
        });
        // Sending a blob takes three requests that must all succeed in one try, and registries fail in
        // bursts: more tries than a pull makes.
        let policy = Policy { attempts: 10, ..Policy::default() };
        Ok(Client::new(Options { plain_http, given, policy, on_wait: Some(on_wait), ..Options::default() }))
    }

    fn given(&self, to: &Reference) -> Result<Given> {
        let mut text = String::new();
        // Tokens are short; more than this is some other file.
        std::io::stdin().take(64 * 1024).read_to_string(&mut text).context("the token on standard input")?;
        Ok(Given { registry: to.registry().to_owned(), user: self.user.clone(), secret: Secret::new(text) })
    }
}

impl Flags {
    /// Plans, and then prints the plan or runs it.
    pub fn run(self) -> Result<()> {
        let facts = Facts::read()?;
        let to = self.target.repository(facts.workspace.settings.repository.as_deref())?;
        let dir = self.image.clone().unwrap_or_else(|| facts.package.target_dir.join("image"));
        let ui = Ui::detect();
        if self.dry_run && !self.merge.is_empty() {
            return Err(Fault::usage("--merge makes an image, and --dry-run changes nothing")
                .cure("merge first: the plan is about the image that comes of it")
                .into());
        }
        let _lock = if self.dry_run || !dir.exists() && self.merge.is_empty() {
            None
        } else {
            Some(Lock::take(&dir, || {
                ui.warn(&format!("another run is writing {}; waiting for it to end", dir.display()));
            })?)
        };
        if !self.merge.is_empty() {
            merge(&self.merge, &dir)?;
        }
        let parcel = read(&dir)?;
        let tags = self.tags(&facts, &parcel)?;
        let setup = self.setup(&facts, to, tags, &parcel)?;
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let signer = self.sign.signer(get)?;
        if signer.is_some() {
            need_cosign()?;
        }
        let plan = plan(&setup, &parcel, &dir, signer);
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let client = self.target.client(&setup.to, ui)?;
        let mut work = Work::new(setup, parcel, client);
        let steps = plan.run(&mut work, ui)?;
        let (digest, repository) = (work.parcel.digest(), work.setup.to.name());
        let report = Report::new(repository, digest, work.rows, work.attached, work.sent, steps);
        if self.json {
            ui::print(&format!("{:#}\n", serde_json::to_value(&report)?));
        } else {
            ui::print(&format!("\n{}\n{}\n{}\n", report.table(), report.reference, report.summary()));
        }
        let outputs = [("digest", digest.to_string()), ("reference", report.reference.clone())];
        ui::write_outputs(&report.markdown(), &outputs)
    }

    /// The tags of the flags, or those of the rules, which must be about the very image that is there.
    fn tags(&self, facts: &Facts, parcel: &Parcel) -> Result<Vec<Tag>> {
        if !self.tag.is_empty() {
            return Ok(self.tag.iter().map(|name| Tag::named(name)).collect());
        }
        let derived = super::tags::of(facts)?.tags;
        let other = |what: &str, image: &str, now: &str| {
            Fault::usage(format!("the image's {what} is {image}, and the source's is {now}"))
                .at(parcel.layout.dir().display())
                .cure("make it of this source: cargo xtask image --platform all; or name the tags: --tag TAG")
        };
        if let (Some(image), Some(now)) = (parcel.label("revision"), facts.source.revision())
            && image != now
        {
            return Err(other("revision", image, &now).into());
        }
        let version = parcel.label("version").map(str::to_owned);
        for tag in derived.iter().filter(|tag| tag.motion == Motion::Fixed && tag.rule != "version") {
            let (Some(image), Some(now)) = (&version, version_of(&tag.name)) else { continue };
            if image.replace('+', "-") != version_tag(&now) {
                return Err(other("version", image, &now.to_string()).into());
            }
        }
        Ok(derived)
    }

    fn setup(&self, facts: &Facts, to: Reference, tags: Vec<Tag>, parcel: &Parcel) -> Result<Setup> {
        for tag in &tags {
            to.with_tag(&tag.name)?;
        }
        let fixed = tags.iter().filter(|tag| tag.motion == Motion::Fixed);
        let version = fixed.filter_map(|tag| version_of(&tag.name)).max();
        let version = version.or_else(|| version_of(parcel.label("version")?));
        let base = parcel.label("base.name").and_then(|name| name.parse::<Reference>().ok());
        let own = facts.package.target_dir.join("xtask");
        Ok(Setup {
            from: base.filter(|base| base.registry() == to.registry() && base.name() != to.name()),
            scan: Scan::read(&own.join("scan.json"))?,
            unscanned: self.allow_unscanned.clone(),
            parameters: self.parameters(facts, parcel),
            sboms: sboms(&[facts.package.target_dir.join("sbom"), own.clone()], parcel),
            folder: own,
            plain_http: self.target.plain_http,
            to,
            tags,
            version,
        })
    }

    fn parameters(&self, facts: &Facts, parcel: &Parcel) -> Parameters {
        let root = &facts.workspace.root;
        let files =
            ["Cargo.lock", "rust-toolchain.toml", crate::settings::FILE].into_iter().filter_map(|name| {
                let bytes = std::fs::read(root.join(name)).ok()?;
                Some((name.to_owned(), Digest::of(&bytes)))
            });
        let specs = parcel.manifests.iter().filter_map(|entry| entry.platform.as_ref());
        Parameters {
            package: facts.package.name.clone(),
            binary: facts.package.binary.clone(),
            source: facts.package.repository.clone(),
            revision: facts.source.revision.clone(),
            dirty: facts.source.dirty,
            unscanned: self.allow_unscanned.clone(),
            files: files.collect(),
            run: facts.event.run.clone(),
            platforms: specs.map(ToString::to_string).collect(),
        }
    }
}

fn read(dir: &Path) -> Result<Parcel> {
    if dir.exists() {
        return Parcel::read(dir);
    }
    Err(Fault::usage("there is no image").at(dir.display()).cure("cargo xtask image --platform all").into())
}

/// The bills of materials that `cargo xtask sbom` and others left in these folders, of this very image:
/// each names a manifest of it.
fn sboms(folders: &[PathBuf], parcel: &Parcel) -> Vec<PathBuf> {
    let digests: Vec<_> =
        parcel.manifests.iter().chain([&parcel.top]).map(|entry| entry.digest.hex()).collect();
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let is_sbom = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let named = name.ends_with(".cdx.json") || name.starts_with("sbom-") && name.ends_with(".json");
        named
            && std::fs::read_to_string(path)
                .is_ok_and(|text| digests.iter().any(|digest| text.contains(digest)))
    };
    let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(is_sbom).collect();
    found.sort();
    found
}

fn plan(setup: &Setup, parcel: &Parcel, dir: &Path, signer: Option<Signer>) -> Plan<Step> {
    let mut plan = Plan::new("publish");
    let to = setup.to.name();
    let layout = dir.display().to_string();
    plan.step("gate", "only what passed its scan is published", ["target/xtask/scan.json"], Step::Gate);
    plan.step("rights", format!("before anything is sent: may we push to {to}?"), [&to], Step::Rights);
    let reason = format!("what {to} lacks of {}", Bytes(parcel.bytes()));
    plan.step("blobs", reason, [&layout], Step::Blobs);
    let reason = format!("{} platforms, then {}", parcel.manifests.len(), parcel.digest());
    plan.step("manifests", reason, [&layout], Step::Manifests);
    let attached = setup.scan.iter().map(|_| "scan").chain(setup.sboms.iter().map(|_| "SBOM"));
    let attached: Vec<_> = std::iter::once("provenance").chain(attached).collect();
    plan.step(
        "attach",
        format!("referrers of it: {}", attached.join(", ")),
        ["source", "scan"],
        Step::Attach,
    );
    if let Some(signer) = signer {
        let image = setup.to.with_digest(parcel.digest()).to_string();
        let command = signer.command(&image, &setup.folder, setup.plain_http);
        let attest = signer.attest(&image, &setup.folder, setup.plain_http);
        plan.step("sign", "the index and every platform", [&image], Step::Sign(signer.clone(), command));
        plan.step("attest", "the provenance, signed as well", ["attach"], Step::Attest(signer, attest));
    }
    let names = |forward: bool| {
        let of = |tag: &&Tag| matches!(tag.motion, Motion::Forward { .. }) == forward;
        setup.tags.iter().filter(of).map(|tag| tag.name.clone()).collect::<Vec<_>>()
    };
    let fixed = names(false);
    plan.step("tags", format!("only now that all of it is there: {}", fixed.join(", ")), fixed, Step::Tags);
    let moving = names(true);
    if !moving.is_empty() {
        let reason = format!("forward only, by the registry's own tags: {}", moving.join(", "));
        plan.step("moving", reason, moving, Step::Moving);
    }
    plan.step("read-back", "what the registry gives must be what was sent", [&to], Step::ReadBack);
    plan
}
