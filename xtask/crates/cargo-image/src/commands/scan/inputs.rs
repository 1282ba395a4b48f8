//! What a scan depends on, read before anything is done, and the plan that comes of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{EngineFlag, Flags};
use crate::publish::ImageBundle;
use cli_support::error::Fault;
use cli_support::plan::Plan;
use image_scan::advisory_db;
use image_scan::gate::{in_ci, needs_trivy};
use image_scan::sbom_check::Own;
use image_scan::source::{ImageSource, same};
use image_scan::trivy::{self, Deployed, Fetch, Trivy};
use image_scan::work::ScanStep;
use oci_image::platform::Platform;
use rust_workspace::binary::{self, Package};
use rust_workspace::settings::{self, Workspace};

/// Trivy's own lists of exceptions, below the workspace's root.
const IGNORE_FILES: [&str; 2] = [".trivyignore", ".trivyignore.yaml"];
/// How an image is built and deployed, where the settings name nothing else.
const DOCKERFILE: &str = "Dockerfile";
const DEPLOY: &str = "deploy";

/// Trivy, how it is driven, and how it is fetched first where it is not here.
type Ready = (Trivy, trivy::Options, Option<Fetch>);

/// Everything that the plan depends on, read before it is made.
#[derive(Debug)]
pub(super) struct ScanInputs {
    pub(super) workspace: Workspace,
    pub(super) target_dir: PathBuf,
    pub(super) source: ImageSource,
    pub(super) name: String,
    /// The workspace's program; none where there is no such package and the image is not of it either.
    pub(super) own: Option<Own>,
    /// The layout, where `cargo xtask publish` could take it: this workspace's own.
    pub(super) layout: Option<PathBuf>,
    pub(super) platforms: Option<Vec<Platform>>,
    pub(super) trivy: Option<Ready>,
    pub(super) partial: Option<Fault>,
    /// Why Trivy cannot be driven as the settings want it. The rest is looked at, and told, all the same.
    pub(super) refused: Option<anyhow::Error>,
    /// Where the result is left for `cargo xtask publish`.
    pub(super) result: PathBuf,
    /// The files beside the image that Trivy looks at; none where the image is another.
    pub(super) deployed: Vec<Deployed>,
    pub(super) notes: Vec<String>,
}

