//! Versions of a package on GitHub, by its REST API ("Packages", version 2022-11-28): ghcr.io deletes nothing
//! over the distribution API.

use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use ureq::http::header::{ACCEPT, HeaderName, RETRY_AFTER};
use ureq::http::{HeaderValue, Method, Uri};

use super::auth::{Credential, CredentialSource};
use super::client::Client;
use super::reference::{Reference, is_loopback};
use super::refusal_body::server_errors;
use super::retry::{self, RequestError, Transient};
use super::secret::Secret;
use super::session::bearer;
use super::url;
use super::wire::{Ask, Payload, Redirects, Response};
use cli_support::digest::Digest;
use cli_support::error::Fault;

/// The API, unless `GITHUB_API_URL` names another.
const API: &str = "https://api.github.com";
const VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");
const PER_PAGE: usize = 100;
/// The most pages of versions that are read, and the most bytes of each.
const MAX_PAGES: usize = 1000;
const MAX_PAGE_BYTES: u64 = 16 * 1024 * 1024;

/// A version of a package: a manifest with its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageVersion {
    /// GitHub's number for it.
    pub id: u64,
    /// The manifest.
    pub digest: Digest,
    /// Its tags.
    pub tags: Vec<String>,
}

/// A container package of a user or an organisation.
#[derive(Debug)]
pub struct Packages<'a> {
    client: &'a Client,
    /// `…/orgs/OWNER/packages/container/NAME/versions`, or the same below `users`.
    url: Uri,
    secret: Secret,
    source: CredentialSource,
}

impl Client {
    /// The package behind a repository on ghcr.io; none for other registries. Asks whether the owner is an
    /// organisation or a user. An error where the package is not there, or the token may not list it.
    pub fn github_packages(&self, reference: &Reference) -> Result<Option<Packages<'_>>> {
        if reference.registry() != "ghcr.io" {
            return Ok(None);
        }
        let found = self.credentials(reference)?;
        let (Some(Credential::Basic { secret, .. } | Credential::Bearer(secret)), source) =
            (found.credential, found.source)
        else {
            return Err(Fault::failed("GitHub's API for packages requires a token")
                .at(reference.name())
                .hint(
                    "set GITHUB_TOKEN, or pass a classic token with the scope delete:packages: --token-stdin",
                )
                .into());
        };
        let api = self.options.environment.get("GITHUB_API_URL").unwrap_or(API).trim_end_matches('/');
        let safe = url::parse(api).is_some_and(|uri| {
            url::is_tls(&uri) || is_loopback(uri.authority().map_or("", |host| host.as_str()))
        });
        if !safe {
            return Err(Fault::usage("GITHUB_API_URL is not an https URL").at("environment").into());
        }
        let (owner, name) = reference.repository().split_once('/').unwrap_or((reference.repository(), ""));
        for kind in ["orgs", "users"] {
            let name = url::encode(name).replace('/', "%2F");
            let text = format!("{api}/{kind}/{owner}/packages/container/{name}/versions");
            let url =
                url::parse(&text).ok_or_else(|| Fault::failed("this package makes no URL").at(&text))?;
            let packages = Packages { client: self, url, secret: secret.clone(), source: source.clone() };
            if packages.page(1)?.is_some() {
                return Ok(Some(packages));
            }
        }
        Err(Fault::failed("GitHub knows no such package, or the token may not see it")
            .at(reference.name())
            .hint("check the name; a job's GITHUB_TOKEN needs the role Admin in the package's settings ('Manage Actions access'), a classic token the scopes read:packages and delete:packages")
            .into())
    }
}

