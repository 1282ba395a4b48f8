//! What an image's plan depends on, and what follows from it by rule.

use super::assemble::Recipe;
use super::base::BaseName;
use super::config::Runtime;
use cli_support::time::rfc3339;
use oci_image::oci::Annotations;
use oci_image::platform::Platform;
use oci_registry::Reference;
use rust_workspace::binary::{self, Build, Package, Target, Toolchain};
use rust_workspace::git::GitSource;
use rust_workspace::settings::{Settings, Workspace};

/// The engine that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// cargo on this machine.
    Native,
    /// Docker, through the Dockerfile.
    Buildx,
}

/// Everything that the plan depends on, read before it is made.
#[derive(Debug)]
pub struct ImageInputs {
    /// The workspace and its settings.
    pub workspace: Workspace,
    /// What cargo says of the package.
    pub package: Package,
    /// What git says of the source.
    pub source: GitSource,
    /// The Rust toolchain.
    pub toolchain: Toolchain,
    /// What builds.
    pub engine: Engine,
    /// The platforms asked for.
    pub platforms: Vec<Platform>,
    /// The Rust target of each.
    pub targets: Vec<Target>,
    /// What the image stands on.
    pub base: BaseName,
    /// The program that an image is handed to.
    pub loader: Option<&'static str>,
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
        Build::of(&self.package, &self.source)
    }

    /// The state of the build before its first step.
    pub fn build_work(&self) -> binary::BinaryWork {
        binary::BinaryWork::new(self.build(), self.toolchain.clone(), self.targets.clone())
    }

    /// The version of the image.
    pub fn version(&self) -> String {
        self.source.version(&self.package.version).to_string()
    }

    /// The repository that the image goes by, with its registry: Docker lists an image under a short name and does
    /// not find it by that.
    pub fn repository(&self) -> String {
        let repository = self.workspace.settings.repository.clone();
        let repository = repository.unwrap_or_else(|| format!("localhost/{}", self.package.binary));
        repository.parse::<Reference>().map_or(repository, |reference| reference.name())
    }

    /// The name that the image goes by, with its tag.
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository(), self.version().replace('+', "-"))
    }

    /// Labels and annotations by the image-spec's keys (annotations.md), the settings' own on top.
    pub fn labels(&self) -> Annotations {
        labels(&self.package, &self.source, &self.workspace.settings)
    }

    /// All of the image but its files.
    pub fn recipe(&self) -> Recipe {
        Recipe {
            runtime: Runtime::of(&self.workspace.settings.container, &self.binary_path()),
            labels: self.labels(),
            created: rfc3339(self.source.time),
            name: self.name(),
        }
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
