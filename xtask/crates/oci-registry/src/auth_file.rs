//! The files in which Docker and Podman keep credentials; one format, two ways to name an entry.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::base64;
use super::credential::Credential;
use super::secret::Secret;
use cli_support::error::Fault;

/// Docker's `config.json` or Podman's `auth.json`, as far as it is about credentials.
pub(super) struct AuthFile {
    path: PathBuf,
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default, rename = "credsStore")]
    creds_store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    cred_helpers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl AuthFile {
    /// Reads a file; none where there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => {
                return Err(error).context(Fault::failed("cannot read credentials").at(path.display()));
            }
        };
        Self::parse(path, &bytes).map(Some)
    }

    /// Reads the text of a file; `path` is where it is from.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let content = if bytes.trim_ascii().is_empty() {
            Content { auths: None, creds_store: None, cred_helpers: None }
        } else {
            // The parser's own message can quote what it stumbled over, and that may be a secret.
            serde_json::from_slice(bytes).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                let place = format!("{}:{line}:{column}", path.display());
                Fault::failed("not a file of credentials as Docker and Podman write them")
                    .at(place)
                    .hint("repair it, or move it away and log in again")
            })?
        };
        Ok(Self { path: path.to_owned(), content })
    }

    /// The helper that keeps this registry's credentials alone.
    pub(super) fn helper(&self, registry: &str) -> Option<&str> {
        let helpers = self.content.cred_helpers.as_ref()?;
        let known = helpers.iter().find(|(key, _)| normal(key) == registry);
        known.map(|(_, helper)| helper.as_str()).filter(|helper| !helper.is_empty())
    }

    /// The helper that keeps all credentials.
    pub(super) fn store(&self) -> Option<&str> {
        self.content.creds_store.as_deref().filter(|helper| !helper.is_empty())
    }

    /// The entry that fits best: for the repository, for a folder above it, for the registry.
    pub(super) fn entry(&self, registry: &str, repository: &str) -> Result<Option<(String, Credential)>> {
        let Some(auths) = &self.content.auths else { return Ok(None) };
        let full = format!("{registry}/{repository}");
        let mut scope = full.as_str();
        loop {
            for (key, entry) in auths.iter().filter(|(key, _)| normal(key) == scope) {
                let read = entry.credential().map_err(|what| {
                    Fault::failed(format!("the entry '{key}' {what}"))
                        .at(self.path.display())
                        .hint(format!("log in again: docker login {registry}"))
                })?;
                if let Some(credential) = read {
                    return Ok(Some((key.clone(), credential)));
                }
            }
            if scope == registry {
                return Ok(None);
            }
            scope = scope.rfind('/').map_or(registry, |slash| &scope[..slash]);
        }
    }
}

impl Entry {
    /// The credential of the entry; none if it is empty, as Docker leaves it for a credential helper.
    fn credential(&self) -> Result<Option<Credential>, &'static str> {
        let filled = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(token) = filled(&self.identitytoken) {
            return Ok(Some(Credential::Identity(Secret::new(token))));
        }
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(Some(Credential::Bearer(Secret::new(token))));
        }
        if let Some(auth) = filled(&self.auth) {
            let text = base64::decode(auth.trim()).and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text.ok_or("has an 'auth' that is not base64")?;
            let (user, password) =
                text.split_once(':').ok_or("has an 'auth' without a user and a password")?;
            // Docker pads some passwords with NUL bytes.
            let secret = Secret::new(password.trim_end_matches('\0'));
            return Ok(Some(Credential::Basic { user: user.to_owned(), secret }));
        }
        match (filled(&self.username), filled(&self.password)) {
            (Some(user), Some(password)) => {
                Ok(Some(Credential::Basic { user, secret: Secret::new(password) }))
            }
            (None, None) => Ok(None),
            _ => Err("has a user without a password, or the reverse"),
        }
    }
}

