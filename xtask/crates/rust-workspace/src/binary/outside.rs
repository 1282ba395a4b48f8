//! Warnings of cargo settings outside the workspace that change the build.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use toml::de::DeTable;

use super::cargo::cargo_home;
use crate::settings::line_column;

/// Sections of cargo's configuration that change a binary and that our call does not override (the Cargo Book,
/// "Configuration"), with the key if only one of them does.
const CHANGES_BYTES: [(&str, Option<&str>); 8] = [
    ("include", None),
    ("profile", Some("release")),
    ("env", None),
    ("patch", None),
    ("paths", None),
    ("build", Some("rustc")),
    ("build", Some("rustc-wrapper")),
    ("build", Some("rustc-workspace-wrapper")),
];

/// Variables with the same effect.
const VARIABLES: [&str; 6] = [
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
];

/// A warning for each such setting in the folders above the workspace, in CARGO_HOME and in the environment.
pub fn outside(root: &Path) -> Vec<String> {
    let above = root.ancestors().skip(1).map(|folder| folder.join(".cargo"));
    let folders: BTreeSet<_> = above.chain([cargo_home(root)]).collect();
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let set = VARIABLES.iter().copied().filter(is_set);
    let mut notes: Vec<_> = set
        .map(|name| format!("{name} is set here: the image's bytes may differ from those of other machines"))
        .collect();
    for folder in folders {
        // If both exist, cargo reads the one without an extension.
        let path = ["config", "config.toml"].map(|name| folder.join(name)).into_iter().find(|p| p.is_file());
        let Some(path) = path else { continue };
        // cargo reports a file that cannot be read.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let found = found(&text).into_iter();
        notes.extend(found.map(|(line, key)| {
            format!(
                "{}:{line}: [{key}] is outside the workspace: the image's bytes may differ from those of other machines",
                path.display()
            )
        }));
    }
    notes
}

/// Line and name of each setting that changes the build.
fn found(text: &str) -> Vec<(usize, String)> {
    let Ok(config) = DeTable::parse(text) else { return Vec::new() };
    let mut found: Vec<_> = CHANGES_BYTES
        .iter()
        .filter_map(|&(section, key)| {
            let value = config.get_ref().get(section)?;
            let (value, name) = match key {
                Some(key) => (value.get_ref().as_table()?.get(key)?, format!("{section}.{key}")),
                None => (value, section.to_owned()),
            };
            Some((line_column(text, value.span().start).0, name))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cargo_settings_that_change_the_binary_are_found() {
        for (text, expected) in [
            ("[http]\nproxy = 'x'\n[profile.dev]\nopt-level = 1\n[build]\njobs = 2\n", ""),
            ("[profile.release]\nopt-level = 1\n", "1 profile.release"),
            (
                "[net]\nretry = 3\n\n[env]\nA = 'b'\n[build]\nrustc-wrapper = 'x'\n",
                "4 env, 7 build.rustc-wrapper",
            ),
            (
                "include = ['x']\n[build]\nrustc-workspace-wrapper = 'x'\n",
                "1 include, 3 build.rustc-workspace-wrapper",
            ),
            ("paths = ['/x']\npatch.crates-io.a.path = 'y'\n", "1 paths, 2 patch"),
            ("not toml", ""),
        ] {
            let lines: Vec<_> = found(text).into_iter().map(|(line, key)| format!("{line} {key}")).collect();
            assert_eq!(lines.join(", "), expected, "{text}");
        }
    }
}
