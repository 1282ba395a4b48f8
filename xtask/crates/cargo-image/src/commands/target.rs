//! The flags for a repository and its registry, shared by several commands.

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use cli_support::error::{Fault, plain_line};
use cli_support::ui::Ui;
use oci_registry::auth::GivenCredential;
use oci_registry::retry::Policy;
use oci_registry::wire::Timeouts;
use oci_registry::{Client, Options, Reference, Secret};

/// The repository and the connection to its registry.
#[derive(Args, Debug, Default)]
pub struct Target {
    /// The repository, ghcr.io/OWNER/NAME [default: that of xtask/image.toml]
    #[arg(long, value_name = "NAME")]
    pub repository: Option<String>,
    /// Connect without TLS; registries on localhost never use TLS
    #[arg(long)]
    pub plain_http: bool,
    /// Read a token for the registry from standard input
    #[arg(long)]
    pub token_stdin: bool,
    /// The user of the token; ghcr.io does not need it
    #[arg(long, value_name = "NAME", requires = "token_stdin")]
    pub user: Option<String>,
    /// Seconds without data after which a request fails [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: Option<u64>,
}

impl Target {
    /// The repository from the flag or the settings, in lower case: GitHub owners may have capitals, image names may not.
    pub fn repository(&self, settings: Option<&str>) -> Result<Reference> {
        let name = self.repository.as_deref().or(settings).ok_or_else(|| {
            Fault::usage("there is no repository")
                .at(rust_workspace::settings::file())
                .hint("set repository = \"ghcr.io/OWNER/NAME\", or use --repository ghcr.io/OWNER/NAME")
        })?;
        let reference: Reference = name.to_lowercase().parse()?;
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(Fault::usage(format!("'{name}' names an image, not a repository"))
                .hint(format!("write {}", reference.name()))
                .into());
        }
        Ok(reference)
    }

    /// A client for the registry of `to`.
    pub fn client(&self, to: &Reference, ui: Ui) -> Result<Client> {
        self.client_for(to, &[], ui)
    }

    /// A client that also connects to the registries of `others`. A token from standard input is only for that of `to`.
    pub fn client_for(&self, to: &Reference, others: &[&Reference], ui: Ui) -> Result<Client> {
        let given = if self.token_stdin { Some(self.given(to)?) } else { None };
        let all = others.iter().copied().chain([to]).filter(|_| self.plain_http);
        let plain_http = all.map(|reference| reference.registry().to_owned()).collect();
        let on_wait: oci_registry::OnWait = std::sync::Arc::new(move |wait| {
            // It can contain text of the registry.
            let why = plain_line(&wait.why);
            ui.warn(&format!("{why}; trying again in {:.1} s", wait.delay.as_secs_f32()));
        });
        // More attempts than for a pull: a blob takes three requests that must all succeed in one attempt.
        let policy = Policy { attempts: 10, ..Policy::default() };
        let mut timeouts = Timeouts::default();
        if let Some(seconds) = self.timeout {
            timeouts.idle = Duration::from_secs(seconds);
        }
        let on_wait = Some(on_wait);
        Ok(Client::new(Options { plain_http, given, policy, timeouts, on_wait, ..Options::default() }))
    }

    fn given(&self, to: &Reference) -> Result<GivenCredential> {
        let mut text = String::new();
        // Tokens are short; a longer input is another file.
        std::io::stdin().take(64 * 1024).read_to_string(&mut text).context("the token on standard input")?;
        Ok(GivenCredential {
            registry: to.registry().to_owned(),
            user: self.user.clone(),
            secret: Secret::new(text),
        })
    }
}
