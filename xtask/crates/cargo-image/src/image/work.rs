//! The steps of `cargo xtask image` and the state that they share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::assemble::{Content, Image, Recipe, assemble};
use super::base::{self, Base, BaseName};
use super::layer::Tree;
use super::report::Row;
use super::verify::Verify;
use super::{buildx, config};
use cli_support::error::Fault;
use cli_support::files::remove_dir;
use cli_support::plan::Action;
use cli_support::process::Cmd;
use cli_support::ui::Progress;
use oci_image::archive;
use oci_image::layout::Layout;
use oci_image::platform::Platform;
use rust_workspace::binary;
use rust_workspace::settings::{Budgets, Bytes};

/// A step of `cargo xtask image`.
#[derive(Debug)]
pub enum ImageStep {
    /// Resolves the base image and copies its layers.
    Base(BaseName),
    /// A step of the build with cargo.
    Build(binary::BinaryStep),
    /// Builds with the Dockerfile.
    Buildx(Cmd, PathBuf),
    /// Compares BuildKit's image with the settings and takes the binaries out of it.
    Import(PathBuf),
    /// Writes layers, configuration and manifests.
    Assemble,
    /// Writes `index.json`.
    Write,
    /// Writes the base image with its digest into the settings of the workspace at this root.
    Pin(PathBuf),
    /// Checks the budgets before the second build.
    Budget(Budgets),
    /// Builds again in another folder and compares.
    Verify(Verify),
    /// Writes an archive.
    Archive(PathBuf),
    /// Loads the archive into Docker or Podman.
    Load(Cmd),
}

/// The inputs of the steps.
#[derive(Debug)]
pub struct ImageSetup {
    /// The layout's folder.
    pub output: PathBuf,
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// The binary's path in the image.
    pub path: String,
    /// The files that an operating system would have.
    pub system: Tree,
    /// The files beside the binary.
    pub files: Tree,
    /// Everything else of the image.
    pub recipe: Recipe,
}

/// The state that the steps share.
#[derive(Debug)]
pub struct ImageWork {
    /// The inputs.
    pub setup: ImageSetup,
    /// The build with cargo.
    pub build: binary::BinaryWork,
    /// The layout, which the command has locked.
    pub layout: Layout,
    /// The base image, after its step.
    pub base: Base,
    /// Each platform's binary, from either engine.
    pub binaries: BTreeMap<Platform, PathBuf>,
    /// Wall-clock seconds until the binaries were built.
    pub build_seconds: f64,
    /// The image, after its step.
    pub image: Option<Image>,
}

impl ImageWork {
    /// The state before the first step.
    pub fn new(setup: ImageSetup, build: binary::BinaryWork) -> Result<Self> {
        let layout = Layout::create(&setup.output)?;
        let base = Base::scratch(&setup.platforms);
        Ok(Self { setup, build, layout, base, binaries: BTreeMap::new(), build_seconds: 0.0, image: None })
    }

    fn image(&self) -> Result<&Image> {
        self.image.as_ref().context("no image was assembled")
    }

    pub(super) fn content(
        &self,
        binaries: &BTreeMap<Platform, PathBuf>,
    ) -> Result<BTreeMap<Platform, Content>> {
        let content = binaries.iter().map(|(&platform, binary)| {
            let mut tree = Tree::default();
            tree.add(&self.setup.path, binary, 0o755)?;
            Ok((
                platform,
                Content { system: self.setup.system.clone(), files: self.setup.files.clone(), binary: tree },
            ))
        });
        content.collect()
    }
}

