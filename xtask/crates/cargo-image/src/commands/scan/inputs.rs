//! The inputs of a scan, read before the first step, and the plan.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{EngineFlag, Flags, as_faults};
use crate::image::inputs::layout_dir;
use crate::publish::ImageBundle;
use cli_support::error::{self, ExitKind, Fault};
use cli_support::plan::Plan;
use image_scan::engines::builtin::Builtin;
use image_scan::engines::builtin::advisory_db;
use image_scan::engines::trivy::{Deployed, Fetch, Options, Trivy, TrivyEngine, ignores};
use image_scan::image::source::{ImageSource, same};
use image_scan::policy::gate::{in_ci, needs_trivy};
use image_scan::policy::sbom_check::OwnProgram;
use image_scan::policy::vex::Vex;
use image_scan::scan::{ConfigStep, ScanStep};
use oci_image::platform::Platform;
use rust_workspace::binary::{self, Build, Package};
use rust_workspace::git::GitSource;
use rust_workspace::settings::{self, Workspace};

/// The configuration files that are checked by default.
const DOCKERFILE: &str = "Dockerfile";
const DEPLOY: &str = "deploy";

/// Trivy, its settings, and its download where it is not installed.
type Ready = (Trivy, Options, Option<Fetch>);

/// The inputs of a scan.
#[derive(Debug)]
pub(super) struct ScanInputs {
    pub(super) workspace: Workspace,
    pub(super) target_dir: PathBuf,
    pub(super) source: ImageSource,
    pub(super) name: String,
    /// The workspace's program; none where the workspace has no such package and the image is another one.
    pub(super) own: Option<OwnProgram>,
    /// The layout, where it is an image of this workspace, which `cargo xtask publish` accepts.
    pub(super) layout: Option<PathBuf>,
    pub(super) platforms: Option<Vec<Platform>>,
    pub(super) vex: Vec<Vex>,
    pub(super) trivy: Option<Ready>,
    /// The fault where Trivy is missing and the builtin engine does not cover the image.
    pub(super) partial: Option<Fault>,
    /// An error of the settings or of Trivy that ends the scan.
    pub(super) refused: Option<anyhow::Error>,
    /// Why the image cannot pass, whatever the scan finds.
    pub(super) faults: Vec<Fault>,
    /// The file with the result for `cargo xtask publish`.
    pub(super) result: PathBuf,
    /// The configuration files that Trivy checks; none for another image.
    pub(super) deployed: Vec<Deployed>,
    pub(super) notes: Vec<String>,
}

impl Flags {
    pub(super) fn inputs(&self) -> Result<ScanInputs> {
        let mut workspace = Workspace::find()?;
        self.build.apply(&mut workspace.settings.build);
        let metadata = binary::metadata(&workspace.root)?;
        let target_dir = metadata.target_directory.clone().into_std_path_buf();
        let default = layout_dir(&target_dir);
        let source = image_source(self.image.as_deref(), &default)?;
        let is_own = matches!(&source, ImageSource::Layout(dir, None) if same(dir, &default));
        let settings = &workspace.settings;
        let own = match Package::find(&metadata, settings) {
            Ok(package) => {
                let build = Build::of(&package, &GitSource::default());
                let path = settings.container.path.clone();
                let path = path.unwrap_or_else(|| format!("/usr/bin/{}", package.binary));
                let title = settings.labels.get("org.opencontainers.image.title").cloned();
                let title = title.unwrap_or(package.binary);
                Some(OwnProgram { build, title, path, here: is_own })
            }
            Err(fault) if is_own => return Err(fault.into()),
            Err(_) => None,
        };
        let layout = match &source {
            ImageSource::Layout(dir, None) if is_own => Some(dir.clone()),
            ImageSource::Layout(dir, None) => {
                own.as_ref().and_then(|own| is_of(dir, own).then(|| dir.clone()))
            }
            _ => None,
        };
        let result = target_dir.join("xtask").join("scan.json");
        // An unfinished scan must not leave the result of an earlier one.
        if layout.is_some() && !self.dry_run && result.exists() {
            fs::remove_file(&result).with_context(|| result.display().to_string())?;
        }
        let platforms = self.platform.as_ref().map(|one| one.resolve(&settings.platforms)).transpose()?;
        let (mut vex, mut faults) = (Vec::new(), Vec::new());
        for path in &settings.scan.vex {
            match Vex::read(&workspace.root, path) {
                Ok(document) => vex.push(document),
                Err(error) => faults.extend(as_faults(error)),
            }
        }
        let (trivy, partial, refused) = match self.trivy(&workspace, &target_dir, &vex) {
            Ok((trivy, partial)) => (trivy, partial, None),
            Err(error) if error::kind(&error) == ExitKind::Gate => {
                faults.extend(as_faults(error));
                (None, None, None)
            }
            Err(error) => (None, None, Some(error)),
        };
        let name = self.image.clone().unwrap_or_else(|| "target/image".to_owned());
        let (mut files, mut notes) = (Vec::new(), Vec::new());
        if is_own && trivy.is_some() {
            let (present, absent) = deployed(&workspace)?;
            files = present;
            if !absent.is_empty() {
                notes.push(format!("not checked, no such file or folder: {}", absent.join(", ")));
            }
        }
        Ok(ScanInputs {
            workspace,
            target_dir,
            source,
            name,
            own,
            layout,
            platforms,
            vex,
            trivy,
            partial,
            refused,
            faults,
            result,
            deployed: files,
            notes,
        })
    }

