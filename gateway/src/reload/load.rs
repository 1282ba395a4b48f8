//! Loads settings and the files that they name.

use std::path::PathBuf;
use std::sync::Arc;

use super::watch::Watched;
use crate::prepare::{Findings, Prepared, prepare};
use crate::settings::{Settings, Source};
use crate::snapshot::{Process, Snapshot};

/// Loaded settings, with findings.
#[derive(Debug)]
pub struct Loaded {
    /// The file; `None` for the built-in settings.
    pub file: Option<PathBuf>,
    /// The settings; with any problem they must not be used.
    pub prepared: Prepared,
    /// Findings in the settings and in the files that they name.
    pub findings: Findings,
    /// The process for which they were loaded.
    pub process: Arc<Process>,
    /// The state of the files before they were read.
    pub(super) watched: Watched,
}

/// Loads settings and the files that they name. `previous` is the current snapshot.
pub fn load(
    source: &Source,
    process: impl FnOnce(&Settings) -> Arc<Process>,
    previous: Option<&Snapshot>,
) -> Loaded {
    let mut watched = Watched::default();
    watched.add(source.file());
    let (file, settings, problems) = source.load();
    watched.add(settings.files.iter().map(|(_, file)| file.path.clone()));
    let process = process(&settings);
    let name = file.as_deref().map_or_else(String::new, |file| file.display().to_string());
    let (prepared, findings) = prepare(settings, &name, problems, &process, previous);
    Loaded { file, prepared, findings, process, watched }
}
