//! `cargo xtask prune`: old versions out of a registry, and nothing that anything kept needs.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::Args;

use super::publish::Target;
use super::tags::rules;
use crate::environments::Places;
use crate::environments::prune::{Keep, PrunePlan, Removed, plan, remove};
use cli_support::error::{Fault, plain_line};
use cli_support::ui::{self, Table, Ui};
use rust_workspace::settings::Workspace;
use rust_workspace::tags::Names;

/// Delete old versions from the registry; shows what would go unless told --delete
#[derive(Args, Debug)]
#[command(after_help = "\
What a kept tag, an index or a referrer of them leads to always stays; so does what runs in an environment.

Examples:
  cargo xtask prune --keep 10                       show what would go
  cargo xtask prune --keep 10 --drop pr- --delete   delete it, and the images of pull requests too")]
pub struct Flags {
    /// How many of the highest releases stay, of each form of tag that `[[tags]]` has, and as many versions
    /// before a release
    #[arg(long, value_name = "N")]
    keep: usize,
    /// A tag that stays; again for more
    #[arg(long, value_name = "TAG")]
    keep_tag: Vec<String>,
    /// How tags begin that are no versions and go too: pr-, sha-; again for more
    #[arg(long, value_name = "PREFIX")]
    drop: Vec<String>,
    /// Really delete
    #[arg(long)]
    delete: bool,
    #[command(flatten)]
    target: Target,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Flags {
    /// Finds out, and tells or deletes.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let repository = self.target.repository(workspace.settings.repository.as_deref())?;
        let ui = Ui::detect();
        let client = self.target.client(&repository, ui)?;
        if self.drop.iter().any(String::is_empty) {
            return Err(Fault::usage("--drop '' would drop every tag")
                .hint("name a prefix: --drop pr-")
                .into());
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
        let keep = Keep { versions: self.keep, tags, drop: self.drop.clone(), names };
        let found = plan(&client, &repository, &keep)?;
        for note in &found.notes {
            ui.warn(&plain_line(note));
        }
        let count = found.manifests().count();
        let mut removed = Removed::default();
        if self.delete {
            let progress = ui.step("delete", &format!("{count} manifests of {}", repository.name()));
            let tell = |deleted: usize| progress.detail(&format!("{deleted} of {count}"));
            removed = remove(&client, &repository, &keep, &found, &tell)?;
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

/// What went or would go, for a person.
fn shown(found: &PrunePlan, removed: &Removed, delete: bool, drop: &[String]) -> String {
    let mut table = Table::new(&["tag", "what happens"]);
    for tag in &found.tags {
        let spared = found.listing.images.get(tag).is_some_and(|digest| removed.spared.contains(digest));
        table.row([
            tag.as_str(),
            match (delete, spared) {
                (_, true) => "stays: something was tagged meanwhile that needs it",
                (true, false) => "deleted",
                (false, false) => "would go",
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
        format!("{table}\n{count} manifests would go, {} tags stay; --delete does it\n", found.kept)
    };
    if found.remains > 0 {
        text += &format!("{} of them are left of a prune that broke off\n", found.remains);
    }
    text
}
