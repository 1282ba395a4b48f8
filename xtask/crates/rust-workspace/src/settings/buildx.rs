//! `[buildx]`.

use std::collections::BTreeMap;

use super::NETWORKS;
use super::reader::{FromToml, Mistake, Strings, Table, Value, wrong};

/// The settings of docker buildx.
#[derive(Debug, Clone)]
pub struct Buildx {
    /// The Dockerfile, below the workspace's root.
    pub dockerfile: String,
    /// The builder (`docker buildx ls`); by default the current one.
    pub builder: Option<String>,
    /// The network of the build's RUN steps: `default`, `none` or `host`.
    pub network: Option<String>,
    /// Named contexts that replace images or folders of the Dockerfile.
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

/// The source of a secret, never its value, as in `--secret`: `id=ca,src=FILE` or `id=x,env=NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl Secret {
    /// The environment variable with the secret, if that is the source.
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

impl FromToml for Buildx {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut table = Table::new(value)?;
        let default = Self::default();
        let buildx = Self {
            dockerfile: table.optional("dockerfile").unwrap_or(default.dockerfile),
            builder: table.optional("builder"),
            network: network(&mut table),
            contexts: table.optional::<Strings>("contexts").unwrap_or_default().0,
            secrets: table.parsed_list("secrets").unwrap_or_default(),
            cache_from: table.optional("cache-from").unwrap_or_default(),
            cache_to: table.optional("cache-to").unwrap_or_default(),
        };
        table.finish()?;
        Ok(buildx)
    }
}

fn network(table: &mut Table<'_>) -> Option<String> {
    let network = table.optional_at::<String>("network")?;
    if !NETWORKS.contains(&network.value.as_str()) {
        let what = format!("network '{}' is not one of {}", network.value, NETWORKS.join(", "));
        table.errors.push(wrong(network.at, what));
    }
    Some(network.value)
}
