//! Refusals of real registries, and the table of the documentation.

use super::*;

/// The table of the documentation, from what is said when it happens.
#[test]
fn the_document_lists_all_refusals() {
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
        table += &format!("| {} | {} |\n", example(refusal.cause()), example(refusal.hint()));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/registry.md");
    // In another workspace the documents need not have come along.
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let (before, rest) = text.split_once("<!-- refusals -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- /refusals -->").unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let marks = format!("<!-- refusals -->\n{table}<!-- /refusals -->");
        std::fs::write(path, format!("{before}{marks}{after}")).unwrap();
    } else {
        assert!(
            rest.starts_with(&table),
            "UPDATE_EXPECT=1 cargo test -p oci-registry writes it anew:\n{table}"
        );
    }
}

const ANYONE: CredentialSource = CredentialSource::Nowhere;
const TOKEN: CredentialSource = CredentialSource::Variable("GITHUB_TOKEN");

fn ghcr(status: u16, action: Action, source: &CredentialSource) -> Evidence<'_> {
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

fn hub(status: u16, action: Action, source: &CredentialSource) -> Evidence<'_> {
    Evidence { registry: "docker.io", ..ghcr(status, action, source) }
}

#[test]
fn refusals_of_real_registries_are_told_apart() {
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
            denied("Resource protected by organization SAML enforcement. You must grant your token access"),
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
        // The headers of the refusal.
        (Evidence { has_retry_after: true, ..ghcr(403, Push, &TOKEN) }, none.clone(), Refusal::RateLimit),
        (Evidence { remaining: Some("0"), ..ghcr(403, Push, &TOKEN) }, none.clone(), Refusal::RateLimit),
        (Evidence { remaining: Some("7"), ..ghcr(403, Push, &TOKEN) }, none.clone(), Refusal::UploadDenied),
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
        (Evidence { oauth_scopes: Some(""), ..ghcr(403, Push, &TOKEN) }, none.clone(), Refusal::UploadDenied),
        (Evidence { repository: "Owner/App", ..ghcr(403, Push, &TOKEN) }, none.clone(), Refusal::Capitals),
        (Evidence { repository: "Owner/App", ..hub(400, Push, &TOKEN) }, none.clone(), Refusal::Capitals),
        // Other registries.
        (
            hub(401, Pull, &ANYONE),
            denied("requested access to the resource is denied"),
            Refusal::NoCredentials,
        ),
        (Evidence { granted: Some(pull), ..hub(401, Push, &TOKEN) }, none.clone(), Refusal::UploadDenied),
        (Evidence { granted: Some(nothing), ..hub(401, Pull, &TOKEN) }, none.clone(), Refusal::NoPullRights),
        (Evidence { granted: Some(pull), ..hub(401, Pull, &TOKEN) }, none.clone(), Refusal::BadCredentials),
        (hub(401, Push, &TOKEN), none.clone(), Refusal::BadCredentials),
        (hub(403, Push, &TOKEN), denied("permission_denied: write_package"), Refusal::UploadDenied),
        (hub(404, Pull, &ANYONE), none.clone(), Refusal::NotFound),
        (hub(413, Push, &TOKEN), none.clone(), Refusal::TooLarge),
        (hub(405, Action::Delete, &TOKEN), none.clone(), Refusal::Unsupported),
        (hub(400, Action::Delete, &TOKEN), plain("UNSUPPORTED"), Refusal::Unsupported),
        (hub(503, Push, &TOKEN), none.clone(), Refusal::Unavailable),
        (hub(400, Push, &TOKEN), plain("MANIFEST_INVALID"), Refusal::InvalidManifest),
        (hub(400, Push, &TOKEN), plain("TAG_INVALID"), Refusal::Unexpected),
        (
            hub(404, Push, &TOKEN),
            plain("The repository with name 'app' does not exist"),
            Refusal::NoRepository,
        ),
        (hub(404, Action::Delete, &TOKEN), none.clone(), Refusal::NotFound),
        // ECR, Harbor, Artifact Registry, GitLab.
        (
            hub(400, Push, &TOKEN),
            plain(
                "The image tag 'latest' already exists in the 'app' repository and cannot be overwritten because the repository is immutable.",
            ),
            Refusal::ImmutableTag,
        ),
        (
            hub(412, Push, &TOKEN),
            plain("Failed to process request due to 'app:1.0' configured as immutable."),
            Refusal::ImmutableTag,
        ),
        (hub(409, Push, &TOKEN), none.clone(), Refusal::ImmutableTag),
        (
            hub(403, Push, &TOKEN),
            denied(
                "adding 10.5 MiB of storage resource, which when updated to current usage of 1.0 GiB will exceed the configured upper limit: quota",
            ),
            Refusal::Quota,
        ),
        (hub(507, Push, &TOKEN), none.clone(), Refusal::Quota),
        (
            hub(403, Push, &TOKEN),
            denied("the system is in read only mode. Any modification is prohibited."),
            Refusal::ReadOnly,
        ),
        (hub(405, Push, &TOKEN), plain("The registry is in read-only mode"), Refusal::ReadOnly),
        (hub(407, Pull, &ANYONE), none.clone(), Refusal::ProxyCredentials),
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
        for text in [evidence.fill(refusal.cause()), evidence.fill(refusal.hint())] {
            assert!(!text.contains(['{', '}']) && !text.is_empty(), "{refusal:?}: {text}");
        }
    }
    assert!(evidence.fill(Refusal::TokenScope.hint()).contains("scopes=write:packages"));
    assert!(evidence.fill(Refusal::OrganisationPolicy.cause()).contains("owner"));
}
