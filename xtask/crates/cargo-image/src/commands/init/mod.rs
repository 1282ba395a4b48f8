//! `cargo xtask init`: writes what a workspace needs for `cargo xtask image`.

mod edit;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use cargo_metadata::Metadata;
use clap::Args;

use cli_support::error::Fault;
use cli_support::files;
use cli_support::plan::{Action, Plan};
use cli_support::ui::{self, Progress, Ui};
use edit::{difference, takes_any_folder, with_alias, with_ignored};
use rust_workspace::binary;
use rust_workspace::git;
use rust_workspace::settings::{Settings, Workspace};
use settings::Choice;

/// The library that a package with a program of its own for `cargo xtask` depends on.
const LIBRARY: &str = "cargo-image";

/// Write the settings that cargo xtask image needs, and show the changes
#[derive(Args, Debug)]
#[command(after_help = "\
It adds what is missing and keeps everything else: image.toml, the alias xtask in .cargo/config.toml, and an entry for
cargo's target folder in .gitignore. A second run changes nothing.

Examples:
  cargo xtask init --dry-run          show the changes
  cargo xtask init                    show and write them
  cargo xtask init --package server   where several packages have a binary")]
pub struct Flags {
    /// The package of the image [default: the only one with a binary]
    #[arg(long, value_name = "NAME")]
    package: Option<String>,
    /// Its binary [default: the only one, default-run, or the one with the package's name]
    #[arg(long, value_name = "NAME")]
    binary: Option<String>,
    /// The image's name in a registry [default: ghcr.io/OWNER/NAME of the repository at GitHub]
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

/// Writes a file.
#[derive(Debug)]
struct Write {
    path: PathBuf,
    text: String,
}

impl Action for Write {
    type State = ();

    fn run(&self, (): &mut (), _: &Progress) -> Result<String> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        files::replace(&self.path, self.text.as_bytes())?;
        Ok(String::new())
    }
}

impl Flags {
    /// Shows the changes, and writes them without `--dry-run`.
    pub fn run(self) -> Result<()> {
        let here = std::env::current_dir().context("the current folder")?;
        let root = root(&here)?;
        let metadata = binary::metadata(&root)?;
        let mut plan = Plan::new("init");
        let mut shown = String::new();
        let mut change = |path: &str, before: Option<&str>, after: String, reason: String| {
            if before != Some(after.as_str()) {
                shown.push_str(&difference(path, before.unwrap_or_default(), &after));
                plan.step("write", reason, [path], Write { path: root.join(path), text: after });
            }
        };
        let file = settings::place(&root);
        if root.join(file).is_file() {
            self.agrees_with(&Workspace::find()?.settings)?;
        } else {
            let choice = Choice::of(
                &metadata,
                self.package.as_deref(),
                self.binary.as_deref(),
                self.repository.clone(),
                &root,
            )?;
            change(file, None, choice.text(), format!("the settings of the image of {}", choice.package));
        }
        let (command, reason) = match program(&metadata) {
            Some(package) => (
                format!("run --quiet --package {package} --bin {package} --"),
                format!("cargo xtask runs the package {package}"),
            ),
            None => ("image".to_owned(), "cargo xtask runs the installed program cargo-image".to_owned()),
        };
        let path = ".cargo/config.toml";
        let manifest = read(&root, "Cargo.toml")?.unwrap_or_default();
        let is_member = !root.join(".cargo").exists() && takes_any_folder(&manifest);
        if !is_member {
            let before = read(&root, path)?;
            let after = with_alias(before.as_deref().unwrap_or_default(), &command)?;
            change(path, before.as_deref(), after, reason);
        }
        let target = metadata.target_directory.as_std_path();
        if let Ok(below) = target.strip_prefix(&root)
            && is_repository(&root)
            && !is_ignored(&root, target)
        {
            let before = read(&root, ".gitignore")?;
            let entry = format!("/{}", below.display()).replace('\\', "/");
            let after = with_ignored(before.as_deref().unwrap_or_default(), &entry);
            change(".gitignore", before.as_deref(), after, "images are in cargo's target folder".to_owned());
        }
        if self.dry_run {
            plan.print(self.json);
            if !self.json {
                ui::print(&format!("\n{shown}"));
            }
            return Ok(());
        }
        if !self.json {
            ui::print(&shown);
        }
        let steps = plan.run(&mut (), Ui::detect())?;
        if is_member {
            Ui::detect().warn(&format!(
                "no alias xtask: members = [\"*\"] in Cargo.toml would make .cargo a package; exclude .cargo there and run \
                 init again, or type cargo {command} in place of cargo xtask"
            ));
        }
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.init/1", "command": "init", "difference": shown, "steps": steps,
            });
            ui::print(&format!("{report:#}\n"));
        } else if steps.is_empty() {
            ui::print("nothing to change\n");
        } else {
            ui::print("next: commit these files, then cargo xtask image\n");
        }
        Ok(())
    }
}

/// The nearest folder with a Cargo.lock. Cargo itself would write one of the newest crates.
fn root(here: &Path) -> Result<PathBuf, Fault> {
    let root = here.ancestors().find(|dir| dir.join("Cargo.lock").is_file());
    root.map(Path::to_owned).ok_or_else(|| {
        Fault::usage("no Cargo.lock in this folder or above it")
            .at(here.display())
            .hint("run it in a Rust workspace; cargo generate-lockfile makes the file, which belongs in git")
    })
}

fn read(root: &Path, path: &str) -> Result<Option<String>> {
    match fs::read_to_string(root.join(path)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.to_owned()),
    }
}

impl Flags {
    /// An error if a flag says something else than the settings that are there: `init` does not change them.
    fn agrees_with(&self, settings: &Settings) -> Result<(), Fault> {
        let package = Some(&settings.package);
        let values = [
            ("package", &self.package, package),
            ("binary", &self.binary, settings.binary.as_ref()),
            ("repository", &self.repository, settings.repository.as_ref()),
        ];
        for (key, flag, found) in values {
            if let Some(flag) = flag
                && found != Some(flag)
            {
                let there = found.map_or_else(|| "none".to_owned(), |found| format!("'{found}'"));
                return Err(Fault::usage(format!("--{key} is '{flag}', but the settings have {there}"))
                    .at(rust_workspace::settings::file())
                    .hint(format!("init keeps settings that are there: change {key} in that file")));
            }
        }
        Ok(())
    }
}

/// The member with a binary that depends on this library: the workspace's own program for `cargo xtask`.
fn program(metadata: &Metadata) -> Option<String> {
    let members = metadata.workspace_packages();
    let uses = |package: &&&cargo_metadata::Package| {
        package.dependencies.iter().any(|dependency| dependency.name == LIBRARY)
            && package.targets.iter().any(cargo_metadata::Target::is_bin)
    };
    members.iter().find(uses).map(|package| package.name.to_string())
}

fn is_repository(root: &Path) -> bool {
    root.ancestors().any(|dir| dir.join(".git").exists())
}

fn is_ignored(root: &Path, path: &Path) -> bool {
    git::command(root).args(["check-ignore", "--quiet"]).arg(path.join("x")).succeeds()
}
