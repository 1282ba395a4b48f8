//! Why a registry said no, and what to do about it: a pure classifier of HTTP refusals.
//!
//! Registries answer a dozen different mistakes with the same 401, 403 or 404. The rules here read
//! everything that comes with the status; those about GitHub hold for ghcr.io alone.

use std::fmt;

use super::auth::Source;

/// What was asked of a repository; each includes the ones before it.
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
    /// Whatever else it says, as JSON.
    pub detail: String,
}

/// Everything that comes with a refusal.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The registry, as in an image name.
    pub registry: &'a str,
    /// The repository.
    pub repository: &'a str,
    /// What was asked.
    pub action: Action,
    /// Whether the registry's token service refused, and not the registry itself.
    pub by_token_service: bool,
    /// Where the credentials came from.
    pub source: &'a Source,
    /// The error body's entries; for a body of another form, one with its text.
    pub errors: &'a [ServerError],
    /// Whether Retry-After came along.
    pub has_retry_after: bool,
    /// `X-RateLimit-Remaining` or `RateLimit-Remaining`.
    pub remaining: Option<&'a str>,
    /// What the bearer token grants on the repository, where it can be read.
    pub granted: Option<&'a [String]>,
    /// The scopes of GitHub's token (`X-OAuth-Scopes`).
    pub oauth_scopes: Option<&'a str>,
    /// Whether this is a job of GitHub Actions.
    pub in_actions: bool,
}

/// Why a registry said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It wants to know who asks.
    NoCredentials,
    /// It knows no such user and token.
    BadCredentials,
    /// GitHub's token was made without the right to packages.
    TokenScope,
    /// The job's token was not given the right to packages.
    WorkflowPermission,
    /// The package does not know this repository or account.
    PackageNotLinked,
    /// An organisation forbids it.
    OrganisationPolicy,
    /// The token was not let into the organisation.
    SingleSignOn,
    /// The name has capitals.
    Capitals,
    /// Too much at once, whatever the status says.
    RateLimit,
    /// There is nothing by this name, or nothing that may be seen.
    NotFound,
    /// Known, and without the right to read.
    NoPullRights,
    /// Known, and without the right to write.
    UploadDenied,
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
    pub const ALL: [Self; 17] = [
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
        let anonymous = *evidence.source == Source::Nowhere;
        let writes = evidence.action >= Action::Push;
        let denied = if writes { Self::UploadDenied } else { Self::NoPullRights };
        match evidence.status {
            429 => return Self::RateLimit,
            403 if evidence.is_rate_limit(&text) => return Self::RateLimit,
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

    /// What is wrong, with `{registry}`, `{repository}`, `{owner}` and `{source}` for what the
    /// [`Evidence`] fills in.
    pub fn cause(self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "the registry wants credentials, and there are none for {registry}; a repository that does not exist looks the same"
            }
            Self::BadCredentials => "the registry does not accept {source}",
            Self::TokenScope => "the token was made without the scope {scope}: {source}",
            Self::WorkflowPermission => "the job's token may not write packages: {source}",
            Self::PackageNotLinked => {
                "the package {repository} gives no right to write to {source}: it is not linked to this repository, or the account has no role in it"
            }
            Self::OrganisationPolicy => {
                "the settings of {owner} do not let {source} create or write packages"
            }
            Self::SingleSignOn => {
                "the token has not been let into {owner}, which wants single sign-on: {source}"
            }
            Self::Capitals => "names of images have no capitals: {repository}",
            Self::RateLimit => "the registry wants fewer requests",
            Self::NotFound => "there is no such image or repository, or no right to see it",
            Self::NoPullRights => "{source} may not read {repository}",
            Self::UploadDenied => "{source} may not write to {repository}",
            Self::TooLarge => "this is larger than the registry takes",
            Self::Unsupported => "the registry cannot do this",
            Self::Unavailable => "the registry is in trouble",
            Self::WantsTls => "the registry speaks TLS, and was spoken to without",
            Self::Unexpected => "the registry refused",
        }
    }

    /// What to do about it, with the same names in braces.
    pub fn cure(self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "docker login {registry}; in CI, for ghcr.io, set GITHUB_TOKEN, or hand in a token with --token-stdin"
            }
            Self::BadCredentials => {
                "it may have expired or been revoked: log in again, docker login {registry} (at ghcr.io only classic tokens and a job's GITHUB_TOKEN work)"
            }
            Self::TokenScope => {
                "make a classic token with it: https://github.com/settings/tokens/new?scopes={scope} (fine-grained tokens do not work with packages)"
            }
            Self::WorkflowPermission => {
                "add to the job:\n  permissions:\n    contents: read\n    packages: write\nand see that the organisation's Actions settings allow it"
            }
            Self::PackageNotLinked => {
                "in the package's settings on GitHub, under 'Manage Actions access', add this repository with the role Write (or the account, under 'Manage access'); in a job, also set 'permissions: packages: write'"
            }
            Self::OrganisationPolicy => {
                "an owner allows it at https://github.com/organizations/{owner}/settings/packages; an app's token can never create a package: use the job's GITHUB_TOKEN or a classic token"
            }
            Self::SingleSignOn => "authorise it with 'Configure SSO' at https://github.com/settings/tokens",
            Self::Capitals => "write the name in lower case",
            Self::RateLimit => {
                "wait some minutes; with credentials the limits are higher: docker login {registry}"
            }
            Self::NotFound => {
                "check name, tag and digest; a private image needs credentials that may read it"
            }
            Self::NoPullRights => "ask an owner of {repository} for the right to read it",
            Self::UploadDenied => {
                "check the name, and ask an owner of {repository} for the right to write to it"
            }
            Self::TooLarge => {
                "make the image smaller, or raise the limit of the registry or of the proxy in front of it"
            }
            Self::Unsupported => "use a registry that can: its documentation says what it leaves out",
            Self::Unavailable => "try again later; for GitHub, see https://www.githubstatus.com",
            Self::WantsTls => {
                "call it by another name than localhost or 127.0.0.1, which are spoken to without TLS, and do not list it as one without"
            }
            Self::Unexpected => "read what the registry said",
        }
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
mod tests {
    use super::*;

