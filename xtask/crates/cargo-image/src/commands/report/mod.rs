//! `cargo xtask report`: what is in the image, as a page, as JSON and as Markdown.

mod data;
pub mod history;
mod page;
mod read;
mod symbols;
mod treemap;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use self::data::{Changes, PlatformSizes, Report, ScanSummary};
use super::scan::image_source;
use crate::image::inputs::layout_dir;
use cli_support::error::Fault;
use cli_support::plan::{Action, Plan};
use cli_support::process::{Cmd, find};
use cli_support::ui::{self, Progress, Ui};
use image_scan::engines::builtin::licence::{self, Licences};
use image_scan::image::platforms::{self, Wanted};
use image_scan::image::source::{ImageSource, Pulled};
use rust_workspace::binary::{Build, Package, Target, Toolchain, choose, follow_cargo};
use rust_workspace::git::GitSource;
use rust_workspace::settings::{Budgets, Workspace};
use rust_workspace::tags::run_tag;

/// Show what is in the image: sizes, crates, targets, and the builds on this machine
#[derive(Args, Debug)]
#[command(after_help = "\
Writes index.html, report.json and report.md. The page needs no network.

Examples:
  cargo xtask report --open
  cargo xtask report --symbols                         also the size of each crate in the binary
  cargo xtask report --against ghcr.io/o/app:1.2.3     also what changed since that image")]
pub struct Flags {
    /// A layout's folder (DIR or DIR@sha256:…), an archive, or a reference [default: target/image]
    #[arg(long, value_name = "DIR|TAR|REF")]
    image: Option<String>,
    /// Compare with this image
    #[arg(long, value_name = "DIR|TAR|REF")]
    against: Option<String>,
    /// Build the binary again with symbols, and show the size of each crate in it
    #[arg(long)]
    symbols: bool,
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

#[derive(Debug)]
enum ReportStep {
    Read(ImageSource),
    Against(String, ImageSource),
    /// The command builds with symbols.
    Symbols(Build, Vec<Target>, Cmd),
    Write(PathBuf),
    Open(Cmd),
}

/// The state between the steps.
#[derive(Debug)]
struct ReportWork {
    target_dir: PathBuf,
    licences: Licences,
    budgets: Budgets,
    read: Option<Report>,
    against: Option<(String, Vec<PlatformSizes>)>,
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
        let mut work = ReportWork {
            licences: licence::of_workspace(&workspace.root)?,
            budgets: workspace.settings.budgets,
            target_dir,
            read: None,
            against: None,
        };
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
        plan.step("read", "read the layers and lists of crates", [image], ReportStep::Read(source));
        if let Some(against) = &self.against {
            let step = ReportStep::Against(against.clone(), ImageSource::parse(against)?);
            plan.step("against", "read the image to compare with", [against], step);
        }
        if self.symbols {
            let source =
                GitSource::read(&workspace.root, run_tag().as_deref(), &workspace.settings.tag_prefix)?;
            let target_dir = package.target_dir.join("xtask").join("symbols");
            let build = Build { target_dir, ..Build::of(package, &source) };
            let toolchain = Toolchain::read()?;
            let targets = choose(&workspace.settings.platforms, &toolchain)?;
            let command = build.command(&targets, &toolchain).env("CARGO_PROFILE_RELEASE_STRIP", "none");
            let reason = "build again with symbols; each symbol's name begins with its crate";
            plan.step("symbols", reason, ["source"], ReportStep::Symbols(build, targets, command));
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

impl Action for ReportStep {
    type State = ReportWork;

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Symbols(_, _, command) | Self::Open(command) => Some(command),
            Self::Read(_) | Self::Against(..) | Self::Write(_) => None,
        }
    }

