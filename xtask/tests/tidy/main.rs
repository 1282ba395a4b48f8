//! Checks of the repository that no compiler makes.

mod code;
mod documents;
mod workflows;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn files(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !["target", ".git"].contains(&name.as_str()) {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// A source file of xtask, without its tests.
struct Source {
    /// The package it belongs to.
    package: String,
    /// The path below `src`.
    path: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for package in packages() {
        let folder = package.join("src");
        let mut paths = Vec::new();
        files(&folder, &[".rs"], &mut paths);
        for path in paths {
            if path.iter().any(|part| part == "tests" || part == "tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source {
                package: package.file_name().unwrap().to_string_lossy().into_owned(),
                path: path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned(),
                code: text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned(),
            });
        }
    }
    assert!(found.len() > 100, "{}", found.len());
    found
}

/// The folders of xtask's packages.
fn packages() -> Vec<PathBuf> {
    let crates = fs::read_dir(root().join("xtask/crates")).unwrap().map(|entry| entry.unwrap().path());
    let mut packages: Vec<_> = crates.chain([root().join("xtask")]).collect();
    packages.sort();
    packages
}
