//! `cargo xtask release`: changelog, version and tag of the next release. A person pushes them.

mod changelog;
mod level;
mod manifest;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use semver::Version;

use self::level::{Commit, Level};
use cli_support::error::Fault;
use cli_support::files;
use cli_support::plan::{Action, Plan};
use cli_support::process::Cmd;
use cli_support::time::Date;
use cli_support::ui::{self, Progress, Ui};
use rust_workspace::binary::{self, Package, cargo, follow_cargo};
use rust_workspace::git::{self, GitSource};
use rust_workspace::settings::Workspace;

const CHANGELOG: &str = "CHANGELOG.md";

/// Prepare the next release: changelog, version, commit and tag; pushes nothing
#[derive(Args, Debug)]
#[command(after_help = "\
Without --level the commits since the last version tag decide (conventionalcommits.org): a breaking change is major, or
minor before 1.0.0; `feat:` is minor; anything else a patch. Without any version tag the release has the version of
Cargo.toml. The workflow release.yml builds and publishes what the tag names.

Examples:
  cargo xtask release --dry-run
  cargo xtask release --level minor
  git push --follow-tags")]
pub struct Flags {
    /// The part of the version to raise [default: by the commits]
    #[arg(long, value_enum, value_name = "LEVEL")]
    level: Option<Level>,
    /// Do not run `cargo xtask ci` before
    #[arg(long)]
    without_ci: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

#[derive(Debug)]
enum ReleaseStep {
    /// Must succeed before anything is changed.
    Ci(Cmd),
    /// Replaces a file.
    Write(PathBuf, String),
    /// Writes the version into Cargo.lock.
    Lock(Cmd),
    Git(Cmd),
}

impl Flags {
    /// Prints the plan, or runs it.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let metadata = binary::metadata(&workspace.root)?;
        let settings = &workspace.settings;
        let package = Package::find(&metadata, settings)?;
        if !settings.tag_prefix.is_empty() {
            let what = "release writes tags without a prefix, and tag-prefix is set";
            return Err(Fault::usage(what)
                .at(rust_workspace::settings::file())
                .hint("change the version and write the tag by hand")
                .into());
        }
        let source = GitSource::read(&workspace.root, None, "")?;
        let branch = check(&workspace.root, &source)?;
        let commits = commits(&workspace.root, &source)?;
        let version = match &source.nearest {
            Some((last, _)) => {
                let level = self.level.unwrap_or_else(|| level::of_commits(&commits, last));
                level::next(last, level)
            }
            None => package.version.clone(),
        };
        let manifests = metadata.workspace_packages();
        let own = manifests.iter().find(|one| one.name == package.name).context("the package's manifest")?;
        let plan = self.plan(&workspace.root, own.manifest_path.as_std_path(), &version, &commits)?;
        if self.dry_run {
            plan.print(self.json);
            return Ok(());
        }
        let steps = plan.run(&mut (), Ui::detect())?;
        let push = format!("git push --follow-tags origin {branch}");
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.release/1", "command": "release", "version": version, "tag": format!("v{version}"),
                "push": push, "steps": steps,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            ui::print(&format!(
                "\nv{version} is prepared and not pushed. Look at it, then push it:\n\n  git show v{version}\n  {push}\n"
            ));
        }
        Ok(())
    }

    fn plan(
        &self,
        root: &Path,
        package: &Path,
        version: &Version,
        commits: &[Commit],
    ) -> Result<Plan<ReleaseStep>> {
        let mut plan = Plan::new("release");
        if !self.without_ci {
            let ci = cargo().args(["xtask", "ci"]).dir(root);
            plan.step("ci", "every check must pass first", ["source"], ReleaseStep::Ci(ci));
        }
        let changelog = root.join(CHANGELOG);
        let old = fs::read_to_string(&changelog).ok();
        let day = Date::today().to_string();
        let text = changelog::with_version(old.as_deref(), &version.to_string(), &day, commits);
        let reason = format!("move what is unreleased to {version}; list the commits if nothing is written");
        plan.step("changelog", reason, [CHANGELOG], ReleaseStep::Write(changelog, text));
        let places =
            [(package.to_owned(), &["package"][..]), (root.join("Cargo.toml"), &["workspace", "package"])];
        let mut found = None;
        for (path, keys) in places {
            let at = || path.display().to_string();
            let text = fs::read_to_string(&path).with_context(at)?;
            if let Some(text) = manifest::with_version(&text, keys, &version.to_string()).with_context(at)? {
                found = Some((path, text));
                break;
            }
        }
        let (path, text) = found.ok_or_else(|| {
            Fault::usage("there is no version to raise")
                .at(package.display())
                .hint("write version = \"…\" in [package], or in [workspace.package] of the root")
        })?;
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        plan.step("version", format!("write {version} into {name}"), [name], ReleaseStep::Write(path, text));
        let lock = cargo().args(["update", "--workspace", "--offline", "--quiet"]).dir(root);
        let reason = "write the version into Cargo.lock; other crates stay as they are";
        plan.step("lock", reason, ["version"], ReleaseStep::Lock(lock));
        let git = |args: &[&str]| git::command(root).args(args.iter().copied());
        let message = format!("Release {version}");
        let add = git(&["add", "--", CHANGELOG]);
        plan.step("add", "the changelog may be new", ["changelog"], ReleaseStep::Git(add));
        // The tree was clean: all changes are of this release.
        let commit = git(&["commit", "--quiet", "--all", "--message", &message]);
        let inputs = ["changelog", "version", "lock"];
        plan.step("commit", format!("commit '{message}'"), inputs, ReleaseStep::Git(commit));
        let tag = format!("v{version}");
        let command = git(&["tag", "--annotate", "--message", &message, &tag]);
        plan.step("tag", format!("tag the commit {tag}"), ["commit"], ReleaseStep::Git(command));
        Ok(plan)
    }
}

