//! Where credentials come from.
//!
//! The first of these that knows the registry wins:
//!
//! 1. what the caller was given (`--token-stdin`), for the registry it was given for;
//! 2. for ghcr.io, `GHCR_TOKEN`, then `GITHUB_TOKEN`, with the user `GITHUB_ACTOR`;
//! 3. Docker's `config.json` (`DOCKER_CONFIG`, else `~/.docker`): `credHelpers`, `auths`, `credsStore`;
//! 4. Podman's `auth.json`: `REGISTRY_AUTH_FILE`, else `$XDG_RUNTIME_DIR/containers` (`/run/containers/UID`
//!    without that variable), then `~/.config/containers`.
//!
//! A file that cannot be read, or a helper that fails, is an error: going on without credentials would
//! end in a refusal that hides the cause.

mod environment;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::auth_file::AuthFile;
pub use super::credential::Credential;
use super::helpers;
use super::secret::Secret;
use cli_support::error::Fault;
use cli_support::process::Cmd;
pub use environment::Environment;

/// The user name that GitHub takes with any token.
const ANY_USER: &str = "x-access-token";

/// Where a credential was found; prints the place and never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// Nowhere.
    Nowhere,
    /// Handed in by the caller.
    Given,
    /// An environment variable.
    Variable(&'static str),
    /// An entry of Docker's or Podman's file.
    File {
        /// The file.
        path: PathBuf,
        /// The entry's name in `auths`.
        key: String,
    },
    /// A credential helper, and the file that names it.
    Helper {
        /// The program.
        program: String,
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("no credentials"),
            Self::Given => f.write_str("the token that was handed in"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, key } => write!(f, "the entry '{key}' of {}", path.display()),
            Self::Helper { program, path } => write!(f, "{program}, named by {}", path.display()),
        }
    }
}

/// A credential and where it was found; [`CredentialSource::Nowhere`] exactly where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCredential {
    /// The credential.
    pub credential: Option<Credential>,
    /// Where it was found.
    pub source: CredentialSource,
}

/// The name under which children call this program as a credential helper.
pub const HELPER: &str = "xtask-lent";
const LENT_USER: &str = "XTASK_LENT_USER";
const LENT_SECRET: &str = "XTASK_LENT_SECRET";

impl FoundCredential {
    fn nothing() -> Self {
        Self { credential: None, source: CredentialSource::Nowhere }
    }

    /// Whether other programs cannot find the credential themselves.
    pub fn is_ours(&self) -> bool {
        matches!(self.source, CredentialSource::Given | CredentialSource::Variable(_))
    }

    /// The command with the credential in its environment, for [`lent`].
    pub fn lend(&self, cmd: Cmd) -> Cmd {
        match &self.credential {
            Some(Credential::Basic { user, secret }) => {
                cmd.env(LENT_USER, user).secret_env(LENT_SECRET, secret.expose())
            }
            _ => cmd,
        }
    }
}

/// The answer of a credential helper to `get`; none if no credential was lent.
pub fn lent(get: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (user, secret) = (get(LENT_USER)?, get(LENT_SECRET)?);
    Some(serde_json::json!({ "ServerURL": "", "Username": user, "Secret": secret }).to_string())
}

/// A token from the caller, for one registry only.
#[derive(Clone, Debug)]
pub struct GivenCredential {
    /// The registry that it is for, as in an image name.
    pub registry: String,
    /// The user name that goes with it; needed everywhere but at ghcr.io.
    pub user: Option<String>,
    /// The token.
    pub secret: Secret,
}

/// A variable with the text of Docker's file, which Docker reads before the file.
const AUTH_CONFIG: &str = "DOCKER_AUTH_CONFIG";

