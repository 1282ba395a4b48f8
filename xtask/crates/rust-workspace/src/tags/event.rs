//! The event of a run, from GitHub's variables, else from git. Only this module reads these variables.

use std::path::Path;

use crate::git::command;
use crate::version::version_of_git;
use cli_support::threads::joined;

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
    /// The commit of the pull request's branch, where DOCKER_METADATA_PR_HEAD_SHA is `true`.
    pub head: Option<String>,
}

impl Event {
    /// Reads GitHub's variables, else the repository at `root`.
    pub fn read(root: &Path, prefix: &str) -> Self {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let payload = get("GITHUB_EVENT_PATH").and_then(|path| std::fs::read_to_string(path).ok());
        Self::of_github(get, payload.as_deref()).or_else(|| Self::of_gitlab(get)).unwrap_or_else(|| {
            let git = Self::of_git(root, prefix);
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
        let text = |pointer: &str| Some(payload.pointer(pointer)?.as_str()?.to_owned());
        // A scheduled run is for the default branch, and its payload has only the schedule.
        let scheduled = match &reference {
            Some(Ref::Branch(branch)) if name == "schedule" => Some(branch.clone()),
            _ => None,
        };
        // The push of a tag names the branch that the tag was pushed from, where GitHub knows it.
        let base = text("/base_ref").map(|base| base.trim_start_matches("refs/heads/").to_owned());
        let wants_head = get("DOCKER_METADATA_PR_HEAD_SHA").as_deref() == Some("true");
        Some(Self {
            reference,
            base: get("GITHUB_BASE_REF").or(base),
            default_branch: text("/repository/default_branch").or(scheduled),
            actor: get("GITHUB_ACTOR"),
            run: Some(run),
            head: text("/pull_request/head/sha").filter(|_| wants_head),
            name,
        })
    }

    /// Reads GitLab's variables; none outside of GitLab CI. Its commit is detached from branches.
    fn of_gitlab(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        if get("GITLAB_CI")? != "true" {
            return None;
        }
        let pull = get("CI_MERGE_REQUEST_IID").map(Ref::Pull);
        let tag = get("CI_COMMIT_TAG").map(Ref::Tag);
        let name = match get("CI_PIPELINE_SOURCE").as_deref() {
            Some("merge_request_event") => "pull_request".to_owned(),
            Some(other) => other.to_owned(),
            None => "push".to_owned(),
        };
        Some(Self {
            name,
            reference: pull.or(tag).or(get("CI_COMMIT_BRANCH").map(Ref::Branch)),
            base: get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
            default_branch: get("CI_DEFAULT_BRANCH"),
            actor: get("GITLAB_USER_LOGIN"),
            ..Self::default()
        })
    }

    fn of_git(root: &Path, prefix: &str) -> Self {
        let git = |args: &[&str]| {
            command(root).args(args.iter().copied()).read().ok().filter(|text| !text.is_empty())
        };
        let symbolic = |name: &str| git(&["symbolic-ref", "--quiet", "--short", name]);
        let (tags, branch, remote, user, known) = std::thread::scope(|scope| {
            let tags = scope.spawn(|| git(&["tag", "--points-at", "HEAD"]));
            let branch = scope.spawn(|| symbolic("HEAD"));
            let remote = scope.spawn(|| symbolic("refs/remotes/origin/HEAD"));
            let user = scope.spawn(|| git(&["config", "user.name"]));
            let branches = ["refs/heads/main", "refs/heads/master"];
            let known = git(&[&["for-each-ref", "--format=%(refname:lstrip=2)"], &branches[..]].concat());
            (joined(tags), joined(branch), joined(remote), joined(user), known.unwrap_or_default())
        });
        let default = remote.as_deref().and_then(|name| name.strip_prefix("origin/"));
        // In the order of the names.
        let default = default.or_else(|| known.lines().next());
        Self {
            name: "git".to_owned(),
            reference: highest(&tags.unwrap_or_default(), prefix).map(Ref::Tag).or(branch.map(Ref::Branch)),
            default_branch: default.map(str::to_owned),
            actor: user,
            ..Self::default()
        }
    }

    /// Whether the branch is the default branch.
    pub(super) fn is_default_branch(&self) -> bool {
        matches!(&self.reference, Some(Ref::Branch(name)) if Some(name) == self.default_branch.as_ref())
    }
}

/// The tag of a run of GitHub Actions or GitLab CI, if it is for one.
pub fn run_tag() -> Option<String> {
    let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if get("GITLAB_CI").as_deref() == Some("true") {
        return get("CI_COMMIT_TAG");
    }
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
fn highest(tags: &str, prefix: &str) -> Option<String> {
    let versions = tags.lines().filter(|tag| version_of_git(tag, prefix).is_some());
    versions.max_by_key(|tag| version_of_git(tag, prefix)).map(str::to_owned)
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
    fn an_event_payload_adds_to_the_event() {
        let event = |name: &str, reference: &str, payload: &str| {
            let get = |variable: &str| {
                let value = match variable {
                    "GITHUB_ACTIONS" | "DOCKER_METADATA_PR_HEAD_SHA" => "true",
                    "GITHUB_REF" => reference,
                    "GITHUB_EVENT_NAME" => name,
                    _ => return None,
                };
                Some(value.to_owned())
            };
            Event::of_github(get, Some(payload)).unwrap()
        };
        let scheduled = event("schedule", "refs/heads/trunk", r#"{"schedule":"0 1 * * *"}"#);
        assert!(scheduled.is_default_branch());
        let tag = event("push", "refs/tags/v1.2.3", r#"{"base_ref":"refs/heads/main"}"#);
        assert_eq!(tag.base.as_deref(), Some("main"));
        let pull = r#"{"pull_request":{"head":{"sha":"fedcba9876543210fedcba9876543210fedcba98"}}}"#;
        let pull = event("pull_request", "refs/pull/7/merge", pull);
        assert_eq!(pull.head.as_deref(), Some("fedcba9876543210fedcba9876543210fedcba98"));
    }

    #[test]
    fn gitlabs_variables_are_read() {
        let event = |set: &[(&str, &str)]| {
            let get = |name: &str| {
                let found = set.iter().chain(&[("GITLAB_CI", "true"), ("CI_DEFAULT_BRANCH", "main")]);
                found.clone().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            Event::of_gitlab(get).unwrap()
        };
        let branch = event(&[("CI_COMMIT_BRANCH", "main"), ("CI_PIPELINE_SOURCE", "schedule")]);
        assert!(branch.is_default_branch() && branch.name == "schedule");
        assert_eq!(event(&[("CI_COMMIT_TAG", "v1.2.3")]).reference, Some(Ref::Tag("v1.2.3".into())));
        let pull = event(&[("CI_MERGE_REQUEST_IID", "7"), ("CI_PIPELINE_SOURCE", "merge_request_event")]);
        assert_eq!((pull.reference, pull.name.as_str()), (Some(Ref::Pull("7".into())), "pull_request"));
        assert_eq!(Event::of_gitlab(|_| None), None);
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
            assert_eq!(highest(tags, "").as_deref(), expected);
        }
    }
}
