//! `cargo xtask tags`: the tags that publish would write.

use std::borrow::Cow;

use anyhow::Result;
use clap::Args;

use super::version::VersionReport;
use crate::image::inputs::labels;
use cli_support::error::Fault;
use cli_support::ui::{self, Table, Ui};
use oci_registry::Reference;
use rust_workspace::settings::Settings;
use rust_workspace::tags::{self, Derived, Rule, Tag};

/// List the tags that publish would write
#[derive(Args, Debug)]
#[command(after_help = "\
The rules are [[tags]] in xtask/image.toml; docs/tags.md explains them.

Examples:
  cargo xtask tags
  cargo xtask tags --json
  GITHUB_ACTIONS=true GITHUB_REF=refs/tags/v1.2.3 cargo xtask tags    as in a run for that tag")]
pub struct Flags {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The tags of this source and event, for the repository `to`.
pub fn of(checkout: &VersionReport, to: Option<&Reference>) -> Result<Derived> {
    let derived = with(checkout, tags::derive)?;
    for note in &derived.notes {
        Ui::detect().warn(note);
    }
    for tag in &derived.tags {
        refuse_place(checkout, to, tag)?;
    }
    Ok(derived)
}

/// The rules of the settings, or the defaults where they have none.
pub fn rules(settings: &Settings) -> Cow<'_, [Rule]> {
    if settings.tags.is_empty() { Cow::Owned(Rule::defaults()) } else { Cow::Borrowed(&settings.tags) }
}

/// Tags of the command line, for the repository `to`.
pub fn named(checkout: &VersionReport, to: &Reference, names: &[String]) -> Result<Vec<Tag>> {
    let one = |name: &String| {
        let tag = with(checkout, |checkout| tags::named(checkout, name))?;
        refuse_place(checkout, Some(to), &tag)?;
        Ok(tag)
    };
    names.iter().map(one).collect()
}

fn with<T>(
    checkout: &VersionReport,
    what: impl Fn(&tags::TagInputs<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let settings = &checkout.workspace.settings;
    what(&tags::TagInputs {
        rules: &rules(settings),
        latest: settings.latest,
        around_latest: (&settings.around_latest.0, &settings.around_latest.1),
        tag_prefix: &settings.tag_prefix,
        event: &checkout.event,
        version: &checkout.version,
        revision: checkout.source.revision.as_deref(),
        dirty: checkout.source.dirty,
        time: checkout.source.time,
    })
}

/// Refuses a tag of an environment: only `promote` writes it, after its checks.
fn refuse_place(checkout: &VersionReport, to: Option<&Reference>, tag: &Tag) -> Result<()> {
    for environment in &checkout.workspace.settings.environments {
        let own = environment.repository.as_deref().map(str::parse::<Reference>).transpose()?;
        let is_here = own.is_none_or(|own| to.is_some_and(|to| to.name() == own.name()));
        if is_here && environment.tag == tag.name {
            let (name, tag, rule) = (&environment.name, &tag.name, &tag.rule);
            return Err(Fault::usage(format!(
                "{rule} gives the tag '{tag}', which is the tag of the environment {name}"
            ))
            .at(rust_workspace::settings::file())
            .hint(format!(
                "publish under another tag, then run cargo xtask promote TAG --to {name}; or give the rule a prefix"
            ))
            .into());
        }
    }
    Ok(())
}

impl Flags {
    /// Derives the tags and prints them.
    pub fn run(self) -> Result<()> {
        let checkout = VersionReport::read()?;
        let to = checkout.workspace.settings.repository.as_deref().map(str::parse).transpose()?;
        let derived = of(&checkout, to.as_ref())?;
        let repository = checkout.workspace.settings.repository.as_ref().map(|name| name.to_lowercase());
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
            let labels = labels(&checkout.package, &checkout.source, &checkout.workspace.settings);
            let report = serde_json::json!({
                "schema": "xtask.tags/1",
                "command": "tags",
                "version": checkout.version.to_string(),
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
        ui::write_outputs("", &[("version", checkout.version.to_string()), ("tags", names.join(" "))])
    }
}
