//! `cargo xtask tags`: what the image would be published under.

use anyhow::Result;
use clap::Args;

use super::version::Facts;
use crate::error::Fault;
use crate::image::facts::labels;
use crate::tags::{self, Derived, Rule};
use crate::ui::{self, Table};

/// Say which tags the image would be published under
#[derive(Args, Debug)]
#[command(after_help = "\
The rules are [[tags]] in xtask/image.toml; docs/publish.md explains them.

Examples:
  cargo xtask tags
  cargo xtask tags --json
  GITHUB_ACTIONS=true GITHUB_REF=refs/tags/v1.2.3 cargo xtask tags    as a run for that tag would")]
pub struct Flags {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The tags of this source and event.
pub fn of(facts: &Facts) -> Result<Derived, Fault> {
    let settings = &facts.workspace.settings;
    let defaults = Rule::defaults();
    let rules = if settings.tags.is_empty() { &defaults } else { &settings.tags };
    tags::derive(&tags::Facts {
        rules,
        latest: settings.latest,
        event: &facts.event,
        version: &facts.version,
        revision: facts.source.revision.as_deref(),
        time: facts.source.time,
    })
}

impl Flags {
    /// Derives and tells.
    pub fn run(self) -> Result<()> {
        let facts = Facts::read()?;
        let derived = of(&facts)?;
        let repository = facts.workspace.settings.repository.as_ref().map(|name| name.to_lowercase());
        let reference = |tag: &str| repository.as_ref().map(|repository| format!("{repository}:{tag}"));
        let names: Vec<_> = derived.tags.iter().map(|tag| tag.name.clone()).collect();
        if self.json {
            let tags = derived.tags.iter().map(|tag| {
                serde_json::json!({
                    "tag": tag.name,
                    "rule": tag.rule,
                    "motion": tag.motion.word(),
                    "reference": reference(&tag.name),
                })
            });
            let labels = labels(&facts.package, &facts.source, &facts.workspace.settings);
            let report = serde_json::json!({
                "schema": "xtask.tags/1",
                "command": "tags",
                "version": facts.version.to_string(),
                "tags": tags.collect::<Vec<_>>(),
                "labels": labels,
                "annotations": labels,
            });
            ui::print(&format!("{report:#}\n"));
        } else {
            let mut table = Table::new(&["tag", "moves", "rule"]);
            for tag in &derived.tags {
                table.row([tag.name.as_str(), tag.motion.word(), &tag.rule]);
            }
            ui::print(&table.to_string());
        }
        ui::write_outputs("", &[("version", facts.version.to_string()), ("tags", names.join(" "))])
    }
}
