//! `[buildx]`.

use std::collections::BTreeMap;

use toml_span::de_helpers::TableHelper;
use toml_span::value::Value;
use toml_span::{DeserError, Deserialize};

use super::NETWORKS;
use super::reader::{Strings, parsed_list, wrong};

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

fn network(table: &mut TableHelper<'_>) -> Option<String> {
    let network = table.optional_s::<String>("network")?;
    if !NETWORKS.contains(&network.value.as_str()) {
        let what = format!("network '{}' is not one of {}", network.value, NETWORKS.join(", "));
        table.errors.push(wrong(network.span, what));
    }
    Some(network.value)
}
