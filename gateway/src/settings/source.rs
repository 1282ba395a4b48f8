//! Locates the settings file.

use std::path::{Path, PathBuf};

use super::{Problem, Settings, built_in, load};

/// Used if it exists and no other file is named.
const DEFAULT_FILE: &str = "/etc/gateway/gateway.toml";
const VARIABLE: &str = "GATEWAY_CONFIG";

/// The source of the settings.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file named on the command line.
    pub named: Option<PathBuf>,
}

impl Source {
    /// The settings file: from the command line, from the environment, or the default if it exists.
    pub fn file(&self) -> Option<PathBuf> {
        let from_variable =
            || std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let default = || {
            let default = Path::new(DEFAULT_FILE);
            // Only a file that certainly does not exist is skipped: an unreadable one must be reported.
            (!matches!(default.try_exists(), Ok(false))).then(|| default.to_owned())
        };
        self.named.clone().or_else(from_variable).or_else(default)
    }

    /// Reads the file; without one, returns the built-in settings.
    pub fn load(&self) -> (Option<PathBuf>, Settings, Vec<Problem>) {
        match self.file() {
            Some(file) => {
                let (settings, problems) = load(&file);
                (Some(file), settings, problems)
            }
            None => (None, built_in(), Vec::new()),
        }
    }
}
