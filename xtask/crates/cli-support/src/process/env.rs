//! The environment of a child process.
//!
//! Output of children is parsed, so variables that change its form are removed: colours, locale, pager, and the variables
//! in which tools take flags. Variables that say where something is stay. A secret goes only to a child that needs it,
//! because build scripts, compiler wrappers and git hooks can read all variables of cargo and git.

use super::Cmd;

/// A purpose for which a child needs secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Keyless signing with the identity of the CI job.
    Identity,
    /// Signing with a key.
    Key,
    /// BuildKit's cache `type=gha`.
    ActionsCache,
    /// Credentials for registries, for a credential helper or another run of this program.
    Registry,
    /// Fetching crates: tokens of registries, and git's settings for remotes.
    Crates,
    /// Fetching Trivy's database.
    Database,
    /// A compiler's wrapper that keeps its cache in a cloud.
    CompilerCache,
}

/// Secret variables, and the needs for which a child gets them. An empty list means: no child gets it. `*` matches any text,
/// also in the names below.
const SERVES: [(&str, &[Need]); 34] = [
    ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &[Need::Identity, Need::Registry]),
    ("ACTIONS_ID_TOKEN_REQUEST_URL", &[Need::Identity, Need::Registry]),
    ("SIGSTORE_ID_TOKEN", &[Need::Identity]),
    ("ACTIONS_RUNTIME_TOKEN", &[Need::ActionsCache]),
    ("ACTIONS_RUNTIME_URL", &[Need::ActionsCache]),
    ("ACTIONS_CACHE_URL", &[Need::ActionsCache]),
    ("ACTIONS_RESULTS_URL", &[Need::ActionsCache]),
    ("COSIGN_KEY", &[Need::Key]),
    ("COSIGN_PASSWORD", &[Need::Key]),
    ("COSIGN_PKCS11_*", &[Need::Key]),
    ("GHCR_TOKEN", &[Need::Registry]),
    ("GITHUB_TOKEN", &[Need::Registry]),
    ("GH_TOKEN", &[Need::Registry]),
    ("DOCKER_AUTH_CONFIG", &[Need::Registry]),
    ("GITLAB_TOKEN", &[Need::Key, Need::Registry]),
    ("CI_JOB_TOKEN", &[Need::Registry, Need::Crates]),
    ("CI_REGISTRY_PASSWORD", &[Need::Registry]),
    ("CI_DEPLOY_PASSWORD", &[Need::Registry]),
    ("BUILDKITE_AGENT_ACCESS_TOKEN", &[Need::Registry]),
    ("CARGO_REGISTRIES_*_TOKEN", &[Need::Crates]),
    // Nothing here publishes a crate.
    ("CARGO_REGISTRY_TOKEN", &[]),
    ("GIT_CONFIG_*", &[Need::Crates]),
    ("TRIVY_USERNAME", &[Need::Database]),
    ("TRIVY_PASSWORD", &[Need::Database]),
    ("TRIVY_REGISTRY_TOKEN", &[Need::Database]),
    ("XTASK_LENT_SECRET", &[]),
    ("AWS_*", CLOUD),
    ("AZURE_*", CLOUD),
    ("ARM_*", CLOUD),
    ("GOOGLE_*", CLOUD),
    ("CLOUDSDK_*", CLOUD),
    ("ALIBABA*", CLOUD),
    ("TENCENTCLOUD_*", CLOUD),
    ("VAULT_*", &[Need::Key]),
];

/// Uses of cloud credentials: keys in a KMS, registries' helpers, caches in a bucket.
const CLOUD: &[Need] = &[Need::Key, Need::Registry, Need::ActionsCache, Need::CompilerCache, Need::Database];

/// Variables that change the output of many programs.
const FORM: [&str; 13] = [
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "RUSTUP_TERM_*",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "*PAGER",
    "LESS",
    "LV",
];

