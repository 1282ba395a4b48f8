//! A repository on GitHub, by GitHub's REST API (version 2022-11-28).

use std::fmt;

use anyhow::Result;
use serde_json::Value;
use ureq::http::header::{ACCEPT, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use ureq::http::{HeaderValue, Method, Uri};

use super::download::safe;
use super::retry::{self, Clock as _, Policy, RequestError, SystemClock, Transient};
use super::secret::Secret;
use super::session::bearer;
use super::timeouts::Timeouts;
use super::url;
use super::wire::{Ask, Payload, Redirects, Wire};
use cli_support::error::{Fault, plain_line};

/// The API, unless `GITHUB_API_URL` names another.
const API: &str = "https://api.github.com";
const VERSION: (&str, &str) = ("x-github-api-version", "2022-11-28");
const JSON: &str = "application/json";
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// The most entries of a page.
const PER_PAGE: usize = 100;

/// A repository on GitHub, and a token for it.
pub struct GithubRepository {
    api: String,
    name: String,
    token: Secret,
    policy: Policy,
    wire: Wire,
}

/// GitHub's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The document; null where the body has none.
    pub body: Value,
}

impl fmt::Debug for GithubRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GithubRepository").field("name", &self.name).finish_non_exhaustive()
    }
}

impl GithubRepository {
    /// The repository of a job: `GITHUB_REPOSITORY`, `GITHUB_TOKEN` and, if set, `GITHUB_API_URL`. `get` reads variables.
    pub fn of_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let need = |name: &str| {
            let value = get(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| Fault::usage(format!("{name} is not set")).at("environment"))
        };
        let name = need("GITHUB_REPOSITORY")?;
        let plain = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !name.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name)) {
            return Err(Fault::usage("GITHUB_REPOSITORY is not OWNER/NAME").at("environment"));
        }
        let token = Secret::new(need("GITHUB_TOKEN")?);
        let api = get("GITHUB_API_URL").filter(|api| !api.is_empty()).unwrap_or_else(|| API.to_owned());
        let api = api.trim_end_matches('/').to_owned();
        Ok(Self { api, name, token, policy: Policy::default(), wire: Wire::new(Timeouts::default(), None) })
    }

    /// `OWNER/NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of a path below the repository, such as `releases?page=1`.
    pub fn url(&self, path: &str) -> String {
        format!("{}/repos/{}/{path}", self.api, self.name)
    }

    /// Reads the document at a path below the repository.
    pub fn get(&self, path: &str) -> Result<GithubAnswer> {
        self.ask(&Method::GET, &self.url(path), None)
    }

    /// Sends a document to a path below the repository.
    pub fn post(&self, path: &str, body: &Value) -> Result<GithubAnswer> {
        self.ask(&Method::POST, &self.url(path), Some((JSON, body.to_string().as_bytes())))
    }

    /// Changes the document at a path below the repository.
    pub fn patch(&self, path: &str, body: &Value) -> Result<GithubAnswer> {
        self.ask(&Method::PATCH, &self.url(path), Some((JSON, body.to_string().as_bytes())))
    }

    /// Deletes the document at a path below the repository.
    pub fn delete(&self, path: &str) -> Result<GithubAnswer> {
        self.ask(&Method::DELETE, &self.url(path), None)
    }

    /// Sends a file as `name` to the `upload_url` of a release, without its template.
    pub fn upload(
        &self,
        address: &str,
        name: &str,
        kind: &'static str,
        bytes: &[u8],
    ) -> Result<GithubAnswer> {
        let address = format!("{address}?name={}", url::encode(name));
        self.ask(&Method::POST, &address, Some((kind, bytes)))
    }

    /// The entries of a list, page by page, at most `max_pages` pages of 100. `entries` finds them in a page; an error is
    /// an answer without them.
    pub fn list(
        &self,
        path: &str,
        max_pages: usize,
        entries: impl Fn(Value) -> Option<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let join = if path.contains('?') { '&' } else { '?' };
        for number in 1..=max_pages {
            let page = self.get(&format!("{path}{join}per_page={PER_PAGE}&page={number}"))?.value()?;
            let page = entries(page).ok_or_else(|| {
                Fault::failed("GitHub's answer has not the documented form").at(self.url(path))
            })?;
            let is_last = page.len() < PER_PAGE;
            all.extend(page);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    fn ask(
        &self,
        method: &Method,
        address: &str,
        content: Option<(&'static str, &[u8])>,
    ) -> Result<GithubAnswer> {
        let parsed = safe(address)?;
        self.policy.run(&SystemClock, None, || self.send(method, &parsed, content))
    }

    fn send(
        &self,
        method: &Method,
        url: &Uri,
        content: Option<(&'static str, &[u8])>,
    ) -> Result<GithubAnswer, RequestError> {
        let mut headers = vec![
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (HeaderName::from_static(VERSION.0), HeaderValue::from_static(VERSION.1)),
        ];
        headers.extend(content.map(|(kind, _)| (CONTENT_TYPE, HeaderValue::from_static(kind))));
        let reads = *method == Method::GET;
        let answer = self.wire.send(Ask {
            method: method.clone(),
            url: url.clone(),
            headers,
            authorization: Some(bearer(&self.token).map_err(RequestError::permanent)?),
            payload: content.map_or(Payload::None, |(_, bytes)| Payload::Bytes(bytes)),
            redirects: if reads { Redirects::Any } else { Redirects::None },
        })?;
        let status = answer.status.as_u16();
        let wait = answer.header(RETRY_AFTER).and_then(|value| retry::retry_after(value, SystemClock.date()));
        let body = answer.read(MAX_ANSWER)?;
        let body = self.token.scrub(&String::from_utf8_lossy(&body));
        let answer = GithubAnswer { status, body: serde_json::from_str(&body).unwrap_or_default() };
        // Other methods may have had their effect.
        if reads && (wait.is_some() && status == 403 || matches!(status, 429 | 500 | 502..=504)) {
            return Err(RequestError::transient(Transient::Busy(wait), answer.refused().at(url::shown(url))));
        }
        Ok(answer)
    }
}

impl GithubAnswer {
    /// The document of a successful answer.
    pub fn value(self) -> Result<Value, Fault> {
        if (200..300).contains(&self.status) { Ok(self.body) } else { Err(self.refused()) }
    }

    /// GitHub's message, in one line.
    pub fn message(&self) -> String {
        let errors = self.body["errors"].as_array().into_iter().flatten();
        let errors = errors.filter_map(|error| error["message"].as_str().or_else(|| error["code"].as_str()));
        let words: Vec<_> = self.body["message"].as_str().into_iter().chain(errors).collect();
        plain_line(&words.join(": "))
    }

    /// The error for this answer.
    pub fn refused(&self) -> Fault {
        Fault::failed(format!("GitHub answered {}: {}", self.status, self.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_variables_are_named() {
        let with = |variables: &[(&str, &str)]| {
            let get = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            GithubRepository::of_environment(get)
                .map(|repository| repository.url("pulls"))
                .map_err(|fault| fault.to_string())
        };
        let token = ("GITHUB_TOKEN", "hunter2");
        let repository = ("GITHUB_REPOSITORY", "o/r");
        assert_eq!(with(&[token, repository]), Ok("https://api.github.com/repos/o/r/pulls".to_owned()));
        let other = ("GITHUB_API_URL", "https://x/api/");
        assert_eq!(with(&[token, repository, other]), Ok("https://x/api/repos/o/r/pulls".to_owned()));
        assert!(with(&[token]).unwrap_err().contains("GITHUB_REPOSITORY is not set"));
        assert!(with(&[repository, ("GITHUB_TOKEN", "")]).unwrap_err().contains("GITHUB_TOKEN is not set"));
        for wrong in ["o", "o/", "/r", "o/r/x", "o/r?x", "o/../x"] {
            let message = with(&[token, ("GITHUB_REPOSITORY", wrong)]).unwrap_err();
            assert!(message.contains("not OWNER/NAME"), "{wrong}: {message}");
        }
    }

    #[test]
    fn a_refusal_has_githubs_words() {
        let answer = |status, body: &str| GithubAnswer { status, body: serde_json::from_str(body).unwrap() };
        let refused = answer(
            422,
            r#"{"message":"Validation Failed","errors":[{"code":"already_exists"},{"message":"b\nc"}]}"#,
        );
        assert_eq!(refused.message(), "Validation Failed: already_exists: b\\nc");
        assert!(refused.value().unwrap_err().to_string().contains("GitHub answered 422: Validation Failed"));
        assert_eq!(answer(200, "[1]").value().unwrap(), serde_json::json!([1]));
    }
}
