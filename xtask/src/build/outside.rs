//! Settings of cargo that lie outside the workspace and change the bytes all the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::cargo::cargo_home;
use crate::settings::line_column;

/// What of cargo's configuration gets into a binary and is not overridden by our own call (the Cargo Book,
/// "Configuration"); and the key within it that does, where only one does.
const CHANGES_BYTES: [(&str, Option<&str>); 6] = [
    ("profile", Some("release")),
    ("env", None),
    ("patch", None),
    ("paths", None),
    ("build", Some("rustc")),
    ("build", Some("rustc-wrapper")),
];

/// A note for each setting of a machine, found in the folders above the workspace and in cargo's own, with
/// which the same source need not give the same bytes as elsewhere.
pub fn outside(root: &Path) -> Vec<String> {
    let above = root.ancestors().skip(1).map(|folder| folder.join(".cargo"));
    let folders: BTreeSet<_> = above.chain([cargo_home(root)]).collect();
    let mut notes = Vec::new();
    for folder in folders {
        // Of the two cargo reads the one without an ending, where both are there.
        let path = ["config", "config.toml"].map(|name| folder.join(name)).into_iter().find(|p| p.is_file());
        let Some(path) = path else { continue };
        // What cannot be read is for cargo to complain of.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let found = found(&text).into_iter();
        notes.extend(found.map(|(line, key)| {
            format!(
                "{}:{line}: [{key}] is of this machine alone: the image's bytes may differ from those of other machines",
                path.display()
            )
        }));
    }
    notes
}

/// Line and name of each setting in a configuration file that changes bytes.
fn found(text: &str) -> Vec<(usize, String)> {
    let Ok(config) = toml_span::parse(text) else { return Vec::new() };
    let Some(config) = config.as_table() else { return Vec::new() };
    let mut found: Vec<_> = CHANGES_BYTES
        .iter()
        .filter_map(|&(section, key)| {
            let value = config.get(section)?;
            let (value, name) = match key {
                Some(key) => (value.as_table()?.get(key)?, format!("{section}.{key}")),
                None => (value, section.to_owned()),
            };
            Some((line_column(text, value.span.start).0, name))
        })
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_bytes_is_found_and_nothing_else() {
        for (text, expected) in [
            ("[http]\nproxy = 'x'\n[profile.dev]\nopt-level = 1\n[build]\njobs = 2\n", ""),
            ("[profile.release]\nopt-level = 1\n", "1 profile.release"),
            (
                "[net]\nretry = 3\n\n[env]\nA = 'b'\n[build]\nrustc-wrapper = 'x'\n",
                "4 env, 7 build.rustc-wrapper",
            ),
            ("paths = ['/x']\npatch.crates-io.a.path = 'y'\n", "1 paths, 2 patch"),
            ("not toml", ""),
        ] {
            let lines: Vec<_> = found(text).into_iter().map(|(line, key)| format!("{line} {key}")).collect();
            assert_eq!(lines.join(", "), expected, "{text}");
        }
    }
}
