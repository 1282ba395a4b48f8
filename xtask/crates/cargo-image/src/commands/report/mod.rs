//! `cargo xtask report`: what is in the image, as a page, as JSON and as Markdown.

mod changes;
mod data;
mod github_runs;
pub mod history;
mod page;
mod published;
mod read;
mod symbols;
mod targets;
mod treemap;
mod work;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use oci_registry::GithubRepository;

use self::published::Question;
use self::work::{Against, ReportStep, ReportWork};
use super::scan::image_source;
use super::target::Target;
use super::verify::TrustFlags;
use crate::environments::Places;
use crate::image::inputs::layout_dir;
use crate::publish::Sigstore;
use cli_support::error::Fault;
use cli_support::plan::Plan;
use cli_support::process::{Cmd, find};
use cli_support::ui::{self, Ui};
use image_scan::engines::builtin::licence;
use image_scan::image::platforms::{self, Wanted};
use image_scan::image::source::ImageSource;
use oci_image::layout::Layout;
use oci_image::platform::Platform;
use rust_workspace::binary::{Build, Package, Toolchain, choose};
use rust_workspace::git::GitSource;
use rust_workspace::settings::Workspace;
use rust_workspace::tags::run_tag;
use rust_workspace::version::version_tag;

/// The value of `--against` for the last version tag.
const RELEASED: &str = "released";

/// Show what is in the image: sizes, crates, targets, and the history of builds
#[derive(Args, Debug)]
#[command(after_help = "\
Writes index.html, report.json and report.md. The page needs no network. With GITHUB_REPOSITORY and GITHUB_TOKEN the
history of builds also has the last runs of the repository's workflows.

Examples:
  cargo xtask report --open
  cargo xtask report --symbols                         also the size of each crate in the binary
  cargo xtask report --against                         also what changed since the last version tag
  cargo xtask report --symbols --against old.json      also which crate grew since that report
  cargo xtask report --published                       also signatures, provenance and environments")]
pub struct Flags {
    /// A layout's folder (DIR or DIR@sha256:…), an archive, or a reference [default: target/image]
    #[arg(long, value_name = "DIR|TAR|REF")]
    image: Option<String>,
    /// Compare with this image, or with a report.json of an earlier run, which may have the size of each crate; without a
    /// value with the image of the last version tag in the repository of the settings
    #[arg(long, value_name = "DIR|TAR|REF|JSON", num_args = 0..=1, default_missing_value = RELEASED)]
    against: Option<String>,
    /// Build the binary again with symbols, and show the size of each crate in it
    #[arg(long)]
    symbols: bool,
    /// Ask the repository for the signatures, the provenance and the environments of this image
    #[arg(long)]
    published: bool,
    /// The repository [default: that of xtask/image.toml]
    #[arg(long, value_name = "NAME", requires = "published")]
    repository: Option<String>,
    #[command(flatten)]
    trust: TrustFlags,
    /// The folder for the report [default: target/report]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

impl Flags {
    /// Prints the plan, or runs it.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let package = Package::of(&workspace)?;
        let target_dir = package.target_dir.clone();
        let plan = self.plan(&workspace, &package)?;
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let licences = licence::of_workspace(&workspace.root)?;
        let mut work = ReportWork::new(target_dir, licences, workspace.settings.budgets);
        plan.run(&mut work, Ui::detect())?;
        let report = work.read.context("no image was read")?;
        let output = self.output(&package);
        if self.json {
            ui::print(&format!("{:#}\n", serde_json::to_value(&report)?));
        } else {
            ui::print(&format!("\n{}\n{}\n", page::targets(&report), output.join("index.html").display()));
        }
        ui::write_outputs(&page::markdown(&report), &[])
    }

    fn output(&self, package: &Package) -> PathBuf {
        self.output.clone().unwrap_or_else(|| package.target_dir.join("report"))
    }

    fn plan(&self, workspace: &Workspace, package: &Package) -> Result<Plan<ReportStep>> {
        let mut plan = Plan::new("report");
        let source = image_source(self.image.as_deref(), &layout_dir(&package.target_dir))?;
        let image = self.image.as_deref().unwrap_or("target/image");
        let platforms = in_layout(&source).unwrap_or_else(|| workspace.settings.platforms.clone());
        plan.step("read", "read the layers and lists of crates", [image], ReportStep::Read(source));
        let git = || GitSource::read(&workspace.root, run_tag().as_deref(), &workspace.settings.tag_prefix);
        if let Some(against) = &self.against {
            let against = if against == RELEASED { released(workspace, &git()?)? } else { against.clone() };
            let step = ReportStep::Against(against.clone(), Against::parse(&against)?);
            plan.step("against", "read the image to compare with", [against], step);
        }
        if self.symbols {
            let source = git()?;
            let build = Build::of(package, &source);
            let toolchain = Toolchain::read()?;
            for target in choose(&platforms, &toolchain)? {
                let command = build.with_symbols(&target, &toolchain);
                let reason = format!("link the {} binary again with its symbols", target.platform);
                let step = ReportStep::Symbols(target.platform, build.output(&target), command);
                plan.step("symbols", reason, ["source"], step);
            }
        }
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if get("GITHUB_REPOSITORY").is_some() && get("GITHUB_TOKEN").is_some() {
            let github = GithubRepository::of_environment(get)?;
            let reason = format!("read the last runs of workflows in {}", github.name());
            plan.step("github", reason, ["GITHUB_REPOSITORY"], ReportStep::Github(github));
        }
        if self.published {
            let target = Target { repository: self.repository.clone(), ..Target::default() };
            let repository = target.repository(workspace.settings.repository.as_deref())?;
            let places = Places::of(workspace, &repository)?;
            let sigstore = Sigstore::of(&workspace.settings.sign, &workspace.root, get)?;
            let reason = format!("checks of the image in {}, and the environments", repository.name());
            let name = repository.name();
            let question = Question { repository, places, trust: self.trust.trust(&sigstore)? };
            plan.step("published", reason, [name], ReportStep::Published(question));
        }
        let output = self.output(package);
        let reason = format!("write index.html, report.json and report.md to {}", output.display());
        plan.step("write", reason, ["read"], ReportStep::Write(output.clone()));
        if self.open {
            let opener = ["xdg-open", "open", "explorer"].into_iter().find(|name| find(name).is_some());
            let opener = opener.ok_or_else(|| {
                Fault::usage("--open: this machine has no program that opens a page in the browser")
                    .hint(format!("open {} by hand", output.join("index.html").display()))
            })?;
            let command = Cmd::new(opener).arg(output.join("index.html"));
            plan.step("open", "open the page in the browser", ["write"], ReportStep::Open(command));
        }
        Ok(plan)
    }
}

/// The platforms of the image, where it is in a layout on this disk.
fn in_layout(source: &ImageSource) -> Option<Vec<Platform>> {
    let ImageSource::Layout(dir, only) = source else { return None };
    let found = platforms::find(&Layout::open(dir).ok()?, *only, Wanted::default()).ok()?;
    let has = |platform: &Platform| found.images.iter().any(|image| image.platform.is(*platform));
    Some(Platform::ALL.into_iter().filter(has).collect())
}

/// The image of the last version tag in the repository of the settings.
fn released(workspace: &Workspace, source: &GitSource) -> Result<String> {
    let Some((version, _)) = &source.nearest else {
        return Err(Fault::usage("--against: no version tag leads to this commit")
            .hint("name the image: --against REF")
            .into());
    };
    let repository = Target::default().repository(workspace.settings.repository.as_deref())?;
    Ok(repository.with_tag(&version_tag(version))?.to_string())
}