/// A key of `auths` as a registry or a path below one: `https://index.docker.io/v1/` is `docker.io`.
fn normal(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let bare = bare.trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    match bare {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        _ => bare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> AuthFile {
        AuthFile { path: "/h/config.json".into(), content: serde_json::from_str(text).unwrap() }
    }

    fn found(text: &str, registry: &str, repository: &str) -> Option<(String, String)> {
        file(text).entry(registry, repository).unwrap().map(|(key, credential)| {
            let shown = match &credential {
                Credential::Basic { user, secret } => format!("{user}:{}", secret.expose()),
                Credential::Identity(secret) => format!("identity {}", secret.expose()),
                Credential::Bearer(secret) => format!("bearer {}", secret.expose()),
            };
            (key, shown)
        })
    }

    #[test]
    fn the_most_specific_entry_wins() {
        let auth = |user: &str| base64::encode(format!("{user}:p:w").as_bytes());
        let text = format!(
            r#"{{"auths":{{"ghcr.io":{{"auth":"{}"}},"ghcr.io/owner":{{"auth":"{}"}},
                "ghcr.io/owner/app":{{"auth":"{}"}},"ghcr.io/empty":{{}},
                "https://index.docker.io/v1/":{{"auth":"{}"}},"http://localhost:5000":{{"auth":"{}"}}}}}}"#,
            auth("all"),
            auth("owner"),
            auth("app"),
            auth("hub"),
            auth("local"),
        );
        let cases = [
            ("ghcr.io", "owner/app", Some("app:p:w")),
            ("ghcr.io", "owner/app/sub", Some("app:p:w")),
            ("ghcr.io", "owner/apple", Some("owner:p:w")),
            ("ghcr.io", "other/app", Some("all:p:w")),
            ("ghcr.io", "empty/app", Some("all:p:w")),
            ("docker.io", "library/alpine", Some("hub:p:w")),
            ("localhost:5000", "x", Some("local:p:w")),
            ("localhost:5001", "x", None),
            ("io", "x", None),
        ];
        for (registry, repository, expected) in cases {
            let shown = found(&text, registry, repository).map(|(_, shown)| shown);
            assert_eq!(shown.as_deref(), expected, "{registry}/{repository}");
        }
    }

    #[test]
    fn every_form_of_an_entry_is_read() {
        let cases = [
            (r#"{"username":"u","password":"p"}"#, Ok(Some("u:p"))),
            (r#"{"auth":"","username":"u","password":"p"}"#, Ok(Some("u:p"))),
            (r#"{"auth":"dTpwAAA="}"#, Ok(Some("u:p"))),
            (r#"{"auth":"dTo="}"#, Ok(Some("u:"))),
            (r#"{"auth":"MDAwMDo=","identitytoken":"t"}"#, Ok(Some("identity t"))),
            (r#"{"registrytoken":"t"}"#, Ok(Some("bearer t"))),
            (r#"{"email":"e"}"#, Ok(None)),
            (r#"{"auth":"%"}"#, Err("not base64")),
            (r#"{"auth":"dQ=="}"#, Err("without a user and a password")),
            (r#"{"username":"u"}"#, Err("the reverse")),
        ];
        for (entry, expected) in cases {
            let text = format!(r#"{{"auths":{{"r.io":{entry}}}}}"#);
            match expected {
                Ok(shown) => {
                    assert_eq!(found(&text, "r.io", "a").map(|(_, s)| s).as_deref(), shown, "{entry}");
                }
                Err(what) => {
                    let error = file(&text).entry("r.io", "a").unwrap_err().to_string();
                    assert!(error.contains(what) && error.starts_with("/h/config.json"), "{error}");
                }
            }
        }
    }

    #[test]
    fn helpers_are_found_by_registry() {
        let text =
            r#"{"credHelpers":{"gcr.io":"gcloud","https://index.docker.io/v1/":"x"},"credsStore":"desktop"}"#;
        let file = file(text);
        assert_eq!(file.helper("gcr.io"), Some("gcloud"));
        assert_eq!(file.helper("docker.io"), Some("x"));
        assert_eq!((file.helper("ghcr.io"), file.store()), (None, Some("desktop")));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(AuthFile::read(&path).unwrap().is_none());
        assert!(AuthFile::read(&path.join("below")).unwrap().is_none());
        fs::write(&path, " \n").unwrap();
        assert!(AuthFile::read(&path).unwrap().is_some());
        for text in ["{", "5", r#"{"auths":"hunter2"}"#, "\u{0}", r#"{"auths":{"a":{"auth":5}}}"#] {
            fs::write(&path, text).unwrap();
            let error = AuthFile::read(&path).err().unwrap().to_string();
            assert!(error.contains("config.json:1:") && !error.contains("hunter2"), "{error}");
        }
        assert!(AuthFile::read(folder.path()).err().unwrap().to_string().contains("cannot read"));
    }
}
