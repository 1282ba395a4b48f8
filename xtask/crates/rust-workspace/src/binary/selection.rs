//! Which package, binary, features and profile cargo builds.

use std::path::{Path, PathBuf};

use cargo_metadata::Package as CargoPackage;
use toml::de::DeTable;

use crate::settings::BuildSettings;

/// A package with its binary, features and profile, for `cargo build` and `cargo tree` alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The package's name.
    pub package: String,
    /// The binary's name.
    pub binary: String,
    /// The profile.
    pub profile: String,
    /// The arguments for features.
    features: Vec<String>,
    /// The package's folder below the workspace's root and its version, where a dependency has the same name.
    ambiguous: Option<(PathBuf, String)>,
}

impl Selection {
    /// The selection of the settings. `lock` is the text of Cargo.lock; `required` are the features that the binary needs.
    pub fn new(
        package: &CargoPackage,
        binary: &str,
        required: &[String],
        settings: &BuildSettings,
        root: &Path,
        lock: &str,
    ) -> Self {
        let mut features = Vec::new();
        if settings.all_features {
            features.push("--all-features".to_owned());
        }
        if !settings.default_features {
            features.push("--no-default-features".to_owned());
        }
        let mut names = settings.features.clone();
        let missing = required.iter().filter(|name| !settings.features.contains(name));
        names.extend(missing.cloned());
        if !names.is_empty() && !settings.all_features {
            features.extend(["--features".to_owned(), names.join(",")]);
        }
        let folder = package.manifest_path.parent().map(cargo_metadata::camino::Utf8Path::as_std_path);
        let folder = folder.and_then(|dir| dir.strip_prefix(root).ok()).unwrap_or(Path::new(""));
        let ambiguous =
            (count(lock, &package.name) > 1).then(|| (folder.to_owned(), package.version.to_string()));
        Self {
            package: package.name.to_string(),
            binary: binary.to_owned(),
            profile: settings.profile.clone(),
            features,
            ambiguous,
        }
    }

    /// A binary of a package with a name of its own, in the release profile.
    #[cfg(test)]
    pub fn named(package: &str, binary: &str) -> Self {
        Self {
            package: package.to_owned(),
            binary: binary.to_owned(),
            profile: "release".to_owned(),
            features: Vec::new(),
            ambiguous: None,
        }
    }

    /// The package with its features. `root` is the workspace's.
    pub fn package_arguments(&self, root: &Path) -> Vec<String> {
        let package = match &self.ambiguous {
            // The Cargo Book, "Package ID Specifications".
            Some((folder, version)) => {
                let folder = root.join(folder);
                let folder = folder.to_string_lossy().replace('\\', "/");
                let folder = folder.trim_end_matches('/');
                format!("path+file://{}{folder}#{}@{version}", slash(folder), self.package)
            }
            None => self.package.clone(),
        };
        ["--package".to_owned(), package].into_iter().chain(self.features.iter().cloned()).collect()
    }

    /// The profile.
    pub fn profile_arguments(&self) -> Vec<String> {
        match self.profile.as_str() {
            "release" => vec!["--release".to_owned()],
            other => vec!["--profile".to_owned(), other.to_owned()],
        }
    }

    /// The profile's folder below cargo's target folder.
    pub fn profile_dir(&self) -> &str {
        match self.profile.as_str() {
            "dev" | "test" => "debug",
            "bench" => "release",
            other => other,
        }
    }
}

/// A path of Windows has no slash before its drive.
fn slash(path: &str) -> &'static str {
    if path.starts_with('/') { "" } else { "/" }
}

/// The number of packages with this name in Cargo.lock.
fn count(lock: &str, name: &str) -> usize {
    let Ok(lock) = DeTable::parse(lock) else { return 0 };
    let packages = lock.get_ref().get("package").and_then(|list| list.get_ref().as_array());
    let is_named = |package: &toml::Spanned<toml::de::DeValue<'_>>| {
        let table = package.get_ref().as_table()?;
        Some(table.get("name")?.get_ref().as_str()? == name)
    };
    packages.map_or(0, |list| list.iter().filter(|package| is_named(package) == Some(true)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(settings: &BuildSettings, required: &[&str], lock: &str) -> Selection {
        let package = serde_json::json!({
            "name": "app", "version": "1.2.0", "id": "path+file:///ws/crates/app#1.2.0", "dependencies": [],
            "targets": [], "features": {}, "manifest_path": "/ws/crates/app/Cargo.toml",
        });
        let package: CargoPackage = serde_json::from_value(package).unwrap();
        let required: Vec<_> = required.iter().map(|&name| name.to_owned()).collect();
        Selection::new(&package, "app", &required, settings, Path::new("/ws"), lock)
    }

    #[test]
    fn one_list_of_features_for_all_calls() {
        let settings = |features: &[&str], default_features, all_features| BuildSettings {
            features: features.iter().map(|&name| name.to_owned()).collect(),
            default_features,
            all_features,
            ..BuildSettings::default()
        };
        for (settings, required, expected) in [
            (settings(&[], true, false), &[][..], ""),
            (settings(&["a", "b/c"], true, false), &[], " --features a,b/c"),
            (settings(&["a"], false, false), &["a", "cli"], " --no-default-features --features a,cli"),
            (settings(&["a"], true, true), &["cli"], " --all-features"),
        ] {
            let arguments = selection(&settings, required, "").package_arguments(Path::new("/ws")).join(" ");
            assert_eq!(arguments, format!("--package app{expected}"));
        }
    }

    #[test]
    fn a_package_with_the_name_of_a_dependency_gets_a_package_id() {
        let one = "[[package]]\nname = \"app\"\nversion = \"1.2.0\"\n";
        let settings = BuildSettings { profile: "dist".to_owned(), ..BuildSettings::default() };
        let alone = selection(&settings, &[], one);
        assert_eq!(alone.package_arguments(Path::new("/ws")), ["--package", "app"]);
        assert_eq!(alone.profile_arguments(), ["--profile", "dist"]);
        let two = selection(&settings, &[], &format!("{one}{one}"));
        let expected = ["--package", "path+file:///copy/crates/app#app@1.2.0"];
        assert_eq!(two.package_arguments(Path::new("/copy")), expected);
    }
}
