//! The sections of `xtask/image.toml` and the meaning of each key.

use std::collections::BTreeMap;

use toml_span::de_helpers::TableHelper;
use toml_span::value::Value;
use toml_span::{DeserError, Deserialize, Span};

use super::NETWORKS;
use super::environments::{Entries, Environment, together};
use super::publish::rules;
use super::reader::{Strings, parsed, parsed_list, wrong};
use super::scan::Scan;
use super::size::Bytes;
use crate::platform::Platform;
use crate::registry::Reference;
use crate::tags::{Latest, Rule};

/// Everything that `xtask/image.toml` says.
#[derive(Debug)]
pub struct Settings {
    /// The cargo package whose binary goes into the image.
    pub package: String,
    /// Its binary target; the package's only one where unset.
    pub binary: Option<String>,
    /// The image's name in a registry, `ghcr.io/OWNER/NAME`.
    pub repository: Option<String>,
    /// The platforms that `--platform all` means.
    pub platforms: Vec<Platform>,
    /// What the image stands on: `scratch`, a registry reference or a layout's folder.
    pub base: String,
    /// How the container runs.
    pub container: Container,
    /// Labels and annotations beside the ones that are derived; these win.
    pub labels: BTreeMap<String, String>,
    /// Files that go into the image beside the binary.
    pub files: Vec<ExtraFile>,
    /// What the image may cost.
    pub budgets: Budgets,
    /// How Docker buildx is driven.
    pub buildx: Buildx,
    /// What a scan insists on.
    pub scan: Scan,
    /// Rules for the tags that an image is published under; none means docker/metadata-action's own.
    pub tags: Vec<Rule>,
    /// Whether there is a tag `latest` beside them.
    pub latest: Latest,
    /// Where versions run.
    pub environments: Vec<Environment>,
}

/// How the container runs (image-spec config.md, `config`).
#[derive(Debug)]
pub struct Container {
    /// The binary's path in the image; `/usr/bin/NAME` where unset.
    pub path: Option<String>,
    /// User and group, `65532:65532` (nobody's on every common base) where unset.
    pub user: String,
    /// The command; the binary's path where unset.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments that a user may replace.
    pub cmd: Vec<String>,
    /// Ports, `8080/tcp`.
    pub expose: Vec<Port>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The working folder; the base's, or `/`, where unset.
    pub workdir: Option<String>,
    /// The health check, which Docker runs and Kubernetes ignores.
    pub healthcheck: Option<Healthcheck>,
}

impl Default for Container {
    fn default() -> Self {
        Self {
            path: None,
            user: "65532:65532".to_owned(),
            entrypoint: None,
            cmd: Vec::new(),
            expose: Vec::new(),
            env: BTreeMap::new(),
            workdir: None,
            healthcheck: None,
        }
    }
}

/// Docker's health check, times in seconds.
#[derive(Debug, Clone)]
pub struct Healthcheck {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Seconds between two checks.
    pub interval: u64,
    /// Seconds that one may take.
    pub timeout: u64,
    /// Failures in a row that make the container unhealthy.
    pub retries: u64,
}

/// A port with its protocol, as `ExposedPorts` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port(pub String);

impl std::str::FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        match number.parse::<u16>() {
            Ok(number) if number > 0 && ["tcp", "udp"].contains(&protocol) => {
                Ok(Self(format!("{number}/{protocol}")))
            }
            _ => Err(format!("port '{text}' is not NUMBER, NUMBER/tcp or NUMBER/udp")),
        }
    }
}

/// A file or folder of the workspace that goes into the image.
#[derive(Debug)]
pub struct ExtraFile {
    /// Its path below the workspace's root.
    pub source: String,
    /// Its absolute path in the image.
    pub target: String,
    /// The permission bits of files; 0644, or 0755 where the source is executable, where unset.
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

/// What an image may cost; more is exit code 3, after the whole report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budgets {
    /// Compressed bytes of a platform's layers and config.
    pub compressed: Option<Bytes>,
    /// Wall-clock seconds until a platform's binary is there.
    pub seconds: Option<u64>,
}

