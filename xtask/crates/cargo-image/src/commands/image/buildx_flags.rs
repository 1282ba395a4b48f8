//! The flags of `cargo xtask image` for docker buildx.

use clap::Args;
use cli_support::error::Fault;
use rust_workspace::settings::{Buildx, Secret};

/// Overrides of `[buildx]` for one run.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Docker buildx")]
pub struct BuildxFlags {
    /// The builder to use
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// The network of RUN steps: default, none, host
    #[arg(long, value_name = "MODE", value_parser = rust_workspace::settings::NETWORKS)]
    network: Option<String>,
    /// A named context: NAME=docker-image://OTHER, NAME=DIR
    #[arg(long, value_name = "NAME=VALUE")]
    build_context: Vec<String>,
    /// A secret by its source: id=NAME,src=FILE or id=NAME,env=VARIABLE
    // Parsed by us: clap would repeat a secret that was given by its value.
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Where cached steps come from
    #[arg(long, value_name = "CACHE")]
    cache_from: Vec<String>,
    /// Where cached steps go
    #[arg(long, value_name = "CACHE")]
    cache_to: Vec<String>,
}

impl BuildxFlags {
    /// The flags as they were given, for another call of this command.
    pub fn arguments(&self) -> Vec<String> {
        let several = [
            ("--build-context", &self.build_context),
            ("--secret", &self.secret),
            ("--cache-from", &self.cache_from),
            ("--cache-to", &self.cache_to),
        ];
        let once = [("--builder", &self.builder), ("--network", &self.network)];
        let once = once.into_iter().flat_map(|(flag, value)| value.iter().map(move |value| (flag, value)));
        let several =
            several.into_iter().flat_map(|(flag, values)| values.iter().map(move |value| (flag, value)));
        once.chain(several).flat_map(|(flag, value)| [flag.to_owned(), value.clone()]).collect()
    }

    /// The settings with these flags over them.
    pub fn over(&self, settings: &Buildx) -> Result<Buildx, Fault> {
        let mut options = settings.clone();
        options.builder = self.builder.clone().or(options.builder);
        options.network = self.network.clone().or(options.network);
        for context in &self.build_context {
            let (name, value) = context.split_once('=').ok_or_else(|| {
                Fault::usage(format!("--build-context '{context}' is not NAME=VALUE"))
                    .hint("--build-context rust:1.95-slim-bookworm=docker-image://mirror.lan/rust:1.95")
            })?;
            options.contexts.insert(name.to_owned(), value.to_owned());
        }
        for secret in &self.secret {
            options
                .secrets
                .push(secret.parse::<Secret>().map_err(|what| Fault::usage(format!("--secret: {what}")))?);
        }
        options.cache_from.extend(self.cache_from.iter().cloned());
        options.cache_to.extend(self.cache_to.iter().cloned());
        Ok(options)
    }
}
