//! The configuration of an image (image-spec config.md), from the settings and the base image.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::layer::Layer;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::oci::{self, Annotations};
use oci_image::platform::Platform;
use rust_workspace::settings::{Container, Healthcheck, Port};

const NANOSECONDS: u64 = 1_000_000_000;

/// The settings of the container with all defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// User and group.
    pub user: String,
    /// The program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments, which `docker run` can replace.
    pub cmd: Vec<String>,
    /// Ports with their protocol.
    pub expose: Vec<String>,
    /// Environment variables, added to those of the base image.
    pub env: BTreeMap<String, String>,
    /// The working folder; by default that of the base image.
    pub workdir: Option<String>,
    /// Docker's health check.
    pub healthcheck: Option<Value>,
    /// The signal that stops the container; by default that of the base image.
    pub stop_signal: Option<String>,
    /// Folders whose content outlives the container, added to those of the base image.
    pub volumes: Vec<String>,
}

impl Runtime {
    /// Reads the settings; `path` is the binary's in the image.
    pub fn of(container: &Container, path: &str) -> Self {
        Self {
            user: container.user.clone(),
            entrypoint: container.entrypoint.clone().unwrap_or_else(|| vec![path.to_owned()]),
            cmd: container.cmd.clone(),
            expose: container.expose.iter().map(|Port(port)| port.clone()).collect(),
            env: container.env.clone(),
            workdir: container.workdir.clone(),
            healthcheck: container.healthcheck.as_ref().map(healthcheck),
            stop_signal: container.stop_signal.as_ref().map(|signal| signal.0.clone()),
            volumes: container.volumes.clone(),
        }
    }
}

fn healthcheck(check: &Healthcheck) -> Value {
    let test: Vec<_> = std::iter::once("CMD").chain(check.command.iter().map(String::as_str)).collect();
    json!({
        "Test": test,
        "Interval": check.interval * NANOSECONDS,
        "Timeout": check.timeout * NANOSECONDS,
        "Retries": check.retries,
    })
}

/// The base image of one platform; empty for `scratch`.
#[derive(Debug, Clone, Default)]
pub struct Below {
    /// Its configuration.
    pub config: Option<Value>,
    /// Its layers, lowest first.
    pub layers: Vec<oci::Descriptor>,
    /// The digests of the layers' tars.
    pub diff_ids: Vec<Digest>,
}

impl Below {
    /// Reads the configuration and checks that it has as many layers as the manifest.
    pub fn new(config: Value, layers: &[oci::Descriptor]) -> Result<Self> {
        let diff_ids: Vec<Digest> = match config.pointer("/rootfs/diff_ids") {
            Some(list) => serde_json::from_value(list.clone())?,
            None => Vec::new(),
        };
        if diff_ids.len() != layers.len() {
            let (ids, layers) = (diff_ids.len(), layers.len());
            let what = format!("the base's config names {ids} layers and its manifest {layers}");
            return Err(Fault::failed(what).into());
        }
        let layers = layers.iter().map(oci::Descriptor::as_oci_layer).collect();
        Ok(Self { config: Some(config), layers, diff_ids })
    }
}

/// The configuration of one platform's image (config.md), as bytes.
pub fn config(
    platform: Platform,
    below: &Below,
    layers: &[Layer],
    runtime: &Runtime,
    labels: &Annotations,
    created: &str,
) -> Result<Vec<u8>> {
    let mut image = match &below.config {
        Some(Value::Object(config)) => config.clone(),
        _ => Map::new(),
    };
    let ids: Vec<_> = below.diff_ids.iter().chain(layers.iter().map(|layer| &layer.diff_id)).collect();
    let mut history = image.remove("history").and_then(|old| old.as_array().cloned()).unwrap_or_default();
    history.extend(layers.iter().map(|layer| json!({ "created": created, "created_by": layer.made_by })));
    let old = match image.remove("config") {
        Some(Value::Object(old)) => old,
        _ => Map::new(),
    };
    image.insert("architecture".to_owned(), json!(platform.arch()));
    image.insert("os".to_owned(), json!(platform.os()));
    image.insert("created".to_owned(), json!(created));
    image.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": ids }));
    image.insert("history".to_owned(), json!(history));
    image.insert("config".to_owned(), Value::Object(run_config(old, runtime, labels)));
    oci::to_bytes(&image)
}