    /// The table of the documentation, from what is said when it happens.
    #[test]
    fn the_document_tells_them_all() {
        let example = |text: &str| {
            let names = [
                ("{registry}", "REGISTRY"),
                ("{repository}", "REPOSITORY"),
                ("{owner}", "OWNER"),
                ("{source}", "SOURCE"),
                ("{scope}", "write:packages"),
            ];
            let text = names.iter().fold(text.to_owned(), |text, (name, shown)| text.replace(name, shown));
            text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
        };
        let mut table = "| what is said | what to do |\n| --- | --- |\n".to_owned();
        for refusal in Refusal::ALL {
            table += &format!("| {} | {} |\n", example(refusal.cause()), example(refusal.cure()));
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/registry.md");
        // In another workspace the documents need not have come along.
        let Ok(text) = std::fs::read_to_string(path) else { return };
        let (before, rest) = text.split_once("<!-- refusals -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- /refusals -->").unwrap();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            let marks = format!("<!-- refusals -->\n{table}<!-- /refusals -->");
            std::fs::write(path, format!("{before}{marks}{after}")).unwrap();
        } else {
            assert!(rest.starts_with(&table), "UPDATE_EXPECT=1 cargo test -p xtask writes it anew:\n{table}");
        }
    }

    const ANYONE: Source = Source::Nowhere;
    const TOKEN: Source = Source::Variable("GITHUB_TOKEN");

