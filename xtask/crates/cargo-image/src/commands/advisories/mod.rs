//! `cargo xtask advisories`: updates the advisory file of the builtin engine.

mod proposal;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use cli_support::error::Fault;
use cli_support::files;
use cli_support::mask::{has_login, without_login};
use cli_support::plan::{Action, Plan};
use cli_support::ui::{self, Progress, Ui};
use image_scan::engines::builtin::advisory_db::{AdvisoryDb, FILE, destination};
use image_scan::engines::builtin::import;
use oci_registry::download;
use proposal::{BRANCH, Proposal, REMOTE};
use rust_workspace::settings::Workspace;

/// The RustSec advisory database.
const SOURCE: &str = "https://github.com/rustsec/advisory-db/archive/refs/heads/main.tar.gz";

/// The longest download, in bytes. The database has 6 MB.
const MAX_BYTES: u64 = 64 << 20;

/// Update the advisories of the builtin engine
#[derive(Args, Debug)]
pub struct Flags {
    #[command(subcommand)]
    action: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Write xtask/advisories.jsonl from the RustSec advisory database
    #[command(after_help = "\
Examples:
  cargo xtask advisories update                            from github.com/rustsec/advisory-db
  cargo xtask advisories update --from ../advisory-db      from a clone
  cargo xtask advisories update --from db.tar.gz           from a tar of it, or from a mirror's URL
  cargo xtask advisories update --pull-request             in a workflow: opens a pull request")]
    Update(Update),
}

#[derive(Args, Debug)]
struct Update {
    /// A clone's folder, a tar, or a tar's URL
    #[arg(long, value_name = "DIR|TAR|URL")]
    from: Option<String>,
    /// Accept a source with more than a tenth fewer advisories than the file
    #[arg(long)]
    allow_fewer: bool,
    /// In a workflow: commit the new file to a branch, push it and open a pull request at GitHub
    #[arg(long)]
    pull_request: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

#[derive(Debug)]
enum AdvisoriesStep {
    Read(String),
    Write { path: PathBuf, fewer: bool },
    Push(Proposal),
}

impl Flags {
    /// Prints the plan, or runs it.
    pub fn run(self) -> Result<()> {
        let Verb::Update(update) = self.action;
        let workspace = Workspace::find()?;
        let source = update.from.unwrap_or_else(|| SOURCE.to_owned());
        if is_url(&source) && has_login(&source) {
            return Err(Fault::usage("--from: the address contains a login, which logs would show")
                .at(without_login(&source))
                .hint("download the file with another program, and name the file")
                .into());
        }
        if !is_url(&source) && !Path::new(&source).exists() {
            return Err(Fault::usage("--from: no such folder or file").at(source).into());
        }
        let mut plan = Plan::new("advisories update");
        let reason = "reads ids, versions, ratings and dates; no text";
        plan.step("read", reason, [source.clone()], AdvisoriesStep::Read(source));
        let path = destination(&workspace.root).context("there is no home folder for the advisories")?;
        let shown = path.strip_prefix(&workspace.root).unwrap_or(&path).display().to_string();
        plan.step(
            "write",
            format!("replaces {shown} in one rename"),
            ["read"],
            AdvisoriesStep::Write { path, fewer: update.allow_fewer },
        );
        if update.pull_request {
            let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            let proposal = Proposal::new(&workspace.root, get)?;
            let reason = format!(
                "pushes {FILE} to the branch {BRANCH} of {REMOTE} and opens a pull request in {}, where the file changed",
                proposal.repository()
            );
            plan.step("pull-request", reason, ["write"], AdvisoriesStep::Push(proposal));
        }
        if update.dry_run {
            plan.print(update.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let mut database = None;
        let steps = plan.run(&mut database, ui)?;
        if update.json {
            let header = database.as_ref().map(|database| &database.header);
            let report = serde_json::json!({
                "schema": "xtask.advisories.update/1", "command": "advisories update",
                "file": shown, "head": header, "steps": steps,
            });
            ui::print(&format!("{report:#}\n"));
        }
        Ok(())
    }
}

impl Action for AdvisoriesStep {
    type State = Option<AdvisoryDb>;

    fn run(&self, state: &mut Option<AdvisoryDb>, _: &Progress) -> Result<String> {
        match self {
            Self::Read(from) => {
                let database = read(from).with_context(|| from.clone())?;
                let header = &database.header;
                let outcome = format!("{} advisories as of {}", header.advisories, header.date);
                *state = Some(database);
                Ok(outcome)
            }
            Self::Write { path, fewer } => {
                let database = state.as_ref().context("the step 'read' did not run")?;
                // An old mirror must not replace a newer file.
                if let Ok(text) = fs::read_to_string(path)
                    && let Ok(old) = AdvisoryDb::parse(&text)
                {
                    database.check_follows(&old, *fewer)?;
                }
                let text = database.print()?;
                files::replace(path, text.as_bytes())?;
                Ok(format!("{}, {}", path.display(), rust_workspace::settings::Bytes(text.len() as u64)))
            }
            Self::Push(proposal) => {
                let database = state.as_ref().context("the step 'read' did not run")?;
                let title = format!("Advisories of {}", database.header.date);
                if !proposal.push(&title)? {
                    return Ok("no changes".to_owned());
                }
                let header = &database.header;
                let body = format!(
                    "{} advisories, from {}: `cargo xtask advisories update`.",
                    header.advisories, header.source
                );
                proposal.open(&title, &body)
            }
        }
    }
}

fn is_url(from: &str) -> bool {
    from.starts_with("https://") || from.starts_with("http://")
}

fn read(from: &str) -> Result<AdvisoryDb> {
    let path = Path::new(from);
    let name = "github.com/rustsec/advisory-db";
    match path {
        _ if is_url(from) => {
            import::of_tar(&download(from, MAX_BYTES)?, if from == SOURCE { name } else { from })
        }
        dir if dir.is_dir() => import::of_folder(dir, name),
        // A path has no meaning on another machine.
        file => import::of_tar(&fs::read(file)?, name),
    }
}