    /// Trivy and its settings, or the fault for an image that the builtin engine alone does not cover.
    fn trivy(
        &self,
        workspace: &Workspace,
        target_dir: &Path,
        vex: &[Vex],
    ) -> Result<(Option<Ready>, Option<Fault>)> {
        if self.engine == EngineFlag::Builtin {
            return Ok((None, None));
        }
        let settings = &workspace.settings.scan;
        let required = self.engine == EngineFlag::Trivy || needs_trivy(settings, &workspace.settings.base);
        let tools = target_dir.join("xtask").join("tools");
        let fetch = || settings.trivy.as_ref().map_or(Ok(None), |pin| Fetch::of(pin, &tools));
        let (found, fetch) = match Trivy::find()? {
            Some(trivy) => (Some(trivy), None),
            None => match fetch()? {
                Some(fetch) => (Some(fetch.trivy()), Some(fetch)),
                None => (settings.trivy.as_ref().and_then(Trivy::in_docker), None),
            },
        };
        let Some(trivy) = found else {
            if required {
                let what = "Trivy is required here, but it is not on PATH";
                return Err(Fault::gate(what).hint(Trivy::hint()).into());
            }
            let what =
                "the image has parts that the builtin engine does not cover, and Trivy is not installed";
            return Ok((None, Some(Fault::gate(what).hint(Trivy::hint()))));
        };
        let below = |path: &String| workspace.root.join(path);
        if let Some(path) = settings.cache.as_ref().filter(|path| is_blocked(&below(path))) {
            let what = format!("[scan] cache: '{path}' is not a folder and cannot become one");
            return Err(Fault::usage(what).at(settings::file()).hint("name a folder or a new path").into());
        }
        ignores::check_files(&workspace.root)?;
        let options = Options {
            offline: self.offline,
            // A container's own cache is lost when it ends.
            cache: settings
                .cache
                .as_ref()
                .map(below)
                .or_else(|| trivy.image.is_some().then(|| tools.join("trivy-cache"))),
            databases: settings.databases.clone(),
            vex: vex.iter().map(|vex| (vex.source.clone(), vex.for_trivy.clone())).collect(),
            ignore_unfixed: settings.ignore_unfixed,
            // Emptied before each run, so it must not contain the cache.
            dir: target_dir.join("xtask").join("trivy").join("run"),
        };
        Ok((Some((trivy, options, fetch)), None))
    }