/// The base image's `config` with our values on top.
fn run_config(mut config: Map<String, Value>, runtime: &Runtime, labels: &Annotations) -> Map<String, Value> {
    let mut set = |name: &str, value: Value| match &value {
        Value::Null => {}
        Value::Array(list) if list.is_empty() => drop(config.remove(name)),
        Value::Object(map) if map.is_empty() => drop(config.remove(name)),
        _ => drop(config.insert(name.to_owned(), value)),
    };
    set("User", json!(runtime.user));
    set("Entrypoint", json!(runtime.entrypoint));
    // The base image's arguments are for its own entrypoint.
    set("Cmd", json!(runtime.cmd));
    set("WorkingDir", json!(runtime.workdir));
    set("Healthcheck", json!(runtime.healthcheck));
    set("StopSignal", json!(runtime.stop_signal));
    let mut volumes = object(config.get("Volumes"));
    volumes.extend(runtime.volumes.iter().map(|path| (path.clone(), json!({}))));
    let mut ports = object(config.get("ExposedPorts"));
    ports.extend(runtime.expose.iter().map(|port| (port.clone(), json!({}))));
    let mut env: Vec<_> = config.get("Env").and_then(Value::as_array).cloned().unwrap_or_default();
    let name_of =
        |entry: &Value| entry.as_str().and_then(|text| text.split_once('=')).map(|(name, _)| name.to_owned());
    env.retain(|entry| name_of(entry).is_none_or(|name| !runtime.env.contains_key(&name)));
    env.extend(runtime.env.iter().map(|(name, value)| json!(format!("{name}={value}"))));
    let mut all_labels = object(config.get("Labels"));
    // These labels describe the base image.
    all_labels.retain(|name, _| !name.starts_with("org.opencontainers.image."));
    all_labels.extend(labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    let mut set = |name: &str, value: Value, empty: bool| {
        if empty {
            config.remove(name)
        } else {
            config.insert(name.to_owned(), value)
        };
    };
    set("ExposedPorts", json!(ports), ports.is_empty());
    set("Volumes", json!(volumes), volumes.is_empty());
    set("Env", json!(env), env.is_empty());
    set("Labels", json!(all_labels), all_labels.is_empty());
    config
}

fn object(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The keys that must be equal from both engines, in the order of the report.
const RUNTIME_KEYS: [&str; 9] = [
    "User",
    "Entrypoint",
    "Cmd",
    "WorkingDir",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "StopSignal",
    "Volumes",
];

/// The differences of two configurations at runtime, one line for each key.
pub fn differences(ours: &Value, theirs: &Value) -> Vec<String> {
    let get = |image: &Value, key: &str| {
        let value = image.pointer(&format!("/config/{key}")).cloned().unwrap_or_default();
        match (key, value) {
            // BuildKit writes this default.
            ("WorkingDir", Value::String(dir)) if dir == "/" => Value::Null,
            // Without a base image BuildKit adds this PATH.
            ("Env", Value::Array(mut env)) => {
                env.retain(|entry| entry.as_str() != Some(DEFAULT_PATH));
                if env.is_empty() { Value::Null } else { Value::Array(env) }
            }
            (_, value) => value,
        }
    };
    let different = RUNTIME_KEYS.iter().filter(|key| get(ours, key) != get(theirs, key));
    different
        .map(|key| format!("{key}: image.toml says {}, the Dockerfile {}", get(ours, key), get(theirs, key)))
        .collect()
}

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn runtime() -> Runtime {
        Runtime {
            user: "65532:65532".to_owned(),
            entrypoint: vec!["/usr/bin/x".to_owned()],
            cmd: Vec::new(),
            expose: vec!["80/tcp".to_owned()],
            env: BTreeMap::from([("A".to_owned(), "new".to_owned())]),
            workdir: None,
            healthcheck: None,
            stop_signal: None,
            volumes: vec!["/data".to_owned()],
        }
    }

    #[test]
    fn the_configuration_extends_the_one_of_the_base() {
        let below = json!({
            "architecture": "arm64", "os": "linux", "variant": "v8", "author": "someone",
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(b"")] },
            "history": [{ "created_by": "base" }],
            "config": {
                "Env": ["PATH=/bin", "A=old"], "Cmd": ["python3"], "WorkingDir": "/app", "StopSignal": "SIGINT",
                "Labels": { "org.opencontainers.image.title": "python", "maintainer": "x" },
            },
        });
        let layer = oci::Descriptor::of(oci::LAYER_GZIP, b"");
        let below = Below::new(below, &[layer]).unwrap();
        let labels = Annotations::from([("org.opencontainers.image.title".to_owned(), "ours".to_owned())]);
        let bytes =
            config(Platform::LinuxArm64, &below, &[], &runtime(), &labels, "1970-01-01T00:00:00Z").unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        expect![[r#"
            {
              "architecture": "arm64",
              "author": "someone",
              "config": {
                "Entrypoint": [
                  "/usr/bin/x"
                ],
                "Env": [
                  "PATH=/bin",
                  "A=new"
                ],
                "ExposedPorts": {
                  "80/tcp": {}
                },
                "Labels": {
                  "maintainer": "x",
                  "org.opencontainers.image.title": "ours"
                },
                "StopSignal": "SIGINT",
                "User": "65532:65532",
                "Volumes": {
                  "/data": {}
                },
                "WorkingDir": "/app"
              },
              "created": "1970-01-01T00:00:00Z",
              "history": [
                {
                  "created_by": "base"
                }
              ],
              "os": "linux",
              "rootfs": {
                "diff_ids": [
                  "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
                ],
                "type": "layers"
              },
              "variant": "v8"
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn a_base_whose_config_and_manifest_disagree_is_refused() {
        assert!(Below::new(json!({ "rootfs": { "diff_ids": [Digest::of(b"")] } }), &[]).is_err());
    }

    #[test]
    fn configuration_differences_are_listed_by_key() {
        let ours = json!({ "config": { "User": "1", "Entrypoint": ["/a"] } });
        let theirs = json!({ "config": { "User": "0", "Entrypoint": ["/a"], "WorkingDir": "/", "Env": [DEFAULT_PATH] } });
        assert_eq!(differences(&ours, &theirs), ["User: image.toml says \"1\", the Dockerfile \"0\""]);
        assert!(differences(&ours, &ours).is_empty());
    }
}
