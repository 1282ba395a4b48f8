//! The sections of `xtask/image.toml` and the meaning of each key.

use std::collections::BTreeMap;

use super::build::BuildSettings;
use super::buildx::Buildx;
use super::commands::WorkspaceCommand;
use super::container::{Container, check_absolute};
use super::environments::{Entries, Environment, check_all};
use super::publish::{Flavor, rules};
use super::reader::{FromToml, Mistake, Strings, Table, Value, wrong};
use super::scan::Scan;
use super::size::Bytes;
use crate::tags::{Latest, Rule};
use oci_image::platform::Platform;
use oci_registry::Reference;

/// The settings of `xtask/image.toml`.
#[derive(Debug)]
pub struct Settings {
    /// The cargo package whose binary goes into the image.
    pub package: String,
    /// Its binary; by default the only one.
    pub binary: Option<String>,
    /// The image's name in a registry, `ghcr.io/OWNER/NAME`.
    pub repository: Option<String>,
    /// The platforms of `--platform all`.
    pub platforms: Vec<Platform>,
    /// The base image: `scratch`, a reference or the folder of an image layout.
    pub base: String,
    /// The settings of the container.
    pub container: Container,
    /// Labels and annotations, which override the derived ones.
    pub labels: BTreeMap<String, String>,
    /// Files that go into the image beside the binary.
    pub files: Vec<ExtraFile>,
    /// The limits for size and build time.
    pub budgets: Budgets,
    /// The cargo build: features, profile, C code.
    pub build: BuildSettings,
    /// The settings of docker buildx.
    pub buildx: Buildx,
    /// The settings of scans.
    pub scan: Scan,
    /// The Sigstore that signs and verifies; the public one where unset.
    pub sign: Sign,
    /// The rules for tags; by default those of docker/metadata-action.
    pub tags: Vec<Rule>,
    /// Whether the tag `latest` is added.
    pub latest: Latest,
    /// Prefix and suffix of `latest`.
    pub around_latest: (String, String),
    /// Prefix of the version in git's tags: `app-` of `app-v1.2.3`.
    pub tag_prefix: String,
    /// The environments.
    pub environments: Vec<Environment>,
    /// Programs of the workspace that are commands of `cargo xtask`.
    pub commands: Vec<WorkspaceCommand>,
}

/// Which Sigstore keyless signatures are of. Paths are relative to the workspace's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sign {
    /// The trusted root: the certificates and keys that a signature is verified with.
    pub trusted_root: Option<String>,
    /// The signing config: the services that a signature is made with.
    pub signing_config: Option<String>,
}

/// A file or folder of the workspace that goes into the image.
#[derive(Debug)]
pub struct ExtraFile {
    /// Its path below the workspace's root.
    pub source: String,
    /// Its absolute path in the image.
    pub target: String,
    /// The permission bits of files; by default 0755 if the source is executable, else 0644.
    pub mode: Option<Mode>,
}

/// Permission bits, written in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u32::from_str_radix(text, 8) {
            Ok(mode) if octal => Ok(Self(mode)),
            _ => Err(format!("mode '{text}' is not three or four octal digits")),
        }
    }
}

/// The limits for an image. A larger image is exit code 3, after the report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budgets {
    /// Compressed size of a platform: layers and configuration.
    pub compressed: Option<Bytes>,
    /// Wall-clock seconds until a platform's binary is built.
    pub seconds: Option<u64>,
    /// Whether a slower build is a warning or a failure.
    pub slow: Slow,
}

/// The effect of a build over its time budget. Unlike the size, the time also depends on the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Slow {
    /// A warning.
    #[default]
    Warn,
    /// Exit code 3.
    Fail,
}

impl std::str::FromStr for Slow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "warn" => Ok(Self::Warn),
            "fail" => Ok(Self::Fail),
            _ => Err(format!("'{text}' is neither warn nor fail")),
        }
    }
}

impl FromToml for Settings {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut table = Table::new(value)?;
        let flavor = table.optional::<Flavor>("flavor").unwrap_or_default();
        let package = table.required("package");
        let platforms = table.not_empty("platforms").unwrap_or_else(|| Platform::ALL.to_vec());
        let repository = repository(&mut table);
        let entries = table.optional::<Entries>("environments").unwrap_or_default();
        let (environments, errors) = check_all(entries, repository.as_deref());
        table.errors.extend(errors);
        let tags = rules(&mut table, repository.as_deref(), &environments, &flavor);
        let settings = Self {
            package: package.unwrap_or_default(),
            binary: table.optional("binary"),
            repository,
            platforms: Platform::ALL.into_iter().filter(|platform| platforms.contains(platform)).collect(),
            base: table.optional("base").unwrap_or_else(|| "scratch".to_owned()),
            container: table.optional("container").unwrap_or_default(),
            labels: table.optional::<Strings>("labels").unwrap_or_default().0,
            files: table.optional("files").unwrap_or_default(),
            budgets: table.optional("budgets").unwrap_or_default(),
            build: table.optional("build").unwrap_or_default(),
            buildx: table.optional("buildx").unwrap_or_default(),
            scan: table.optional("scan").unwrap_or_default(),
            sign: table.optional("sign").unwrap_or_default(),
            tags,
            latest: table.optional("latest").or(flavor.latest).unwrap_or_default(),
            around_latest: flavor.around_latest(),
            tag_prefix: table.optional("tag-prefix").unwrap_or_default(),
            environments,
            commands: table.optional("commands").unwrap_or_default(),
        };
        table.finish()?;
        Ok(settings)
    }
}

/// The image's name: a repository without a tag, converted to lower case.
pub(super) fn repository(table: &mut Table<'_>) -> Option<String> {
    let mut name = table.optional_at::<String>("repository")?;
    name.value.make_ascii_lowercase();
    match name.value.parse::<Reference>() {
        Ok(reference) if reference.tag().is_none() && reference.digest().is_none() => {}
        Ok(_) => table.errors.push(wrong(name.at, "repository is a name without tag or digest")),
        Err(fault) => table.errors.push(wrong(name.at, fault.to_string())),
    }
    Some(name.value)
}

impl FromToml for ExtraFile {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut table = Table::new(value)?;
        let source = table.required("source");
        let target = table.required_at::<String>("target");
        let target = target.and_then(|target| check_absolute(&mut table, target.at, target.value));
        let file = Self {
            source: source.unwrap_or_default(),
            target: target.unwrap_or_default(),
            mode: table.parsed("mode"),
        };
        table.finish()?;
        Ok(file)
    }
}

impl FromToml for Sign {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut table = Table::new(value)?;
        let sign = Self {
            trusted_root: table.optional("trusted-root"),
            signing_config: table.optional("signing-config"),
        };
        table.finish()?;
        Ok(sign)
    }
}

impl FromToml for Budgets {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut table = Table::new(value)?;
        let budgets = Self {
            compressed: table.parsed("compressed"),
            seconds: table.optional("seconds"),
            slow: table.parsed("slow").unwrap_or_default(),
        };
        table.finish()?;
        Ok(budgets)
    }
}