impl Packages<'_> {
    /// All versions, the newest first.
    pub fn versions(&self) -> Result<Vec<PackageVersion>> {
        let mut versions = Vec::new();
        for number in 1..=MAX_PAGES {
            let page = self.page(number)?.unwrap_or_default();
            let is_last = page.len() < PER_PAGE;
            // A package may have versions that are no manifests of a digest that is read here.
            versions.extend(page.into_iter().filter_map(Version::read));
            if is_last {
                return Ok(versions);
            }
        }
        let what = format!("the package has more than {} versions", MAX_PAGES * PER_PAGE);
        Err(Fault::failed(what).at(url::shown(&self.url)).into())
    }

    /// Deletes a version, for 30 days in which GitHub can restore it. False where there is none.
    pub fn delete(&self, id: u64) -> Result<bool> {
        let url = format!("{}/{id}", self.url);
        let answer = self.ask(&Method::DELETE, &url, "delete:packages")?;
        Ok(answer.is_some())
    }

    /// One page of versions; none where there is no such package.
    fn page(&self, number: usize) -> Result<Option<Vec<Version>>> {
        let url = format!("{}?per_page={PER_PAGE}&page={number}", self.url);
        let Some(answer) = self.ask(&Method::GET, &url, "read:packages")? else { return Ok(None) };
        lacks_scope(answer.header("x-oauth-scopes"), "delete:packages").map_or(Ok(()), |scopes| {
            Err(Fault::failed(format!("the token has the scopes '{scopes}' and lacks delete:packages: {}", self.source))
                .at(url::shown(&self.url))
                .hint("create a classic token with it: https://github.com/settings/tokens/new?scopes=delete:packages,write:packages"))
        })?;
        let bytes = answer.read(MAX_PAGE_BYTES).map_err(|failure| failure.error)?;
        let page = serde_json::from_slice(&bytes);
        page.map(Some).map_err(|_| {
            Fault::failed("GitHub's answer is not a list of versions").at(url::shown(&self.url)).into()
        })
    }

    /// The answer to a request; none where GitHub answers 404.
    fn ask(&self, method: &Method, url: &str, scope: &str) -> Result<Option<Response>> {
        let url = url::parse(url).ok_or_else(|| Fault::failed("this makes no URL").at(url))?;
        self.client.retry(|| {
            let headers = vec![
                (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
                (HeaderName::from_static(VERSION.0), HeaderValue::from_static(VERSION.1)),
            ];
            let authorization = Some(bearer(&self.secret).map_err(RequestError::permanent)?);
            let (method, url) = (method.clone(), url.clone());
            let ask = Ask {
                method,
                url,
                headers,
                authorization,
                payload: Payload::None,
                redirects: Redirects::Any,
            };
            let answer = self.client.wire().send(ask)?;
            match answer.status.as_u16() {
                200..=299 => Ok(Some(answer)),
                404 => Ok(None),
                _ => Err(self.refused(answer, scope)),
            }
        })
    }

    fn refused(&self, mut answer: Response, scope: &str) -> RequestError {
        let errors = server_errors(&answer.read_some(64 * 1024), std::slice::from_ref(&self.secret));
        let message = errors.first().map(|error| error.message.clone()).unwrap_or_default();
        let status = answer.status.as_u16();
        let fault = |what: &str| {
            Fault::failed(format!("{what} (status {}, {message})", answer.status)).at(url::shown(&answer.url))
        };
        let date = self.client.options.clock.date();
        let wait = answer.header(RETRY_AFTER).and_then(|value| retry::retry_after(value, date));
        let is_limit = status == 429
            || status == 403
                && (wait.is_some()
                    || answer.header("x-ratelimit-remaining") == Some("0")
                    || message.contains("rate limit"));
        if is_limit || matches!(status, 408 | 500 | 502..=504) {
            let wait = wait.or_else(|| reset(answer.header("x-ratelimit-reset")?, date));
            let error = fault("GitHub does not answer this now").hint("wait some minutes, and run it again");
            return RequestError::transient(Transient::Busy(wait), error);
        }
        let error = match status {
            401 => fault(&format!("GitHub does not accept {}", self.source))
                .hint("the token may have expired or been revoked; only classic tokens and a job's GITHUB_TOKEN work with packages"),
            403 => fault(&format!("the token may not do this; it needs {scope}: {}", self.source)).hint(format!(
                "a classic token needs the scope: https://github.com/settings/tokens/new?scopes={scope}; a job's GITHUB_TOKEN needs 'permissions: packages: write' and the role Admin in the package's settings"
            )),
            400 | 422 => fault("GitHub does not delete this version").hint(
                "the last version of a package, and public versions with more than 5000 downloads, stay: see the package's settings on GitHub",
            ),
            _ => fault("GitHub refused").hint("GitHub's message above says what it lacks"),
        };
        RequestError::permanent(error)
    }
}

/// A version as the API lists it.
#[derive(Deserialize)]
struct Version {
    id: u64,
    name: String,
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    container: Option<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    tags: Vec<String>,
}

impl Version {
    fn read(self) -> Option<PackageVersion> {
        let tags = self.metadata.and_then(|metadata| metadata.container).map(|container| container.tags);
        Some(PackageVersion { id: self.id, digest: self.name.parse().ok()?, tags: tags.unwrap_or_default() })
    }
}

/// The scopes of a token that lacks `wanted`. Tokens of jobs and of apps have none, and GitHub names none.
fn lacks_scope<'a>(scopes: Option<&'a str>, wanted: &str) -> Option<&'a str> {
    let scopes = scopes.filter(|scopes| !scopes.trim().is_empty())?;
    (!scopes.split(',').any(|scope| scope.trim() == wanted)).then_some(scopes)
}

/// The wait until the second since 1970 in `X-RateLimit-Reset`.
fn reset(value: &str, now: std::time::SystemTime) -> Option<Duration> {
    let at = std::time::UNIX_EPOCH + Duration::from_secs(value.trim().parse().ok()?);
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_without_a_digest_or_tags_are_no_error() {
        let read = |text: &str| serde_json::from_str::<Version>(text).unwrap().read();
        let digest = Digest::of(b"x");
        let tagged = format!(
            r#"{{"id":7,"name":"{digest}","metadata":{{"package_type":"container","container":{{"tags":["1.0.0","latest"]}}}}}}"#
        );
        let tags = vec!["1.0.0".to_owned(), "latest".to_owned()];
        assert_eq!(read(&tagged), Some(PackageVersion { id: 7, digest, tags }));
        let bare = format!(r#"{{"id":8,"name":"{digest}"}}"#);
        assert_eq!(read(&bare), Some(PackageVersion { id: 8, digest, tags: Vec::new() }));
        assert_eq!(read(r#"{"id":9,"name":"1.0.0","metadata":{}}"#), None);
    }

    #[test]
    fn a_missing_scope_is_told_apart_from_tokens_without_scopes() {
        for (scopes, expected) in [
            (Some("read:packages, write:packages"), Some("read:packages, write:packages")),
            (Some("repo, delete:packages"), None),
            (Some(""), None),
            (None, None),
        ] {
            assert_eq!(lacks_scope(scopes, "delete:packages"), expected, "{scopes:?}");
        }
    }

    #[test]
    fn a_rate_limit_is_waited_for_until_its_reset() {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(reset("130", now), Some(Duration::from_secs(30)));
        assert_eq!(reset("90", now), Some(Duration::ZERO));
        assert_eq!(reset("soon", now), None);
    }
}
