//! The settings that `cargo xtask init` writes.

use std::fmt::Write as _;
use std::path::Path;

use super::LIBRARY;
use anyhow::Result;
use cargo_metadata::{Metadata, Package};
use cli_support::error::Fault;
use rust_workspace::binary::c_crates;
use rust_workspace::git;

/// Where settings are looked for; the last one is written.
const PLACES: [&str; 2] = rust_workspace::paths::PLACES;

/// The place of the settings of this workspace: where they are, otherwise its root.
pub fn place(root: &Path) -> &'static str {
    PLACES.into_iter().find(|place| root.join(place).is_file()).unwrap_or(PLACES[1])
}

/// The values of new settings.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// The package.
    pub package: String,
    /// Its binary, where it has several and no `default-run`.
    binary: Option<String>,
    repository: Option<String>,
    /// The linked crates that compile C.
    c: Vec<String>,
}

impl Choice {
    /// Chooses the package, its binary and the image's name.
    pub fn of(
        metadata: &Metadata,
        package: Option<&str>,
        wanted: Option<&str>,
        repository: Option<String>,
        root: &Path,
    ) -> Result<Self> {
        let package = choose(metadata, package)?;
        let binary = binary(package, wanted)?;
        let c = c_crates(metadata, &package.name, binary.as_deref())?;
        let remote = || git::command(root).args(["remote", "get-url", "origin"]).read().ok();
        let github = || package.repository.clone().or_else(remote).and_then(|url| image_name(&url));
        Ok(Self { package: package.name.to_string(), binary, repository: repository.or_else(github), c })
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut text =
            "# The settings of cargo xtask: docs/settings-image.md of its repository has all keys.\n"
                .to_owned();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "package = \"{}\"", self.package);
        if let Some(binary) = &self.binary {
            let _ = writeln!(text, "binary = \"{binary}\"");
        }
        let _ = match &self.repository {
            Some(name) => writeln!(text, "repository = \"{name}\""),
            None => writeln!(text, "# repository = \"ghcr.io/OWNER/NAME\""),
        };
        if !self.c.is_empty() {
            let _ = writeln!(text, "\n# C code is in {}.\n[build]\nc = \"zig\"", self.c.join(", "));
        }
        text
    }
}

fn has_binary(package: &Package) -> bool {
    package.targets.iter().any(cargo_metadata::Target::is_bin)
}

/// The named package; otherwise the only one with a binary, that of the root, or the only one among the default members.
fn choose<'m>(metadata: &'m Metadata, wanted: Option<&str>) -> Result<&'m Package, Fault> {
    let members: Vec<_> =
        metadata.workspace_packages().into_iter().filter(|package| has_binary(package)).collect();
    let names: Vec<_> = members.iter().map(|package| package.name.as_str()).collect();
    let hint = format!("packages with a binary: {}", names.join(", "));
    if let Some(wanted) = wanted {
        let found = members.iter().find(|package| package.name == wanted);
        let what = format!("--package: no package '{wanted}' with a binary in this workspace");
        return found.copied().ok_or_else(|| Fault::usage(what).hint(hint));
    }
    let manifest = metadata.workspace_root.join("Cargo.toml");
    // Programs that run cargo xtask are no services.
    let runs_xtask = |package: &Package| {
        let names = package.dependencies.iter().map(|dependency| dependency.name.as_str());
        names.chain([package.name.as_str()]).any(|name| name == LIBRARY) || package.name == "xtask"
    };
    let services = |package: &&Package| !runs_xtask(package);
    let services: Vec<_> = members.iter().copied().filter(services).collect();
    let default = |package: &&Package| metadata.workspace_default_members.contains(&package.id);
    let has_defaults = metadata.workspace_default_members.is_available();
    let defaults: Vec<_> = services.iter().copied().filter(|one| has_defaults && default(one)).collect();
    match (&services[..], services.iter().find(|package| package.manifest_path == manifest), &defaults[..]) {
        ([only], _, _) | (_, _, [only]) => Ok(only),
        (_, Some(root), _) => Ok(root),
        ([], _, _) => Err(Fault::usage("no package of this workspace has a binary")),
        _ => Err(Fault::usage("several packages have a binary: choose with --package NAME").hint(hint)),
    }
}

/// The binary to name: none where cargo knows it, else the wanted one or that with the package's name.
fn binary(package: &Package, wanted: Option<&str>) -> Result<Option<String>, Fault> {
    let binaries: Vec<_> = package.targets.iter().filter(|target| target.is_bin()).collect();
    if wanted.is_none() && (binaries.len() == 1 || package.default_run.is_some()) {
        return Ok(None);
    }
    let name = wanted.unwrap_or(package.name.as_str());
    if binaries.iter().any(|target| target.name == name) {
        return Ok(Some(name.to_owned()));
    }
    let names: Vec<_> = binaries.iter().map(|target| target.name.as_str()).collect();
    let what = match wanted {
        Some(wanted) => format!("--binary: the package {} has no binary '{wanted}'", package.name),
        None => format!("the package {} has several binaries: choose with --binary NAME", package.name),
    };
    Err(Fault::usage(what).hint(format!("its binaries: {}", names.join(", "))))
}

/// The name of an image for a repository at GitHub.
fn image_name(url: &str) -> Option<String> {
    let (_, path) = url.split_once("github.com")?;
    let path = path.trim_start_matches(['/', ':']).trim_end_matches('/').trim_end_matches(".git");
    let mut parts = path.split('/');
    let (owner, name) = (parts.next()?, parts.next()?);
    (!owner.is_empty() && !name.is_empty()).then(|| format!("ghcr.io/{owner}/{name}").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_at_github() {
        for (url, expected) in [
            ("https://github.com/Owner/Name", Some("ghcr.io/owner/name")),
            ("https://github.com/o/n.git", Some("ghcr.io/o/n")),
            ("https://github.com/o/n/tree/main/sub", Some("ghcr.io/o/n")),
            ("git@github.com:o/n.git", Some("ghcr.io/o/n")),
            ("https://gitlab.com/o/n", None),
            ("https://github.com/", None),
        ] {
            assert_eq!(image_name(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn the_file_has_what_is_needed_and_no_more() {
        let mut choice = Choice {
            package: "app".to_owned(),
            binary: None,
            repository: Some("ghcr.io/o/app".to_owned()),
            c: Vec::new(),
        };
        let head = "# The settings of cargo xtask: docs/settings-image.md of its repository has all keys.\n";
        assert_eq!(choice.text(), format!("{head}package = \"app\"\nrepository = \"ghcr.io/o/app\"\n"));
        choice.binary = Some("server".to_owned());
        choice.c = vec!["ring".to_owned()];
        let expected = format!(
            "{head}package = \"app\"\nbinary = \"server\"\nrepository = \"ghcr.io/o/app\"\n\n# C code is in ring.\n[build]\nc = \"zig\"\n"
        );
        assert_eq!(choice.text(), expected);
    }
}
