//! The runs of workflows on GitHub (REST API, "List workflow runs for a repository").

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use cli_support::error::plain_line;
use cli_support::time::seconds_of;
use oci_registry::GithubRepository;

/// Finished runs that pushes started: of branches and of version tags. Runs of pull requests may fail.
const PATH: &str = "actions/runs?event=push&status=completed";
/// The most pages that are read, 100 runs each.
const MAX_PAGES: usize = 3;

/// The runs in a repository.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GithubRuns {
    /// `OWNER/NAME`.
    pub repository: String,
    /// The runs that succeeded or failed, the newest first. Cancelled and skipped ones are left out.
    pub runs: Vec<GithubRun>,
    /// Why they could not be read.
    pub error: Option<String>,
}

/// A run of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GithubRun {
    /// When it started, RFC 3339.
    pub time: String,
    /// The workflow's name.
    pub workflow: String,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// Wall-clock seconds.
    pub seconds: Option<u64>,
}

impl GithubRuns {
    /// Reads the last runs. An error of GitHub becomes a part of the report: the rest of it does not depend on GitHub.
    pub fn read(github: &GithubRepository) -> Self {
        match runs(github) {
            Ok(runs) => Self { repository: github.name().to_owned(), runs, error: None },
            Err(error) => Self::unread(github.name(), &format!("{error:#}")),
        }
    }

    /// The runs that could not be read.
    pub fn unread(repository: &str, error: &str) -> Self {
        Self { repository: repository.to_owned(), runs: Vec::new(), error: Some(plain_line(error)) }
    }

    /// Where the numbers come from.
    pub fn source(&self) -> String {
        match &self.error {
            Some(error) => format!("the runs in {} could not be read: {error}", self.repository),
            None => format!("the last runs in {} that pushes started", self.repository),
        }
    }
}

fn runs(github: &GithubRepository) -> Result<Vec<GithubRun>> {
    let list = github.list(PATH, MAX_PAGES, |page| page["workflow_runs"].as_array().cloned())?;
    Ok(list.iter().filter_map(run).collect())
}

/// A run that succeeded or failed.
fn run(run: &Value) -> Option<GithubRun> {
    let succeeded = match run["conclusion"].as_str()? {
        "success" => true,
        "failure" | "timed_out" | "startup_failure" => false,
        _ => return None,
    };
    let text = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
    let (started, ended) = (text("run_started_at"), text("updated_at"));
    let seconds = seconds_of(&ended).zip(seconds_of(&started)).map(|(end, start)| end.saturating_sub(start));
    Some(GithubRun { time: started, workflow: text("name"), succeeded, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_that_succeeded_or_failed_count() {
        let one = |conclusion: Value| {
            run(&serde_json::json!({
                "name": "ci", "conclusion": conclusion,
                "run_started_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:05:05Z",
            }))
        };
        let success = one("success".into()).unwrap();
        assert_eq!((success.succeeded, success.seconds, success.workflow.as_str()), (true, Some(60), "ci"));
        for failed in ["failure", "timed_out", "startup_failure"] {
            assert!(!one(failed.into()).unwrap().succeeded);
        }
        for other in ["cancelled", "skipped", "neutral", "stale", "action_required"] {
            assert_eq!(one(other.into()), None);
        }
        assert_eq!(one(Value::Null), None);
    }
}