/// Checks that the source can be released, and gives the branch.
fn check(root: &Path, source: &GitSource) -> Result<String> {
    if let Some(why) = &source.missing {
        return Err(Fault::usage(format!("release: {why}")).into());
    }
    if source.dirty {
        let files = git::command(root).args(["status", "--porcelain"]).read()?;
        let what = format!("release: files differ from the commit:\n{files}");
        return Err(Fault::gate(what)
            .hint("commit them, or put them aside: git stash --include-untracked")
            .into());
    }
    if let Some(doubt) = source.doubt() {
        return Err(Fault::gate(format!("release: {doubt}")).into());
    }
    if let Some((version, 0)) = &source.nearest {
        let what = format!("release: this commit already is version {version}");
        return Err(Fault::gate(what).hint(format!("push it: git push origin v{version}")).into());
    }
    let branch = git::command(root).args(["symbolic-ref", "--short", "--quiet", "HEAD"]).read();
    branch.map_err(|_| {
        Fault::gate("release: no branch is checked out, so nothing could be pushed")
            .hint("git switch BRANCH")
            .into()
    })
}

/// The commits since the last version, newest first, without merges.
fn commits(root: &Path, source: &GitSource) -> Result<Vec<Commit>> {
    let log = git::command(root).args(["log", "--no-merges", "--format=%s%n%b%x00"]);
    let log = match &source.nearest {
        Some((version, _)) => log.arg(format!("{}..HEAD", tag_of(root, version)?)),
        None => log,
    };
    let text = log.read()?;
    let commits = text.split('\0').map(str::trim).filter(|text| !text.is_empty());
    Ok(commits
        .map(|text| {
            let (subject, body) = text.split_once('\n').unwrap_or((text, ""));
            Commit { subject: subject.to_owned(), body: body.to_owned() }
        })
        .collect())
}

/// The tag of a version, in one of its spellings.
fn tag_of(root: &Path, version: &Version) -> Result<String> {
    let tags = git::command(root).args(["tag", "--merged", "HEAD"]).read()?;
    let found = tags.lines().find(|tag| rust_workspace::version::version_of(tag).as_ref() == Some(version));
    found.map(str::to_owned).with_context(|| format!("git has no tag of version {version}"))
}

impl Action for ReleaseStep {
    type State = ();

    fn command(&self) -> Option<&Cmd> {
        match self {
            Self::Ci(command) | Self::Lock(command) | Self::Git(command) => Some(command),
            Self::Write(..) => None,
        }
    }

    fn run(&self, (): &mut (), progress: &Progress) -> Result<String> {
        match self {
            Self::Ci(command) => {
                let red = || {
                    Fault::gate("release: cargo xtask ci does not pass")
                        .hint("run it, and fix what it reports")
                };
                command.follow(|line| progress.detail(line)).with_context(red)?;
                Ok("passed".to_owned())
            }
            Self::Write(path, text) => {
                files::replace(path, text.as_bytes())?;
                Ok(path.display().to_string())
            }
            Self::Lock(command) => follow_cargo(command, progress).map(|()| String::new()),
            Self::Git(command) => command.read(),
        }
    }
}
