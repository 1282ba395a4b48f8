//! A pull request with the new advisory file: a commit on its own branch, and one request to GitHub.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use cli_support::error::{Fault, plain_line};
use cli_support::process::Cmd;
use cli_support::temporary::Temporary;
use image_scan::engines::builtin::advisory_db::FILE;
use oci_registry::{GithubAnswer, GithubRepository};
use rust_workspace::git;

/// The branch; each run replaces it.
pub(super) const BRANCH: &str = "xtask/advisories";
/// The remote, as actions/checkout names it.
pub(super) const REMOTE: &str = "origin";
/// The author where git has none configured, as on GitHub's runners.
const BOT: (&str, &str) = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com");

/// The repository of a pull request.
#[derive(Debug)]
pub(super) struct Proposal {
    root: PathBuf,
    github: GithubRepository,
}

impl Proposal {
    /// Reads the variables of GitHub Actions.
    pub(super) fn new(root: &Path, get: impl Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let github = GithubRepository::of_environment(get).map_err(|fault| {
            fault.hint("use --pull-request in a workflow, as .github/workflows/advisories.yml does")
        })?;
        Ok(Self { root: root.to_owned(), github })
    }

    /// OWNER/NAME.
    pub(super) fn repository(&self) -> &str {
        self.github.name()
    }

    fn git(&self, args: &[&str]) -> Cmd {
        git::command(&self.root).args(args.iter().copied())
    }

    /// Commits the file to the branch and pushes it; false where the file did not change. Changes neither the checked-out
    /// branch nor the index.
    pub(super) fn push(&self, title: &str) -> Result<bool> {
        let name = self.git(&["ls-files", "--full-name", "--", FILE]).read()?;
        if name.is_empty() {
            return Err(Fault::failed("the file is not in git")
                .at(FILE)
                .hint(format!("git add {FILE}"))
                .into());
        }
        if self.git(&["diff", "--name-only", "HEAD", "--", FILE]).read()?.is_empty() {
            return Ok(false);
        }
        let index = self.git(&["rev-parse", "--git-path", "xtask-advisories.index"]).read()?;
        let index = Temporary::new(self.root.join(index));
        let apart = |args: &[&str]| self.git(args).env("GIT_INDEX_FILE", index.path()).read();
        let blob = self.git(&["hash-object", "-w", "--", FILE]).read()?;
        apart(&["read-tree", "HEAD"])?;
        apart(&["update-index", "--cacheinfo", &format!("100644,{blob},{name}")])?;
        let tree = apart(&["write-tree"])?;
        let mut commit = self.git(&["commit-tree", &tree, "-p", "HEAD", "-m", title]);
        if !self.git(&["config", "user.email"]).succeeds() {
            for role in ["AUTHOR", "COMMITTER"] {
                commit =
                    commit.env(format!("GIT_{role}_NAME"), BOT.0).env(format!("GIT_{role}_EMAIL"), BOT.1);
            }
        }
        let commit = commit.read()?;
        let to = format!("{commit}:refs/heads/{BRANCH}");
        let push = self.git(&["push", "--quiet", "--force", REMOTE, &to]).env("GIT_TERMINAL_PROMPT", "0");
        push.read().context(Fault::failed(format!("cannot push {BRANCH} to {REMOTE}")).hint(
            "grant the job 'permissions: contents: write', and actions/checkout 'persist-credentials: true'",
        ))?;
        Ok(true)
    }

    /// Opens the pull request (GitHub REST API, "Create a pull request"). An open one has the pushed commit already.
    pub(super) fn open(&self, title: &str, body: &str) -> Result<String> {
        let base = self.git(&["symbolic-ref", "--short", "HEAD"]).read();
        let base = base.context("no branch is checked out, so the pull request has no base")?;
        let ask = json!({ "title": title, "head": BRANCH, "base": base, "body": body });
        let answer = self.github.post("pulls", &ask)?;
        Ok(outcome(&answer).map_err(|fault| fault.at(self.github.url("pulls")))?)
    }
}

/// The result of GitHub's answer.
fn outcome(answer: &GithubAnswer) -> Result<String, Fault> {
    if answer.status == 201 {
        return Ok(plain_line(answer.body["html_url"].as_str().unwrap_or("opened")));
    }
    if answer.status == 422 && answer.message().contains("pull request already exists") {
        return Ok("the open pull request has the new commit".to_owned());
    }
    Err(match answer.status {
        401 | 403 | 404 => answer.refused().hint(
            "grant the job 'permissions: pull-requests: write', and the repository's settings 'Allow GitHub Actions to create and approve pull requests' (Actions, General)",
        ),
        _ => answer.refused(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_github() {
        for (status, body, expected) in [
            (201, r#"{"html_url":"https://github.com/o/r/pull/7"}"#, Ok("https://github.com/o/r/pull/7")),
            (201, "", Ok("opened")),
            (
                422,
                r#"{"message":"Validation Failed","errors":[{"message":"A pull request already exists for o:xtask/advisories."}]}"#,
                Ok("has the new commit"),
            ),
            (
                422,
                r#"{"message":"Validation Failed","errors":[{"field":"base"}]}"#,
                Err("422: Validation Failed"),
            ),
            (403, r#"{"message":"not permitted"}"#, Err("pull-requests: write")),
            (401, r#"{"message":"Bad credentials"}"#, Err("401: Bad credentials")),
            (500, "<html>", Err("GitHub answered 500")),
        ] {
            let body = serde_json::from_str(body).unwrap_or_default();
            match (outcome(&GithubAnswer { status, body }), expected) {
                (Ok(message), Ok(words)) => assert!(message.contains(words), "{message}"),
                (Err(fault), Err(words)) => {
                    let text = cli_support::error::render(&fault.into());
                    assert!(text.contains(words), "{text}");
                }
                (found, _) => panic!("{status}: {found:?}"),
            }
        }
    }
}
