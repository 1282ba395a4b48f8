//! What a person is told of a refusal.

use super::Refusal;

impl Refusal {
    /// What is wrong, with `{registry}`, `{repository}`, `{owner}` and `{source}` for what the
    /// evidence of a refusal fills in.
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
    pub fn hint(self) -> &'static str {
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
