//! The steps of making an image: each reads what the ones before it left and leaves its own.

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

/// One step.
#[derive(Debug)]
pub enum ImageStep {
    /// Looks the base up and brings its layers.
    Base(BaseName),
    /// A step of the native engine's build.
    Build(binary::BinaryStep),
    /// Builds through the Dockerfile.
    Buildx(Cmd, PathBuf),
    /// Holds what BuildKit made against the settings and takes the binaries out of it.
    Import(PathBuf),
    /// Packs layers and describes the image.
    Assemble,
    /// Makes the layout show the image.
    Write,
    /// Writes the base with its digest into the settings of the workspace with this root.
    Pin(PathBuf),
    /// Says what is over budget, before a second build takes as long again.
    Budget(Budgets),
    /// Builds once more in another folder and compares.
    Verify(Verify),
    /// Writes one tar.
    Archive(PathBuf),
    /// Hands an archive to an engine.
    Load(Cmd),
}

/// What does not change from step to step.
#[derive(Debug)]
pub struct ImageSetup {
    /// The workspace's root.
    pub root: PathBuf,
    /// The layout's folder.
    pub output: PathBuf,
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// The binary's path in the image.
    pub path: String,
    /// The files beside the binary.
    pub files: Tree,
    /// All else of the image.
    pub recipe: Recipe,
}

/// What the steps hand on.
#[derive(Debug)]
pub struct ImageWork {
    /// The same for every step.
    pub setup: ImageSetup,
    /// The native engine's build.
    pub build: binary::BinaryWork,
    /// The layout; its lock is held by the command.
    pub layout: Layout,
    /// The base, when found.
    pub base: Base,
    /// Each platform's binary, from whichever engine.
    pub binaries: BTreeMap<Platform, PathBuf>,
    /// Wall-clock seconds until the binaries were there.
    pub build_seconds: f64,
    /// The image, when assembled.
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
            Ok((platform, Content { files: self.setup.files.clone(), binary: tree }))
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
                Ok(work.base.digest.map_or_else(|| "nothing below".to_owned(), |digest| digest.to_string()))
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
                            "name another image for it: --build-context NAME=docker-image://OTHER\n\
                             or build without Docker: --engine native",
                        ))
                        .map(|()| String::new());
                }
                ended?;
                work.build_seconds = started.elapsed().as_secs_f64();
                Ok("built through the Dockerfile".to_owned())
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
                    return Err(Fault::failed("the base has no digest").into());
                };
                let pinned = format!("{name}@{digest}");
                rust_workspace::settings::pin_base(root, &pinned)?;
                Ok(pinned)
            }
            Self::Budget(budgets) => {
                let rows = work.image()?.platforms.iter();
                let rows = rows.map(|made| Row::new(made.clone(), work.build_seconds, *budgets));
                let over: Vec<_> = rows.flat_map(|row| row.over().into_iter().chain(row.slow())).collect();
                Ok(if over.is_empty() { "kept".to_owned() } else { format!("over it: {}", over.join("; ")) })
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
                // docker load ends with status 0 also where it could not unpack the image.
                if last.starts_with("Error") {
                    return Err(Fault::failed(last).into());
                }
                Ok(last)
            }
        }
    }
}

/// The base's name and digest are annotations of the image that stands on it (annotations.md).
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
        return Ok("the Dockerfile's image is the one that image.toml describes".to_owned());
    }
    let what = format!("the Dockerfile makes another image than image.toml describes:\n{}", wrong.join("\n"));
    Err(Fault::failed(what)
        .hint("change the one or the other, so that both engines make the same image")
        .into())
}
