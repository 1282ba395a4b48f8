//! `cargo xtask sbom`: an SBOM for each platform of an image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::scan::image_source;
use crate::image::inputs::layout_dir;
use cli_support::error::{self, Fault, Faults};
use cli_support::plan::{Action, Plan};
use cli_support::time::Date;
use cli_support::ui::{self, Progress, Ui};
use image_scan::engines::builtin::licence::{self, Licences};
use image_scan::image::inventory::{self, Inventory};
use image_scan::image::platforms::{self, Wanted};
use image_scan::image::source::{ImageSource, Pulled, same};
use image_scan::policy::blind_spots::{KnownPackages, blind_spots};
use image_scan::policy::unlisted::{self, ExceptedProgram};
use image_scan::sbom::{self, ImageName, Sbom};
use oci_image::layout::Lock;
use oci_image::oci::PlatformSpec;
use rust_workspace::binary;
use rust_workspace::settings::{Unlisted, Workspace};
use serde_json::Value;

/// Write an SBOM for each platform of an image
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask sbom                              target/sbom/NAME-linux-amd64.cdx.json, .spdx.json and so on
  cargo xtask sbom --format spdx --output dist")]
pub struct Flags {
    /// The format, or both
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// A layout's folder (DIR or DIR@sha256:…), an archive, or a reference [default: target/image]
    #[arg(long, value_name = "DIR|TAR|REF")]
    image: Option<String>,
    /// The folder for the documents [default: target/sbom]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    /// Both of them
    #[default]
    All,
    /// CycloneDX 1.6, JSON
    Cyclonedx,
    /// SPDX 2.3, JSON
    Spdx,
}

