//! The cargo call that builds all targets reproducibly.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::rustflags::WorkspaceFlags;
use super::{Package, Selection, Target, Toolchain, Zig};
use crate::git::GitSource;
use cli_support::process::{Cmd, Need};

/// The cargo that started us, or the one on PATH.
pub fn cargo() -> Cmd {
    let program = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let cmd = Cmd::new(program).shown_as("cargo").needs(Need::Crates);
    // sccache and its like keep what they compile in a bucket, whose credentials no other build needs.
    let wrappers = ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"];
    let has_wrapper = wrappers.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    if has_wrapper { cmd.needs(Need::CompilerCache) } else { cmd }
}

/// A build.
#[derive(Debug, Clone)]
pub struct Build {
    /// The workspace's root, as cargo sees it.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target_dir: PathBuf,
    /// The top folder of git's repository, if it is above the root.
    pub repository: Option<PathBuf>,
    /// Package, binary, features and profile.
    pub selection: Selection,
    /// The flags of the workspace's configuration.
    pub flags: WorkspaceFlags,
    /// The C compiler, if C code is compiled.
    pub zig: Option<Zig>,
    /// The commit's time, for build scripts that embed one (reproducible-builds.org, SOURCE_DATE_EPOCH).
    pub epoch: u64,
}

impl Build {
    /// The build of a package's binary at a commit.
    pub fn of(package: &Package, source: &GitSource) -> Self {
        Self {
            root: package.root.clone(),
            target_dir: package.target_dir.clone(),
            repository: source.top.clone().filter(|top| *top != package.root),
            selection: package.selection.clone(),
            flags: WorkspaceFlags::read(&package.root),
            zig: None,
            epoch: source.time,
        }
    }

    /// The command for these targets.
    pub fn command(&self, targets: &[Target], toolchain: &Toolchain) -> Cmd {
        self.call("build", targets, toolchain)
    }

    /// The command that links the binary of a target again, with its symbols. Only the binary differs from that of
    /// [`Self::command`]: its dependencies are not built again. The next build puts the stripped one back.
    pub fn with_symbols(&self, target: &Target, toolchain: &Toolchain) -> Cmd {
        self.call("rustc", std::slice::from_ref(target), toolchain).args(["--", "-Cstrip=none"])
    }

