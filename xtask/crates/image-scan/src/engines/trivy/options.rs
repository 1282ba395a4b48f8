//! Trivy's settings, and the folder in which it runs.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

/// Trivy's settings.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether the database is used as it is, without the network.
    pub offline: bool,
    /// The folder of the database; Trivy's own where unset.
    pub cache: Option<PathBuf>,
    /// The sources of the database, in order.
    pub databases: Vec<String>,
    /// VEX documents: path below the workspace's root, and content.
    pub vex: Vec<(String, Vec<u8>)>,
    /// Leaves out vulnerabilities without a fixed version.
    pub ignore_unfixed: bool,
    /// The folder in which Trivy runs. It is emptied before, because Trivy reads settings from there.
    pub dir: PathBuf,
}

impl Options {
    /// The empty ignore file.
    pub(super) fn ignore_file(&self) -> PathBuf {
        self.dir.join("ignore.yaml")
    }

    /// The copy of a VEX document.
    pub(super) fn vex_file(&self, name: &str) -> PathBuf {
        let parts = Path::new(name).components().filter_map(|part| match part {
            Component::Normal(part) => Some(part),
            _ => None,
        });
        self.dir.join("vex").join(parts.collect::<PathBuf>())
    }

    /// The VEX document's path in the settings, from the path of its copy in Trivy's answer.
    pub(super) fn vex_name(source: &str) -> &str {
        source.rsplit_once("/trivy/run/vex/").map_or(source, |(_, name)| name)
    }

    /// Creates the folder with the files that Trivy is given.
    pub fn prepare(&self) -> Result<()> {
        cli_support::files::remove_dir(&self.dir)?;
        for dir in std::iter::once(&self.dir).chain(&self.cache) {
            fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        for (name, content) in &self.vex {
            let copy = self.vex_file(name);
            fs::create_dir_all(copy.parent().unwrap_or(&self.dir))?;
            fs::write(&copy, content).with_context(|| copy.display().to_string())?;
        }
        let file = self.ignore_file();
        fs::write(&file, "{}\n").with_context(|| file.display().to_string())
    }
}
