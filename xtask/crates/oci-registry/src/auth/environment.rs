//! The environment variables that decide where credentials come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The environment variables that decide, as they were when it was made.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<&'static str, String>,
    /// Where podman keeps its file without `XDG_RUNTIME_DIR`, as in containers.
    run_folder: Option<PathBuf>,
}

const VARIABLES: [&str; 13] = [
    "GHCR_TOKEN",
    "GITHUB_TOKEN",
    "GITHUB_ACTOR",
    "GITHUB_ACTIONS",
    "GITHUB_API_URL",
    "DOCKER_AUTH_CONFIG",
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
        let of_process = Self::from_variables(|name| std::env::var(name).ok());
        Self { run_folder: run_folder(), ..of_process }
    }

    /// One that `get` answers for.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let variables = VARIABLES.into_iter().filter_map(|name| Some((name, get(name)?))).collect();
        Self { variables, run_folder: None }
    }

    /// The value, unless it is unset or empty.
    pub(in super::super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
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
        let runtime = match self.get("XDG_RUNTIME_DIR") {
            Some(folder) => Some(in_folder(Path::new(folder))),
            None => self.run_folder.as_ref().map(|folder| folder.join("auth.json")),
        };
        let config = match self.get("XDG_CONFIG_HOME") {
            Some(folder) => Some(in_folder(Path::new(folder))),
            None => self.home().map(|home| in_folder(&home.join(".config"))),
        };
        runtime.into_iter().chain(config).collect()
    }
}

/// `/run/containers/UID` of this process's user.
fn run_folder() -> Option<PathBuf> {
    #[cfg(target_os = "linux")]
    {
        let user = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?);
        Some(Path::new("/run/containers").join(user.to_string()))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
impl Environment {
    /// The same with this folder for podman's file.
    pub(super) fn with_run_folder(self, folder: &Path) -> Self {
        Self { run_folder: Some(folder.to_owned()), ..self }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