impl Flags {
    pub(super) fn facts(&self) -> Result<ScanInputs> {
        let workspace = Workspace::find()?;
        let metadata = binary::metadata(&workspace.root)?;
        let target_dir = metadata.target_directory.clone().into_std_path_buf();
        let default = target_dir.join("image");
        let source = match &self.image {
            Some(text) => {
                ImageSource::parse(text).with_context(|| Fault::usage("--image names no image").at(text))?
            }
            None if default.join("oci-layout").is_file() => ImageSource::Layout(default.clone(), None),
            None => return Err(no_image(&default).into()),
        };
        let is_own = matches!(&source, ImageSource::Layout(dir, None) if same(dir, &default));
        let settings = &workspace.settings;
        let own = match Package::find(&metadata, &settings.package, settings.binary.as_deref()) {
            Ok(package) => {
                let path = settings.container.path.clone();
                let path = path.unwrap_or_else(|| format!("/usr/bin/{}", package.binary));
                let title = settings.labels.get("org.opencontainers.image.title").cloned();
                let title = title.unwrap_or(package.binary);
                Some(Own { package: package.name, title, path, here: is_own })
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
        // A scan that does not come to its end must not leave an older one's word in its place.
        if layout.is_some() && !self.dry_run && result.exists() {
            fs::remove_file(&result).with_context(|| result.display().to_string())?;
        }
        let platforms = self.platform.as_ref().map(|one| one.resolve(&settings.platforms)).transpose()?;
        let (trivy, partial, refused) = match self.trivy(&workspace, &target_dir) {
            Ok((trivy, partial)) => (trivy, partial, None),
            Err(error) => (None, None, Some(error)),
        };
        let name = self.image.clone().unwrap_or_else(|| "target/image".to_owned());
        let (mut files, mut notes) = (Vec::new(), Vec::new());
        if is_own && trivy.is_some() {
            let (there, absent) = deployed(&workspace)?;
            files = there;
            if !absent.is_empty() {
                notes.push(format!("not looked at, since it is not there: {}", absent.join(", ")));
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
            trivy,
            partial,
            refused,
            result,
            notes,
            deployed: files,
        })
    }

    /// Trivy and how it is driven; and what to say where the builtin engine alone is not enough.
    fn trivy(&self, workspace: &Workspace, target_dir: &Path) -> Result<(Option<Ready>, Option<Fault>)> {
        if self.engine == EngineFlag::Builtin {
            return Ok((None, None));
        }
        let settings = &workspace.settings.scan;
        let required = self.engine == EngineFlag::Trivy || needs_trivy(settings);
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
                return Err(Fault::gate("Trivy is required here, and there is none on PATH")
                    .hint(Trivy::hint())
                    .into());
            }
            let partial = Fault::gate(
                "the image has parts that the builtin engine knows nothing of, and Trivy is not here",
            )
            .hint(Trivy::hint());
            return Ok((None, Some(partial)));
        };
        let below = |path: &String| workspace.root.join(path);
        if let Some(path) = settings.cache.as_ref().filter(|path| is_no_folder(&below(path))) {
            let what = format!("[scan] cache: '{path}' is not a folder, and none can be made there");
            return Err(Fault::usage(what)
                .at(settings::FILE)
                .hint("name a folder, or a place for a new one")
                .into());
        }
        check_ignore_files(&workspace.root)?;
        let options = trivy::Options {
            offline: self.offline,
            // A container has no place of its own that outlives it.
            cache: settings
                .cache
                .as_ref()
                .map(below)
                .or_else(|| trivy.image.is_some().then(|| tools.join("trivy-cache"))),
            databases: settings.databases.clone(),
            root: workspace.root.clone(),
            vex: settings.vex.clone(),
            ignore_unfixed: settings.ignore_unfixed,
            // Its own folder even where the cache is beside it: it is emptied before each run.
            dir: target_dir.join("xtask").join("trivy").join("run"),
        };
        Ok((Some((trivy, options, fetch)), None))
    }

