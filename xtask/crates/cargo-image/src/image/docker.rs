//! Finds out whether Docker buildx can make an image on this machine.

use std::time::Duration;

use cli_support::process::{Cmd, find};

/// The state of Docker buildx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Docker {
    /// Buildx can build and export a layout.
    Ready {
        /// The engine's version.
        engine: String,
        /// Buildx's version.
        buildx: String,
    },
    /// It cannot; the reason.
    Unable(String),
}

impl Docker {
    /// Asks docker and buildx. `builder` is the value of `--builder`.
    pub fn probe(builder: Option<&str>) -> Self {
        let docker = |args: &[&str]| {
            Cmd::new("docker").args(args.iter().copied()).limit(Duration::from_secs(20)).read()
        };
        if find("docker").is_none() {
            return Self::Unable("docker is not on PATH".to_owned());
        }
        let Ok(buildx) = docker(&["buildx", "version"]) else {
            return Self::Unable("docker has no buildx plugin".to_owned());
        };
        let buildx = buildx.split_whitespace().nth(1).unwrap_or("unknown").to_owned();
        let inspect: Vec<_> = ["buildx", "inspect"].into_iter().chain(builder).collect();
        let driver = docker(&inspect).unwrap_or_default();
        let driver = driver.lines().find_map(|line| line.strip_prefix("Driver:")).map(str::trim);
        match driver {
            // All other drivers, such as docker-container, can export layouts.
            Some(own) if own != "docker" => Self::Ready { engine: own.to_owned(), buildx },
            _ => match docker(&["info", "--format", "{{.ServerVersion}} {{.DriverStatus}}"]) {
                Err(_) => Self::Unable("no Docker engine answers".to_owned()),
                Ok(info) if info.starts_with(' ') => Self::Unable("no Docker engine answers".to_owned()),
                Ok(info) if info.contains("io.containerd.snapshotter") => {
                    let engine = info.split_whitespace().next().unwrap_or("unknown").to_owned();
                    Self::Ready { engine, buildx }
                }
                Ok(_) => Self::Unable(
                    "the engine's image store cannot export layouts; docker buildx create --use makes a builder that can"
                        .to_owned(),
                ),
            },
        }
    }
}
