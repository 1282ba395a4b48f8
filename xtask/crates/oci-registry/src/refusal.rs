//! Causes of HTTP refusals of a registry, and hints for each: a pure classifier.
//!
//! Registries answer a dozen different mistakes with the same 401, 403 or 404. The rules here read
//! everything that comes with the status; those about GitHub hold for ghcr.io alone.

mod words;

use std::fmt;

use super::auth::CredentialSource;

/// The requested action on a repository; each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Reading.
    Pull,
    /// Writing.
    Push,
    /// Deleting.
    Delete,
}

/// One entry of a registry's error body (distribution-spec, "Error codes").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `DENIED`, `NAME_UNKNOWN` and so on, in capitals.
    pub code: String,
    /// The registry's own words.
    pub message: String,
    /// The other fields, as JSON.
    pub detail: String,
}

/// The parts of a refusal that the rules read.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The registry, as in an image name.
    pub registry: &'a str,
    /// The repository.
    pub repository: &'a str,
    /// The requested action.
    pub action: Action,
    /// Whether the registry's token service refused, and not the registry itself.
    pub by_token_service: bool,
    /// Where the credentials came from.
    pub source: &'a CredentialSource,
    /// The error body's entries; for a body of another form, one with its text.
    pub errors: &'a [ServerError],
    /// Whether the answer has Retry-After.
    pub has_retry_after: bool,
    /// `X-RateLimit-Remaining` or `RateLimit-Remaining`.
    pub remaining: Option<&'a str>,
    /// The actions that the bearer token grants on the repository, if it can be read.
    pub granted: Option<&'a [String]>,
    /// The scopes of GitHub's token (`X-OAuth-Scopes`).
    pub oauth_scopes: Option<&'a str>,
    /// Whether this is a job of GitHub Actions.
    pub in_actions: bool,
}

/// The cause of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The registry requires credentials.
    NoCredentials,
    /// The registry does not accept the user and token.
    BadCredentials,
    /// GitHub's token has no scope for packages.
    TokenScope,
    /// The job's token has no permission for packages.
    WorkflowPermission,
    /// The package gives this repository or account no access.
    PackageNotLinked,
    /// An organisation forbids it.
    OrganisationPolicy,
    /// The token is not authorized for the organisation.
    SingleSignOn,
    /// The name has upper-case letters.
    Capitals,
    /// A rate limit, with any status.
    RateLimit,
    /// The name does not exist or is not visible.
    NotFound,
    /// The credentials are valid and do not permit reading.
    NoPullRights,
    /// Known, and without the right to write.
    UploadDenied,
    /// There is no repository to push to, and the registry makes none by itself.
    NoRepository,
    /// The tag exists, and the registry does not let it change.
    ImmutableTag,
    /// The owner's storage is used up.
    Quota,
    /// The registry is read-only for now.
    ReadOnly,
    /// The registry does not take this manifest.
    InvalidManifest,
    /// A proxy on the way wants credentials.
    ProxyCredentials,
    /// More than the registry takes.
    TooLarge,
    /// The registry cannot do this.
    Unsupported,
    /// The registry itself is in trouble.
    Unavailable,
    /// It speaks TLS, and was spoken to without.
    WantsTls,
    /// None of these.
    Unexpected,
}

impl Refusal {
    /// All of them, in the order of docs/registry.md, which a test holds against them.
    #[cfg(test)]
    pub const ALL: [Self; 23] = [
        Self::NoCredentials,
        Self::BadCredentials,
        Self::TokenScope,
        Self::WorkflowPermission,
        Self::PackageNotLinked,
        Self::OrganisationPolicy,
        Self::SingleSignOn,
        Self::Capitals,
        Self::RateLimit,
        Self::NotFound,
        Self::NoPullRights,
        Self::UploadDenied,
        Self::NoRepository,
        Self::ImmutableTag,
        Self::Quota,
        Self::ReadOnly,
        Self::InvalidManifest,
        Self::ProxyCredentials,
        Self::TooLarge,
        Self::Unsupported,
        Self::Unavailable,
        Self::WantsTls,
        Self::Unexpected,
    ];

