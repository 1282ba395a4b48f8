//! The inputs of an image's plan, and the values derived from them.

use std::path::{Path, PathBuf};

use super::assemble::Recipe;
use super::base::BaseName;
use super::config::Runtime;
use cli_support::time::rfc3339;
use oci_image::oci::Annotations;
use oci_image::platform::Platform;
use oci_registry::Reference;
use rust_workspace::binary::{self, Build, Package, Target, Toolchain, Zig};
use rust_workspace::git::GitSource;
use rust_workspace::settings::{Settings, Workspace};

/// The chosen engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Builds with cargo on this machine.
    Native,
    /// Builds with docker buildx and the Dockerfile.
    Buildx,
}

/// Everything that the plan depends on.
#[derive(Debug)]
pub struct ImageInputs {
    /// The workspace and its settings.
    pub workspace: Workspace,
    /// The package, from cargo.
    pub package: Package,
    /// The commit and version, from git.
    pub source: GitSource,
    /// The Rust toolchain.
    pub toolchain: Toolchain,
    /// The engine.
    pub engine: Engine,
    /// The requested platforms.
    pub platforms: Vec<Platform>,
    /// The Rust target of each.
    pub targets: Vec<Target>,
    /// The base image.
    pub base: BaseName,
    /// The program of `--load`: `docker` or `podman`.
    pub loader: Option<&'static str>,
    /// The C compiler, if `[build] c` is `zig` and cargo builds here.
    pub zig: Option<Zig>,
}

impl Engine {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Buildx => "buildx",
        }
    }
}

impl ImageInputs {
    /// The binary's path in the image.
    pub fn binary_path(&self) -> String {
        let default = || format!("/usr/bin/{}", self.package.binary);
        self.workspace.settings.container.path.clone().unwrap_or_else(default)
    }

    /// The build of the binary.
    pub fn build(&self) -> Build {
        Build { zig: self.zig.clone(), ..Build::of(&self.package, &self.source) }
    }

    /// The state of the build before its first step.
    pub fn build_work(&self) -> binary::BinaryWork {
        let settings = self.workspace.settings.build.clone();
        binary::BinaryWork::new(self.build(), self.toolchain.clone(), self.targets.clone(), settings)
    }

    /// The version of the image.
    pub fn version(&self) -> String {
        self.source.version(&self.package.version).to_string()
    }

    /// The repository with its registry. Docker lists an image under a short name, but does not find it by that.
    pub fn repository(&self) -> String {
        let repository = self.workspace.settings.repository.clone();
        let repository = repository.unwrap_or_else(|| format!("localhost/{}", self.package.binary));
        repository.parse::<Reference>().map_or(repository, |reference| reference.name())
    }

    /// The image's full name with its tag.
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository(), self.version().replace('+', "-"))
    }

    /// Labels and annotations (image-spec annotations.md), with those of the settings on top.
    pub fn labels(&self) -> Annotations {
        labels(&self.package, &self.source, &self.workspace.settings)
    }

    /// Everything of the image except its files.
    pub fn recipe(&self) -> Recipe {
        Recipe {
            runtime: Runtime::of(&self.workspace.settings.container, &self.binary_path()),
            labels: self.labels(),
            created: rfc3339(self.source.time),
            name: self.name(),
        }
    }
}

/// The folder of the image layout, below cargo's target folder. Each of several images of a workspace has its own.
pub fn layout_dir(target_dir: &Path) -> PathBuf {
    let file = rust_workspace::settings::file();
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    match &*stem {
        "image" => target_dir.join("image"),
        other => target_dir.join(format!("image-{other}")),
    }
}

/// The same for commands that build nothing.
pub fn labels(package: &Package, source: &GitSource, settings: &Settings) -> Annotations {
    let derived = [
        ("title", Some(package.binary.clone())),
        ("description", package.description.clone()),
        ("source", package.repository.clone()),
        ("licenses", package.license.clone()),
        ("revision", source.revision()),
        ("version", Some(source.version(&package.version).to_string())),
        ("created", Some(rfc3339(source.time))),
    ];
    let derived = derived
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| (format!("org.opencontainers.image.{key}"), value)));
    let mut labels: Annotations = derived.collect();
    labels.extend(settings.labels.clone());
    labels
}
