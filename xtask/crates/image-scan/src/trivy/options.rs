//! How Trivy is driven, and the folder it runs in with what it is told to use.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::vex::Vex;

/// How it is driven.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// No network: the database is as it is.
    pub offline: bool,
    /// Where the database is.
    pub cache: Option<PathBuf>,
    /// Where the database comes from, in order.
    pub databases: Vec<String>,
    /// The workspace's root.
    pub root: PathBuf,
    /// VEX documents, below the root.
    pub vex: Vec<String>,
    /// Leaves out what has no fixed version.
    pub ignore_unfixed: bool,
    /// An empty folder to run in: Trivy reads settings and lists from where it stands.
    pub dir: PathBuf,
}

impl Options {
    /// The empty ignore file that Trivy is given.
    pub(super) fn ignorefile(&self) -> PathBuf {
        self.dir.join("ignore.yaml")
    }

    /// A document's copy, under a path that Trivy's answers can be read by.
    pub(super) fn vex_file(&self, name: &str) -> PathBuf {
        let parts = Path::new(name).components().filter_map(|part| match part {
            Component::Normal(part) => Some(part),
            _ => None,
        });
        self.dir.join("vex").join(parts.collect::<PathBuf>())
    }

    /// What Trivy calls such a copy, as the settings name it.
    pub(super) fn vex_name(source: &str) -> &str {
        source.rsplit_once("/trivy/run/vex/").map_or(source, |(_, name)| name)
    }

    /// Makes what Trivy is told to use, and takes away what an earlier run may have left for it to read.
    pub fn prepare(&self) -> Result<()> {
        cli_support::files::remove_dir(&self.dir)?;
        for dir in std::iter::once(&self.dir).chain(&self.cache) {
            fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        for name in &self.vex {
            let copy = self.vex_file(name);
            fs::create_dir_all(copy.parent().unwrap_or(&self.dir))?;
            match Vex::read(&self.root, name)? {
                Some(vex) => fs::write(&copy, vex.for_trivy).with_context(|| copy.display().to_string())?,
                None => drop(fs::copy(self.root.join(name), &copy).with_context(|| name.clone())?),
            }
        }
        let file = self.ignorefile();
        fs::write(&file, "{}\n").with_context(|| file.display().to_string())
    }
}
