//! The messages for each refusal.

use super::Refusal;

impl Refusal {
    /// The message, with the placeholders `{registry}`, `{repository}`, `{owner}` and `{source}` that
    /// the evidence of a refusal fills in.
    pub fn cause(self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "the registry requires credentials, and none are configured for {registry}; it gives the same answer for a repository that does not exist"
            }
            Self::BadCredentials => "the registry does not accept {source}",
            Self::TokenScope => "the token lacks the scope {scope}: {source}",
            Self::WorkflowPermission => "the job's token may not write packages: {source}",
            Self::PackageNotLinked => {
                "the package {repository} does not let {source} write: it is not linked to this repository, or the account has no role in it"
            }
            Self::OrganisationPolicy => {
                "the settings of {owner} do not let {source} create or write packages"
            }
            Self::SingleSignOn => {
                "{owner} requires single sign-on, and the token is not authorised for it: {source}"
            }
            Self::Capitals => "image names cannot contain capitals: {repository}",
            Self::RateLimit => "the registry limits the rate of requests",
            Self::NotFound => "there is no such image or repository, or no right to see it",
            Self::NoPullRights => "{source} may not read {repository}",
            Self::UploadDenied => "{source} may not write to {repository}",
            Self::NoRepository => {
                "the repository {repository} does not exist, and the registry did not create it"
            }
            Self::ImmutableTag => "the tag exists, and the registry does not allow changing it",
            Self::Quota => "the storage quota of {repository} or its owner is used up",
            Self::ReadOnly => "the registry is read-only at the moment",
            Self::InvalidManifest => "the registry does not accept this manifest",
            Self::ProxyCredentials => "the HTTP proxy requires credentials",
            Self::TooLarge => "the upload is larger than the registry accepts",
            Self::Unsupported => "the registry does not support this operation",
            Self::Unavailable => "the registry has an internal problem",
            Self::WantsTls => "the registry requires TLS, and the request was sent without it",
            Self::Unexpected => "the registry refused",
        }
    }

    /// The hint, with the same placeholders.
    pub fn hint(self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "docker login {registry}; in CI, for ghcr.io, set GITHUB_TOKEN; or pass a token with --token-stdin"
            }
            Self::BadCredentials => {
                "the credentials may have expired or been revoked: docker login {registry} (ghcr.io accepts only classic tokens and a job's GITHUB_TOKEN)"
            }
            Self::TokenScope => {
                "create a classic token with this scope: https://github.com/settings/tokens/new?scopes={scope} (fine-grained tokens do not work with packages)"
            }
            Self::WorkflowPermission => {
                "add to the job:\n  permissions:\n    contents: read\n    packages: write\nand check that the organisation's Actions settings allow it"
            }
            Self::PackageNotLinked => {
                "in the package's settings on GitHub, under 'Manage Actions access', add this repository with the role Write (or the account, under 'Manage access'); in a job, also set 'permissions: packages: write'"
            }
            Self::OrganisationPolicy => {
                "an owner can allow it at https://github.com/organizations/{owner}/settings/packages; a GitHub App's token cannot create a package: use the job's GITHUB_TOKEN or a classic token"
            }
            Self::SingleSignOn => {
                "authorise the token with 'Configure SSO' at https://github.com/settings/tokens"
            }
            Self::Capitals => "write the name in lower case",
            Self::RateLimit => {
                "wait some minutes; authenticated requests have higher limits: docker login {registry}"
            }
            Self::NotFound => {
                "check name, tag and digest; a private image requires credentials that may read it"
            }
            Self::NoPullRights => "ask an owner of {repository} for the right to read it",
            Self::UploadDenied => {
                "check the name, and ask an owner of {repository} for the right to write to it; a project or repository may also have to exist first"
            }
            Self::NoRepository => {
                "check the name; on registries such as ECR, Artifact Registry or Harbor, create the repository or project first"
            }
            Self::ImmutableTag => {
                "publish under another tag, or exclude this tag from the repository's immutability rule; moving tags such as latest need that"
            }
            Self::Quota => {
                "delete old versions (cargo xtask prune), or ask an owner of {repository} for more storage"
            }
            Self::ReadOnly => "try again later; ask the registry's operator how long the maintenance takes",
            Self::InvalidManifest => {
                "the registry's message names the part; older registries do not accept OCI artifacts: publish with --attach never"
            }
            Self::ProxyCredentials => {
                "add them to the proxy's URL: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"
            }
            Self::TooLarge => {
                "reduce the image's size, or raise the limit of the registry or of the proxy in front of it"
            }
            Self::Unsupported => "the registry's documentation lists the operations that it supports",
            Self::Unavailable => "try again later; for GitHub, see https://www.githubstatus.com",
            Self::WantsTls => {
                "do not pass --plain-http; use another name than localhost or 127.0.0.1, which are always addressed without TLS"
            }
            Self::Unexpected => {
                "the registry's own message above is all that it says; its logs or its operator know more"
            }
        }
    }
}