/// Prefixes of variables in which a tool takes flags, and the exceptions that a child gets: those that say where something is
/// or how to reach it.
const TOOLS: [(&str, &[&str]); 12] = [
    (
        "CARGO_",
        &[
            "CARGO_HOME",
            "CARGO_HTTP_*",
            "CARGO_NET_*",
            "CARGO_REGISTRIES_*",
            "CARGO_REGISTRY_*",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET_DIR",
            "CARGO_BUILD_JOBS",
            "CARGO_INCREMENTAL",
            // They change the build; `binary::outside` warns of them.
            "CARGO_TARGET_*_LINKER",
            "CARGO_BUILD_RUSTC",
            "CARGO_BUILD_RUSTC_*",
            // No image is made with these profiles.
            "CARGO_PROFILE_DEV_*",
            "CARGO_PROFILE_TEST_*",
        ],
    ),
    // They change the names of symbols, and the version that rustc says that it has.
    ("__CARGO_", &[]),
    ("RUSTC_FORCE_", &[]),
    (
        "GIT_",
        &[
            "GIT_ASKPASS",
            "GIT_DISCOVERY_ACROSS_FILESYSTEM",
            "GIT_EXEC_PATH",
            "GIT_HTTP_PROXY_AUTHMETHOD",
            "GIT_PROXY_*",
            "GIT_SSH",
            "GIT_SSH_COMMAND",
            "GIT_SSL_*",
            "GIT_TERMINAL_PROMPT",
        ],
    ),
    // The values that matter are passed as flags.
    ("COSIGN_", &[]),
    ("SIGSTORE_", &[]),
    ("TUF_", &["TUF_ROOT"]),
    ("TRIVY_", &["TRIVY_CACHE_DIR", "TRIVY_DB_REPOSITORY"]),
    (
        "DOCKER_",
        &[
            "DOCKER_API_VERSION",
            "DOCKER_CERT_PATH",
            "DOCKER_CONFIG",
            "DOCKER_CONTEXT",
            "DOCKER_HOST",
            "DOCKER_TLS*",
        ],
    ),
    ("BUILDX_", &["BUILDX_BUILDER", "BUILDX_CONFIG"]),
    ("BUILDKIT_", &["BUILDKIT_HOST"]),
    ("EXPERIMENTAL_BUILDKIT_", &[]),
];

/// Set for every child. Cargo's variable overrides `term.color` of its configuration.
pub(super) const SET: [(&str, &str); 3] =
    [("LC_ALL", "C.UTF-8"), ("TZ", "UTC"), ("CARGO_TERM_COLOR", "never")];

impl Cmd {
    /// Whether this variable of our own environment is removed from the child's. [`Cmd::env`] may set it again.
    pub fn withholds(&self, name: &str) -> bool {
        // Windows ignores case in names.
        let upper = name.to_ascii_uppercase();
        let is = |pattern: &&str| fits(pattern, &upper);
        if self.keeps.contains(&upper) {
            return false;
        }
        if let Some((_, serves)) = SERVES.iter().find(|(pattern, _)| is(pattern)) {
            return !serves.iter().any(|need| self.needs.contains(need));
        }
        let tool = TOOLS.iter().find(|(prefix, _)| upper.starts_with(prefix));
        FORM.iter().any(is) || tool.is_some_and(|(_, stays)| !stays.iter().any(is))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((begin, end)) => {
            name.len() > begin.len() + end.len() && name.starts_with(begin) && name.ends_with(end)
                || (begin.is_empty() && name == end)
        }
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_gets_only_the_secrets_that_it_needs() {
        let git = Cmd::new("git");
        let cargo = git.clone().needs(Need::Crates);
        let cosign = git.clone().needs(Need::Key);
        let keyless = git.clone().needs(Need::Identity);
        let trivy = git.clone().needs(Need::Database);
        let docker = git.clone().needs(Need::ActionsCache).keep("GITHUB_TOKEN");
        let all = [&git, &cargo, &cosign, &keyless, &trivy, &docker];
        for (name, left) in [
            ("COSIGN_PASSWORD", &[&cosign][..]),
            ("COSIGN_KEY", &[&cosign]),
            ("COSIGN_PKCS11_MODULE_PATH", &[&cosign]),
            ("SIGSTORE_ID_TOKEN", &[&keyless]),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &[&keyless]),
            ("ACTIONS_RUNTIME_TOKEN", &[&docker]),
            ("GITHUB_TOKEN", &[&docker]),
            ("GHCR_TOKEN", &[]),
            ("DOCKER_AUTH_CONFIG", &[]),
            ("CARGO_REGISTRIES_MINE_TOKEN", &[&cargo]),
            ("CARGO_REGISTRY_TOKEN", &[]),
            ("GIT_CONFIG_COUNT", &[&cargo]),
            ("TRIVY_PASSWORD", &[&trivy]),
            ("XTASK_LENT_SECRET", &[]),
            ("AWS_SECRET_ACCESS_KEY", &[&cosign, &trivy, &docker]),
            ("GOOGLE_APPLICATION_CREDENTIALS", &[&cosign, &trivy, &docker]),
            ("AZURE_CLIENT_SECRET", &[&cosign, &trivy, &docker]),
            ("VAULT_TOKEN", &[&cosign]),
            ("GITLAB_TOKEN", &[&cosign]),
            ("CI_JOB_TOKEN", &[&cargo]),
            ("CI_REGISTRY_PASSWORD", &[]),
            ("CI_DEPLOY_PASSWORD", &[]),
            ("BUILDKITE_AGENT_ACCESS_TOKEN", &[]),
        ] {
            for cmd in all {
                assert_eq!(!cmd.withholds(name), left.contains(&cmd), "{name} {cmd:?} {:?}", cmd.needs);
            }
        }
    }

