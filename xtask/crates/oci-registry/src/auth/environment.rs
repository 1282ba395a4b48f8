//! The environment variables that decide where credentials come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The environment variables that decide, as they were when it was made.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<&'static str, String>);

const VARIABLES: [&str; 11] = [
    "GHCR_TOKEN",
    "GITHUB_TOKEN",
    "GITHUB_ACTOR",
    "GITHUB_ACTIONS",
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "HOME",
    "USERPROFILE",
    "PATH",
];

impl Environment {
    /// This process's own.
    pub fn of_process() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// One that `get` answers for.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        Self(VARIABLES.into_iter().filter_map(|name| Some((name, get(name)?))).collect())
    }

    /// The value, unless it is unset or empty.
    pub(in super::super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether this is a job of GitHub Actions.
    pub(in super::super) fn in_actions(&self) -> bool {
        self.get("GITHUB_ACTIONS") == Some("true")
    }

    fn home(&self) -> Option<&Path> {
        self.get("HOME").or_else(|| self.get("USERPROFILE")).map(Path::new)
    }

    pub(super) fn docker_file(&self) -> Option<PathBuf> {
        match self.get("DOCKER_CONFIG") {
            Some(folder) => Some(Path::new(folder).join("config.json")),
            None => Some(self.home()?.join(".docker").join("config.json")),
        }
    }

    pub(super) fn podman_files(&self) -> Vec<PathBuf> {
        let in_folder = |folder: &Path| folder.join("containers").join("auth.json");
        let runtime = self.get("XDG_RUNTIME_DIR").map(|folder| in_folder(Path::new(folder)));
        let config = match self.get("XDG_CONFIG_HOME") {
            Some(folder) => Some(in_folder(Path::new(folder))),
            None => self.home().map(|home| in_folder(&home.join(".config"))),
        };
        runtime.into_iter().chain(config).collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
