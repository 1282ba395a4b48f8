//! Passes the registry's credentials to a child process.

use std::fs::{self, DirBuilder, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use cli_support::process::{Cmd, Need};
use cli_support::temporary::Temporary;
use cli_support::time::now;
use oci_registry::auth::{CredentialSource, FoundCredential, HELPER};

/// The prefix of the folders below.
const PREFIX: &str = "credentials-";

/// Passes the registry's credentials to a child that reads Docker's configuration: through a credential helper that is
/// this program, so that no token is in a file or an argument. Dropping it removes its folder; the next one removes
/// those of killed runs.
#[derive(Debug)]
pub struct Access {
    found: FoundCredential,
    lent: Option<Lent>,
}

#[derive(Debug)]
struct Lent {
    folder: Temporary,
    /// Locked while the folder is in use.
    _lock: File,
}

impl Access {
    /// Access to `registry` with the credential that was found for it, with a new folder in `parent`. A child that
    /// finds the credential itself needs no folder.
    pub fn new(parent: &Path, registry: &str, found: FoundCredential) -> Result<Self> {
        let lent = if found.is_ours() { Some(Lent::new(parent, registry)?) } else { None };
        Ok(Self { found, lent })
    }

    /// The command with access to the credential.
    pub fn lend(&self, cmd: Cmd) -> Cmd {
        let Some(lent) = &self.lent else {
            // The child asks the helper, and the helper may ask the environment.
            let by_helper = matches!(self.found.source, CredentialSource::Helper { .. });
            return if by_helper { cmd.needs(Need::Registry) } else { cmd };
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            std::iter::once(lent.folder.path().to_owned()).chain(std::env::split_paths(&path)),
        );
        let cmd = cmd.env("DOCKER_CONFIG", lent.folder.path());
        let cmd = cmd.env("PATH", path.unwrap_or_default());
        self.found.lend(cmd)
    }
}

impl Lent {
    fn new(parent: &Path, registry: &str) -> Result<Self> {
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        // No other process removes a folder before its lock is taken.
        let path = parent.join(".credentials.lock");
        let making = File::create(&path).with_context(|| path.display().to_string())?;
        making.lock().with_context(|| path.display().to_string())?;
        remove_unused(parent);
        let folder = private(unused(parent, PREFIX))?;
        let at = || folder.path().display().to_string();
        let lock = File::create(folder.path().join("lock")).with_context(at)?;
        lock.lock().with_context(at)?;
        fill(folder.path(), registry).with_context(at)?;
        Ok(Self { folder, _lock: lock })
    }
}

/// Writes the helper and the configuration that names it.
fn fill(folder: &Path, registry: &str) -> Result<()> {
    let program = folder.join(format!("docker-credential-{HELPER}{}", std::env::consts::EXE_SUFFIX));
    let own = std::env::current_exe().context("this program's own path")?;
    if fs::hard_link(&own, &program).is_err() {
        fs::copy(&own, &program).with_context(|| program.display().to_string())?;
    }
    let config = serde_json::json!({ "credHelpers": { registry: HELPER } });
    Ok(fs::write(folder.join("config.json"), config.to_string())?)
}

/// A new temporary folder that only its owner can read.
pub fn private_folder() -> Result<Temporary> {
    private(unused(&std::env::temp_dir(), "xtask-"))
}

fn private(folder: PathBuf) -> Result<Temporary> {
    #[allow(unused_mut, reason = "only Unix has modes")]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).with_context(|| folder.display().to_string())?;
    Ok(Temporary::new(folder))
}

/// An unused name. If it is taken meanwhile, creating the folder fails.
fn unused(parent: &Path, prefix: &str) -> PathBuf {
    let name = |number: u32| parent.join(format!("{prefix}{}-{}-{number}", std::process::id(), now()));
    (0..u32::MAX).map(name).find(|folder| !folder.exists()).unwrap_or_else(|| name(u32::MAX))
}

/// Removes the folders of processes that have ended.
fn remove_unused(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let is_used = File::open(entry.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_err());
        if !is_used {
            // A folder of another user cannot be removed.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_registry::Secret;
    use oci_registry::auth::Credential;

    fn found(source: CredentialSource) -> FoundCredential {
        let credential = Credential::Basic { user: "u".into(), secret: Secret::new("hunter2-token") };
        FoundCredential { credential: Some(credential), source }
    }

    fn folders(parent: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect()
    }

    #[test]
    fn a_folder_lasts_as_long_as_its_owner_and_dead_ones_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join("credentials-1-1-0");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("lock"), "").unwrap();
        let other = parent.path().join("image");
        fs::create_dir(&other).unwrap();
        let first = Access::new(parent.path(), "ghcr.io", found(CredentialSource::Given)).unwrap();
        let second = Access::new(parent.path(), "ghcr.io", found(CredentialSource::Given)).unwrap();
        assert!(!dead.exists() && other.exists());
        assert_eq!(folders(parent.path()).len(), 3);
        for folder in folders(parent.path()).iter().filter(|folder| **folder != other) {
            #[cfg(unix)]
            assert_eq!(std::os::unix::fs::MetadataExt::mode(&folder.metadata().unwrap()) & 0o777, 0o700);
            let config = fs::read_to_string(folder.join("config.json")).unwrap();
            assert_eq!(config, r#"{"credHelpers":{"ghcr.io":"xtask-lent"}}"#);
        }
        drop(first);
        assert_eq!(folders(parent.path()).len(), 2);
        drop(second);
        assert_eq!(folders(parent.path()), [other]);
    }

    #[test]
    fn access_adds_nothing_to_credentials_that_a_child_finds_itself() {
        let parent = tempfile::tempdir().unwrap();
        let access = Access::new(parent.path(), "ghcr.io", found(CredentialSource::Nowhere)).unwrap();
        let cmd = Cmd::new("cosign");
        assert_eq!(access.lend(cmd.clone()), cmd);
        let helper =
            CredentialSource::Helper { program: "docker-credential-x".into(), path: "config.json".into() };
        let access = Access::new(parent.path(), "ghcr.io", found(helper)).unwrap();
        assert_eq!(access.lend(cmd.clone()), cmd.needs(Need::Registry));
        assert_eq!(folders(parent.path()), Vec::<PathBuf>::new());
    }
}
