//! `cargo xtask publish`: the very bytes of the layout into a registry.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

pub use super::target::Target;
use super::version::VersionReport;
use crate::image::inputs::layout_dir;
use crate::publish::{
    AttachMode, ImageBundle, Origin, PROVENANCE, Parameters, PublishReport, PublishSetup, PublishStep,
    PublishWork, SCAN, Scan, Signer, SigningMode, Sigstore, StatementKind, check_version, find_sboms, merge,
    need_cosign, scan_gate,
};
use cli_support::digest::Digest;
use cli_support::error::{Fault, plain_line};
use cli_support::plan::Plan;
use cli_support::time::Date;
use cli_support::ui::{self, Ui};
use image_scan::policy::gate::needs_trivy;
use oci_image::layout::Lock;
use oci_registry::Reference;
use rust_workspace::settings::Bytes;
use rust_workspace::tags::{Motion, Tag};
use rust_workspace::version::{version_of, version_tag};

/// Put the image of target/image into a registry, byte for byte
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask publish                                   repository and tags as xtask/image.toml has them
  cargo xtask publish --dry-run                         show the plan and send nothing
  cargo xtask publish --repository localhost:5000/app --tag 1.2.3 --tag latest
  gh auth token | cargo xtask publish --token-stdin

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 no passing scan, a platform is missing, the
version has other bytes, or a moving tag stands for a version and the image names none")]
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
    /// Whether provenance, scan and SBOMs are attached to the image
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    attach: AttachMode,
    /// How the image is signed
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    sign: SigningMode,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

impl Flags {
    /// Plans, and then prints the plan or runs it.
    pub fn run(self) -> Result<()> {
        let checkout = VersionReport::read()?;
        let to = self.target.repository(checkout.workspace.settings.repository.as_deref())?;
        let dir = self.image.clone().unwrap_or_else(|| layout_dir(&checkout.package.target_dir));
        let ui = Ui::detect();
        if self.dry_run && !self.merge.is_empty() {
            return Err(Fault::usage("--merge makes an image, and --dry-run changes nothing")
                .hint("merge first: the plan is about the image that comes of it")
                .into());
        }
        let _lock = if self.dry_run || !dir.exists() && self.merge.is_empty() {
            None
        } else {
            Some(Lock::take(&dir, |by| {
                ui.warn(&format!("another run{by} is writing {}; waiting for it to end", dir.display()));
            })?)
        };
        if !self.merge.is_empty() {
            merge(&self.merge, &dir)?;
        }
        let bundle = read(&dir)?;
        let tags = self.tags(&checkout, &to, &bundle, ui)?;
        let mut setup = self.setup(&checkout, to, tags, &bundle, ui)?;
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let sigstore = Sigstore::of(&checkout.workspace.settings.sign, &checkout.workspace.root, get)?;
        let signer = self.sign.signer(get, |path| Path::new(path).is_file(), &sigstore)?;
        if signer.is_some() {
            need_cosign()?;
        }
        setup.keep_first = signer.is_some() || self.attach == AttachMode::Require;
        let plan = plan(&setup, &bundle, &dir, signer);
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let client = self.target.client(&setup.to, ui)?;
        let mut work = PublishWork::new(setup, bundle, client)?;
        let steps = plan.run(&mut work, ui)?;
        let (digest, repository) = (work.bundle.digest(), work.setup.to.name());
        let report = PublishReport::new(repository, digest, work.rows, work.attached, work.sent, steps);
        for warning in &work.warnings {
            ui.warn(&plain_line(warning));
        }
        for doubt in work.setup.version.iter().flat_map(|version| report.doubts(version)) {
            ui.warn(&doubt);
        }
        if self.json {
            ui::print(&format!("{:#}\n", serde_json::to_value(&report)?));
        } else {
            ui::print(&format!("\n{}\n{}\n{}\n", report.table(), report.reference, report.summary()));
        }
        let outputs = [("digest", digest.to_string()), ("reference", report.reference.clone())];
        ui::write_outputs(&report.markdown(), &outputs)
    }

