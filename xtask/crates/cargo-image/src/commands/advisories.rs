//! `cargo xtask advisories`: the facts that the builtin scanner holds crates against.

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
use image_scan::advisory_db::{AdvisoryDb, FILE};
use image_scan::import;
use oci_registry::download;
use proposal::{BRANCH, Proposal, REMOTE};
use rust_workspace::settings::Workspace;

/// The database itself.
const SOURCE: &str = "https://github.com/rustsec/advisory-db/archive/refs/heads/main.tar.gz";

/// The longest download: ten times today's.
const MAX_BYTES: u64 = 64 << 20;

/// Keep the advisories that scans use
#[derive(Args, Debug)]
pub struct Flags {
    #[command(subcommand)]
    action: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Take the facts of the RustSec database into xtask/advisories.jsonl
    #[command(after_help = "\
Examples:
  cargo xtask advisories update                            from github.com/rustsec/advisory-db
  cargo xtask advisories update --from ../advisory-db      from a clone
  cargo xtask advisories update --from db.tar.gz           from a tar of it, or from a mirror's URL
  cargo xtask advisories update --pull-request             in a workflow: what is new as a pull request")]
    Update(Update),
}

#[derive(Args, Debug)]
struct Update {
    /// A clone's folder, a tar, or a tar's URL
    #[arg(long, value_name = "DIR|TAR|URL")]
    from: Option<String>,
    /// Take a source that has a tenth fewer advisories than the file, or fewer still
    #[arg(long)]
    allow_fewer: bool,
    /// Commit what is new on a branch of its own, push it and ask GitHub for a pull request, as a workflow
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
    /// Plans, and then prints the plan or runs it.
    pub fn run(self) -> Result<()> {
        let Verb::Update(update) = self.action;
        let workspace = Workspace::find()?;
        let source = update.from.unwrap_or_else(|| SOURCE.to_owned());
        if is_url(&source) && has_login(&source) {
            return Err(Fault::usage("--from: a login in an address is shown wherever the address is")
                .at(without_login(&source))
                .hint("fetch it with a program that knows the login, and give the file")
                .into());
        }
        if !is_url(&source) && !Path::new(&source).exists() {
            return Err(Fault::usage("--from: there is no such folder or file").at(source).into());
        }
        let mut plan = Plan::new("advisories update");
        let reason = "facts alone are taken: ids, versions, ratings, days; no prose";
        plan.step("read", reason, [source.clone()], AdvisoriesStep::Read(source));
        let path = workspace.root.join(FILE);
        plan.step(
            "write",
            format!("{FILE} is replaced in one rename"),
            ["read"],
            AdvisoriesStep::Write { path, fewer: update.allow_fewer },
        );
        if update.pull_request {
            let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
            let proposal = Proposal::new(&workspace.root, get)?;
            let reason = format!(
                "{FILE} on the branch {BRANCH} of {REMOTE}, and a pull request in {}; nothing where it is as before",
                proposal.repository()
            );
            plan.step("pull-request", reason, ["write"], AdvisoriesStep::Push(proposal));
        }
        if update.dry_run {
            plan.print(update.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let mut facts = None;
        let steps = plan.run(&mut facts, ui)?;
        if update.json {
            let head = facts.as_ref().map(|facts| &facts.head);
            let report = serde_json::json!({
                "schema": "xtask.advisories.update/1", "command": "advisories update",
                "file": FILE, "head": head, "steps": steps,
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
                let facts = read(from).with_context(|| from.clone())?;
                let head = &facts.head;
                let outcome = format!("{} advisories as of {}", head.advisories, head.date);
                *state = Some(facts);
                Ok(outcome)
            }
            Self::Write { path, fewer } => {
                let facts = state.as_ref().context("no facts were read")?;
                // The date only increases: an old mirror must not undo a newer file unnoticed.
                if let Ok(text) = fs::read_to_string(path)
                    && let Ok(old) = AdvisoryDb::parse(&text)
                {
                    facts.check_follows(&old, *fewer)?;
                }
                let text = facts.print()?;
                files::replace(path, text.as_bytes())?;
                Ok(format!("{FILE}, {}", rust_workspace::settings::Bytes(text.len() as u64)))
            }
            Self::Push(proposal) => {
                let facts = state.as_ref().context("no facts were read")?;
                let title = format!("Advisories of {}", facts.head.date);
                if !proposal.push(&title)? {
                    return Ok("nothing is new".to_owned());
                }
                let head = &facts.head;
                let body = format!(
                    "{} advisories, from {}: `cargo xtask advisories update`.",
                    head.advisories, head.source
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
        // A path says nothing on another machine.
        file => import::of_tar(&fs::read(file)?, name),
    }
}
