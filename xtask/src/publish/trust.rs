//! Whose word counts: signatures and signed statements, verified by cosign.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::access::Access;
use super::sign::is_uri;
use crate::error::Fault;
use crate::process::Cmd;
use crate::registry::base64;

/// The artifact type of what cosign attaches.
pub const SIGNATURE: &str = "application/vnd.dev.sigstore.bundle";

/// What a signed statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// How the image was made: SLSA v1 provenance.
    Provenance,
    /// Which documents about the image are ours, by their digests: the scan's result, bills of materials.
    Documents,
}

impl Said {
    /// The type of its predicate, as cosign's `--type` takes it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Provenance => "slsaprovenance1",
            Self::Documents => "urn:cargo-xtask:documents:v1",
        }
    }

    /// Where its predicate is put for cosign.
    pub fn path(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Provenance => "provenance.json",
            Self::Documents => "documents.json",
        })
    }
}

/// Whose signature is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A public key: a file or a KMS URI.
    Key(String),
    /// A run: its workflow's URL, and who vouched for it.
    Identity {
        /// A regular expression for the certificate's identity.
        identity: String,
        /// The issuer's URL.
        issuer: String,
    },
}

impl Trust {
    /// An error where a key is neither a file nor a URI. It is not repeated: somebody may have taken the
    /// private one.
    pub fn check(&self) -> Result<(), Fault> {
        match self {
            Self::Key(key) if !Path::new(key).is_file() && !is_uri(key) => {
                Err(Fault::usage("the public key is neither a file that is there nor a KMS URI")
                    .at("--key")
                    .cure("cosign public-key --key cosign.key > cosign.pub; then --key cosign.pub"))
            }
            Self::Key(_) | Self::Identity { .. } => Ok(()),
        }
    }

    /// The command that verifies an image's signature.
    pub fn command(&self, image: &str, plain_http: bool) -> Cmd {
        self.of("verify", image, plain_http)
    }

    /// The statements of one kind about an image that are signed so; none where cosign finds none.
    pub fn statements(&self, said: Said, image: &str, plain_http: bool, access: &Access) -> Vec<Value> {
        let cmd = self.of("verify-attestation", image, plain_http).args(["--type", said.kind()]);
        let text = access.lend(cmd).read().unwrap_or_default();
        let statement = |line: &str| {
            let envelope: Value = serde_json::from_str(line).ok()?;
            serde_json::from_slice(&base64::decode(envelope["payload"].as_str()?)?).ok()
        };
        text.lines().filter_map(statement).collect()
    }

    fn of(&self, verb: &str, image: &str, plain_http: bool) -> Cmd {
        let cmd = Cmd::new("cosign").arg(verb);
        let cmd = match self {
            // With a key pair nothing was told to the public log.
            Self::Key(key) => cmd.args(["--key", key, "--insecure-ignore-tlog"]),
            Self::Identity { identity, issuer } => {
                cmd.args(["--certificate-identity-regexp", identity, "--certificate-oidc-issuer", issuer])
            }
        };
        let cmd = if plain_http { cmd.arg("--allow-http-registry") } else { cmd };
        cmd.arg(image).limit(std::time::Duration::from_mins(2))
    }
}
