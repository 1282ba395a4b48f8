//! Secrets in this process's environment, and which children are left them.
//!
//! A job's variables are there for every child, and a build script, a compiler's wrapper or a hook of git's
//! can read them as well. A child gets what it needs, and the others are not in its environment at all.

use super::Cmd;

/// What a child needs secrets for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Signing in the name of the job.
    Identity,
    /// Signing with a key.
    Key,
    /// BuildKit's cache in GitHub Actions, `type=gha`.
    ActionsCache,
    /// Credentials for registries: a credential helper's own, or those of another run of this program.
    Registry,
}

/// Each variable and what it serves; one that serves nothing is left to no child.
const SECRETS: [(&str, &[Need]); 14] = [
    ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &[Need::Identity, Need::Registry]),
    ("ACTIONS_ID_TOKEN_REQUEST_URL", &[Need::Identity, Need::Registry]),
    ("SIGSTORE_ID_TOKEN", &[Need::Identity]),
    ("ACTIONS_RUNTIME_TOKEN", &[Need::ActionsCache]),
    ("ACTIONS_RUNTIME_URL", &[Need::ActionsCache]),
    ("ACTIONS_CACHE_URL", &[Need::ActionsCache]),
    ("ACTIONS_RESULTS_URL", &[Need::ActionsCache]),
    ("COSIGN_KEY", &[Need::Key]),
    ("COSIGN_PASSWORD", &[Need::Key]),
    ("COSIGN_PKCS11_PIN", &[Need::Key]),
    ("GHCR_TOKEN", &[Need::Registry]),
    ("GITHUB_TOKEN", &[Need::Registry]),
    ("GH_TOKEN", &[Need::Registry]),
    ("XTASK_LENT_SECRET", &[]),
];

impl Cmd {
    /// The variables that are taken out of this child's environment, but for what it is given anew.
    pub fn withheld(&self) -> impl Iterator<Item = &'static str> {
        let left = |(name, serves): &(&str, &[Need])| {
            self.secret_env.contains_key(*name)
                || self.keeps.iter().any(|kept| kept == name)
                || serves.iter().any(|need| self.needs.contains(need))
        };
        SECRETS.into_iter().filter(move |secret| !left(secret)).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_left_what_it_needs_and_no_more() {
        let withheld = |cmd: &Cmd| cmd.withheld().collect::<Vec<_>>();
        let git = Cmd::new("git");
        assert_eq!(withheld(&git).len(), SECRETS.len());
        let lent = git.clone().secret_env("XTASK_LENT_SECRET", "x");
        assert!(!withheld(&lent).contains(&"XTASK_LENT_SECRET"));
        let cosign = git.clone().needs(Need::Key);
        for (name, left) in [
            ("COSIGN_PASSWORD", true),
            ("COSIGN_KEY", true),
            ("GITHUB_TOKEN", false),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", false),
        ] {
            assert_eq!(!withheld(&cosign).contains(&name), left, "{name}");
        }
        let docker = git.needs(Need::ActionsCache).keep("GITHUB_TOKEN");
        for (name, left) in [
            ("ACTIONS_RUNTIME_TOKEN", true),
            ("ACTIONS_RESULTS_URL", true),
            ("GITHUB_TOKEN", true),
            ("GHCR_TOKEN", false),
            ("COSIGN_PASSWORD", false),
        ] {
            assert_eq!(!withheld(&docker).contains(&name), left, "{name}");
        }
    }
}
