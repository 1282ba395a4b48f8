//! `cargo xtask assets`: the files of a release on GitHub. The binaries come from the image; nothing is built.

mod archive;
mod release;
mod work;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use oci_registry::GithubRepository;

use self::work::{AssetStep, AssetsWork};
use super::version::VersionReport;
use crate::image::inputs::layout_dir;
use crate::publish::{ImageBundle, Scan, Signer, SigningMode, Sigstore, need_cosign};
use cli_support::error::Fault;
use cli_support::plan::Plan;
use cli_support::time::Date;
use cli_support::ui::{self, Table, Ui};
use image_scan::policy::gate::needs_trivy;
use oci_image::layout::Lock;
use rust_workspace::settings::Bytes;
use rust_workspace::tags::run_tag;
use rust_workspace::version::{version_of, version_of_git};

/// Make the files of a release: archives of the image's binaries, SBOMs, checksums, a signature
#[derive(Args, Debug)]
#[command(after_help = "\
Files:
  NAME-VERSION-TARGET.tar.gz     the binary and the [[files]] of a platform's image, with the same bytes
  NAME-VERSION-TARGET.cdx.json   the SBOM of a platform, which `cargo xtask sbom` wrote; also .spdx.json
  SHA256SUMS                     the digests of these files
  SHA256SUMS.sigstore.json       the signature of SHA256SUMS, for cosign verify-blob

Examples:
  cargo xtask assets --dry-run
  cargo xtask assets --sign key
  cargo xtask assets --sign keyless --upload     as .github/workflows/release.yml does

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 no passing scan, a platform or an SBOM is missing, GitHub has no such
tag or has other bytes for it")]
pub struct Flags {
    /// The layout's folder [default: target/image]
    #[arg(long, value_name = "DIR")]
    image: Option<PathBuf>,
    /// The folder for the files [default: target/assets]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// How SHA256SUMS is signed
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    sign: SigningMode,
    /// Add the files to the version's release on GitHub; needs GITHUB_REPOSITORY and GITHUB_TOKEN
    #[arg(long)]
    upload: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

impl Flags {
    /// Prints the plan, or runs it.
    pub fn run(self) -> Result<()> {
        let report = VersionReport::read()?;
        let ui = Ui::detect();
        let dir = self.image.clone().unwrap_or_else(|| layout_dir(&report.package.target_dir));
        if !dir.exists() {
            let fault = Fault::usage("there is no image").at(dir.display());
            return Err(fault.hint("cargo xtask image --platform all").into());
        }
        let waiting = |by: &str| {
            ui.warn(&format!("another run{by} is writing {}; waiting for it to end", dir.display()));
        };
        let _lock = (!self.dry_run).then(|| Lock::take(&dir, waiting)).transpose()?;
        let bundle = ImageBundle::read(&dir)?;
        let output = self.output.clone().unwrap_or_else(|| report.package.target_dir.join("assets"));
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (settings, root) = (&report.workspace.settings, &report.workspace.root);
        let sigstore = Sigstore::of(&settings.sign, root, get)?;
        let signer = self.sign.signer(get, |path| Path::new(path).is_file(), &sigstore)?;
        if signer.is_some() {
            need_cosign()?;
        } else if self.upload && self.sign == SigningMode::Auto {
            return Err(Fault::usage("--upload: there is neither an identity nor COSIGN_KEY to sign with")
                .hint("--sign none uploads without a signature")
                .into());
        }
        let github = self.upload.then(|| GithubRepository::of_environment(get)).transpose();
        let github = github.map_err(|fault| {
            fault.hint("use --upload in a workflow, as .github/workflows/release.yml does")
        })?;
        let tag = github.is_some().then(|| tag(&bundle, &settings.tag_prefix)).transpose()?;
        let own = report.package.target_dir.join("xtask");
        let mut work = AssetsWork::new(&report, bundle, output.clone())?;
        work.scan = Scan::read(&own.join("scan.json"))?;
        work.needs_trivy = needs_trivy(&settings.scan, &settings.base);
        work.over = settings.scan.over(Date::today());
        work.github = github;
        let plan = plan(&work, &dir, &own, signer, tag);
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let steps = plan.run(&mut work, ui)?;
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.assets/1", "command": "assets", "version": work.version,
                "image": work.bundle.digest(), "folder": output, "assets": work.assets, "release": work.release,
                "steps": steps,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            ui::print(&format!("\n{}\n{}\n", table(&work), output.display()));
            work.release.iter().for_each(|url| ui::print(&format!("{url}\n")));
        }
        ui::write_outputs(&format!("### Files of the release\n\n{}\n", table(&work).markdown()), &[])
    }
}

fn table(work: &AssetsWork) -> Table {
    let mut table = Table::new(&["file", ">size", "sha256", ""]);
    for asset in &work.assets {
        let state = asset.state.unwrap_or_default().to_owned();
        table.row([asset.name.clone(), Bytes(asset.bytes).to_string(), asset.digest.hex(), state]);
    }
    table
}

/// The tag of the release: that of this run, else `v` and the image's version. It must name the image's version.
fn tag(bundle: &ImageBundle, prefix: &str) -> Result<String, Fault> {
    let version = bundle.label("version").unwrap_or_default();
    let tag = run_tag().unwrap_or_else(|| format!("{prefix}v{version}"));
    if version_of(version).is_some() && version_of_git(&tag, prefix) == version_of(version) {
        return Ok(tag);
    }
    let what = format!("the image has the version '{version}', and the tag of the release is '{tag}'");
    Err(Fault::usage(what).at(bundle.layout.dir().display()).hint("build the image of the tag's commit"))
}

fn plan(
    work: &AssetsWork,
    dir: &Path,
    own: &Path,
    signer: Option<Signer>,
    tag: Option<String>,
) -> Plan<AssetStep> {
    let mut plan = Plan::new("assets");
    let image = dir.display().to_string();
    plan.step("gate", "the image has all platforms and passed its scan", [&image], AssetStep::Gate);
    if let Some(tag) = &tag {
        let reason = format!("before anything is signed: does {tag} on GitHub name the image's commit?");
        plan.step("tag", reason, ["GITHUB_REPOSITORY"], AssetStep::Tag(tag.clone()));
    }
    let reason = format!("{} and [[files]] of each platform, from the layers", work.content.binary);
    plan.step("read", reason, [&image], AssetStep::Read);
    let names: Vec<_> = work.platforms.iter().map(|platform| work.stem(*platform) + ".tar.gz").collect();
    plan.step("archives", names.join(", "), ["read"], AssetStep::Archives);
    let reason = "reads each archive back: its files have the bytes of the image";
    plan.step("compare", reason, ["archives", image.as_str()], AssetStep::Compare);
    let reason = "one CycloneDX and one SPDX document of each platform, about this image";
    plan.step("sboms", reason, ["target/sbom"], AssetStep::Sboms);
    plan.step("checksums", "SHA256SUMS", ["archives", "sboms"], AssetStep::Checksums);
    if let Some(signer) = signer {
        let sums = work.output.join(work::SUMS);
        let command = signer.sign_blob(&sums, &work.output.join(work::BUNDLE), own);
        let reason = "whoever trusts the signature can trust every file in SHA256SUMS";
        plan.step("sign", reason, ["checksums"], AssetStep::Sign(signer, own.to_owned(), command));
    }
    if let Some(tag) = tag {
        let reason = format!("to the draft of a release of {tag}, which is published when it is complete");
        plan.step("upload", reason, ["checksums", "CHANGELOG.md"], AssetStep::Upload(tag));
    }
    plan
}
