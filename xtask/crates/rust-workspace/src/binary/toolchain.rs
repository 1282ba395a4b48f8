//! The installed Rust toolchain.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use cli_support::process::{Cmd, find};

/// The toolchain and its targets.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// rustc's version, `1.95.0`.
    pub version: String,
    /// The commit of rustc, which is in the standard library's paths.
    pub commit: String,
    /// The host's target triple.
    pub host: String,
    /// Its folder.
    pub sysroot: PathBuf,
    /// The installed targets.
    pub installed: BTreeSet<String>,
    /// Its name in rustup, if rustup manages it.
    pub rustup: Option<String>,
}

/// The rustc that cargo runs.
fn rustc() -> Cmd {
    let beside = || beside_cargo().map(|(rustc, _)| rustc.into_os_string());
    let program = env::var_os("RUSTC").or_else(beside).unwrap_or_else(|| OsString::from("rustc"));
    Cmd::new(program).shown_as("rustc")
}

/// rustc and its sysroot, if the cargo that started us is in a toolchain's folder. This skips rustup's proxy, which is
/// slower and gives the same.
fn beside_cargo() -> Option<(PathBuf, PathBuf)> {
    let set = |name| env::var_os(name).is_some();
    if set("RUSTC") || set("RUSTC_WRAPPER") || set("CARGO_BUILD_RUSTC") {
        return None;
    }
    let cargo = PathBuf::from(env::var_os("CARGO")?);
    let rustc = cargo.with_file_name(format!("rustc{}", env::consts::EXE_SUFFIX));
    let sysroot = cargo.parent()?.parent()?.to_owned();
    (rustc.is_file() && sysroot.join("lib/rustlib").is_dir()).then_some((rustc, sysroot))
}

impl Toolchain {
    /// Reads it from rustc and from the sysroot.
    pub fn read() -> Result<Self> {
        let rustc = rustc();
        let verbose = rustc.clone().arg("-vV").read().context("ask rustc for its version")?;
        let field = |name: &str| {
            verbose.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
        };
        let sysroot = match beside_cargo() {
            Some((_, sysroot)) => sysroot,
            None => rustc.args(["--print", "sysroot"]).read().context("ask rustc for its folder")?.into(),
        };
        let targets = sysroot.join("lib").join("rustlib");
        let mut installed = BTreeSet::new();
        for entry in targets.read_dir().with_context(|| targets.display().to_string())? {
            let entry = entry?;
            if entry.path().join("lib").is_dir() {
                installed.insert(entry.file_name().to_string_lossy().into_owned());
            }
        }
        let rustup = sysroot
            .parent()
            .filter(|parent| parent.ends_with("toolchains") && find("rustup").is_some())
            .and(sysroot.file_name())
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            version: field("release:"),
            commit: field("commit-hash:"),
            host: field("host:"),
            sysroot,
            installed,
            rustup,
        })
    }

    /// Whether a target is installed.
    pub fn has(&self, triple: &str) -> bool {
        self.installed.contains(triple)
    }

    /// The command to add a target, if rustup manages this toolchain.
    pub fn add_target(&self, triple: &str) -> Option<Cmd> {
        let toolchain = self.rustup.as_ref()?;
        Some(Cmd::new("rustup").args(["target", "add", "--toolchain", toolchain, triple]))
    }
}
