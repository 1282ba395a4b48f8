//! The workspace's crates, from cargo, and the check that none compiles C.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, TargetKind};

use super::cargo;
use super::cargo::cfg_flags;
use crate::settings::Workspace;
use cli_support::error::Fault;
use cli_support::process::Cmd;

/// A flag for rustc without effect. Without any flag, cargo would use those of the caller.
const NO_CFG: &str = "-Cdebuginfo=0";

/// Build dependencies that compile or find C libraries.
const C_BUILDERS: [&str; 7] = ["cc", "cmake", "gcc", "meson-next", "pkg-config", "system-deps", "vcpkg"];

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
        let settings = &workspace.settings;
        Ok(Self::find(&metadata(&workspace.root)?, &settings.package, settings.binary.as_deref())?)
    }

    /// The package of this name and its binary; `binary` chooses among several.
    pub fn find(metadata: &Metadata, name: &str, binary: Option<&str>) -> Result<Self, Fault> {
        let members: Vec<_> = metadata.workspace_packages();
        let package = members.iter().find(|package| package.name == name).ok_or_else(|| {
            let names: Vec<_> = members.iter().map(|package| package.name.as_str()).collect();
            Fault::usage(format!("no package '{name}' in this workspace"))
                .at(crate::settings::FILE)
                .hint(format!("its packages: {}", names.join(", ")))
        })?;
        let is_bin = |target: &&cargo_metadata::Target| target.kind.contains(&TargetKind::Bin);
        let binaries: Vec<_> =
            package.targets.iter().filter(is_bin).map(|target| target.name.as_str()).collect();
        let chosen = match (binary, &binaries[..]) {
            (Some(wanted), all) => all.iter().find(|name| **name == wanted),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let binary = chosen.ok_or_else(|| {
            let what = match binary {
                _ if binaries.is_empty() => format!("the package '{name}' has no binary"),
                Some(wanted) => format!("the package '{name}' has no binary '{wanted}'"),
                None => format!("the package '{name}' has several binaries: set binary"),
            };
            let fault = Fault::usage(what).at(crate::settings::FILE);
            if binaries.is_empty() {
                fault
            } else {
                fault.hint(format!("binaries of {name}: {}", binaries.join(", ")))
            }
        })?;
        Ok(Self {
            name: name.to_owned(),
            version: package.version.clone(),
            binary: (*binary).to_owned(),
            description: package.description.clone(),
            license: package.license.clone(),
            repository: package.repository.clone(),
            target_dir: metadata.target_directory.clone().into_std_path_buf(),
            root: metadata.workspace_root.clone().into_std_path_buf(),
        })
    }
}

/// The command that lists the crates compiled for `package` and these targets, with the features of the build. (`cargo
/// metadata` adds the features of development dependencies.) Procedural macros are omitted, because they are not linked.
pub fn tree(root: &Path, package: &str, triples: &[&str]) -> Cmd {
    cargo()
        .args([
            "tree",
            "--color",
            "never",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal,build,no-proc-macro",
        ])
        .args(triples.iter().flat_map(|triple| ["--target", triple]))
        .args(["--prefix", "depth", "--format", " {p}"])
        .env("CARGO_ENCODED_RUSTFLAGS", cfg_flags(triples.iter().copied()).unwrap_or(NO_CFG))
        .dir(root)
}

/// The command that lists the crates linked into `package` for a target, with their dependencies.
pub fn linked(root: &Path, package: &str, triple: &str) -> Cmd {
    cargo()
        .args(["tree", "--color", "never", "--locked", "--package", package, "--target", triple])
        .args(["--edges", "normal,no-proc-macro", "--prefix", "depth", "--format", " {p}"])
        .env("CARGO_ENCODED_RUSTFLAGS", cfg_flags([triple]).unwrap_or(NO_CFG))
        .dir(root)
}

/// Checks that no crate in cargo's tree compiles C. Returns the number of crates.
pub fn no_c(tree: &str) -> Result<usize, Fault> {
    let mut path: Vec<&str> = Vec::new();
    let mut crates = BTreeSet::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        let depth = words.next().and_then(|depth| depth.parse::<usize>().ok());
        let (Some(depth), Some(name)) = (depth, words.next()) else { continue };
        path.truncate(depth);
        if let Some(above) = path.last().filter(|_| C_BUILDERS.contains(&name)) {
            return Err(Fault::failed(format!("the crate {above} compiles or looks for C: its build script uses {name}"))
                .at(path.join(" > "))
                .hint(format!(
                    "choose a crate or a feature in pure Rust; cargo tree --edges normal --invert {above} shows who asks for it"
                )));
        }
        crates.insert((name, words.next()));
        path.push(name);
    }
    Ok(crates.len())
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

    #[test]
    fn c_is_found_with_the_path_to_it() {
        let pure = "0 app v0.1.0 (/ws/app)\n1 bytes v1.0.0\n1 http v1.0.0\n2 bytes v1.0.0 (*)\n";
        assert_eq!(no_c(pure).unwrap(), 3);
        let with_c = format!(
            "{pure}1 rustls v0.23.0\n2 ring v0.17.14\n3 cc v1.2.0\n4 shlex v1.3.0\n3 getrandom v0.2.0\n"
        );
        let fault = no_c(&with_c).unwrap_err();
        let expected =
            "app > rustls > ring: the crate ring compiles or looks for C: its build script uses cc";
        assert_eq!(fault.to_string(), expected);
    }
}
