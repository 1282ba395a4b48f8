//! The cargo call that builds all targets reproducibly.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Package, Target, Toolchain};
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
    /// Package and binary.
    pub package: String,
    /// The binary target's name.
    pub binary: String,
    /// The commit's time, for build scripts that embed one (reproducible-builds.org, SOURCE_DATE_EPOCH).
    pub epoch: u64,
}

impl Build {
    /// The build of a package's binary at a commit.
    pub fn of(package: &Package, source: &GitSource) -> Self {
        Self {
            root: package.root.clone(),
            target_dir: package.target_dir.clone(),
            package: package.name.clone(),
            binary: package.binary.clone(),
            epoch: source.time,
        }
    }

    /// The command for these targets.
    pub fn command(&self, targets: &[Target], toolchain: &Toolchain) -> Cmd {
        let mut cmd = cargo()
            .args(["build", "--release", "--locked", "--package", &self.package, "--bin", &self.binary])
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
        cmd.env("CARGO_BUILD_BUILD_DIR", self.target_dir.as_os_str())
    }

    /// The flags, which remap the paths of this machine.
    fn rustflags(&self, targets: &[Target], toolchain: &Toolchain) -> Vec<String> {
        let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
        let std = toolchain.sysroot.join("lib/rustlib/src/rust");
        // The last match counts, so folders that can be inside the workspace come last.
        let mut flags = vec![
            remap(&self.root, "/src"),
            remap(&self.target_dir, "/target"),
            remap(&cargo_home(&self.root), "/cargo"),
            remap(&std, &format!("/rustc/{}", toolchain.commit)),
        ];
        flags.extend(cfg_flags(targets.iter().map(|target| target.triple)).map(str::to_owned));
        flags
    }

    /// The path of cargo's binary of a target.
    pub fn output(&self, target: &Target) -> PathBuf {
        self.target_dir.join(target.triple).join("release").join(&self.binary)
    }

    /// The path of the binary with its list of crates. Not cargo's own file: cargo expects that unchanged, and it can have a
    /// second link.
    pub fn finished(&self, target: &Target) -> PathBuf {
        self.target_dir.join("xtask").join("bin").join(target.triple).join(&self.binary)
    }
}

/// The flags for rustc that decide conditions in manifests, equal for the build and the list of crates.
pub(super) fn cfg_flags<'a>(triples: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    triples.into_iter().any(|triple| triple.ends_with("-gnu")).then_some("-Ctarget-feature=+crt-static")
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
            package: "p".to_owned(),
            binary: "b".to_owned(),
            epoch: 7,
        };
        let line = build.command(&targets, &toolchain).to_string();
        for part in [
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