    pub(super) fn plan(&self, inputs: &ScanInputs) -> Plan<ScanStep> {
        let settings = &inputs.workspace.settings.scan;
        let mut plan = Plan::new("scan");
        let platforms = match &inputs.platforms {
            Some(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            None => "every platform in it".to_owned(),
        };
        let reason = format!("{platforms}, each manifest by its digest");
        plan.step("image", reason, [inputs.name.clone()], ScanStep::Image(inputs.source.clone()));
        let reason = "reads every layer and compares it with its digest";
        plan.step("inventory", reason, ["image"], ScanStep::Inventory);
        if let Some(own) = &inputs.own {
            let reason = "compares the lists of crates in programs with this workspace's source";
            plan.step("lists", reason, ["inventory", "Cargo.lock"], ScanStep::Lists(own.clone()));
        }
        if self.engine != EngineFlag::Trivy {
            let reason =
                "RustSec's advisories, and rules about users, modes and secrets; no tool, no network";
            let engine = Builtin::new(inputs.workspace.root.clone(), settings.min_advisories);
            plan.step(
                "builtin",
                reason,
                ["inventory", advisory_db::FILE],
                ScanStep::Engine(Box::new(engine)),
            );
        }
        if self.yanked || !self.offline && settings.yanked.unwrap_or_else(in_ci) {
            let reason = "warns of crates with yanked versions";
            plan.step("yanked", reason, [settings.index.clone()], ScanStep::Yanked(settings.index.clone()));
        }
        let here = inputs.own.as_ref().is_some_and(|own| own.here);
        if !settings.licences.is_empty() {
            let reason =
                format!("compares the licences of linked crates with the list in {}", settings::file());
            plan.step("licences", reason, ["inventory", "Cargo.lock"], ScanStep::Licences(here));
        }
        if let Some((trivy, options, fetch)) = &inputs.trivy {
            let version = &trivy.version;
            if let Some(fetch) = fetch {
                let reason = format!("Trivy {version} is not on PATH; downloads it once, by its digest");
                plan.step("fetch", reason, [fetch.url.clone()], ScanStep::Fetch(fetch.clone()));
            }
            let reason = format!(
                "probes Trivy's database for known vulnerabilities, then scans each manifest with Trivy {version}, which must see the same crates"
            );
            let engine = TrivyEngine::new(trivy.clone(), options.clone());
            plan.step("trivy", reason, ["image"], ScanStep::Engine(Box::new(engine)));
            for deployed in inputs.deployed.iter().filter(|_| here) {
                let reason = "checks how the image is built and deployed; Trivy must see each file";
                let step = ConfigStep::new(trivy, options.clone(), deployed.clone());
                plan.step("config", reason, [&deployed.name], ScanStep::Config(step));
            }
        }
        plan.step(
            "gate",
            "merges findings with a common id, then applies the rules",
            ["scan"],
            ScanStep::Gate,
        );
        plan
    }
}

/// The image that `--image` names, otherwise the workspace's own at `default`.
pub(crate) fn image_source(image: Option<&str>, default: &Path) -> Result<ImageSource> {
    match image {
        Some(text) => {
            ImageSource::parse(text).with_context(|| Fault::usage("--image does not name an image").at(text))
        }
        None if default.join("oci-layout").is_file() => Ok(ImageSource::Layout(default.to_owned(), None)),
        None => Err(Fault::usage("there is no image yet")
            .at(default.display())
            .hint("build it with cargo xtask image --platform all, or name another one with --image")
            .into()),
    }
}

/// The configuration files that Trivy checks, and the default ones that do not exist. A file that the settings name must
/// exist.
fn deployed(workspace: &Workspace) -> Result<(Vec<Deployed>, Vec<&str>), Fault> {
    let settings = &workspace.settings;
    let dockerfile = settings.buildx.dockerfile.as_str();
    let named = settings.scan.deploy.iter().flatten().map(|name| (name.as_str(), true));
    let defaults = [(dockerfile, dockerfile != DOCKERFILE)].into_iter();
    let defaults = defaults.chain(settings.scan.deploy.is_none().then_some((DEPLOY, false)));
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for (name, required) in defaults.chain(named) {
        let path = workspace.root.join(name);
        if path.exists() {
            present.push(Deployed { name: name.to_owned(), path });
        } else if required {
            return Err(Fault::usage(format!("'{name}' does not exist"))
                .at(settings::file())
                .hint("correct deploy in [scan] or dockerfile in [buildx]"));
        } else {
            absent.push(name);
        }
    }
    Ok((present, absent))
}

/// Whether a path, or the part of it that exists, is not a folder.
fn is_blocked(path: &Path) -> bool {
    path.ancestors().find(|part| part.symlink_metadata().is_ok()).is_some_and(|part| !part.is_dir())
}

/// Whether the title of a layout's image is this workspace's. Such an image must have the workspace's program, and may be
/// published. An unreadable image is reported by the scan.
fn is_of(dir: &Path, own: &OwnProgram) -> bool {
    ImageBundle::read(dir).is_ok_and(|bundle| bundle.label("title") == Some(&*own.title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_must_be_a_folder_or_a_new_path() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "").unwrap();
        for (path, bad) in
            [("", false), ("new", false), ("new/deep", false), ("file", true), ("file/x", true)]
        {
            assert_eq!(is_blocked(&temp.path().join(path)), bad, "{path}");
        }
    }
}