    /// Finds the reason.
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let text = evidence.text();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let github = evidence.registry == "ghcr.io";
        let anonymous = *evidence.source == CredentialSource::Nowhere;
        let writes = evidence.action >= Action::Push;
        let denied = if writes { Self::UploadDenied } else { Self::NoPullRights };
        match evidence.status {
            429 => return Self::RateLimit,
            403 if evidence.is_rate_limit(&text) => return Self::RateLimit,
            407 => return Self::ProxyCredentials,
            507 => return Self::Quota,
            _ if writes
                && says(&[
                    "immutable",
                    "immutability",
                    "already exists",
                    "cannot be overwritten",
                    "overwrite",
                ]) =>
            {
                return Self::ImmutableTag;
            }
            409 | 412 if evidence.action == Action::Push && !says(&["quota"]) => return Self::ImmutableTag,
            402 | 403 | 409 | 412 | 413
                if writes && says(&["quota", "storage limit", "insufficient storage", "billing"]) =>
            {
                return Self::Quota;
            }
            403 | 405 | 503 if writes && says(&["read-only", "read only", "readonly", "maintenance"]) => {
                return Self::ReadOnly;
            }
            413 => return Self::TooLarge,
            400 | 403 | 416 if says(&["too large", "size_invalid", "maximum permissible limit"]) => {
                return Self::TooLarge;
            }
            400 if says(&["http request to an https server", "plain http request was sent to https"]) => {
                return Self::WantsTls;
            }
            405 | 501 => return Self::Unsupported,
            408 | 500 | 502..=504 => return Self::Unavailable,
            _ if evidence.repository.bytes().any(|byte| byte.is_ascii_uppercase()) => return Self::Capitals,
            400..=403 if says(&["unsupported"]) => return Self::Unsupported,
            400 | 415 | 422
                if writes && says(&["manifest_invalid", "manifest invalid", "media type", "mediatype"]) =>
            {
                return Self::InvalidManifest;
            }
            404 if evidence.action == Action::Push => return Self::NoRepository,
            404 => return Self::NotFound,
            401 | 403 => {}
            _ => return Self::Unexpected,
        }
        if anonymous {
            return Self::NoCredentials;
        }
        if github {
            if says(&["saml", "single sign-on", " sso"]) {
                return Self::SingleSignOn;
            }
            if says(&["expected scopes"]) || evidence.lacks_scope() {
                return Self::TokenScope;
            }
            if says(&["installation not allowed"]) {
                return if evidence.in_actions { Self::WorkflowPermission } else { Self::OrganisationPolicy };
            }
            if says(&["organization"]) && says(&["polic", "disabled", "not allowed", "forbid"]) {
                return Self::OrganisationPolicy;
            }
            if writes && says(&["write_package", "create_package"]) {
                return Self::PackageNotLinked;
            }
            // GitHub's token service knows no better word for a token that it does not know.
            if evidence.by_token_service && evidence.errors.iter().all(|error| error.message == "denied") {
                return Self::BadCredentials;
            }
        }
        let action = if writes { "push" } else { "pull" };
        let not_granted = evidence.granted.is_some_and(|granted| !granted.iter().any(|one| one == action));
        if evidence.status == 403 || not_granted { denied } else { Self::BadCredentials }
    }

    /// Whether the same request may succeed a little later.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::RateLimit | Self::Unavailable)
    }
}

impl Evidence<'_> {
    /// All that the registry said, in lower case.
    fn text(&self) -> String {
        let one = |error: &ServerError| format!("{} {} {}\n", error.code, error.message, error.detail);
        self.errors.iter().map(one).collect::<String>().to_lowercase()
    }

    fn is_rate_limit(&self, text: &str) -> bool {
        let words = ["rate limit", "too many requests", "toomanyrequests", "abuse detection"];
        self.has_retry_after
            || self.remaining.is_some_and(|left| left.trim() == "0")
            || words.iter().any(|word| text.contains(word))
    }

    fn scope(&self) -> &'static str {
        match self.action {
            Action::Pull => "read:packages",
            Action::Push => "write:packages",
            Action::Delete => "delete:packages",
        }
    }

    /// Whether GitHub lists the token's scopes and the needed one is not among them.
    fn lacks_scope(&self) -> bool {
        // Tokens of Actions and of apps have no scopes and send none or an empty list.
        let Some(scopes) = self.oauth_scopes.filter(|scopes| !scopes.trim().is_empty()) else { return false };
        let has = |scope: &str| scopes.split(',').any(|one| one.trim() == scope);
        !(has(self.scope()) || self.action == Action::Pull && has("write:packages"))
    }

    /// `template` with the names in braces filled in.
    pub(super) fn fill(&self, template: &str) -> String {
        let owner = self.repository.split('/').next().unwrap_or_default();
        template
            .replace("{registry}", self.registry)
            .replace("{repository}", self.repository)
            .replace("{owner}", owner)
            .replace("{scope}", self.scope())
            .replace("{source}", &self.source.to_string())
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            (code, "") => f.write_str(code),
            ("", message) => f.write_str(message),
            (code, message) => write!(f, "{code}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests;
