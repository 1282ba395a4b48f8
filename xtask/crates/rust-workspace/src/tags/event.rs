//! The event of a run, from GitHub's variables, else from git. Only this module reads these variables.

use std::path::Path;

use crate::git::command;
use crate::version::version_of;

/// The git reference that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ref {
    /// A branch.
    Branch(String),
    /// A tag.
    Tag(String),
    /// A pull request's number.
    Pull(String),
}

/// A run of GitHub Actions, for provenance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// `https://github.com/OWNER/NAME`.
    pub repository: String,
    /// `OWNER/NAME/.github/workflows/release.yml@refs/tags/v1.2.3`.
    pub workflow: String,
    /// `https://github.com/OWNER/NAME/actions/runs/N`.
    pub url: String,
    /// `github-hosted` or `self-hosted`.
    pub runner: String,
}

/// The event of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// GitHub's name, such as `push`; `git` outside of GitHub Actions.
    pub name: String,
    /// The published reference; none on a detached commit.
    pub reference: Option<Ref>,
    /// The base branch of a pull request.
    pub base: Option<String>,
    /// The repository's default branch.
    pub default_branch: Option<String>,
    /// GitHub's actor, else the user of this machine.
    pub actor: Option<String>,
    /// The run, in GitHub Actions.
    pub run: Option<Run>,
}

impl Event {
    /// Reads GitHub's variables, else the repository at `root`.
    pub fn read(root: &Path) -> Self {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let payload = get("GITHUB_EVENT_PATH").and_then(|path| std::fs::read_to_string(path).ok());
        Self::of_github(get, payload.as_deref()).unwrap_or_else(|| {
            let git = Self::of_git(root);
            let actor = ["USER", "USERNAME", "LOGNAME"].into_iter().find_map(get).or(git.actor);
            Self { actor, ..git }
        })
    }

    /// Reads GitHub's variables and the event's payload; none outside of GitHub Actions.
    fn of_github(get: impl Fn(&str) -> Option<String>, payload: Option<&str>) -> Option<Self> {
        if get("GITHUB_ACTIONS")? != "true" {
            return None;
        }
        let payload: serde_json::Value =
            payload.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let repository = format!(
            "{}/{}",
            get("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned()),
            get("GITHUB_REPOSITORY").unwrap_or_default()
        );
        let run = Run {
            workflow: get("GITHUB_WORKFLOW_REF").unwrap_or_default(),
            url: format!("{repository}/actions/runs/{}", get("GITHUB_RUN_ID").unwrap_or_default()),
            runner: get("RUNNER_ENVIRONMENT").unwrap_or_default(),
            repository,
        };
        let name = get("GITHUB_EVENT_NAME").unwrap_or_default();
        // For this event GITHUB_REF is the base branch, but the pull request is built.
        let reference = if name == "pull_request_target" {
            payload
                .pointer("/number")
                .and_then(serde_json::Value::as_u64)
                .map(|number| Ref::Pull(number.to_string()))
        } else {
            get("GITHUB_REF").as_deref().and_then(parse_ref)
        };
        Some(Self {
            name,
            reference,
            base: get("GITHUB_BASE_REF"),
            default_branch: payload
                .pointer("/repository/default_branch")
                .and_then(|branch| Some(branch.as_str()?.to_owned())),
            actor: get("GITHUB_ACTOR"),
            run: Some(run),
        })
    }

    fn of_git(root: &Path) -> Self {
        let git = |args: &[&str]| {
            command(root).args(args.iter().copied()).read().ok().filter(|text| !text.is_empty())
        };
        let tags = git(&["tag", "--points-at", "HEAD"]).unwrap_or_default();
        let branch = git(&["symbolic-ref", "--quiet", "--short", "HEAD"]);
        let remote = git(&["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]);
        let known =
            |name: &&str| git(&["rev-parse", "--verify", "--quiet", &format!("refs/heads/{name}")]).is_some();
        let default = remote.as_deref().and_then(|name| name.strip_prefix("origin/"));
        let default = default.or_else(|| ["main", "master"].into_iter().find(known));
        Self {
            name: "git".to_owned(),
            reference: highest(&tags).map(Ref::Tag).or(branch.map(Ref::Branch)),
            default_branch: default.map(str::to_owned),
            actor: git(&["config", "user.name"]),
            ..Self::default()
        }
    }

    /// Whether the branch is the default branch.
    pub(super) fn is_default_branch(&self) -> bool {
        matches!(&self.reference, Some(Ref::Branch(name)) if Some(name) == self.default_branch.as_ref())
    }
}

/// The tag of a run of GitHub Actions, if it is for one.
pub fn run_tag() -> Option<String> {
    let get = |name: &str| std::env::var(name).ok();
    match parse_ref(&get("GITHUB_REF").filter(|_| get("GITHUB_ACTIONS").as_deref() == Some("true"))?)? {
        Ref::Tag(tag) => Some(tag),
        Ref::Branch(_) | Ref::Pull(_) => None,
    }
}

fn parse_ref(text: &str) -> Option<Ref> {
    let rest = text.strip_prefix("refs/")?;
    if let Some(branch) = rest.strip_prefix("heads/") {
        return Some(Ref::Branch(branch.to_owned()));
    }
    if let Some(tag) = rest.strip_prefix("tags/") {
        return Some(Ref::Tag(tag.to_owned()));
    }
    let number = rest.strip_prefix("pull/")?.split('/').next()?;
    Some(Ref::Pull(number.to_owned()))
}

/// The highest version in a list of tags, one per line.
fn highest(tags: &str) -> Option<String> {
    let versions = tags.lines().filter(|tag| version_of(tag).is_some());
    versions.max_by_key(|tag| version_of(tag)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn githubs_variables_are_read() {
        let event = |reference: &str, name: &str| {
            let get = |variable: &str| {
                let value = match variable {
                    "GITHUB_ACTIONS" => "true",
                    "GITHUB_REF" => reference,
                    "GITHUB_EVENT_NAME" => name,
                    "GITHUB_REPOSITORY" => "o/n",
                    "GITHUB_RUN_ID" => "7",
                    _ => return None,
                };
                Some(value.to_owned())
            };
            Event::of_github(get, Some(r#"{"repository":{"default_branch":"main"}}"#)).unwrap()
        };
        for (reference, expected) in [
            ("refs/heads/feat/a", Some(Ref::Branch("feat/a".into()))),
            ("refs/tags/v1.2.3", Some(Ref::Tag("v1.2.3".into()))),
            ("refs/pull/12/merge", Some(Ref::Pull("12".into()))),
            ("main", None),
        ] {
            assert_eq!(event(reference, "push").reference, expected);
        }
        let main = event("refs/heads/main", "push");
        assert!(main.is_default_branch());
        assert_eq!(main.run.unwrap().url, "https://github.com/o/n/actions/runs/7");
        assert_eq!(Event::of_github(|_| None, None), None);
    }

    #[test]
    fn the_highest_of_a_commits_tags() {
        for (tags, expected) in [
            ("v1.2.3-rc.1\nv1.2.3\nv1\nother", Some("v1.2.3")),
            ("v1.10.0\nv1.9.0", Some("v1.10.0")),
            ("1.10.0\nv1.9.0", Some("1.10.0")),
            ("v1.2.3.4\nv1.2.3", Some("v1.2.3")),
            ("v1\n", None),
        ] {
            assert_eq!(highest(tags).as_deref(), expected);
        }
    }
}