/// Makes the document of a format.
type Writer = fn(&Sbom<'_>) -> Value;

impl Format {
    /// The documents to write, each with its file extension.
    fn documents(self) -> Vec<(&'static str, Writer)> {
        let cyclonedx: (_, Writer) = ("cdx.json", sbom::cyclonedx);
        let spdx: (_, Writer) = ("spdx.json", sbom::spdx);
        match self {
            Self::All => vec![cyclonedx, spdx],
            Self::Cyclonedx => vec![cyclonedx],
            Self::Spdx => vec![spdx],
        }
    }
}

#[derive(Debug)]
enum SbomStep {
    Read(ImageSource),
    Licences(PathBuf),
    Write(Format),
}

/// The state between the steps.
#[derive(Debug)]
struct SbomWork {
    /// The image's repository; other images are named by their title.
    repository: Option<String>,
    work: PathBuf,
    output: PathBuf,
    /// The path of the workspace's program, where the image is the workspace's.
    expected: Option<String>,
    /// Exceptions for programs without a list of crates.
    unlisted: Vec<Unlisted>,
    inventories: Vec<(Inventory, Vec<ExceptedProgram>)>,
    licences: Licences,
    written: Vec<(PlatformSpec, PathBuf, usize)>,
}

impl Flags {
    /// Prints the plan, or runs it.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let metadata = binary::metadata(&workspace.root)?;
        let target = metadata.target_directory.clone().into_std_path_buf();
        let own = layout_dir(&target);
        let source = image_source(self.image.as_deref(), &own)?;
        let repository = match &source {
            ImageSource::Registry(reference) => Some(reference.name()),
            ImageSource::Layout(dir, _) if same(dir, &own) => workspace.settings.repository.clone(),
            ImageSource::Layout(..) | ImageSource::Archive(_) => None,
        };
        let output = self.output.clone().unwrap_or_else(|| target.join("sbom"));
        let mut plan = Plan::new("sbom");
        let image = self.image.clone().unwrap_or_else(|| "target/image".to_owned());
        let reason = "reads each platform's layers, lists of crates and packages";
        plan.step("read", reason, [image], SbomStep::Read(source));
        let reason = "reads the licences of the crates in Cargo.lock";
        plan.step("licences", reason, ["Cargo.lock"], SbomStep::Licences(workspace.root.clone()));
        let reason = format!("writes a document for each platform to {}", output.display());
        plan.step("write", reason, ["read", "licences"], SbomStep::Write(self.format));
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let _lock = Lock::take(&target.join("xtask").join("scan"), |by| {
            ui.warn(&format!("a scan of this workspace is running{by}; waiting for it to end"));
        })?;
        let (inventories, written) = (Vec::new(), Vec::new());
        let scan_image = target.join("xtask").join("scan-image");
        let unlisted = workspace.settings.scan.unlisted.clone();
        let licences = Licences::new();
        let expected = match &self.image {
            Some(text) if !same(Path::new(text), &own) => None,
            _ => {
                let settings = &workspace.settings;
                let package = binary::Package::find(&metadata, settings)?;
                let path = settings.container.path.clone();
                Some(path.unwrap_or_else(|| format!("/usr/bin/{}", package.binary)))
            }
        };
        let mut work = SbomWork {
            repository,
            work: scan_image,
            output,
            expected,
            unlisted,
            inventories,
            licences,
            written,
        };
        let steps = plan.run(&mut work, ui)?;
        for (inventory, excepted) in &work.inventories {
            for one in excepted {
                let (on, path) = (&inventory.image.platform, error::plain_line(&one.path));
                ui.warn(&format!(
                    "{on} {path}: the SBOM names it without its content, which is unknown; excepted until {}",
                    one.expires
                ));
            }
        }
        if self.json {
            let documents: Vec<_> = work
                .written
                .iter()
                .map(|(platform, path, parts)| {
                    serde_json::json!({ "platform": platform.to_string(), "path": path, "components": parts })
                })
                .collect();
            let report = serde_json::json!({
                "schema": "xtask.sbom/1", "command": "sbom", "documents": documents, "steps": steps,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            work.written.iter().for_each(|(_, path, _)| ui::print(&format!("{}\n", path.display())));
        }
        Ok(())
    }
}

impl Action for SbomStep {
    type State = SbomWork;

    fn run(&self, work: &mut SbomWork, progress: &Progress) -> Result<String> {
        match self {
            Self::Read(source) => {
                let Pulled { layout, only, absent } =
                    source.pull(&work.work, Wanted::default(), &|text| progress.detail(text))?;
                let found = platforms::find(&layout, only, Wanted::default())?;
                for image in &found.images {
                    let inventory = inventory::read(&layout, image)?;
                    let expected = work.expected.as_deref();
                    let excepted = unlisted::excepted(&inventory, expected, &work.unlisted, Date::today());
                    // No SBOM of a part of an image.
                    let faults = blind_spots(&inventory, expected, KnownPackages::Read, &excepted);
                    if !faults.is_empty() {
                        return Err(Faults(faults).into());
                    }
                    work.inventories.push((inventory, excepted));
                }
                let crates: usize = work.inventories.iter().map(|(inventory, _)| inventory.crates()).sum();
                let absent: Vec<_> = absent.iter().map(|what| format!("; {what}")).collect();
                Ok(format!("{crates} crates in {} platforms{}", work.inventories.len(), absent.concat()))
            }
            Self::Licences(root) => {
                work.licences = licence::of_workspace(root)?;
                Ok(format!("{} crates", work.licences.len()))
            }
            Self::Write(format) => work.write(*format),
        }
    }
}

impl SbomWork {
    fn write(&mut self, format: Format) -> Result<String> {
        let at = || self.output.display().to_string();
        fs::create_dir_all(&self.output).with_context(at)?;
        for (inventory, excepted) in &self.inventories {
            let title = || ImageName::of_image(&inventory.image);
            let name = self.repository.clone().map_or_else(title, ImageName::of_repository);
            let sbom = Sbom::of(&name, inventory, &self.licences, excepted);
            let platform = inventory.image.platform.clone();
            // A platform in a config may contain any characters.
            let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
            let in_name = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
            let short: String = name.short().chars().filter(in_name).take(100).collect();
            let (os, architecture) = (plain(&platform.os), plain(&platform.architecture));
            for (ending, document) in format.documents() {
                let name = format!("{}-{os}-{architecture}.{ending}", short.trim_start_matches('.'));
                let path = self.output.join(name);
                if self.written.iter().any(|(_, other, _)| *other == path) {
                    return Err(Fault::failed("the image has two manifests for one platform")
                        .at(path.display())
                        .hint("name one of them: --image DIR@sha256:…")
                        .into());
                }
                let text = format!("{:#}\n", document(&sbom));
                fs::write(&path, text).with_context(|| path.display().to_string())?;
                self.written.push((platform.clone(), path, sbom.count()));
            }
        }
        Ok(format!("{} documents", self.written.len()))
    }
}