    /// The tags of the flags, or those of the rules, which must be about the very image that is there.
    fn tags(
        &self,
        checkout: &VersionReport,
        to: &Reference,
        bundle: &ImageBundle,
        ui: Ui,
    ) -> Result<Vec<Tag>> {
        if !self.tag.is_empty() {
            let tags = super::tags::named(checkout, to, &self.tag)?;
            if let Some(doubt) = check_version(bundle.label("version"), &tags)? {
                ui.warn(&doubt);
            }
            return Ok(tags);
        }
        let derived = super::tags::of(checkout, Some(to))?.tags;
        let other = |what: &str, image: &str, now: &str| {
            Fault::usage(format!("the image's {what} is {image}, and the source's is {now}"))
                .at(bundle.layout.dir().display())
                .hint("make it of this source: cargo xtask image --platform all; or name the tags: --tag TAG")
        };
        if let Some(now) = checkout.source.revision() {
            let image = bundle.label("revision").unwrap_or("not named");
            if image != now {
                return Err(other("revision", image, &now).into());
            }
        }
        let image = bundle.label("version");
        for tag in derived.iter().filter(|tag| tag.motion == Motion::Fixed && tag.rule != "version") {
            let (Some(image), Some(now)) = (image, &tag.version) else { continue };
            if image.replace('+', "-") != version_tag(now) {
                return Err(other("version", image, &now.to_string()).into());
            }
        }
        Ok(derived)
    }

    fn setup(
        &self,
        checkout: &VersionReport,
        to: Reference,
        tags: Vec<Tag>,
        bundle: &ImageBundle,
        ui: Ui,
    ) -> Result<PublishSetup> {
        for tag in &tags {
            to.with_tag(&tag.name)?;
        }
        let fixed = tags.iter().filter(|tag| tag.motion == Motion::Fixed);
        let version = fixed.filter_map(|tag| tag.version.clone()).max();
        let version = version.or_else(|| version_of(bundle.label("version")?));
        let origin = Origin::of(bundle.label("revision"), &checkout.source);
        if let Some(doubt) = origin.doubt() {
            ui.warn(&doubt);
        }
        let base = bundle.label("base.name").and_then(|name| name.parse::<Reference>().ok());
        let own = checkout.package.target_dir.join("xtask");
        let scan = match Scan::read(&own.join("scan.json")) {
            // A broken scan result may be the reason for publishing without a scan.
            Err(error) if self.allow_unscanned.is_some() => {
                ui.warn(&format!("{error:#}; the image counts as not scanned"));
                None
            }
            read => read?,
        };
        let needs_trivy = needs_trivy(&checkout.workspace.settings.scan, &checkout.workspace.settings.base);
        let over = checkout.workspace.settings.scan.over(Date::today());
        let passed = scan_gate(scan.as_ref(), &bundle.digest(), needs_trivy, over.as_deref(), None).is_ok();
        // A reason that was not needed is none that a consumer should read.
        let unscanned = self.allow_unscanned.clone().filter(|_| !passed);
        Ok(PublishSetup {
            from: base.filter(|base| base.registry() == to.registry() && base.name() != to.name()),
            scan,
            attach: self.attach,
            keep_first: false,
            needs_trivy,
            over,
            lacks: bundle.lacks(&checkout.workspace.settings.platforms),
            parameters: parameters(checkout, origin, bundle, unscanned.clone()),
            unscanned,
            sboms: find_sboms(&[checkout.package.target_dir.join("sbom"), own.clone()], bundle),
            folder: own,
            plain_http: self.target.plain_http,
            to,
            tags,
            version,
        })
    }
}

