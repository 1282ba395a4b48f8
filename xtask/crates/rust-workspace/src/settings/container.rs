//! `[container]`.

use std::collections::BTreeMap;

use super::reader::{FromToml, Mistake, Strings, Table, Value, wrong};

/// The settings of the container (image-spec config.md, `config`).
#[derive(Debug)]
pub struct Container {
    /// The binary's path in the image; by default `/usr/bin/NAME`.
    pub path: Option<String>,
    /// User and group; by default `65532:65532`, which is no user of common base images.
    pub user: String,
    /// The program and its fixed arguments; by default the binary.
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments, which `docker run` can replace.
    pub cmd: Vec<String>,
    /// Ports, `8080/tcp`.
    pub expose: Vec<Port>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The working folder; by default that of the base image, or `/`.
    pub workdir: Option<String>,
    /// The health check, which Docker runs and Kubernetes ignores.
    pub healthcheck: Option<Healthcheck>,
    /// The signal that stops the container; by default that of the base image, or SIGTERM.
    pub stop_signal: Option<StopSignal>,
    /// Folders whose content outlives the container.
    pub volumes: Vec<String>,
    /// Whether the image gets the certificate authorities that Mozilla trusts.
    pub ca_certificates: bool,
    /// Whether the image gets the time zone database.
    pub time_zones: bool,
    /// Whether the image gets the folder `/tmp`, which every user may write.
    pub tmp: bool,
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
            stop_signal: None,
            volumes: Vec::new(),
            ca_certificates: false,
            time_zones: false,
            tmp: false,
        }
    }
}

/// Docker's health check; times in seconds.
#[derive(Debug, Clone)]
pub struct Healthcheck {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Seconds between two checks.
    pub interval: u64,
    /// Seconds until a check fails.
    pub timeout: u64,
    /// Consecutive failures until the container is unhealthy.
    pub retries: u64,
}

/// A port with its protocol, as in `ExposedPorts`.
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

/// The name or number of a signal, as in `StopSignal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopSignal(pub String);

impl std::str::FromStr for StopSignal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "+-".contains(c))
        };
        let number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
        if number || text.strip_prefix("SIG").is_some_and(is_name) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("'{text}' is no signal: write its name, such as SIGTERM, or its number"))
    }
}

impl FromToml for Container {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut table = Table::new(value)?;
        let container = Self {
            path: absolute(&mut table, "path"),
            user: user(&mut table).unwrap_or_else(|| Self::default().user),
            entrypoint: table.not_empty("entrypoint"),
            cmd: table.optional("cmd").unwrap_or_default(),
            expose: table.parsed_list("expose").unwrap_or_default(),
            env: environment(&mut table),
            workdir: absolute(&mut table, "workdir"),
            healthcheck: table.optional("healthcheck"),
            stop_signal: table.parsed("stop-signal"),
            volumes: volumes(&mut table),
            ca_certificates: table.optional("ca-certificates").unwrap_or_default(),
            time_zones: table.optional("time-zones").unwrap_or_default(),
            tmp: table.optional("tmp").unwrap_or_default(),
        };
        table.finish()?;
        Ok(container)
    }
}

fn user(table: &mut Table<'_>) -> Option<String> {
    let user = table.optional_at::<String>("user")?;
    let name =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if user.value.splitn(2, ':').all(name) {
        return Some(user.value);
    }
    let what = format!("user '{}' is not 'user[:group]' in letters, digits, '_', '-' and '.'", user.value);
    table.errors.push(wrong(user.at, what));
    None
}

fn absolute(table: &mut Table<'_>, name: &'static str) -> Option<String> {
    let path = table.optional_at::<String>(name)?;
    check_absolute(table, path.at, path.value)
}

fn volumes(table: &mut Table<'_>) -> Vec<String> {
    let Some(paths) = table.optional_at::<Vec<String>>("volumes") else { return Vec::new() };
    paths.value.into_iter().filter_map(|path| check_absolute(table, paths.at, path)).collect()
}

pub(super) fn check_absolute(table: &mut Table<'_>, span: usize, path: String) -> Option<String> {
    let dots = path.split('/').any(|part| part == "." || part == "..");
    if path.starts_with('/') && !dots && !path.contains('\0') {
        return Some(path);
    }
    table.errors.push(wrong(span, format!("path '{path}' must be absolute, without '.' or '..'")));
    None
}

/// A number of seconds or attempts within its range.
fn number(table: &mut Table<'_>, name: &'static str, default: u64) -> u64 {
    let Some(value) = table.optional_at::<u64>(name) else { return default };
    if !(1..=86_400).contains(&value.value) {
        table.errors.push(wrong(value.at, format!("{name} must be from 1 to 86400, not {}", value.value)));
    }
    value.value
}

/// Environment variables with valid names.
fn environment(table: &mut Table<'_>) -> BTreeMap<String, String> {
    let env = table.optional_at::<Strings>("env");
    let Some(env) = env else { return BTreeMap::new() };
    for name in env.value.0.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
        table.errors.push(wrong(env.at, format!("'{name}' is not a name of an environment variable")));
    }
    env.value.0
}

impl FromToml for Healthcheck {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let at = value.span().start;
        let mut table = Table::new(value)?;
        let healthcheck = Self {
            command: table.not_empty("command").unwrap_or_default(),
            interval: number(&mut table, "interval", 10),
            timeout: number(&mut table, "timeout", 3),
            retries: number(&mut table, "retries", 3),
        };
        if healthcheck.command.is_empty() && table.errors.is_empty() {
            table.errors.push(wrong(at, "the key 'command' is missing"));
        }
        table.finish()?;
        Ok(healthcheck)
    }
}
