//! Signs with cosign: keyless in CI with an identity, otherwise with a key.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use super::trust::{StatementKind, Trust};
use cli_support::error::Fault;
use cli_support::process::{Cmd, Need, find};
use rust_workspace::settings::Sign;

/// A signing config without services: a signature with a key is not recorded in a public log.
const NO_SERVICES: &str = r#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}"#;

/// The variables in which cosign finds the identity of a job: GitHub's, and GitLab's or any other token.
const IDENTITIES: [&str; 2] = ["ACTIONS_ID_TOKEN_REQUEST_URL", "SIGSTORE_ID_TOKEN"];

/// The value of `--sign`.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningMode {
    /// Keyless in a job with an identity (GitHub's `id-token: write`, SIGSTORE_ID_TOKEN), otherwise with COSIGN_KEY if
    /// it is set, otherwise not at all
    #[default]
    Auto,
    /// By the identity of the job, recorded in the log of Sigstore
    Keyless,
    /// With the key in COSIGN_KEY: PEM, a file or a KMS URI
    Key,
    /// Not at all
    None,
}

/// The Sigstore of keyless signatures: files that cosign reads, the public Sigstore's where unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sigstore {
    /// The trusted root, which verifies signatures.
    pub trusted_root: Option<String>,
    /// The services that sign.
    pub signing_config: Option<String>,
}

impl Sigstore {
    /// Reads the settings of the workspace at `root`, and for unset keys COSIGN_TRUSTED_ROOT and
    /// COSIGN_SIGNING_CONFIG. An error if a file does not exist.
    pub fn of(settings: &Sign, root: &Path, get: impl Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let file = |set: &Option<String>, key: &str, variable: &str| {
            let (path, place) = match (set, get(variable)) {
                (Some(path), _) => {
                    (root.join(path), format!("{}: [sign] {key}", rust_workspace::settings::file()))
                }
                (None, Some(path)) => (path.into(), variable.to_owned()),
                (None, None) => return Ok(None),
            };
            match path.to_str() {
                Some(text) if path.is_file() => Ok(Some(text.to_owned())),
                _ => Err(Fault::usage(format!("the file {} does not exist", path.display())).at(place).hint(
                    "`cosign trusted-root create` and `cosign signing-config create` make these files",
                )),
            }
        };
        Ok(Self {
            trusted_root: file(&settings.trusted_root, "trusted-root", "COSIGN_TRUSTED_ROOT")?,
            signing_config: file(&settings.signing_config, "signing-config", "COSIGN_SIGNING_CONFIG")?,
        })
    }
}

/// The signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The job's identity, at this Sigstore.
    Keyless(Sigstore),
    /// A key, as an argument of cosign's `--key`; never the key itself.
    Key(String),
}

impl SigningMode {
    /// The signer; none if nothing is signed. `get` reads environment variables, `is_file` looks for files.
    pub fn signer(
        self,
        get: impl Fn(&str) -> Option<String>,
        is_file: impl Fn(&str) -> bool,
        sigstore: &Sigstore,
    ) -> Result<Option<Signer>, Fault> {
        let key = || get("COSIGN_KEY").map(|key| key_name(&key, &is_file).map(Signer::Key)).transpose();
        let has_identity = IDENTITIES.iter().any(|name| get(name).is_some());
        match self {
            Self::None => Ok(None),
            Self::Auto | Self::Keyless if has_identity => Ok(Some(Signer::Keyless(sigstore.clone()))),
            Self::Auto => key(),
            Self::Keyless => Err(Fault::usage("--sign keyless: this run has no identity").hint(
                "in GitHub Actions, give the job 'permissions: id-token: write'; in GitLab, 'id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore'; elsewhere: --sign key",
            )),
            Self::Key => key()?.map(Some).ok_or_else(|| {
                Fault::usage("--sign key: COSIGN_KEY is not set")
                    .hint("run cosign generate-key-pair; set COSIGN_KEY to the file or its content, COSIGN_PASSWORD to its password")
            }),
        }
    }
}

/// The argument of cosign's `--key` for COSIGN_KEY. Arguments, plans and errors are shown, so a value that is neither
/// a file nor a KMS URI is never passed on: it may be a key.
fn key_name(key: &str, is_file: impl Fn(&str) -> bool) -> Result<String, Fault> {
    let wrong = |what: &str| Fault::usage(format!("COSIGN_KEY {what}")).at("environment");
    if key.trim_start().starts_with("-----BEGIN") {
        Ok("env://COSIGN_KEY".to_owned())
    } else if key.contains("pin-value") {
        Err(wrong("contains the PIN of a token").hint("set COSIGN_PKCS11_PIN instead"))
    } else if is_file(key) || is_uri(key) {
        Ok(key.to_owned())
    } else {
        Err(wrong("is neither a key in PEM, nor an existing file, nor a KMS URI")
            .hint("set it to the path or the content of cosign.key, which cosign generate-key-pair makes"))
    }
}

