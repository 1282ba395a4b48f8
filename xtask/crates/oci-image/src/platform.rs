//! The supported platforms, by their names in the image-spec and in Rust.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use cli_support::error::Fault;

/// An operating system and architecture (image-spec config.md, `os` and `architecture`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// `linux/amd64`
    LinuxAmd64,
    /// `linux/arm64`
    LinuxArm64,
}

impl Platform {
    /// All platforms, in the order of an index.
    pub const ALL: [Self; 2] = [Self::LinuxAmd64, Self::LinuxArm64];

    /// The platform of containers on this machine: Linux with this machine's architecture, also on macOS and Windows, where
    /// containers run in a Linux virtual machine.
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::LinuxAmd64),
            "aarch64" => Some(Self::LinuxArm64),
            _ => None,
        }
    }

    /// `os` of the image-spec.
    pub fn os(self) -> &'static str {
        match self {
            Self::LinuxAmd64 | Self::LinuxArm64 => "linux",
        }
    }

    /// `architecture` of the image-spec: a GOARCH.
    pub fn arch(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "amd64",
            Self::LinuxArm64 => "arm64",
        }
    }

    /// The musl target: static binaries that link without a C compiler.
    pub fn musl_target(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64-unknown-linux-musl",
            Self::LinuxArm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// The glibc target of this platform.
    pub fn gnu_target(self) -> &'static str {
        match self {
            Self::LinuxAmd64 => "x86_64-unknown-linux-gnu",
            Self::LinuxArm64 => "aarch64-unknown-linux-gnu",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::LinuxAmd64 => "linux/amd64",
            Self::LinuxArm64 => "linux/arm64",
        })
    }
}

impl FromStr for Platform {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "linux/amd64" => Ok(Self::LinuxAmd64),
            // Registries and BuildKit write the only variant of arm64 both ways.
            "linux/arm64" | "linux/arm64/v8" => Ok(Self::LinuxArm64),
            _ => Err(Fault::usage(format!(
                "unknown platform '{text}': linux/amd64 and linux/arm64 can be built"
            ))),
        }
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The value of `--platform`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlatformChoice {
    /// The platforms of the settings.
    All,
    /// This machine's own.
    Host,
    /// These.
    List(Vec<Platform>),
}

impl PlatformChoice {
    /// The chosen platforms without duplicates, in the order of an index.
    pub fn resolve(&self, configured: &[Platform]) -> Result<Vec<Platform>, Fault> {
        let chosen = match self {
            Self::All => configured.to_vec(),
            Self::List(list) => list.clone(),
            Self::Host => vec![Platform::host().ok_or_else(|| {
                Fault::usage(format!(
                    "no image can be built for this machine's architecture, {}",
                    std::env::consts::ARCH
                ))
                .hint("name one: --platform linux/amd64")
            })?],
        };
        Ok(Platform::ALL.into_iter().filter(|platform| chosen.contains(platform)).collect())
    }
}

impl FromStr for PlatformChoice {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "all" => Ok(Self::All),
            "host" => Ok(Self::Host),
            list => list.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self::List),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices() {
        use Platform::{LinuxAmd64, LinuxArm64};
        let both = &Platform::ALL[..];
        for (text, configured, expected) in [
            ("all", both, both),
            ("all", &[LinuxArm64], &[LinuxArm64]),
            ("linux/arm64,linux/amd64,linux/arm64", both, both),
            ("linux/arm64/v8", both, &[LinuxArm64]),
            ("linux/arm64", &[LinuxAmd64], &[LinuxArm64]),
        ] {
            assert_eq!(
                text.parse::<PlatformChoice>().unwrap().resolve(configured).unwrap(),
                expected,
                "{text}"
            );
        }
        for bad in ["", "linux", "linux/riscv64", "all,host", "linux/amd64,"] {
            assert!(bad.parse::<PlatformChoice>().is_err(), "{bad}");
        }
    }
}
