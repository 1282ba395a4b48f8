//! `cargo xtask verify`: checks a published image as a consumer would.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;

use super::publish::Target;
use crate::publish::{GITHUB_ISSUER, Sigstore, Trust, private_folder};
use crate::verify::{Demands, State, verify};
use cli_support::error::Fault;
use cli_support::ui::{self, Table, Ui};
use oci_registry::Reference;
use rust_workspace::settings::{Sign, Workspace, check_regex, is_issuer};

/// Check a published image as a consumer would
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask verify ghcr.io/owner/app:1.2.3
  cargo xtask verify ghcr.io/owner/app:1.2.3 --key cosign.pub
  cargo xtask verify 1.2.3 --issuer https://gitlab.com --identity '^https://gitlab\\.com/owner/app//'
  cargo xtask verify 1.2.3 --identity '^https://github\\.com/owner/app/\\.github/workflows/release\\.yml@refs/tags/v'

Exit codes: 0 all checks pass, 1 failed, 2 usage or settings, 3 a check does not pass")]
pub struct Flags {
    /// The image: REPOSITORY:TAG, REPOSITORY@DIGEST, or a tag of xtask/image.toml's repository
    #[arg(value_name = "REF")]
    image: String,
    #[command(flatten)]
    trust: TrustFlags,
    /// The most days since the image was scanned
    #[arg(long, value_name = "DAYS")]
    scanned_within: Option<u64>,
    /// The builder that the provenance must name, or a prefix of its name
    #[arg(long, value_name = "URL")]
    builder: Option<String>,
    /// Require a bill of materials
    #[arg(long)]
    require_sbom: bool,
    /// Accept an image that was published without a passing scan, for the reason in its provenance
    #[arg(long, conflicts_with = "scanned_within")]
    allow_unscanned: bool,
    /// Read a token for the registry from standard input
    #[arg(long)]
    token_stdin: bool,
    /// The user of the token; ghcr.io does not need it
    #[arg(long, value_name = "NAME", requires = "token_stdin")]
    user: Option<String>,
    /// Seconds without data after which a request fails [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: Option<u64>,
    /// Connect without TLS; registries on localhost never use TLS
    #[arg(long)]
    plain_http: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The required signature.
#[derive(Args, Debug, Default)]
pub struct TrustFlags {
    /// The public key of the required signature: a file or a KMS URI
    #[arg(long, value_name = "KEY", conflicts_with = "identity")]
    key: Option<String>,
    /// The workflow of the required signature, as a regular expression for its URL
    #[arg(long, value_name = "REGEX")]
    identity: Option<String>,
    /// The issuer of the workflow's tokens [default: GitHub's]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

impl TrustFlags {
    /// The signature that the flags require, of this Sigstore.
    pub fn trust(&self, sigstore: &Sigstore) -> Result<Option<Trust>, Fault> {
        let issuer = self.issuer()?.unwrap_or(GITHUB_ISSUER).to_owned();
        match (&self.key, &self.identity) {
            (Some(key), _) => Trust::key(key, Path::new(""), "--key").map(Some),
            (None, Some(identity)) => {
                check_regex(identity).map_err(|what| {
                    Fault::usage(format!("--identity '{identity}' is not a regular expression: {what}"))
                        .hint("the signer's URL, for example '^https://github\\.com/o/app/'")
                })?;
                let (identity, trusted_root) = (identity.clone(), sigstore.trusted_root.clone());
                Ok(Some(Trust::Identity { identity, issuer, trusted_root }))
            }
            (None, None) => Ok(None),
        }
    }

    /// The issuer of the flags.
    pub fn issuer(&self) -> Result<Option<&str>, Fault> {
        match self.issuer.as_deref() {
            Some(issuer) if !is_issuer(issuer) => {
                Err(Fault::usage(format!("--issuer '{issuer}' is not a URL"))
                    .hint(format!("such as {GITHUB_ISSUER}")))
            }
            issuer => Ok(issuer),
        }
    }

    /// Whether no signer is named.
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.identity.is_none()
    }
}

/// The image of an argument: a full reference, or a tag or digest of `repository`. A repository alone is refused,
/// because its `latest` can move.
pub fn image(text: &str, repository: impl FnOnce() -> Result<Reference>) -> Result<Reference> {
    if text.contains('/') {
        let image: Reference = text.parse()?;
        if image.tag().is_none() && image.digest().is_none() {
            return Err(Fault::usage("the reference has neither a tag nor a digest")
                .at(&image)
                .hint(format!("write {image}:1.2.3 or {image}@sha256:…"))
                .into());
        }
        return Ok(image);
    }
    let repository = repository()?;
    match text.parse() {
        Ok(digest) => Ok(repository.with_digest(digest)),
        Err(_) => Ok(repository.with_tag(text)?),
    }
}

impl Flags {
    /// Runs the checks and prints them.
    pub fn run(self) -> Result<()> {
        // Outside a workspace the defaults apply. Invalid settings are an error.
        let here = std::env::current_dir().context("the current folder")?;
        let in_workspace = here.ancestors().any(|dir| dir.join(rust_workspace::settings::file()).is_file());
        let workspace = if in_workspace { Some(Workspace::find()?) } else { None };
        let at = image(&self.image, || {
            let repository =
                workspace.as_ref().and_then(|workspace| workspace.settings.repository.as_deref());
            Target::default().repository(repository)
        })?;
        if self.trust.is_empty() && self.trust.issuer()?.is_some() {
            return Err(Fault::usage("--issuer needs --identity").into());
        }
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let sigstore = match &workspace {
            Some(workspace) => Sigstore::of(&workspace.settings.sign, &workspace.root, get)?,
            None => Sigstore::of(&Sign::default(), Path::new(""), get)?,
        };
        let trust = self.trust.trust(&sigstore)?;
        let target = Target {
            plain_http: self.plain_http,
            token_stdin: self.token_stdin,
            user: self.user.clone(),
            timeout: self.timeout,
            ..Target::default()
        };
        let ui = Ui::detect();
        let client = target.client(&at, ui)?;
        let digest = client.manifest(&at)?.digest;
        let demands = Demands {
            trust,
            signed: false,
            scanned: !self.allow_unscanned,
            takes_failed: self.allow_unscanned,
            scanned_within_days: self.scanned_within,
            takes_older: false,
            builder: self.builder.clone(),
            sbom: self.require_sbom,
        };
        let folder = workspace.map(|workspace| workspace.root.join("target/xtask"));
        let temporary = if folder.is_none() { Some(private_folder()?) } else { None };
        let folder = folder.or(temporary.as_ref().map(|folder| folder.path().to_owned())).unwrap_or_default();
        let checks = verify(&client, &at, &digest, &demands, &folder, self.plain_http)?;
        drop(temporary);
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.verify/1",
                "command": "verify",
                "reference": at.to_string(),
                "digest": digest,
                "checks": checks,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            let mut table = Table::new(&["check", "state", "detail"]);
            for check in &checks {
                let state = match check.state {
                    State::Ok => "ok",
                    State::Failed => "failed",
                    State::Absent => "absent",
                    State::Waived => "waived",
                };
                table.row([check.name, state, &check.detail]);
            }
            ui::print(&format!("{table}\n{}@{digest}\n", at.name()));
        }
        let failed: Vec<_> = checks.iter().filter(|check| check.state == State::Failed).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = failed.iter().map(|check| format!("{}: {}", check.name, check.detail)).collect();
        Err(Fault::gate(format!("checks failed: {}", lines.join("; "))).at(&at).into())
    }
}
