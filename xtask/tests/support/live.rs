//! Registry programs of other projects, started for one test.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::have::have;

/// A running registry; it ends with this value.
pub(crate) struct Live {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Live {
    /// docker-registry, without TLS. None where it is not installed; the test then says that it was skipped.
    pub(crate) fn docker() -> Option<Self> {
        Self::docker_with("", true)
    }

    /// The same with further settings below `http:`; `deletes` allows deletion.
    pub(crate) fn docker_with(http: &str, deletes: bool) -> Option<Self> {
        Self::docker_at("127.0.0.1:0", http, deletes)
    }

    /// The same at this address.
    pub(crate) fn docker_at(address: &str, http: &str, deletes: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "version: 0.1\nlog: {{accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  \
             delete: {{enabled: {deletes}}}\nhttp:\n  addr: {address}\n{http}",
            folder.path().join("data").display(),
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file);
        Self::start(command, "listening on ", folder)
    }

    /// The registry in crane, which has no referrers API.
    pub(crate) fn crane() -> Option<Self> {
        let mut command = Command::new("crane");
        command.args(["registry", "serve", "--address", "127.0.0.1:0"]);
        Self::start(command, "serving on port ", tempfile::tempdir().unwrap())
    }

    /// A registry of this program, which says "serving on port N" on standard error.
    #[allow(dead_code, reason = "most tests need the others alone")]
    pub(crate) fn of_program(program: &std::path::Path) -> Option<Self> {
        Self::start(Command::new(program), "serving on port ", tempfile::tempdir().unwrap())
    }

    /// Starts a registry and waits for the log line with its address.
    fn start(mut command: Command, before_address: &str, folder: TempDir) -> Option<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let name = command.get_program().to_string_lossy().into_owned();
                let why = format!("{name}: {error}; cargo xtask engines crane docker-registry");
                let _ = have("registry", false, &why);
                return None;
            }
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map(|line| line.unwrap()).find_map(|line| {
            let (_, rest) = line.split_once(before_address)?;
            let end = rest.find(|c: char| !c.is_ascii_digit() && !".:".contains(c)).unwrap_or(rest.len());
            let text = &rest[..end];
            text.parse().or_else(|_| format!("127.0.0.1:{text}").parse()).ok()
        });
        // A full pipe would block the registry.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, address: address.expect("the registry says where it listens"), folder })
    }

    /// The digests of all manifests of a repository, with a tag or without, as Debian's docker-registry
    /// keeps them.
    #[allow(dead_code, reason = "most tests ask for what has a name")]
    pub(crate) fn revisions(&self, repository: &str) -> std::collections::BTreeSet<String> {
        let repository = format!("data/docker/registry/v2/repositories/{repository}");
        let folder = self.folder.path().join(repository).join("_manifests/revisions/sha256");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let there = entries.filter(|entry| entry.path().join("link").exists());
        there.map(|entry| format!("sha256:{}", entry.file_name().to_string_lossy())).collect()
    }

    /// Its `host:port`, as in an image name.
    pub(crate) fn registry(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