/// Whether this is a URI without a password.
pub(super) fn is_uri(key: &str) -> bool {
    let word = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let has_scheme =
        key.starts_with("pkcs11:") || key.split_once("://").is_some_and(|(scheme, _)| word(scheme));
    has_scheme && !key.contains(['@', '\n']) && !key.contains("pin-value")
}

/// An error if cosign is not installed.
pub fn need_cosign() -> Result<(), Fault> {
    match find("cosign") {
        Some(_) => Ok(()),
        None => Err(Fault::usage("cosign is not on PATH")
            .hint("https://docs.sigstore.dev/cosign/system_config/installation/, or --sign none")),
    }
}

impl Signer {
    /// The command that signs an image and each of its platforms. `folder` is for temporary files.
    pub fn command(&self, image: &str, folder: &Path, plain_http: bool) -> Cmd {
        let cmd = Cmd::new("cosign").args(["sign", "--yes", "--recursive"]);
        self.finish(cmd, image, folder, plain_http)
    }

    /// Writes the files that the command reads.
    pub fn prepare(&self, folder: &Path) -> Result<()> {
        if matches!(self, Self::Keyless(_)) {
            return Ok(());
        }
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let path = folder.join("signing-config.json");
        fs::write(&path, NO_SERVICES).with_context(|| path.display().to_string())
    }

    /// The command that signs a statement, whose predicate is at [`StatementKind::path`], and attaches it.
    pub fn attest(&self, kind: StatementKind, image: &str, folder: &Path, plain_http: bool) -> Cmd {
        let cmd = Cmd::new("cosign").args(["attest", "--yes", "--type", kind.kind()]);
        self.finish(cmd.arg("--predicate").arg(kind.path(folder)), image, folder, plain_http)
    }

    /// The command that signs a file and writes the signature as a bundle of Sigstore.
    pub fn sign_blob(&self, file: &Path, bundle: &Path, folder: &Path) -> Cmd {
        let cmd = Cmd::new("cosign").args(["sign-blob", "--yes"]);
        self.with_identity(cmd, folder).arg("--bundle").arg(bundle).arg(file)
    }

    fn finish(&self, cmd: Cmd, image: &str, folder: &Path, plain_http: bool) -> Cmd {
        let cmd = self.with_identity(cmd, folder);
        let cmd = if plain_http { cmd.arg("--allow-http-registry") } else { cmd };
        cmd.arg(image)
    }

    fn with_identity(&self, cmd: Cmd, folder: &Path) -> Cmd {
        match self {
            Self::Keyless(Sigstore { trusted_root, signing_config }) => {
                let flags = [("--trusted-root", trusted_root), ("--signing-config", signing_config)];
                let flags = flags.into_iter().filter_map(|(flag, path)| Some([flag, path.as_deref()?]));
                cmd.needs(Need::Identity).args(flags.flatten())
            }
            Self::Key(key) => cmd
                .needs(Need::Key)
                .args(["--key", key])
                .arg("--signing-config")
                .arg(folder.join("signing-config.json")),
        }
    }

    /// Verifies this signer's own signatures. Keyless ones name their run, so that each run
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
    fn the_signer_depends_on_the_mode_and_the_environment() {
        let job = ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://x");
        let pem = ("COSIGN_KEY", "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----");
        let file = ("COSIGN_KEY", "cosign.key");
        let key = |text: &str| Ok(Some(Signer::Key(text.to_owned())));
        let other = ("COSIGN_KEY", "hunter2-secret");
        let keyless = || Ok(Some(Signer::Keyless(Sigstore::default())));
        let cases: [Case<'_>; 17] = [
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
            (SigningMode::Auto, &[job, file], keyless()),
            (SigningMode::Auto, &[("SIGSTORE_ID_TOKEN", "e30.e30.x"), pem], keyless()),
            (SigningMode::Auto, &[pem], key("env://COSIGN_KEY")),
            (SigningMode::Key, &[job, file], key("cosign.key")),
            (SigningMode::Key, &[], Err("COSIGN_KEY is not set")),
            (SigningMode::Keyless, &[pem], Err("no identity")),
            (SigningMode::Keyless, &[job], keyless()),
            (SigningMode::None, &[job, pem], Ok(None)),
            (SigningMode::Auto, &[("COSIGN_KEY", "awskms:///alias/x")], key("awskms:///alias/x")),
        ];
        for (mode, variables, expected) in cases {
            let get = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            match (mode.signer(get, |path| path == "cosign.key", &Sigstore::default()), expected) {
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
        let public = Signer::Keyless(Sigstore::default());
        assert_eq!(line(&public), "cosign sign --yes --recursive r/a@sha256:0");
        let private = Sigstore { trusted_root: Some("r.json".into()), signing_config: Some("s.json".into()) };
        assert_eq!(
            line(&Signer::Keyless(private)),
            "cosign sign --yes --recursive --trusted-root r.json --signing-config s.json r/a@sha256:0"
        );
        assert_eq!(
            line(&Signer::Key("env://COSIGN_KEY".into())),
            "cosign sign --yes --recursive --key env://COSIGN_KEY --signing-config t/signing-config.json r/a@sha256:0"
        );
    }
}