/// The credential for a repository (`registry`, and the path in it for entries that Podman scopes).
pub fn find(
    environment: &Environment,
    given: Option<&GivenCredential>,
    registry: &str,
    repository: &str,
) -> Result<FoundCredential> {
    if let Some(given) = given.filter(|given| given.registry == registry) {
        return handed_in(environment, given);
    }
    if registry == "ghcr.io" {
        for name in ["GHCR_TOKEN", "GITHUB_TOKEN"] {
            if let Some(token) = environment.get(name) {
                let user = environment.get("GITHUB_ACTOR").unwrap_or(ANY_USER).to_owned();
                let credential = Credential::Basic { user, secret: Secret::new(token) };
                return Ok(FoundCredential {
                    credential: Some(credential),
                    source: CredentialSource::Variable(name),
                });
            }
        }
    }
    if let Some(text) = environment.get(AUTH_CONFIG)
        && let Some((_, credential)) =
            AuthFile::parse(Path::new(AUTH_CONFIG), text.as_bytes())?.entry(registry, repository)?
    {
        let source = CredentialSource::Variable(AUTH_CONFIG);
        return Ok(FoundCredential { credential: Some(credential), source });
    }
    if let Some(path) = environment.docker_file()
        && let Some(found) = in_file(environment, &path, registry, repository)?
    {
        return Ok(found);
    }
    if let Some(path) = environment.get("REGISTRY_AUTH_FILE") {
        if !Path::new(path).exists() {
            return Err(Fault::failed("REGISTRY_AUTH_FILE names a file that is not there")
                .at(path)
                .hint("log in with 'podman login', or unset REGISTRY_AUTH_FILE")
                .into());
        }
        return Ok(in_file(environment, Path::new(path), registry, repository)?
            .unwrap_or_else(FoundCredential::nothing));
    }
    for path in environment.podman_files() {
        if let Some(found) = in_file(environment, &path, registry, repository)? {
            return Ok(found);
        }
    }
    Ok(FoundCredential::nothing())
}

fn handed_in(environment: &Environment, given: &GivenCredential) -> Result<FoundCredential> {
    if given.secret.is_empty() {
        return Err(Fault::usage(format!("the token for {} is empty", given.registry))
            .hint("pass the token on standard input, for example: gh auth token | cargo xtask …")
            .into());
    }
    let user = match &given.user {
        Some(user) => user.clone(),
        None if given.registry == "ghcr.io" => environment.get("GITHUB_ACTOR").unwrap_or(ANY_USER).to_owned(),
        None => {
            let what = format!("a token for {} needs the name of its user", given.registry);
            return Err(Fault::usage(what)
                .hint("name the user as well, --user NAME, or log in with 'docker login'")
                .into());
        }
    };
    let credential = Credential::Basic { user, secret: given.secret.clone() };
    Ok(FoundCredential { credential: Some(credential), source: CredentialSource::Given })
}

/// The credential in one file. `credHelpers` comes first because it is for this registry only; `credsStore`
/// comes last because it is for all, and Docker leaves an empty entry in `auths` for each stored credential.
fn in_file(
    environment: &Environment,
    path: &Path,
    registry: &str,
    repository: &str,
) -> Result<Option<FoundCredential>> {
    let Some(file) = AuthFile::read(path)? else { return Ok(None) };
    if let Some(helper) = file.helper(registry)
        && let Some(found) = ask(environment, helper, path, registry)?
    {
        return Ok(Some(found));
    }
    if let Some((key, credential)) = file.entry(registry, repository)? {
        let source = CredentialSource::File { path: path.to_owned(), key };
        return Ok(Some(FoundCredential { credential: Some(credential), source }));
    }
    match file.store() {
        Some(helper) => ask(environment, helper, path, registry),
        None => Ok(None),
    }
}

fn ask(
    environment: &Environment,
    helper: &str,
    path: &Path,
    registry: &str,
) -> Result<Option<FoundCredential>> {
    let program = helpers::program(helper);
    let credential = helpers::get(&program, path, registry, environment.get("PATH"))?;
    Ok(credential.map(|credential| {
        let source = CredentialSource::Helper { program, path: path.to_owned() };
        FoundCredential { credential: Some(credential), source }
    }))
}

#[cfg(test)]
mod tests;
