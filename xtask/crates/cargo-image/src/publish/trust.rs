//! Verifies signatures and signed statements with cosign.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::access::Access;
use super::cosign::is_uri;
use cli_support::error::Fault;
use cli_support::process::Cmd;
use oci_registry::base64;

/// The artifact type of cosign's attachments.
pub const SIGNATURE: &str = "application/vnd.dev.sigstore.bundle";

/// The kind of a signed statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// SLSA v1 provenance.
    Provenance,
    /// The digests of our documents about the image: result of the scan, bills of materials.
    Documents,
}

impl StatementKind {
    /// The type of its predicate, for cosign's `--type`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Provenance => "slsaprovenance1",
            Self::Documents => "urn:cargo-xtask:documents:v1",
        }
    }

    /// The file with its predicate, for cosign.
    pub fn path(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Provenance => "provenance.json",
            Self::Documents => "documents.json",
        })
    }
}

/// The required signer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// A public key: a file or a KMS URI.
    Key(String),
    /// A CI run: its workflow's URL and its issuer.
    Identity {
        /// A regular expression for the certificate's identity.
        identity: String,
        /// The issuer's URL.
        issuer: String,
        /// The trusted root of the Sigstore; the public one's where unset.
        trusted_root: Option<String>,
    },
}

/// The issuer of the tokens of GitHub Actions.
pub const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";

/// How cosign's output names a signature of an image: as a bundle, and as the tag `sha256-<hex>.sig`. Statements that
/// the same key has signed have other names.
const OF_IMAGES: [&str; 2] = ["https://sigstore.dev/cosign/sign/v1", "cosign container image signature"];

/// The beginnings of cosign's errors if no required signature was found. All other errors leave that open: a registry
/// without an answer, an unreadable key.
const NOT_SIGNED: [&str; 5] = [
    "no matching signatures",
    "no matching attestations",
    "no signatures found",
    "no attestations found",
    "none of the attestations matched the predicate type",
];

impl Trust {
    /// A public key: a file below `folder`, or a KMS URI; an error at `place` otherwise. The error does not repeat the
    /// value, which may be a private key.
    pub fn key(key: &str, folder: &Path, place: impl Display) -> Result<Self, Fault> {
        let path = folder.join(key);
        match path.to_str() {
            Some(path) if Path::new(path).is_file() => Ok(Self::Key(path.to_owned())),
            _ if is_uri(key) => Ok(Self::Key(key.to_owned())),
            _ => Err(Fault::usage("the public key is neither an existing file nor a KMS URI")
                .at(place)
                .hint("cosign public-key --key cosign.key > cosign.pub writes one")),
        }
    }

    /// Whether an image has the required signature; the inner error is the reason why not. An error if cosign cannot
    /// tell.
    pub fn signed(&self, image: &str, plain_http: bool, access: &Access) -> Result<Result<(), String>> {
        let answer = ask(&access.lend(self.of("verify", image, plain_http)), image)?;
        let no = || "statements about the image are signed, but the image is not".to_owned();
        Ok(answer.and_then(|answer| has_signature(&answer).then_some(()).ok_or_else(no)))
    }

    /// The statements of one kind with the required signature; none if cosign finds none.
    pub fn statements(
        &self,
        kind: StatementKind,
        image: &str,
        plain_http: bool,
        access: &Access,
    ) -> Result<Vec<Value>> {
        let cmd = self.of("verify-attestation", image, plain_http).args(["--type", kind.kind()]);
        let answer = ask(&access.lend(cmd), image)?.unwrap_or_default();
        let statement = |line: &[u8]| {
            let envelope: Value = serde_json::from_slice(line).ok()?;
            serde_json::from_slice(&base64::decode(envelope["payload"].as_str()?)?).ok()
        };
        Ok(answer.split(|byte| *byte == b'\n').filter_map(statement).collect())
    }

