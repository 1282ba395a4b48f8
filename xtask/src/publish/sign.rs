//! Signatures, by cosign: keyless where a CI vouches for the run, a key pair elsewhere.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use super::trust::{Said, Trust};
use crate::error::Fault;
use crate::process::{Cmd, find};

/// A signing config that names no service: with a key pair, nothing is told to a public log.
const NO_SERVICES: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;

/// How an image is signed, as `--sign` asks for it.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Keyless in a job with `id-token: write`, else with COSIGN_KEY where that is set, else not at all
    #[default]
    Auto,
    /// By the identity of the job, recorded in Sigstore's public log
    Keyless,
    /// With the key in COSIGN_KEY: PEM, a file or a KMS URI
    Key,
    /// Not at all
    None,
}

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The job's identity.
    Keyless,
    /// A key, as cosign's `--key` names it; never the key itself.
    Key(String),
}

impl Mode {
    /// The signer; none where nothing is to be signed. `get` answers for environment variables.
    pub fn signer(self, get: impl Fn(&str) -> Option<String>) -> Result<Option<Signer>, Fault> {
        let key = get("COSIGN_KEY").map(|key| {
            let pem = key.trim_start().starts_with("-----BEGIN");
            Signer::Key(if pem { "env://COSIGN_KEY".to_owned() } else { key })
        });
        let in_job = get("ACTIONS_ID_TOKEN_REQUEST_URL").is_some();
        match self {
            Self::None => Ok(None),
            Self::Auto | Self::Keyless if in_job => Ok(Some(Signer::Keyless)),
            Self::Auto => Ok(key),
            Self::Keyless => Err(Fault::usage("--sign keyless: no CI vouches for this run")
                .cure("in GitHub Actions, give the job 'permissions: id-token: write'; elsewhere: --sign key")),
            Self::Key => key.map(Some).ok_or_else(|| {
                Fault::usage("--sign key: COSIGN_KEY is not set")
                    .cure("cosign generate-key-pair; then COSIGN_KEY is the file or its content, COSIGN_PASSWORD its password")
            }),
        }
    }
}

/// An error where cosign is not here.
pub fn need_cosign() -> Result<(), Fault> {
    match find("cosign") {
        Some(_) => Ok(()),
        None => Err(Fault::usage("cosign is not on PATH")
            .cure("https://docs.sigstore.dev/cosign/system_config/installation/, or --sign none")),
    }
}

impl Signer {
    /// The command that signs an image and each of its platforms. `folder` is for a file of ours.
    pub fn command(&self, image: &str, folder: &Path, plain_http: bool) -> Cmd {
        let cmd = Cmd::new("cosign").args(["sign", "--yes", "--recursive"]);
        self.finish(cmd, image, folder, plain_http)
    }

    /// Writes what the command reads.
    pub fn prepare(&self, folder: &Path) -> Result<()> {
        if *self == Self::Keyless {
            return Ok(());
        }
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let path = folder.join("signing-config.json");
        fs::write(&path, NO_SERVICES).with_context(|| path.display().to_string())
    }

    /// The command that signs a statement, whose predicate is at [`Said::path`], and attaches it.
    pub fn attest(&self, said: Said, image: &str, folder: &Path, plain_http: bool) -> Cmd {
        let cmd = Cmd::new("cosign").args(["attest", "--yes", "--type", said.kind()]);
        self.finish(cmd.arg("--predicate").arg(said.path(folder)), image, folder, plain_http)
    }

    fn finish(&self, cmd: Cmd, image: &str, folder: &Path, plain_http: bool) -> Cmd {
        let cmd = match self {
            Self::Keyless => cmd,
            Self::Key(key) => {
                cmd.args(["--key", key]).arg("--signing-config").arg(folder.join("signing-config.json"))
            }
        };
        let cmd = if plain_http { cmd.arg("--allow-http-registry") } else { cmd };
        cmd.arg(image)
    }

    /// What this signer's own signatures are verified with. Keyless ones tell of their run, so that each run
    /// makes its own.
    pub fn trust(&self, folder: &Path) -> Result<Option<Trust>> {
        let Self::Key(key) = self else { return Ok(None) };
        let public = Cmd::new("cosign").args(["public-key", "--key", key]).read()?;
        let path = folder.join("signing-key.pub");
        fs::write(&path, public).with_context(|| path.display().to_string())?;
        Ok(Some(Trust::Key(path.display().to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (Mode, &'a [(&'a str, &'a str)], Result<Option<Signer>, &'a str>);

    #[test]
    fn who_signs_depends_on_where_it_runs() {
        let job = ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x");
        let pem = ("COSIGN_KEY", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----");
        let file = ("COSIGN_KEY", "cosign.key");
        let key = |text: &str| Ok(Some(Signer::Key(text.to_owned())));
        let cases: [Case<'_>; 9] = [
            (Mode::Auto, &[], Ok(None)),
            (Mode::Auto, &[job, file], Ok(Some(Signer::Keyless))),
            (Mode::Auto, &[pem], key("env://COSIGN_KEY")),
            (Mode::Key, &[job, file], key("cosign.key")),
            (Mode::Key, &[], Err("COSIGN_KEY is not set")),
            (Mode::Keyless, &[pem], Err("no CI vouches")),
            (Mode::Keyless, &[job], Ok(Some(Signer::Keyless))),
            (Mode::None, &[job, pem], Ok(None)),
            (Mode::Auto, &[("COSIGN_KEY", "awskms:///alias/x")], key("awskms:///alias/x")),
        ];
        for (mode, variables, expected) in cases {
            let get = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            match (mode.signer(get), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{mode:?}"),
                (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
                (found, _) => panic!("{mode:?} {variables:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn a_key_is_never_an_argument() {
        let line = |signer: &Signer| signer.command("r/a@sha256:0", Path::new("t"), false).to_string();
        assert_eq!(line(&Signer::Keyless), "cosign sign --yes --recursive r/a@sha256:0");
        assert_eq!(
            line(&Signer::Key("env://COSIGN_KEY".into())),
            "cosign sign --yes --recursive --key env://COSIGN_KEY --signing-config t/signing-config.json r/a@sha256:0"
        );
    }
}