    pub(super) fn plan(&self, facts: &ScanInputs) -> Plan<ScanStep> {
        let mut plan = Plan::new("scan");
        let platforms = match &facts.platforms {
            Some(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            None => "every platform in it".to_owned(),
        };
        let reason = format!("{platforms}, each manifest by its digest");
        plan.step("image", reason, [facts.name.clone()], ScanStep::Image(facts.source.clone()));
        let reason = "every layer is read whole; its bytes must be those that its digest names";
        plan.step("inventory", reason, ["image"], ScanStep::Inventory);
        if let Some(own) = &facts.own {
            let reason = "the lists in programs against this workspace's source, where they are of it";
            plan.step("lists", reason, ["inventory", "Cargo.lock"], ScanStep::Lists(own.clone()));
        }
        if self.engine != EngineFlag::Trivy {
            let reason = "RustSec's facts and the rules for users, modes, secrets; no tool, no network";
            plan.step("builtin", reason, ["inventory", advisory_db::FILE], ScanStep::Builtin);
        }
        let settings = &facts.workspace.settings.scan;
        if self.yanked || !self.offline && settings.yanked.unwrap_or_else(in_ci) {
            let reason = "versions that their makers took back are a warning";
            plan.step("yanked", reason, [settings.index.clone()], ScanStep::Yanked(settings.index.clone()));
        }
        let here = facts.own.as_ref().is_some_and(|own| own.here);
        if !facts.workspace.settings.scan.licences.is_empty() {
            let reason = format!("the linked crates' licences against the list in {}", settings::FILE);
            plan.step("licences", reason, ["inventory", "Cargo.lock"], ScanStep::Licences(here));
        }
        if let Some((trivy, options, fetch)) = &facts.trivy {
            if let Some(fetch) = fetch {
                let reason =
                    format!("there is no Trivy on PATH; {} comes once, by its digest", trivy.version);
                plan.step("fetch", reason, [fetch.url.clone()], ScanStep::Fetch(fetch.clone()));
            }
            let reason =
                format!("Trivy {} asks about each manifest, and must see the same crates", trivy.version);
            let cmd = trivy.image(options, "IMAGE@sha256:MANIFEST", &[]);
            plan.step("trivy", reason, ["image"], ScanStep::Trivy(cmd));
            if here {
                for deployed in &facts.deployed {
                    let cmd = trivy.config(options, &deployed.path);
                    let reason = "how it is built and deployed; each file must be among those that Trivy saw";
                    plan.step("config", reason, [&deployed.name], ScanStep::Config(cmd, deployed.clone()));
                }
            }
        }
        plan.step("gate", "one finding for all of its names; then the rules", ["scan"], ScanStep::Gate);
        plan
    }
}

/// Refuses Trivy's own ignore files: they would be exceptions that no report shows.
fn check_ignore_files(root: &Path) -> Result<(), Fault> {
    match IGNORE_FILES.iter().find(|name| root.join(name).symlink_metadata().is_ok()) {
        Some(name) => Err(Fault::gate("Trivy's ignore file is not read").at(name).hint(format!(
            "move its entries to [[scan.ignore]] in {}: the same id, with reason and expires",
            settings::FILE
        ))),
        None => Ok(()),
    }
}

/// The files and folders that Trivy is to look at beside the image, and the names of those by default that
/// are not there. One that the settings name must be.
fn deployed(workspace: &Workspace) -> Result<(Vec<Deployed>, Vec<&str>), Fault> {
    let settings = &workspace.settings;
    let dockerfile = settings.buildx.dockerfile.as_str();
    let named = settings.scan.deploy.iter().flatten().map(|name| (name.as_str(), true));
    let usual = [(dockerfile, dockerfile != DOCKERFILE)].into_iter();
    let usual = usual.chain(settings.scan.deploy.is_none().then_some((DEPLOY, false)));
    let (mut there, mut absent) = (Vec::new(), Vec::new());
    for (name, must) in usual.chain(named) {
        let path = workspace.root.join(name);
        if path.exists() {
            there.push(Deployed { name: name.to_owned(), path });
        } else if must {
            return Err(Fault::usage(format!("'{name}' is to be looked at, and is not there"))
                .at(settings::FILE)
                .hint("deploy in [scan] and dockerfile in [buildx] name what is"));
        } else {
            absent.push(name);
        }
    }
    Ok((there, absent))
}

/// Whether a path leads to or through something that is no folder.
fn is_no_folder(path: &Path) -> bool {
    path.ancestors().find(|part| part.symlink_metadata().is_ok()).is_some_and(|part| !part.is_dir())
}

/// That there is nothing at the place where `cargo xtask image` leaves the workspace's image.
pub fn no_image(place: &Path) -> Fault {
    Fault::usage("there is no image yet")
        .at(place.display())
        .hint("cargo xtask image --platform all makes it; --image names another one")
}

/// Whether an image in a layout says that it is this workspace's: then it must have what such an image has,
/// and may be published on the scan's word. What cannot be read is for the scan to say.
fn is_of(dir: &Path, own: &Own) -> bool {
    ImageBundle::read(dir).is_ok_and(|parcel| parcel.label("title") == Some(&*own.title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_lies_where_a_folder_can_be() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "").unwrap();
        for (path, bad) in
            [("", false), ("new", false), ("new/deep", false), ("file", true), ("file/x", true)]
        {
            assert_eq!(is_no_folder(&temp.path().join(path)), bad, "{path}");
        }
    }
}
