//! From source to one static binary a platform; both image engines get theirs here.

mod cargo;
mod elf;
mod embed_sbom;
mod graph;
mod outside;
mod steps;
mod toolchain;

use cargo::compiling;
pub use cargo::{Build, cargo};
use elf::static_binary;
pub use embed_sbom::with_bill;
pub use graph::{Package, linked, metadata};
use graph::{no_c, tree};
pub use steps::{BinaryStep, BinaryWork, follow_cargo};
pub use toolchain::Toolchain;

use cli_support::error::Fault;
use cli_support::process::Cmd;
use oci_image::platform::Platform;

/// A Rust target that stands for a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The platform of the image.
    pub platform: Platform,
    /// The Rust target's name.
    pub triple: &'static str,
    /// How the target gets there, if it is not installed yet.
    pub missing: Option<MissingTarget>,
}

impl Target {
    /// The target whose binaries run on any base, taken to be there.
    pub fn musl(platform: Platform) -> Self {
        Self { platform, triple: platform.musl_target(), missing: None }
    }
}

/// A target that is not installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingTarget {
    /// The command that adds it.
    pub add: Cmd,
    /// The installed target that serves where it cannot be added.
    pub instead: Option<&'static str>,
}

/// Chooses a target for each platform: musl, which links anywhere and runs on an empty base; where that
/// can neither be found nor added, this machine's own glibc target, linked statically.
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

/// What to say when a target could not be added and nothing stands in for it.
pub fn cannot_add(target: &Target, add: &Cmd) -> Fault {
    Fault::failed(format!("the Rust target {} could not be added, so {} cannot be built", target.triple, target.platform))
        .hint(format!("run it yourself and see why: {add}\nor build this machine's platform alone: cargo xtask image --platform host"))
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
