//! `cargo xtask environments`: what runs where, since when.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::publish::Target;
use crate::digest::Digest;
use crate::environments::{place, records};
use crate::image::oci::{self, Index};
use crate::registry::{Client, Reference};
use crate::settings::{Environment, Workspace};
use crate::ui::{self, Table, Ui};

/// Show what runs in each environment, and since when
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask environments
  cargo xtask environments --json")]
pub struct Flags {
    #[command(flatten)]
    target: Target,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One environment.
#[derive(Debug, Serialize)]
struct Row {
    environment: String,
    reference: String,
    digest: Option<Digest>,
    version: Option<String>,
    since: Option<String>,
    by: Option<String>,
    previous: Option<Digest>,
}

impl Flags {
    /// Looks, and tells.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let repository = self.target.repository(workspace.settings.repository.as_deref())?;
        let ui = Ui::detect();
        let client = self.target.client(&repository, ui)?;
        let all = workspace.settings.environments.iter();
        let rows =
            all.map(|environment| row(&client, environment, &repository)).collect::<Result<Vec<_>>>()?;
        if self.json {
            let report = serde_json::json!({
                "schema": "xtask.environments/1",
                "command": "environments",
                "environments": rows,
            });
            ui::print(&format!("{report:#}\n"));
            return Ok(());
        }
        let mut table = Table::new(&["environment", "version", "digest", "since", "by"]);
        for row in rows {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            table.row([
                row.environment,
                or_dash(row.version),
                or_dash(row.digest.map(|digest| digest.to_string())),
                or_dash(row.since),
                or_dash(row.by),
            ]);
        }
        ui::print(&table.to_string());
        Ok(())
    }
}

fn row(client: &Client, environment: &Environment, repository: &Reference) -> Result<Row> {
    let at = place(environment, repository)?;
    let mut row = Row {
        environment: environment.name.clone(),
        reference: at.to_string(),
        digest: None,
        version: None,
        since: None,
        by: None,
        previous: None,
    };
    if client.head_manifest(&at)?.is_none() {
        return Ok(row);
    }
    let manifest = client.manifest(&at)?;
    if oci::is_index(&manifest.media_type) {
        let index: Index = oci::from_bytes(&manifest.digest.to_string(), &manifest.bytes)?;
        row.version = index.annotations.get("org.opencontainers.image.version").cloned();
    }
    let records = records(client, &at, &manifest.digest)?;
    // An image may have been here more than once: the last time is meant.
    if let Some(last) = records.into_iter().rev().find(|record| record.to == environment.name) {
        (row.since, row.by, row.previous) = (Some(last.at), Some(last.by), last.previous);
    }
    row.digest = Some(manifest.digest);
    Ok(row)
}
