//! `cargo xtask prune`: deletes old versions from a registry, and nothing that a kept image needs.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;

use super::publish::Target;
use super::tags::rules;
use crate::environments::Places;
use crate::environments::prune::{PrunePlan, Removed, Retention, plan, remove};
use cli_support::error::{Fault, plain_line};
use cli_support::ui::{self, Table, Ui};
use rust_workspace::settings::Workspace;
use rust_workspace::tags::Names;

/// Delete old versions from the registry; without --delete, only list them
#[derive(Args, Debug)]
#[command(after_help = "\
Everything that a kept tag reaches stays: platforms, indexes, referrers. So do images of environments.

Examples:
  cargo xtask prune --keep 10                       list what would be deleted
  cargo xtask prune --keep 10 --drop pr- --delete   delete it, and images of pull requests")]
pub struct Flags {
    /// The number of highest releases to keep, for each form of tag in `[[tags]]`; the same number of pre-releases is
    /// kept
    #[arg(long, value_name = "N")]
    keep: usize,
    /// Keep this tag (repeatable)
    #[arg(long, value_name = "TAG")]
    keep_tag: Vec<String>,
    /// Also delete non-version tags with this prefix, such as pr- or sha- (repeatable)
    #[arg(long, value_name = "PREFIX")]
    drop: Vec<String>,
    /// Delete them
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    target: Target,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Flags {
    /// Makes the plan, and prints it or deletes.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let repository = self.target.repository(workspace.settings.repository.as_deref())?;
        let ui = Ui::detect();
        let client = self.target.client(&repository, ui)?;
        if self.drop.iter().any(String::is_empty) {
            return Err(Fault::usage("--drop '' matches every tag").hint("name a prefix: --drop pr-").into());
        }
        let mut tags: BTreeSet<String> = self.keep_tag.iter().cloned().collect();
        for tag in &tags {
            repository.with_tag(tag)?;
        }
        for place in Places::of(&workspace, &repository)?.all() {
            if place.at.name() == repository.name() {
                tags.extend(place.at.tag().map(str::to_owned));
            }
        }
        let names = Names::of_every_run(&rules(&workspace.settings));
        let retention = Retention { versions: self.keep, tags, drop: self.drop.clone(), names };
        let found = plan(&client, &repository, &retention)?;
        for note in &found.notes {
            ui.warn(&plain_line(note));
        }
        let count = found.manifests().count();
        let mut removed = Removed::default();
        if self.delete {
            let progress = ui.step("delete", &format!("{count} manifests of {}", repository.name()));
            let tell = |deleted: usize| progress.detail(&format!("{deleted} of {count}"));
            removed = remove(&client, &repository, &retention, &found, &tell)?;
            progress.done(&format!("{} manifests", removed.deleted));
        }
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.prune/1",
                "command": "prune",
                "repository": repository.name(),
                "tags": found.tags,
                "held": found.held,
                "held_by": found.held_by,
                "manifests": found.manifests().map(|manifest| manifest.digest).collect::<Vec<_>>(),
                "remains": found.remains,
                "kept": found.kept,
                "deleted": removed.deleted,
                "spared": removed.spared,
                "notes": found.notes,
            });
            ui::print(&format!("{report:#}\n"));
            return Ok(());
        }
        ui::print(&shown(&found, &removed, self.delete, &self.drop));
        Ok(())
    }
}

/// The report for a terminal.
fn shown(found: &PrunePlan, removed: &Removed, delete: bool, drop: &[String]) -> String {
    let mut table = Table::new(&["tag", "what happens"]);
    for tag in &found.tags {
        let spared = found.listing.images.get(tag).is_some_and(|digest| removed.spared.contains(digest));
        table.row([
            tag.as_str(),
            match (delete, spared) {
                (_, true) => "stays: a tag that was written since then needs it",
                (true, false) => "deleted",
                (false, false) => "would be deleted",
            },
        ]);
    }
    for (tag, hold) in &found.held_by {
        table.row([tag.as_str(), &format!("stays: {}", hold.words(drop))]);
    }
    let count = found.manifests().count();
    let mut text = if delete {
        format!("{table}\n{} of {count} manifests deleted\n", removed.deleted)
    } else {
        format!(
            "{table}\n{count} manifests would be deleted, {} tags stay; use --delete to delete them\n",
            found.kept
        )
    };
    if found.remains > 0 {
        text += &format!("{} of them remain from an unfinished prune\n", found.remains);
    }
    text
}
