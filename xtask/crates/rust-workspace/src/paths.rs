//! The path of the settings.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use cli_support::error::Fault;

/// Where the settings are by default, below the workspace's root, in the order of the search.
pub const PLACES: [&str; 2] = ["xtask/image.toml", "image.toml"];

/// The variable with the settings' path, for one of several images of a workspace.
pub const VARIABLE: &str = "XTASK_SETTINGS";

static SETTINGS: OnceLock<String> = OnceLock::new();

/// The path of the settings below the workspace's root. The first of [`PLACES`] until [`find`] found them.
pub fn settings() -> &'static str {
    SETTINGS.get().map_or(PLACES[0], String::as_str)
}

/// Whether the settings are those of a path that was named, not of a default place.
pub fn is_named() -> bool {
    !PLACES.contains(&settings())
}

/// The root of the workspace of this folder. A process has one settings file: later calls keep the path that the first
/// one found.
pub fn find(here: &Path) -> Result<PathBuf> {
    let (root, path) = match std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        Some(named) => of_name(&here.join(named))?,
        None => of_places(here)?,
    };
    SETTINGS.get_or_init(|| path);
    Ok(root)
}

/// The root and the settings of the nearest folder that has them in a default place.
fn of_places(here: &Path) -> Result<(PathBuf, String), Fault> {
    let found = here.ancestors().find_map(|dir| {
        // The folder `xtask` is part of a workspace.
        let places = if dir.ends_with("xtask") { &PLACES[..1] } else { &PLACES[..] };
        let place = places.iter().find(|place| dir.join(place).is_file())?;
        Some((dir.to_owned(), (*place).to_owned()))
    });
    found.ok_or_else(|| {
        Fault::usage(format!("no {} in this folder or above it", PLACES.join(" or ")))
            .at(here.display())
            .hint("run it inside the workspace; cargo xtask init writes the file")
    })
}

/// The root and the settings of a file that was named: the root is the nearest folder above it with a Cargo.lock.
fn of_name(path: &Path) -> Result<(PathBuf, String)> {
    let path = path
        .canonicalize()
        .with_context(|| Fault::usage(format!("{VARIABLE}: cannot read the settings")).at(path.display()))?;
    let root = path.ancestors().skip(1).find(|dir| dir.join("Cargo.lock").is_file()).ok_or_else(|| {
        Fault::usage(format!("{VARIABLE}: no Cargo.lock beside the settings or above them"))
            .at(path.display())
    })?;
    let below = path.strip_prefix(root).unwrap_or(&path);
    Ok((root.to_owned(), below.to_string_lossy().replace('\\', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_with_settings_is_the_root() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().canonicalize().unwrap();
        let write = |name: &str| {
            std::fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.join(name), "").unwrap();
        };
        write("outer/image.toml");
        write("outer/inner/xtask/image.toml");
        write("outer/inner/image.toml");
        write("outer/inner/images/worker.toml");
        write("outer/Cargo.lock");
        for (here, root, path) in [
            ("outer", "outer", "image.toml"),
            ("outer/inner", "outer/inner", "xtask/image.toml"),
            ("outer/inner/xtask", "outer/inner", "xtask/image.toml"),
        ] {
            assert_eq!(of_places(&dir.join(here)).unwrap(), (dir.join(root), path.to_owned()));
        }
        assert!(of_places(&dir).unwrap_err().to_string().contains("no xtask/image.toml or image.toml"));
        let named = of_name(&dir.join("outer/inner/images/worker.toml")).unwrap();
        assert_eq!(named, (dir.join("outer"), "inner/images/worker.toml".to_owned()));
    }
}
