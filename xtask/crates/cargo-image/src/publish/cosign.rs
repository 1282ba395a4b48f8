//! Signatures, by cosign: keyless where a CI vouches for the run, a key pair elsewhere.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use super::trust::{StatementKind, Trust};
use cli_support::error::Fault;
use cli_support::process::{Cmd, Need, find};

/// A signing config that names no service: with a key pair, nothing is told to a public log.
const NO_SERVICES: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;

/// How an image is signed, as `--sign` asks for it.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningMode {
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

impl SigningMode {
    /// The signer; none where nothing is to be signed. `get` answers for environment variables, `is_file` for
    /// paths.
    pub fn signer(
        self,
        get: impl Fn(&str) -> Option<String>,
        is_file: impl Fn(&str) -> bool,
    ) -> Result<Option<Signer>, Fault> {
        let key = || get("COSIGN_KEY").map(|key| key_name(&key, &is_file).map(Signer::Key)).transpose();
        let in_job = get("ACTIONS_ID_TOKEN_REQUEST_URL").is_some();
        match self {
            Self::None => Ok(None),
            Self::Auto | Self::Keyless if in_job => Ok(Some(Signer::Keyless)),
            Self::Auto => key(),
            Self::Keyless => Err(Fault::usage("--sign keyless: no CI vouches for this run")
                .hint("in GitHub Actions, give the job 'permissions: id-token: write'; elsewhere: --sign key")),
            Self::Key => key()?.map(Some).ok_or_else(|| {
                Fault::usage("--sign key: COSIGN_KEY is not set")
                    .hint("cosign generate-key-pair; then COSIGN_KEY is the file or its content, COSIGN_PASSWORD its password")
            }),
        }
    }
}

/// What cosign's `--key` may be told of COSIGN_KEY: arguments, plans and errors show it, so that whatever is
/// neither a file nor a KMS URI, and so perhaps a key, goes nowhere.
fn key_name(key: &str, is_file: impl Fn(&str) -> bool) -> Result<String, Fault> {
    let wrong = |what: &str| Fault::usage(format!("COSIGN_KEY {what}")).at("environment");
    if key.trim_start().starts_with("-----BEGIN") {
        Ok("env://COSIGN_KEY".to_owned())
    } else if key.contains("pin-value") {
        Err(wrong("holds the PIN of a token").hint("take it out, and set COSIGN_PKCS11_PIN to it"))
    } else if is_file(key) || is_uri(key) {
        Ok(key.to_owned())
    } else {
        Err(wrong("is neither a key in PEM, nor a file that is there, nor a KMS URI").hint(
            "cosign generate-key-pair makes cosign.key: COSIGN_KEY is that path, or the file's whole content",
        ))
    }
}

/// Whether a key is named as a URI with nothing in it that could be a password.
pub(super) fn is_uri(key: &str) -> bool {
    let word = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let has_scheme =
        key.starts_with("pkcs11:") || key.split_once("://").is_some_and(|(scheme, _)| word(scheme));
    has_scheme && !key.contains(['@', '\n']) && !key.contains("pin-value")
}

/// An error where cosign is not here.
pub fn need_cosign() -> Result<(), Fault> {
    match find("cosign") {
        Some(_) => Ok(()),
        None => Err(Fault::usage("cosign is not on PATH")
            .hint("https://docs.sigstore.dev/cosign/system_config/installation/, or --sign none")),
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

    /// The command that signs a statement, whose predicate is at [`StatementKind::path`], and attaches it.
    pub fn attest(&self, said: StatementKind, image: &str, folder: &Path, plain_http: bool) -> Cmd {
        let cmd = Cmd::new("cosign").args(["attest", "--yes", "--type", said.kind()]);
        self.finish(cmd.arg("--predicate").arg(said.path(folder)), image, folder, plain_http)
    }

    fn finish(&self, cmd: Cmd, image: &str, folder: &Path, plain_http: bool) -> Cmd {
        let cmd = match self {
            Self::Keyless => cmd.needs(Need::Identity),
            Self::Key(key) => cmd
                .needs(Need::Key)
                .args(["--key", key])
                .arg("--signing-config")
                .arg(folder.join("signing-config.json")),
        };
        let cmd = if plain_http { cmd.arg("--allow-http-registry") } else { cmd };
        cmd.arg(image)
    }

    /// What this signer's own signatures are verified with. Keyless ones tell of their run, so that each run
    /// makes its own.
    pub fn trust(&self, folder: &Path) -> Result<Option<Trust>> {
        let Self::Key(key) = self else { return Ok(None) };
        let public = Cmd::new("cosign").args(["public-key", "--key", key]).needs(Need::Key).read()?;
        let path = folder.join("signing-key.pub");
        fs::write(&path, public).with_context(|| path.display().to_string())?;
        Ok(Some(Trust::Key(path.display().to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (SigningMode, &'a [(&'a str, &'a str)], Result<Option<Signer>, &'a str>);

    #[test]
    fn who_signs_depends_on_where_it_runs() {
        let job = ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x");
        let pem = ("COSIGN_KEY", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----");
        let file = ("COSIGN_KEY", "cosign.key");
        let key = |text: &str| Ok(Some(Signer::Key(text.to_owned())));
        let other = ("COSIGN_KEY", "hunter2-secret");
        let cases: [Case<'_>; 16] = [
            (SigningMode::Auto, &[other], Err("neither a key in PEM")),
            (SigningMode::None, &[other], Ok(None)),
            (SigningMode::Key, &[("COSIGN_KEY", "://hunter2")], Err("neither a key in PEM")),
            (SigningMode::Key, &[("COSIGN_KEY", "hunter2\nx://y")], Err("neither a key in PEM")),
            (SigningMode::Key, &[("COSIGN_KEY", "https://u:hunter2@host")], Err("neither a key in PEM")),
            (
                SigningMode::Key,
                &[("COSIGN_KEY", "pkcs11:token=a?pin-value=hunter2")],
                Err("COSIGN_PKCS11_PIN"),
            ),
            (SigningMode::Key, &[("COSIGN_KEY", "pkcs11:token=a;id=%01")], key("pkcs11:token=a;id=%01")),
            (SigningMode::Auto, &[], Ok(None)),
            (SigningMode::Auto, &[job, file], Ok(Some(Signer::Keyless))),
            (SigningMode::Auto, &[pem], key("env://COSIGN_KEY")),
            (SigningMode::Key, &[job, file], key("cosign.key")),
            (SigningMode::Key, &[], Err("COSIGN_KEY is not set")),
            (SigningMode::Keyless, &[pem], Err("no CI vouches")),
            (SigningMode::Keyless, &[job], Ok(Some(Signer::Keyless))),
            (SigningMode::None, &[job, pem], Ok(None)),
            (SigningMode::Auto, &[("COSIGN_KEY", "awskms:///alias/x")], key("awskms:///alias/x")),
        ];
        for (mode, variables, expected) in cases {
            let get = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            match (mode.signer(get, |path| path == "cosign.key"), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{mode:?}"),
                (Err(found), Err(expected)) => {
                    let text = cli_support::error::render(&found.into());
                    assert!(text.contains(expected) && !text.contains("hunter2"), "{text}");
                }
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