/// How Docker buildx is driven.
#[derive(Debug, Clone)]
pub struct Buildx {
    /// The Dockerfile, below the workspace's root.
    pub dockerfile: String,
    /// The builder (`docker buildx ls`); the current one where unset.
    pub builder: Option<String>,
    /// The network of the build's RUN steps: `default`, `none` or `host`.
    pub network: Option<String>,
    /// Named contexts that stand in for images or folders of the Dockerfile.
    pub contexts: BTreeMap<String, String>,
    /// Secrets that RUN steps can mount.
    pub secrets: Vec<Secret>,
    /// `--cache-from`, `type=gha` for one.
    pub cache_from: Vec<String>,
    /// `--cache-to`.
    pub cache_to: Vec<String>,
}

impl Default for Buildx {
    fn default() -> Self {
        Self {
            dockerfile: "Dockerfile".to_owned(),
            builder: None,
            network: None,
            contexts: BTreeMap::new(),
            secrets: Vec::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
        }
    }
}

/// A secret by its source, never by its value, as `--secret` takes it: `id=ca,src=FILE` or `id=x,env=NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl Secret {
    /// The environment variable that holds it, where one does.
    pub fn variable(&self) -> Option<&str> {
        self.0.split(',').find_map(|pair| pair.strip_prefix("env="))
    }
}

impl std::str::FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys: Vec<_> =
            text.split(',').filter_map(|pair| pair.split_once('=')).map(|(key, _)| key).collect();
        let source = |key: &&str| ["src", "source", "env"].contains(key);
        if keys.contains(&"id") && keys.iter().any(source) && keys.len() == text.split(',').count() {
            Ok(Self(text.to_owned()))
        } else {
            Err("a secret is id=NAME,src=FILE or id=NAME,env=VARIABLE".to_owned())
        }
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        if let Some((flavor, _)) = table.take("flavor") {
            let what = "flavor is not read: latest = \"auto\" stands alone, and each of [[tags]] has its own prefix and suffix";
            table.errors.push(wrong(flavor.span, what));
        }
        let package = table.required("package");
        let platforms = not_empty(&mut table, "platforms").unwrap_or_else(|| Platform::ALL.to_vec());
        let repository = repository(&mut table);
        let entries = table.optional::<Entries>("environments").unwrap_or_default();
        let (environments, errors) = together(entries, repository.as_deref());
        table.errors.extend(errors);
        let tags = rules(&mut table, repository.as_deref(), &environments);
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
            buildx: table.optional("buildx").unwrap_or_default(),
            scan: table.optional("scan").unwrap_or_default(),
            tags,
            latest: parsed(&mut table, "latest").unwrap_or_default(),
            environments,
        };
        table.finalize(None)?;
        Ok(settings)
    }
}

impl<'de> Deserialize<'de> for Container {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let container = Self {
            path: absolute(&mut table, "path"),
            user: user(&mut table).unwrap_or_else(|| Self::default().user),
            entrypoint: not_empty(&mut table, "entrypoint"),
            cmd: table.optional("cmd").unwrap_or_default(),
            expose: parsed_list(&mut table, "expose").unwrap_or_default(),
            env: environment(&mut table),
            workdir: absolute(&mut table, "workdir"),
            healthcheck: table.optional("healthcheck"),
        };
        table.finalize(None)?;
        Ok(container)
    }
}

fn user(table: &mut TableHelper<'_>) -> Option<String> {
    let user = table.optional_s::<String>("user")?;
    let name =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if user.value.splitn(2, ':').all(name) {
        return Some(user.value);
    }
    let what = format!("user '{}' is not 'user[:group]' in letters, digits, '_', '-' and '.'", user.value);
    table.errors.push(wrong(user.span, what));
    None
}

fn absolute(table: &mut TableHelper<'_>, name: &'static str) -> Option<String> {
    let path = table.optional_s::<String>(name)?;
    check_absolute(table, path.span, path.value)
}

fn check_absolute(table: &mut TableHelper<'_>, span: Span, path: String) -> Option<String> {
    let dots = path.split('/').any(|part| part == "." || part == "..");
    if path.starts_with('/') && !dots && !path.contains('\0') {
        return Some(path);
    }
    table.errors.push(wrong(span, format!("path '{path}' must be absolute, without '.' or '..'")));
    None
}

