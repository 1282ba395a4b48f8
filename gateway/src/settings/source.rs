//! Which settings file is read.

use std::path::{Path, PathBuf};

use super::{Problem, Settings, built_in, load};

/// Read if it exists and no other file is named.
const DEFAULT_FILE: &str = "/etc/gateway/gateway.toml";
const VARIABLE: &str = "GATEWAY_CONFIG";

/// Where the settings come from.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The file named on the command line.
    pub named: Option<PathBuf>,
}

impl Source {
    /// The settings file: the one named, from the environment, or the default if it exists.
    pub fn file(&self) -> Option<PathBuf> {
        let from_variable =
            || std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let default = || {
            let default = Path::new(DEFAULT_FILE);
            // Unless it surely does not exist: one that cannot be read must not pass silently.
            (!matches!(default.try_exists(), Ok(false))).then(|| default.to_owned())
        };
        self.named.clone().or_else(from_variable).or_else(default)
    }

    /// Reads the file, or gives the built-in settings where there is none.
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