    fn ghcr(status: u16, action: Action, source: &Source) -> Evidence<'_> {
        Evidence {
            status,
            registry: "ghcr.io",
            repository: "owner/app",
            action,
            by_token_service: false,
            source,
            errors: &[],
            has_retry_after: false,
            remaining: None,
            granted: None,
            oauth_scopes: None,
            in_actions: false,
        }
    }

    fn hub(status: u16, action: Action, source: &Source) -> Evidence<'_> {
        Evidence { registry: "docker.io", ..ghcr(status, action, source) }
    }

    #[test]
    fn what_registries_really_say_is_told_apart() {
        use Action::{Pull, Push};
        let denied = |message: &str| {
            vec![ServerError { code: "DENIED".into(), message: message.into(), ..ServerError::default() }]
        };
        let plain = |text: &str| vec![ServerError { message: text.into(), ..ServerError::default() }];
        let none = Vec::new();
        let nothing: &[String] = &[];
        let pull: &[String] = &["pull".to_owned()];
        let cases = [
            // GitHub's own words.
            (ghcr(403, Push, &TOKEN), denied("permission_denied: write_package"), Refusal::PackageNotLinked),
            (ghcr(403, Push, &TOKEN), denied("permission_denied: create_package"), Refusal::PackageNotLinked),
            (
                Evidence { in_actions: true, ..ghcr(403, Push, &TOKEN) },
                denied("installation not allowed to Create organization package"),
                Refusal::WorkflowPermission,
            ),
            (
                ghcr(403, Push, &TOKEN),
                denied("permission_denied: installation not allowed to Write organization package"),
                Refusal::OrganisationPolicy,
            ),
            (
                ghcr(403, Push, &TOKEN),
                denied("permission_denied: The token provided does not match expected scopes."),
                Refusal::TokenScope,
            ),
            (
                ghcr(403, Push, &TOKEN),
                denied("permission_denied: The organization has disabled package creation"),
                Refusal::OrganisationPolicy,
            ),
            (
                ghcr(403, Pull, &TOKEN),
                denied(
                    "Resource protected by organization SAML enforcement. You must grant your token access",
                ),
                Refusal::SingleSignOn,
            ),
            (
                ghcr(403, Push, &TOKEN),
                denied(
                    "permission_denied: Error from intermediary with HTTP status code 403 \"Forbidden\" - with-body: { \"message\": \"You have exceeded a secondary rate limit.\"",
                ),
                Refusal::RateLimit,
            ),
            (
                ghcr(429, Pull, &ANYONE),
                plain("retry-after: 880.092µs, allowed: 44000/minute"),
                Refusal::RateLimit,
            ),
            (
                ghcr(401, Pull, &TOKEN),
                denied("unauthenticated: User cannot be authenticated with the token provided."),
                Refusal::BadCredentials,
            ),
            (
                Evidence { by_token_service: true, ..ghcr(403, Pull, &TOKEN) },
                denied("denied"),
                Refusal::BadCredentials,
            ),
            (
                Evidence { by_token_service: true, ..ghcr(403, Pull, &ANYONE) },
                denied("requested access to the resource is denied"),
                Refusal::NoCredentials,
            ),
            (
                ghcr(416, Push, &TOKEN),
                plain("the request body is too large and exceeds the maximum permissible limit of 4.00MiB"),
                Refusal::TooLarge,
            ),
            // What comes with the status.
            (Evidence { has_retry_after: true, ..ghcr(403, Push, &TOKEN) }, none.clone(), Refusal::RateLimit),
            (Evidence { remaining: Some("0"), ..ghcr(403, Push, &TOKEN) }, none.clone(), Refusal::RateLimit),
            (
                Evidence { remaining: Some("7"), ..ghcr(403, Push, &TOKEN) },
                none.clone(),
                Refusal::UploadDenied,
            ),
            (
                Evidence { oauth_scopes: Some("repo, read:packages"), ..ghcr(403, Push, &TOKEN) },
                none.clone(),
                Refusal::TokenScope,
            ),
            (
                Evidence { oauth_scopes: Some("write:packages"), ..ghcr(403, Pull, &TOKEN) },
                none.clone(),
                Refusal::NoPullRights,
            ),
            (
                Evidence { oauth_scopes: Some(""), ..ghcr(403, Push, &TOKEN) },
                none.clone(),
                Refusal::UploadDenied,
            ),
            (
                Evidence { repository: "Owner/App", ..ghcr(403, Push, &TOKEN) },
                none.clone(),
                Refusal::Capitals,
            ),
            (Evidence { repository: "Owner/App", ..hub(400, Push, &TOKEN) }, none.clone(), Refusal::Capitals),
            // Other registries.
            (
                hub(401, Pull, &ANYONE),
                denied("requested access to the resource is denied"),
                Refusal::NoCredentials,
            ),
            (Evidence { granted: Some(pull), ..hub(401, Push, &TOKEN) }, none.clone(), Refusal::UploadDenied),
            (
                Evidence { granted: Some(nothing), ..hub(401, Pull, &TOKEN) },
                none.clone(),
                Refusal::NoPullRights,
            ),
            (
                Evidence { granted: Some(pull), ..hub(401, Pull, &TOKEN) },
                none.clone(),
                Refusal::BadCredentials,
            ),
            (hub(401, Push, &TOKEN), none.clone(), Refusal::BadCredentials),
            (hub(403, Push, &TOKEN), denied("permission_denied: write_package"), Refusal::UploadDenied),
            (hub(404, Pull, &ANYONE), none.clone(), Refusal::NotFound),
            (hub(413, Push, &TOKEN), none.clone(), Refusal::TooLarge),
            (hub(405, Action::Delete, &TOKEN), none.clone(), Refusal::Unsupported),
            (hub(400, Action::Delete, &TOKEN), plain("UNSUPPORTED"), Refusal::Unsupported),
            (hub(503, Push, &TOKEN), none.clone(), Refusal::Unavailable),
            (hub(400, Push, &TOKEN), plain("MANIFEST_INVALID"), Refusal::Unexpected),
            (
                hub(400, Pull, &ANYONE),
                plain("Client sent an HTTP request to an HTTPS server."),
                Refusal::WantsTls,
            ),
            (hub(418, Push, &TOKEN), none.clone(), Refusal::Unexpected),
        ];
        for (evidence, errors, expected) in cases {
            let evidence = Evidence { errors: &errors, ..evidence };
            assert_eq!(Refusal::of(&evidence), expected, "{evidence:?}");
        }
    }

    #[test]
    fn every_text_is_filled_in() {
        let evidence = ghcr(403, Action::Push, &TOKEN);
        for refusal in Refusal::ALL {
            for text in [evidence.fill(refusal.cause()), evidence.fill(refusal.cure())] {
                assert!(!text.contains(['{', '}']) && !text.is_empty(), "{refusal:?}: {text}");
            }
        }
        assert!(evidence.fill(Refusal::TokenScope.cure()).contains("scopes=write:packages"));
        assert!(evidence.fill(Refusal::OrganisationPolicy.cause()).contains("owner"));
    }
}