    #[test]
    fn variables_with_flags_are_removed_and_variables_with_locations_stay() {
        let cmds =
            [Cmd::new("git"), Cmd::new("cargo").needs(Need::Crates), Cmd::new("cosign").needs(Need::Key)];
        let withheld = |name: &str| {
            let found: Vec<_> = cmds.iter().map(|cmd| cmd.withholds(name)).collect();
            assert!(found.iter().all(|one| *one == found[0]), "{name}");
            found[0]
        };
        for name in "CARGO_TERM_COLOR CARGO_TERM_VERBOSE CARGO_BUILD_TARGET CARGO_BUILD_RUSTFLAGS CARGO_ENCODED_RUSTFLAGS \
            CARGO_PROFILE_RELEASE_LTO CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS CARGO_LOG CARGO_MANIFEST_DIR \
            CARGO_UNSTABLE_X CARGO_ALIAS_TREE __CARGO_DEFAULT_LIB_METADATA RUSTC_FORCE_RUSTC_VERSION TUF_MIRROR TUF_ROOT_JSON CLICOLOR CLICOLOR_FORCE NO_COLOR FORCE_COLOR LANG LANGUAGE LC_ALL \
            LC_MESSAGES TZ PAGER GIT_PAGER MANPAGER LESS GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_TRACE \
            GIT_TRACE2_EVENT GIT_EXTERNAL_DIFF GIT_NAMESPACE git_dir COSIGN_OUTPUT COSIGN_REPOSITORY \
            COSIGN_INSECURE_IGNORE_TLOG COSIGN_EXPERIMENTAL COSIGN_TRUSTED_ROOT COSIGN_SIGNING_CONFIG SIGSTORE_ROOT_FILE TRIVY_FORMAT TRIVY_SEVERITY \
            TRIVY_IGNORE_UNFIXED TRIVY_CONFIG DOCKER_DEFAULT_PLATFORM DOCKER_BUILDKIT DOCKER_CONTENT_TRUST \
            BUILDX_GIT_LABELS BUILDX_NO_DEFAULT_ATTESTATIONS BUILDKIT_PROGRESS BUILDKIT_COLORS RUSTUP_TERM_COLOR"
            .split_whitespace()
        {
            assert!(withheld(name), "{name}");
        }
        for name in "PATH HOME CARGO CARGO_HOME CARGO_TARGET_DIR CARGO_HTTP_CAINFO CARGO_HTTP_PROXY CARGO_NET_OFFLINE \
            CARGO_REGISTRIES_MINE_INDEX CARGO_REGISTRY_DEFAULT CARGO_BUILD_JOBS CARGO_PROFILE_DEV_DEBUG \
            CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER CARGO_BUILD_RUSTC_WRAPPER RUSTC_WRAPPER RUSTUP_HOME \
            RUSTUP_TOOLCHAIN RUSTUP_DIST_SERVER HTTPS_PROXY https_proxy NO_PROXY SSL_CERT_FILE SSL_CERT_DIR \
            SOURCE_DATE_EPOCH TUF_ROOT GIT_SSH_COMMAND GIT_SSL_CAINFO \
            TRIVY_CACHE_DIR TRIVY_DB_REPOSITORY DOCKER_HOST DOCKER_CONFIG DOCKER_CONTEXT DOCKER_TLS_VERIFY \
            DOCKER_CERT_PATH BUILDX_BUILDER BUILDX_CONFIG BUILDKIT_HOST CI GITHUB_ACTIONS XDG_RUNTIME_DIR"
            .split_whitespace()
        {
            assert!(!withheld(name), "{name}");
        }
    }
}