    fn of(&self, verb: &str, image: &str, plain_http: bool) -> Cmd {
        let cmd = Cmd::new("cosign").args([verb, "--output", "json"]);
        let cmd = match self {
            // Signatures with a key are not in the public log.
            Self::Key(key) => cmd.args(["--key", key, "--insecure-ignore-tlog"]),
            Self::Identity { identity, issuer, trusted_root } => {
                let cmd = cmd.args([
                    "--certificate-identity-regexp",
                    identity,
                    "--certificate-oidc-issuer",
                    issuer,
                ]);
                match trusted_root {
                    Some(path) => cmd.args(["--trusted-root", path]),
                    None => cmd,
                }
            }
        };
        let cmd = if plain_http { cmd.arg("--allow-http-registry") } else { cmd };
        cmd.arg(image).limit(std::time::Duration::from_mins(2))
    }
}

/// Cosign's output; the inner error is its message that no required signature was found. An error if it cannot tell.
fn ask(cmd: &Cmd, image: &str) -> Result<Result<Vec<u8>, String>> {
    let error = match cmd.read_bytes() {
        Ok(answer) => return Ok(Ok(answer)),
        Err(error) => error,
    };
    match not_signed(&error.to_string()) {
        Some(words) => Ok(Err(format!("cosign: {words}"))),
        None => Err(error.context(
            Fault::failed("cosign could not verify the signature")
                .at(image)
                .hint("its message is below; if it is about the network, try again"),
        )),
    }
}

/// Cosign's message that no required signature was found, in the last lines of a failed run.
fn not_signed(failed: &str) -> Option<&str> {
    let lines = failed.lines().filter_map(|line| line.strip_prefix("| "));
    let errors = lines.filter_map(|line| {
        line.strip_prefix("Error: ").or_else(|| line.strip_prefix("error during command execution: "))
    });
    let mut not_signed = errors.filter(|error| NOT_SIGNED.iter().any(|words| error.starts_with(words)));
    not_signed.next().map(|words| words.trim_end_matches([':', ' ']))
}

/// Whether the output of `cosign verify` has a signature of the image.
fn has_signature(answer: &[u8]) -> bool {
    let found: Vec<Value> = serde_json::from_slice(answer).unwrap_or_default();
    found.iter().any(|one| one["critical"]["type"].as_str().is_some_and(|kind| OF_IMAGES.contains(&kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_statement_is_no_signature_of_the_image() {
        let of = |kinds: &[&str]| {
            let one = |kind: &&str| serde_json::json!({ "critical": { "type": kind }, "optional": {} });
            Value::from(kinds.iter().map(one).collect::<Vec<_>>()).to_string()
        };
        let statement = "https://cosign.sigstore.dev/attestation/v1";
        for (answer, expected) in [
            (of(&[statement, OF_IMAGES[0]]), true),
            (of(&[OF_IMAGES[1]]), true),
            (of(&[statement]), false),
            (of(&[]), false),
            ("{}".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(has_signature(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn a_missing_signature_is_told_apart_from_a_failure_of_cosign() {
        const NO: &str = "exit status: 1: cosign verify\n| WARNING: x\n| Error: ";
        for (failed, expected) in [
            (format!("{NO}no matching attestations: \n"), Some("no matching attestations")),
            (format!("{NO}no signatures found\n| error during"), Some("no signatures found")),
            (
                "| b\n| error during command execution: no matching signatures: a".to_owned(),
                Some("no matching signatures: a"),
            ),
            (format!("{NO}Get \"https://r/v2/\": dial tcp: connection refused"), None),
            (format!("{NO}GET https://r/v2/no matching signatures: 500"), None),
            ("cannot start cosign".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(not_signed(&failed), expected, "{failed}");
        }
    }

    #[test]
    fn a_key_is_a_file_from_its_folder_or_a_uri() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cosign.pub");
        std::fs::write(&file, "").unwrap();
        let file = file.to_str().unwrap();
        for (key, expected) in [
            ("cosign.pub", Some(file)),
            (file, Some(file)),
            ("awskms:///alias/x", Some("awskms:///alias/x")),
            ("hunter2", None),
            ("", None),
        ] {
            match (Trust::key(key, folder.path(), "xtask/image.toml"), expected) {
                (Ok(Trust::Key(found)), Some(expected)) => assert_eq!(found, expected),
                (Err(fault), None) => {
                    let text = fault.to_string();
                    assert!(text.contains("xtask/image.toml") && !text.contains("hunter2"), "{text}");
                }
                (found, _) => panic!("{key}: {found:?}"),
            }
        }
    }
}