impl Action for ImageStep {
    type State = ImageWork;

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Build(step) => step.command(),
            Self::Buildx(cmd, _) | Self::Load(cmd) => Some(cmd),
            Self::Verify(verify) => Some(&verify.command),
            Self::Pin(_)
            | Self::Base(_)
            | Self::Import(_)
            | Self::Assemble
            | Self::Write
            | Self::Budget(_)
            | Self::Archive(_) => None,
        }
    }

    fn run(&self, work: &mut ImageWork, progress: &Progress) -> Result<String> {
        match self {
            Self::Base(name) => {
                work.base =
                    base::resolve(name, &work.setup.platforms, &work.layout, &|text| progress.detail(text))?;
                label_base(work);
                Ok(work.base.digest.map_or_else(|| "no base image".to_owned(), |digest| digest.to_string()))
            }
            Self::Build(step) => {
                let outcome = step.run(&mut work.build, progress)?;
                work.binaries.clone_from(&work.build.binaries);
                work.build_seconds = work.build.seconds;
                Ok(outcome)
            }
            Self::Buildx(cmd, output) => {
                if let Some(folder) = output.parent() {
                    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
                }
                let started = Instant::now();
                let mut pulled = true;
                let ended = cmd.follow(|line| {
                    pulled &= !buildx::cannot_pull(line);
                    progress.output(line);
                });
                if !pulled {
                    return ended
                        .context(buildx::CannotPull)
                        .context(Fault::failed("docker buildx build").hint(
                            "use another image in its place: --build-context NAME=docker-image://OTHER\n\
                             or build without Docker: --engine native",
                        ))
                        .map(|()| String::new());
                }
                ended?;
                work.build_seconds = started.elapsed().as_secs_f64();
                Ok("built with the Dockerfile".to_owned())
            }
            Self::Import(made) => import(work, made),
            Self::Assemble => {
                let content = work.content(&work.binaries)?;
                let image = assemble(&work.layout, &work.base, &content, &work.setup.recipe)?;
                let outcome =
                    format!("{} layers", image.platforms.iter().map(|made| made.layers.len()).sum::<usize>());
                work.image = Some(image);
                Ok(outcome)
            }
            Self::Write => {
                let image = work.image()?;
                work.layout.publish(&image.index)?;
                Ok(image.digest.to_string())
            }
            Self::Pin(root) => {
                let (Some(name), Some(digest)) = (&work.base.name, work.base.digest) else {
                    return Err(Fault::failed("the base image has no digest").into());
                };
                let pinned = format!("{name}@{digest}");
                rust_workspace::settings::pin_base(root, &pinned)?;
                Ok(pinned)
            }
            Self::Budget(budgets) => {
                let rows = work.image()?.platforms.iter();
                let rows = rows.map(|made| Row::new(made.clone(), work.build_seconds, *budgets));
                let over: Vec<_> = rows.flat_map(|row| row.over().into_iter().chain(row.slow())).collect();
                Ok(if over.is_empty() { "kept".to_owned() } else { format!("exceeded: {}", over.join("; ")) })
            }
            Self::Verify(verify) => verify.run(work, progress),
            Self::Archive(path) => {
                let size = archive::write(&work.layout, path, Platform::host())?;
                Ok(format!("{}, {}", path.display(), Bytes(size)))
            }
            Self::Load(cmd) => {
                let mut last = String::new();
                cmd.follow(|line| {
                    progress.output(line);
                    line.clone_into(&mut last);
                })?;
                // docker load has status 0 even if it could not unpack the image.
                if last.starts_with("Error") {
                    return Err(Fault::failed(last).into());
                }
                Ok(last)
            }
        }
    }
}

/// Adds the base image's name and digest as labels (image-spec annotations.md).
fn label_base(work: &mut ImageWork) {
    let labels = &mut work.setup.recipe.labels;
    if let Some(digest) = work.base.digest {
        labels.insert("org.opencontainers.image.base.digest".to_owned(), digest.to_string());
    }
    if let Some(name) = &work.base.name {
        labels.insert("org.opencontainers.image.base.name".to_owned(), name.clone());
    }
}

fn import(work: &mut ImageWork, made: &Path) -> Result<String> {
    let scratch = made.with_file_name("buildx-files");
    remove_dir(&scratch)?;
    let found = buildx::read(made, &work.setup.platforms, &work.base, &scratch)?;
    let mut wrong = Vec::new();
    for (platform, found) in &found {
        work.binaries.insert(*platform, found.binary(&work.setup.path)?);
        let below = work.base.below.get(platform).cloned().unwrap_or_default();
        let recipe = &work.setup.recipe;
        let ours = config::config(*platform, &below, &[], &recipe.runtime, &recipe.labels, &recipe.created)?;
        let ours = serde_json::from_slice(&ours)?;
        let differences = config::differences(&ours, &found.config).into_iter();
        let differences = differences.chain(found.differences(&work.setup.files, &work.setup.path)?);
        wrong.extend(differences.map(|line| format!("{platform} {line}")));
    }
    if wrong.is_empty() {
        return Ok("the Dockerfile's image matches image.toml".to_owned());
    }
    let what = format!("the Dockerfile's image differs from image.toml:\n{}", wrong.join("\n"));
    Err(Fault::failed(what)
        .hint("change the Dockerfile or image.toml, so that both engines make the same image")
        .into())
}
