//! Flags that every command about a registry has: which repository, and how it is spoken to.

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

/// Which repository, and how it is spoken to.
#[derive(Args, Debug, Default)]
pub struct Target {
    /// The repository, ghcr.io/OWNER/NAME [default: xtask/image.toml's]
    #[arg(long, value_name = "NAME")]
    pub repository: Option<String>,
    /// Speak to the registry without TLS; those on this machine always are
    #[arg(long)]
    pub plain_http: bool,
    /// Read a token for the registry from standard input
    #[arg(long)]
    pub token_stdin: bool,
    /// The user that goes with the token; not needed at ghcr.io
    #[arg(long, value_name = "NAME", requires = "token_stdin")]
    pub user: Option<String>,
    /// Seconds of a registry's silence after which a request counts as failed [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: Option<u64>,
}

impl Target {
    /// The repository, of the flag or of the settings. GitHub gives owners' names with capitals; image
    /// names have none.
    pub fn repository(&self, settings: Option<&str>) -> Result<Reference> {
        let name = self.repository.as_deref().or(settings).ok_or_else(|| {
            Fault::usage("no repository is named")
                .at(rust_workspace::settings::FILE)
                .hint("repository = \"ghcr.io/OWNER/NAME\" there, or --repository ghcr.io/OWNER/NAME")
        })?;
        let reference: Reference = name.to_lowercase().parse()?;
        if reference.tag().is_some() || reference.digest().is_some() {
            return Err(Fault::usage(format!("'{name}' is an image, and a repository is wanted"))
                .hint(format!("write {}", reference.name()))
                .into());
        }
        Ok(reference)
    }

    /// A client for the registry of `to`.
    pub fn client(&self, to: &Reference, ui: Ui) -> Result<Client> {
        self.client_for(to, &[], ui)
    }

    /// The same where other registries have a part in it; a token that is handed in is for that of `to`.
    pub fn client_for(&self, to: &Reference, others: &[&Reference], ui: Ui) -> Result<Client> {
        let given = if self.token_stdin { Some(self.given(to)?) } else { None };
        let all = others.iter().copied().chain([to]).filter(|_| self.plain_http);
        let plain_http = all.map(|reference| reference.registry().to_owned()).collect();
        let on_wait: oci_registry::OnWait = std::sync::Arc::new(move |wait| {
            // Part of it may be a registry's own words.
            let why = plain_line(&wait.why);
            ui.warn(&format!("{why}; trying again in {:.1} s", wait.delay.as_secs_f32()));
        });
        // Sending a blob takes three requests that must all succeed in one try, and registries fail in
        // bursts: more tries than a pull makes.
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
        // Tokens are short; more than this is some other file.
        std::io::stdin().take(64 * 1024).read_to_string(&mut text).context("the token on standard input")?;
        Ok(GivenCredential {
            registry: to.registry().to_owned(),
            user: self.user.clone(),
            secret: Secret::new(text),
        })
    }
}
