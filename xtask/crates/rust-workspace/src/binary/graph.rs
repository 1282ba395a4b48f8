//! The workspace's packages and crates, from cargo.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, TargetKind};

use super::native::{certain, suspects};
use super::{Build, Selection, cargo};
use crate::settings::{Settings, Workspace};
use cli_support::error::Fault;
use cli_support::process::Cmd;

/// A flag for rustc without effect. Without any flag, cargo would use those of the caller.
const NO_CFG: &str = "-Cdebuginfo=0";

/// The package of the image, from cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: semver::Version,
    /// The binary's name.
    pub binary: String,
    /// One sentence about it, from Cargo.toml.
    pub description: Option<String>,
    /// SPDX licence expression, from Cargo.toml.
    pub license: Option<String>,
    /// The URL of its source, from Cargo.toml.
    pub repository: Option<String>,
    /// Cargo's target folder.
    pub target_dir: PathBuf,
    /// The workspace's root, as cargo sees it.
    pub root: PathBuf,
    /// The selection for cargo build.
    pub selection: Selection,
}

/// Asks cargo for the packages of the workspace at `root`.
pub fn metadata(root: &Path) -> Result<Metadata> {
    if !root.join("Cargo.lock").is_file() {
        let fault = Fault::usage("there is no Cargo.lock, so two builds could use different crates");
        return Err(fault.at(root.display()).hint("cargo generate-lockfile").into());
    }
    let cmd = cargo()
        .args(["metadata", "--color", "never", "--format-version", "1", "--no-deps", "--locked"])
        .dir(root);
    let json = cmd.read().context("ask cargo for the workspace's packages")?;
    cargo_metadata::MetadataCommand::parse(json).context("cargo metadata's answer")
}

impl Package {
    /// The package of the settings.
    pub fn of(workspace: &Workspace) -> Result<Self> {
        Ok(Self::find(&metadata(&workspace.root)?, &workspace.settings)?)
    }

    /// The package of the settings and its binary: that of the settings, the only one, or `default-run` of the package.
    pub fn find(metadata: &Metadata, settings: &Settings) -> Result<Self, Fault> {
        let members: Vec<_> = metadata.workspace_packages();
        let name = settings.package.as_str();
        let package = members.iter().find(|package| package.name == name).ok_or_else(|| {
            let names: Vec<_> = members.iter().map(|package| package.name.as_str()).collect();
            Fault::usage(format!("no package '{name}' in this workspace"))
                .at(crate::settings::file())
                .hint(format!("its packages: {}", names.join(", ")))
        })?;
        let binary = binary(package, settings.binary.as_deref())?;
        let root = metadata.workspace_root.as_std_path();
        let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
        let required = &binary.required_features;
        Ok(Self {
            name: name.to_owned(),
            version: package.version.clone(),
            binary: binary.name.clone(),
            description: package.description.clone(),
            license: package.license.clone(),
            repository: package.repository.clone(),
            target_dir: metadata.target_directory.clone().into_std_path_buf(),
            root: root.to_owned(),
            selection: Selection::new(package, &binary.name, required, &settings.build, root, &lock),
        })
    }
}

fn binary<'p>(
    package: &'p cargo_metadata::Package,
    wanted: Option<&str>,
) -> Result<&'p cargo_metadata::Target, Fault> {
    let is_bin = |target: &&cargo_metadata::Target| target.kind.contains(&TargetKind::Bin);
    let binaries: Vec<_> = package.targets.iter().filter(is_bin).collect();
    let named = |name: &str| binaries.iter().copied().find(|target| target.name == name);
    let chosen = match (wanted.or(package.default_run.as_deref()), &binaries[..]) {
        (Some(wanted), _) => named(wanted),
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    chosen.ok_or_else(|| {
        let name = &package.name;
        let what = match wanted {
            _ if binaries.is_empty() => format!("the package '{name}' has no binary"),
            Some(wanted) => format!("the package '{name}' has no binary '{wanted}'"),
            None => format!("the package '{name}' has several binaries: set binary"),
        };
        let fault = Fault::usage(what).at(crate::settings::file());
        let known: Vec<_> = binaries.iter().map(|target| target.name.as_str()).collect();
        if known.is_empty() { fault } else { fault.hint(format!("binaries of {name}: {}", known.join(", "))) }
    })
}

/// The manifests of all crates in Cargo.lock.
pub fn all_crates(root: &Path) -> Result<Metadata> {
    let cmd = cargo().args(["metadata", "--color", "never", "--format-version", "1", "--locked"]).dir(root);
    let json = cmd.read().context("ask cargo for all crates")?;
    cargo_metadata::MetadataCommand::parse(json).context("cargo metadata's answer")
}

impl Build {
    /// The command that lists the crates compiled for these targets, with the features of the build. (`cargo metadata` adds
    /// the features of development dependencies.) Procedural macros are omitted, because they are not linked.
    pub fn tree(&self, triples: &[&str]) -> Cmd {
        self.list("normal,build,no-proc-macro", triples)
    }

    /// The command that lists the crates linked for these targets, with their dependencies.
    pub fn linked(&self, triples: &[&str]) -> Cmd {
        self.list("normal,no-proc-macro", triples)
    }

    fn list(&self, edges: &str, triples: &[&str]) -> Cmd {
        let mut flags = self.conditions(triples);
        if flags.is_empty() {
            flags.push(NO_CFG.to_owned());
        }
        cargo()
            .args(["tree", "--color", "never", "--locked"])
            .args(self.selection.package_arguments(&self.root))
            .args(triples.iter().flat_map(|triple| ["--target", triple]))
            .args(["--edges", edges, "--prefix", "depth", "--format", " {p}"])
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .dir(&self.root)
    }
}

/// The names of the linked crates of a package that compile C, with its default features, on Linux.
pub fn c_crates(metadata: &Metadata, package: &str, binary: Option<&str>) -> Result<Vec<String>> {
    let package = Package::find(metadata, &Settings::minimal(package, binary)?)?;
    let build = Build::of(&package, &crate::git::GitSource::default());
    let triples = oci_image::platform::Platform::ALL.map(oci_image::platform::Platform::musl_target);
    let suspects = suspects(&build.tree(&triples).read()?, &build.linked(&triples).read()?);
    if suspects.is_empty() {
        return Ok(Vec::new());
    }
    let all = all_crates(&build.root)?;
    Ok(certain(&suspects, &all).into_iter().map(|suspect| suspect.name.clone()).collect())
}

/// The crates in cargo's tree from a folder outside `root`, which no commit of the workspace describes.
pub fn strays(tree: &str, root: &Path) -> BTreeSet<String> {
    let strays = tree.lines().filter_map(|line| {
        let (_, rest) = line.split_once(' ')?;
        let (krate, rest) = rest.split_once(" (")?;
        let (place, _) = rest.split_once(')')?;
        let place = Path::new(place);
        (place.is_absolute() && !place.starts_with(root)).then(|| format!("{krate} ({})", place.display()))
    });
    strays.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_other_folders_are_found() {
        let tree = "0 app v0.1.0 (/ws/app)\n1 own v1.0.0 (/ws-other/own)\n1 git v1.0.0 (https://a.example/x#1)\n\
                    2 own v1.0.0 (/ws-other/own) (*)\n1 reg v1.0.0 (registry `x`)\n1 mac v1.0.0 (proc-macro)\n";
        let found: Vec<_> = strays(tree, Path::new("/ws")).into_iter().collect();
        assert_eq!(found, ["own v1.0.0 (/ws-other/own)"]);
    }
}
