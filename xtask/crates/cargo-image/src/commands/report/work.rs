//! The steps of `cargo xtask report`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use oci_registry::{Client, GithubRepository, Options};
use serde_json::Value;

use super::changes::Changes;
use super::data::{PlatformSizes, Report, ScanSummary};
use super::github_runs::GithubRuns;
use super::published::{Published, Question};
use super::targets::targets;
use super::{history, page, read, symbols};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::plan::Action;
use cli_support::process::Cmd;
use cli_support::ui::Progress;
use image_scan::engines::builtin::licence::Licences;
use image_scan::image::platforms::{self, Wanted};
use image_scan::image::source::{ImageSource, Pulled};
use oci_image::layout::Layout;
use oci_image::platform::Platform;
use rust_workspace::binary::follow_cargo;
use rust_workspace::settings::Budgets;

/// A step of `cargo xtask report`.
#[derive(Debug)]
pub enum ReportStep {
    /// Reads the image.
    Read(ImageSource),
    /// Reads what the image is compared with.
    Against(String, Against),
    /// Reads the sizes of crates in this binary, which the command links with symbols.
    Symbols(Platform, PathBuf, Cmd),
    /// Reads the runs of workflows.
    Github(GithubRepository),
    /// Asks the registry.
    Published(Question),
    /// Writes the report.
    Write(PathBuf),
    /// Opens the page.
    Open(Cmd),
}

/// The image to compare with.
#[derive(Debug)]
pub enum Against {
    /// An image.
    Image(ImageSource),
    /// The `report.json` of an earlier run.
    Report(PathBuf),
}

impl Against {
    /// Parses `--against`.
    pub fn parse(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if path.is_file() && path.extension().is_some_and(|ending| ending == "json") {
            return Ok(Self::Report(path.to_owned()));
        }
        ImageSource::parse(text).map(Self::Image)
    }
}

/// The platforms of an earlier report.
fn of_report(path: &Path) -> Result<Vec<PlatformSizes>> {
    let at = || path.display().to_string();
    let mut report: Value = serde_json::from_slice(&fs::read(path).with_context(at)?).with_context(at)?;
    if report["schema"] != "xtask.report/1" {
        let fault = Fault::usage("--against: this is not a report").at(path.display());
        return Err(fault.hint("name the report.json that cargo xtask report wrote").into());
    }
    serde_json::from_value(report["platforms"].take()).with_context(at)
}

/// The state between the steps.
#[derive(Debug)]
pub struct ReportWork {
    target_dir: PathBuf,
    licences: Licences,
    budgets: Budgets,
    /// The report, from the step that reads the image on.
    pub read: Option<Report>,
    against: Option<(String, Vec<PlatformSizes>)>,
}

impl Action for ReportStep {
    type State = ReportWork;

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Symbols(_, _, command) | Self::Open(command) => Some(command),
            _ => None,
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
            Self::Against(name, against) => {
                let platforms = match against {
                    Against::Image(source) => {
                        let (_, images) = work.read(source, "against", progress)?;
                        images.into_iter().map(|(sizes, _)| sizes).collect::<Vec<_>>()
                    }
                    Against::Report(path) => of_report(path)?,
                };
                let outcome = format!("{} platforms", platforms.len());
                work.against = Some((name.clone(), platforms));
                Ok(outcome)
            }
            Self::Github(github) => {
                let runs = GithubRuns::read(github);
                let outcome = runs.error.clone().unwrap_or_else(|| format!("{} runs", runs.runs.len()));
                work.report_mut()?.github = Some(runs);
                Ok(outcome)
            }
            Self::Published(question) => {
                let digest = work.report_mut()?.digest;
                let published = Published::read(question, &work.target_dir.join("xtask"), digest)?;
                let outcome = match &published {
                    Some(published) => published.reference.clone(),
                    None => format!("{} does not have this image", question.repository.name()),
                };
                work.report_mut()?.published = published;
                Ok(outcome)
            }
            Self::Symbols(platform, path, command) => {
                follow_cargo(command, progress)?;
                let at = || path.display().to_string();
                let sizes = symbols::sizes(&fs::read(path).with_context(at)?).with_context(at)?;
                let outcome = format!("{} crates", sizes.len());
                let platform = platform.to_string();
                let of = work.report_mut()?.platforms.iter_mut().find(|sizes| sizes.platform == platform);
                of.context("the image does not have this platform")?.code = Some(sizes);
                Ok(outcome)
            }
            Self::Write(output) => work.write(output),
            Self::Open(command) => command.read().map(|_| String::new()),
        }
    }
}

impl ReportWork {
    /// The state before the first step.
    pub fn new(target_dir: PathBuf, licences: Licences, budgets: Budgets) -> Self {
        Self { target_dir, licences, budgets, read: None, against: None }
    }

    fn report_mut(&mut self) -> Result<&mut Report> {
        self.read.as_mut().context("no image was read")
    }

    /// Reads each platform of an image with its configuration, and gives where it is on this disk.
    fn read(
        &self,
        source: &ImageSource,
        name: &str,
        progress: &Progress,
    ) -> Result<(Pulled, Vec<(PlatformSizes, Value)>)> {
        let copy = self.target_dir.join("xtask").join(format!("report-{name}"));
        let pulled = source.pull(&copy, Wanted::default(), &|text| progress.detail(text))?;
        let found = platforms::find(&pulled.layout, pulled.only, Wanted::default())?;
        let sizes =
            |image| Ok((read::platform(&pulled.layout, image, &self.licences)?, image.config.clone()));
        let images = found.images.iter().map(sizes).collect::<Result<_>>()?;
        Ok((pulled, images))
    }

    fn report(&self, source: &ImageSource, progress: &Progress) -> Result<Report> {
        let (pulled, images) = self.read(source, "image", progress)?;
        let digest = digest(source, &pulled.layout, pulled.only)?;
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
            targets: Vec::new(),
            platforms,
            scan,
            changes: None,
            history,
            github: None,
            published: None,
        })
    }

    fn write(&mut self, output: &Path) -> Result<String> {
        let budgets = self.budgets;
        let against = self.against.take();
        let report = self.report_mut()?;
        if let Some((name, old)) = &against {
            report.changes = Some(Changes::between(name, old, &report.platforms));
        }
        let (github, scan) = (report.github.as_ref(), report.scan.as_ref());
        report.targets = targets(&report.platforms, budgets, &report.history, github, scan);
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

/// The digest of an image. The copy of an image in a registry lists its platforms without their index.
fn digest(source: &ImageSource, layout: &Layout, only: Option<Digest>) -> Result<Digest> {
    if let ImageSource::Registry(reference) = source {
        let client = Client::new(Options::default());
        return reference.digest().map_or_else(|| Ok(client.manifest(reference)?.digest), Ok);
    }
    match (only, &layout.index()?.manifests[..]) {
        (Some(digest), _) => Ok(digest),
        (None, [entry]) => Ok(entry.digest),
        (None, _) => Err(Fault::gate("the layout has several images")
            .at(layout.dir().display())
            .hint("name one of them: --image DIR@sha256:…")
            .into()),
    }
}