fn network(table: &mut TableHelper<'_>) -> Option<String> {
    let network = table.optional_s::<String>("network")?;
    if !NETWORKS.contains(&network.value.as_str()) {
        let what = format!("network '{}' is not one of {}", network.value, NETWORKS.join(", "));
        table.errors.push(wrong(network.span, what));
    }
    Some(network.value)
}

/// The image's name: a repository alone, in lower case, as registries take it and owners may not write it.
pub(super) fn repository(table: &mut TableHelper<'_>) -> Option<String> {
    let mut name = table.optional_s::<String>("repository")?;
    name.value.make_ascii_lowercase();
    match name.value.parse::<Reference>() {
        Ok(reference) if reference.tag().is_none() && reference.digest().is_none() => {}
        Ok(_) => table.errors.push(wrong(name.span, "repository is a name without tag or digest")),
        Err(fault) => table.errors.push(wrong(name.span, fault.to_string())),
    }
    Some(name.value)
}

/// A list of strings that are parsed; an empty one is a mistake.
fn not_empty<T>(table: &mut TableHelper<'_>, name: &'static str) -> Option<Vec<T>>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let span = table
        .table
        .get(name)
        .filter(|value| value.as_array().is_some_and(Vec::is_empty))
        .map(|value| value.span);
    if let Some(span) = span {
        table
            .errors
            .push(wrong(span, format!("{name} must name at least one; leave the key out for the default")));
    }
    parsed_list(table, name)
}

/// A number of seconds, or of tries, that makes sense.
fn number(table: &mut TableHelper<'_>, name: &'static str, default: u64) -> u64 {
    let Some(value) = table.optional_s::<u64>(name) else { return default };
    if !(1..=86_400).contains(&value.value) {
        table.errors.push(wrong(value.span, format!("{name} must be from 1 to 86400, not {}", value.value)));
    }
    value.value
}

/// Environment variables, by names that a container can have.
fn environment(table: &mut TableHelper<'_>) -> BTreeMap<String, String> {
    let env = table.optional_s::<Strings>("env");
    let Some(env) = env else { return BTreeMap::new() };
    for name in env.value.0.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
        table.errors.push(wrong(env.span, format!("'{name}' is no name of an environment variable")));
    }
    env.value.0
}

impl<'de> Deserialize<'de> for Healthcheck {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let healthcheck = Self {
            command: not_empty(&mut table, "command").unwrap_or_default(),
            interval: number(&mut table, "interval", 10),
            timeout: number(&mut table, "timeout", 3),
            retries: number(&mut table, "retries", 3),
        };
        if healthcheck.command.is_empty() && table.errors.is_empty() {
            table.errors.push(wrong(value.span, "the key 'command' is missing"));
        }
        table.finalize(None)?;
        Ok(healthcheck)
    }
}

impl<'de> Deserialize<'de> for ExtraFile {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let source = table.required("source");
        let target = table.required_s::<String>("target");
        let target = target.ok().and_then(|target| check_absolute(&mut table, target.span, target.value));
        let file = Self {
            source: source.unwrap_or_default(),
            target: target.unwrap_or_default(),
            mode: parsed(&mut table, "mode"),
        };
        table.finalize(None)?;
        Ok(file)
    }
}

impl<'de> Deserialize<'de> for Budgets {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let budgets =
            Self { compressed: parsed(&mut table, "compressed"), seconds: table.optional("seconds") };
        table.finalize(None)?;
        Ok(budgets)
    }
}

impl<'de> Deserialize<'de> for Buildx {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let mut table = TableHelper::new(value)?;
        let default = Self::default();
        let buildx = Self {
            dockerfile: table.optional("dockerfile").unwrap_or(default.dockerfile),
            builder: table.optional("builder"),
            network: network(&mut table),
            contexts: table.optional::<Strings>("contexts").unwrap_or_default().0,
            secrets: parsed_list(&mut table, "secrets").unwrap_or_default(),
            cache_from: table.optional("cache-from").unwrap_or_default(),
            cache_to: table.optional("cache-to").unwrap_or_default(),
        };
        table.finalize(None)?;
        Ok(buildx)
    }
}
