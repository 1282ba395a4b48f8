//! Builds the static binary of each platform, for both image engines.

mod cargo;
mod embed_sbom;
mod graph;
mod native;
mod outside;
mod rustflags;
mod selection;
mod static_binary;
mod steps;
mod toolchain;
mod zig;

use cargo::compiling;
pub use cargo::{Build, cargo};
pub use embed_sbom::with_sbom;
pub use graph::{Package, c_crates, metadata};
use native::Suspect;
pub use selection::Selection;
use static_binary::static_binary;
pub use steps::{BinaryStep, BinaryWork, follow_cargo};
pub use toolchain::Toolchain;
pub use zig::{INSTALL as ZIG_INSTALL, TESTED as ZIG_TESTED, Zig, as_compiler};

use cli_support::error::Fault;
use cli_support::process::Cmd;
use oci_image::platform::Platform;

/// The Rust target of a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The platform.
    pub platform: Platform,
    /// The target triple.
    pub triple: &'static str,
    /// How to add the target, if it is not installed.
    pub missing: Option<MissingTarget>,
}

impl Target {
    /// The musl target of a platform, as if it were installed.
    pub fn musl(platform: Platform) -> Self {
        Self { platform, triple: platform.musl_target(), missing: None }
    }
}

/// A target that is not installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingTarget {
    /// The command to add it.
    pub add: Cmd,
    /// The installed target that replaces it if it cannot be added.
    pub instead: Option<&'static str>,
}

/// Chooses a target for each platform: musl, which links on any machine and runs without a base image. If it is neither
/// installed nor can be added, this machine's glibc target, statically linked.
pub fn choose(platforms: &[Platform], toolchain: &Toolchain) -> Result<Vec<Target>, Fault> {
    platforms
        .iter()
        .map(|&platform| {
            let musl = platform.musl_target();
            let own = platform.gnu_target();
            let own = (toolchain.host == own && toolchain.has(own)).then_some(own);
            let target = |triple, missing| Target { platform, triple, missing };
            match (toolchain.has(musl), toolchain.add_target(musl), own) {
                (true, _, _) => Ok(target(musl, None)),
                (false, Some(add), instead) => Ok(target(musl, Some(MissingTarget { add, instead }))),
                (false, None, Some(own)) => Ok(target(own, None)),
                (false, None, None) => Err(Fault::usage(format!("the Rust target {musl} is not installed"))
                    .at(toolchain.sysroot.display())
                    .hint(format!(
                        "{platform} needs it, and there is no rustup here to add it. With rustup: rustup target add {musl}"
                    ))),
            }
        })
        .collect()
}

/// The error for a target that could not be added and has no replacement.
pub fn cannot_add(target: &Target, add: &Cmd) -> Fault {
    Fault::failed(format!(
        "the Rust target {} could not be added, so {} cannot be built",
        target.triple, target.platform
    ))
    .hint(format!(
        "run this to see why: {add}\nor build only this machine's platform: cargo xtask image --platform host"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(installed: &[&str], rustup: bool) -> Toolchain {
        Toolchain {
            version: "1.95.0".to_owned(),
            commit: String::new(),
            host: "x86_64-unknown-linux-gnu".to_owned(),
            sysroot: "/rust".into(),
            installed: installed.iter().map(|&triple| triple.to_owned()).collect(),
            rustup: rustup.then(|| "1.95.0-x86_64-unknown-linux-gnu".to_owned()),
        }
    }

    #[test]
    fn the_best_target_that_can_be_had() {
        let gnu = "x86_64-unknown-linux-gnu";
        let [amd64, arm64] = Platform::ALL;
        let (musl, arm_musl) = (amd64.musl_target(), arm64.musl_target());
        let chosen = |platform, installed: &[&str], rustup| {
            choose(&[platform], &toolchain(installed, rustup))
                .map(|targets| {
                    (targets[0].triple, targets[0].missing.as_ref().map(|missing| missing.instead))
                })
                .map_err(|fault| fault.to_string())
        };
        assert_eq!(chosen(amd64, &[gnu, musl], true), Ok((musl, None)));
        assert_eq!(chosen(amd64, &[gnu], true), Ok((musl, Some(Some(gnu)))));
        assert_eq!(chosen(amd64, &[gnu], false), Ok((gnu, None)));
        assert_eq!(chosen(arm64, &[gnu], true), Ok((arm_musl, Some(None))));
        assert!(chosen(arm64, &[gnu], false).unwrap_err().contains("not installed"));
    }
}