    fn run(&self, work: &mut ReportWork, progress: &Progress) -> Result<String> {
        match self {
            Self::Read(source) => {
                let report = work.report(source, progress)?;
                let outcome = report.digest.to_string();
                work.read = Some(report);
                Ok(outcome)
            }
            Self::Against(name, source) => {
                let (_, images) = work.read(source, "against", progress)?;
                let platforms = images.into_iter().map(|(sizes, _)| sizes).collect::<Vec<_>>();
                let outcome = format!("{} platforms", platforms.len());
                work.against = Some((name.clone(), platforms));
                Ok(outcome)
            }
            Self::Symbols(build, targets, command) => {
                follow_cargo(command, progress)?;
                let report = work.read.as_mut().context("no image was read")?;
                for target in targets {
                    let path = build.output(target);
                    let at = || path.display().to_string();
                    let sizes = symbols::sizes(&fs::read(&path).with_context(at)?).with_context(at)?;
                    let platform = target.platform.to_string();
                    let of = report.platforms.iter_mut().find(|sizes| sizes.platform == platform);
                    if let Some(of) = of {
                        of.code = Some(sizes);
                    }
                }
                Ok(format!("{} binaries", targets.len()))
            }
            Self::Write(output) => work.write(output),
            Self::Open(command) => command.read().map(|_| String::new()),
        }
    }
}

impl ReportWork {
    /// Reads an image: its digest, and each platform with its configuration.
    fn read(
        &self,
        source: &ImageSource,
        name: &str,
        progress: &Progress,
    ) -> Result<(cli_support::digest::Digest, Vec<(PlatformSizes, Value)>)> {
        let copy = self.target_dir.join("xtask").join(format!("report-{name}"));
        let Pulled { layout, only, .. } =
            source.pull(&copy, Wanted::default(), &|text| progress.detail(text))?;
        let found = platforms::find(&layout, only, Wanted::default())?;
        let digest = match (only, &layout.index()?.manifests[..]) {
            (Some(digest), _) => digest,
            (None, [entry]) => entry.digest,
            (None, _) => {
                return Err(Fault::gate("the layout has several images")
                    .at(layout.dir().display())
                    .hint("name one of them: --image DIR@sha256:…")
                    .into());
            }
        };
        let sizes = |image| Ok((read::platform(&layout, image, &self.licences)?, image.config.clone()));
        Ok((digest, found.images.iter().map(sizes).collect::<Result<_>>()?))
    }

    fn report(&self, source: &ImageSource, progress: &Progress) -> Result<Report> {
        let (digest, images) = self.read(source, "image", progress)?;
        let label = |key: &str| {
            let path = format!("/config/Labels/org.opencontainers.image.{key}");
            let mut configs = images.iter().map(|(_, config)| config);
            configs.find_map(|config| config.pointer(&path)?.as_str()).map(str::to_owned)
        };
        let scan = fs::read(self.target_dir.join("xtask").join("scan.json")).ok();
        let scan = scan.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let scan = scan.and_then(|scan| ScanSummary::of(&scan, digest));
        let (title, version, revision) = (label("title"), label("version"), label("revision"));
        let platforms: Vec<_> = images.into_iter().map(|(sizes, _)| sizes).collect();
        let history = history::read(&self.target_dir);
        Ok(Report {
            schema: "xtask.report/1",
            command: "report",
            title: title.unwrap_or_else(|| format!("image {}", digest.short())),
            version,
            revision,
            digest,
            targets: data::targets(&platforms, self.budgets, &history, scan.as_ref()),
            platforms,
            scan,
            changes: None,
            history,
        })
    }

    fn write(&mut self, output: &Path) -> Result<String> {
        let report = self.read.as_mut().context("no image was read")?;
        if let Some((name, old)) = &self.against {
            report.changes = Some(Changes::between(name, old, &report.platforms));
        }
        fs::create_dir_all(output).with_context(|| output.display().to_string())?;
        for (name, text) in [
            ("index.html", page::html(report)?),
            ("report.json", format!("{:#}\n", serde_json::to_value(&*report)?)),
            ("report.md", page::markdown(report)),
        ] {
            let path = output.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        Ok(output.join("index.html").display().to_string())
    }
}