fn parameters(
    checkout: &VersionReport,
    origin: Origin,
    bundle: &ImageBundle,
    unscanned: Option<String>,
) -> Parameters {
    let root = &checkout.workspace.root;
    let files = ["Cargo.lock", "rust-toolchain.toml", rust_workspace::settings::file()]
        .into_iter()
        .filter_map(|name| {
            let bytes = std::fs::read(root.join(name)).ok()?;
            Some((name.to_owned(), Digest::of(&bytes)))
        });
    Parameters {
        package: checkout.package.name.clone(),
        binary: checkout.package.binary.clone(),
        source: checkout.package.repository.clone(),
        unscanned,
        files: if origin.has_files() { files.collect() } else { Vec::new() },
        run: checkout.event.run.clone(),
        platforms: bundle.platforms.iter().map(ToString::to_string).collect(),
        origin,
    }
}

fn read(dir: &Path) -> Result<ImageBundle> {
    if dir.exists() {
        return ImageBundle::read(dir);
    }
    Err(Fault::usage("there is no image").at(dir.display()).hint("cargo xtask image --platform all").into())
}

fn plan(setup: &PublishSetup, bundle: &ImageBundle, dir: &Path, signer: Option<Signer>) -> Plan<PublishStep> {
    let mut plan = Plan::new("publish");
    let to = setup.to.name();
    let layout = dir.display().to_string();
    plan.step(
        "gate",
        "only what passed its scan is published",
        ["target/xtask/scan.json"],
        PublishStep::Gate,
    );
    plan.step("rights", format!("before anything is sent: may we push to {to}?"), [&to], PublishStep::Rights);
    let reason = format!("what {to} lacks of {}", Bytes(bundle.bytes()));
    plan.step("blobs", reason, [&layout], PublishStep::Blobs);
    let reason = match bundle.manifests.len() {
        0 => format!("one platform, {}", bundle.digest()),
        several => format!("{several} platforms, then {}", bundle.digest()),
    };
    plan.step("manifests", reason, [&layout], PublishStep::Manifests);
    let scan = setup.scan.iter().filter(|scan| scan.digest == bundle.digest());
    let attached = scan.map(|_| SCAN.name).chain(setup.sboms.iter().map(|sbom| sbom.kind.name));
    let attached: Vec<_> = std::iter::once(PROVENANCE.name).chain(attached).collect();
    if setup.attach != AttachMode::Never {
        let reason = format!("referrers of it: {}", attached.join(", "));
        plan.step("attach", reason, ["source", "scan"], PublishStep::Attach);
    }
    if let Some(signer) = signer {
        let image = setup.to.with_digest(bundle.digest()).to_string();
        let command = signer.command(&image, &setup.folder, setup.plain_http);
        let attest = |kind| {
            let command = signer.attest(kind, &image, &setup.folder, setup.plain_http);
            PublishStep::Attest(signer.clone(), kind, command)
        };
        plan.step(
            "sign",
            "the index and every platform",
            [&image],
            PublishStep::Sign(signer.clone(), command),
        );
        if setup.attach != AttachMode::Never {
            plan.step(
                "attest",
                "the provenance, signed as well",
                ["attach"],
                attest(StatementKind::Provenance),
            );
        }
        if attached.len() > 1 && setup.attach != AttachMode::Never {
            let reason = format!("signed as well, by their digests: {}", attached[1..].join(", "));
            plan.step("attest-documents", reason, ["attach"], attest(StatementKind::Documents));
        }
    }
    let names = |forward: bool| {
        let of = |tag: &&Tag| tag.motion.is_forward() == forward;
        setup.tags.iter().filter(of).map(|tag| tag.name.clone()).collect::<Vec<_>>()
    };
    let fixed = names(false);
    plan.step(
        "tags",
        format!("only now that all of it is there: {}", fixed.join(", ")),
        fixed,
        PublishStep::Tags,
    );
    let moving = names(true);
    if !moving.is_empty() {
        let reason = format!("forward only, by the registry's own tags: {}", moving.join(", "));
        plan.step("moving", reason, moving, PublishStep::Moving);
    }
    plan.step("read-back", "what the registry gives must be what was sent", [&to], PublishStep::ReadBack);
    plan
}