    fn call(&self, verb: &str, targets: &[Target], toolchain: &Toolchain) -> Cmd {
        let mut cmd = cargo()
            .arg(verb)
            .args(self.selection.profile_arguments())
            .arg("--locked")
            .args(self.selection.package_arguments(&self.root))
            .args(["--bin", &self.selection.binary])
            .arg("--target-dir")
            .arg(&self.target_dir)
            .dir(&self.root)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rustflags(targets, toolchain).join("\u{1f}"));
        for target in targets {
            cmd = cmd.args(["--target", target.triple]);
            if target.triple.ends_with("-musl") {
                let variable =
                    format!("CARGO_TARGET_{}_LINKER", target.triple.to_uppercase().replace('-', "_"));
                cmd = cmd.env(variable, "rust-lld");
            }
        }
        cmd = cmd.env("SOURCE_DATE_EPOCH", self.epoch.to_string());
        // Both change the output; cargo does not rebuild for the second.
        cmd = cmd.env("CARGO_INCREMENTAL", "0").unset("RUSTC_BOOTSTRAP");
        // Paths of files from build scripts can be in the binary: this folder is remapped.
        cmd = cmd.env("CARGO_BUILD_BUILD_DIR", self.target_dir.as_os_str());
        let Some(zig) = &self.zig else { return cmd };
        let triples: Vec<_> = targets.iter().map(|target| target.triple).collect();
        zig.set(cmd, &triples, &self.zig_dir(), &self.folders(toolchain))
    }

    /// The folder of the links that build scripts start as compilers.
    pub fn zig_dir(&self) -> PathBuf {
        self.target_dir.join("xtask").join("zig")
    }

    /// The folders of this machine that can be in a binary, and their names there. The last match counts, so folders that can
    /// be inside another one come later.
    fn folders(&self, toolchain: &Toolchain) -> Vec<(PathBuf, String)> {
        let above = self.repository.iter().map(|top| (top.clone(), "/repository".to_owned()));
        let own = [
            (self.root.clone(), "/src".to_owned()),
            (self.target_dir.clone(), "/target".to_owned()),
            (cargo_home(&self.root), "/cargo".to_owned()),
            (toolchain.sysroot.join("lib/rustlib/src/rust"), format!("/rustc/{}", toolchain.commit)),
        ];
        above.chain(own).collect()
    }

    /// The flags, which remap the paths of this machine.
    fn rustflags(&self, targets: &[Target], toolchain: &Toolchain) -> Vec<String> {
        let folders = self.folders(toolchain);
        let remap = folders.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
        let triples: Vec<_> = targets.iter().map(|target| target.triple).collect();
        remap.chain(self.conditions(&triples)).collect()
    }

    /// The flags for rustc that decide conditions in manifests, equal for the build and the list of crates. A condition of one
    /// target is set for all targets of a call.
    pub(super) fn conditions(&self, triples: &[&str]) -> Vec<String> {
        let crt = triples.iter().any(|triple| triple.ends_with("-gnu"));
        let mut flags: Vec<_> = crt.then(|| "-Ctarget-feature=+crt-static".to_owned()).into_iter().collect();
        for triple in triples {
            for pair in self.flags.conditions(triple).chunks(2) {
                if !flags.windows(2).any(|known| known == pair) {
                    flags.extend_from_slice(pair);
                }
            }
        }
        flags
    }

    /// The path of cargo's binary of a target.
    pub fn output(&self, target: &Target) -> PathBuf {
        let folder = self.target_dir.join(target.triple).join(self.selection.profile_dir());
        folder.join(&self.selection.binary)
    }

    /// The path of the binary with its list of crates. Not cargo's own file: cargo expects that unchanged, and it can have a
    /// second link.
    pub fn finished(&self, target: &Target) -> PathBuf {
        self.target_dir.join("xtask").join("bin").join(target.triple).join(&self.selection.binary)
    }
}

/// CARGO_HOME; a relative path starts at cargo's working folder.
pub(super) fn cargo_home(root: &Path) -> PathBuf {
    let home = || env::home_dir().unwrap_or_default().join(".cargo");
    root.join(env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from))
}

/// The crate in a line of cargo's progress.
pub fn compiling(line: &str) -> Option<&str> {
    let line = line.trim_start();
    ["Compiling ", "Downloaded ", "Downloading ", "Blocking "]
        .iter()
        .any(|verb| line.starts_with(verb))
        .then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_image::platform::Platform;

    #[test]
    fn all_targets_in_one_call_and_no_path_of_this_machine() {
        let target = |platform: Platform| Target { platform, triple: platform.musl_target(), missing: None };
        let targets = Platform::ALL.map(target);
        let toolchain = Toolchain {
            version: "1.95.0".to_owned(),
            commit: "abc".to_owned(),
            host: String::new(),
            sysroot: "/rust".into(),
            installed: std::collections::BTreeSet::new(),
            rustup: None,
        };
        let build = Build {
            root: "/home/me/ws".into(),
            target_dir: "/home/me/ws/target".into(),
            repository: Some("/home/me".into()),
            selection: Selection::named("p", "b"),
            flags: WorkspaceFlags::default(),
            zig: None,
            epoch: 7,
        };
        let line = build.command(&targets, &toolchain).to_string();
        for part in [
            "--remap-path-prefix=/home/me=/repository",
            "--remap-path-prefix=/home/me/ws=/src",
            "--remap-path-prefix=/rust/lib/rustlib/src/rust=/rustc/abc",
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld",
            "SOURCE_DATE_EPOCH=7",
            "--target x86_64-unknown-linux-musl --target aarch64-unknown-linux-musl",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert_eq!(
            build.output(&targets[1]),
            Path::new("/home/me/ws/target/aarch64-unknown-linux-musl/release/b")
        );
    }
}
