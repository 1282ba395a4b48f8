//! `cargo xtask environments`: the image in each environment.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::publish::Target;
use crate::environments::{History, Place, Places};
use cli_support::digest::Digest;
use cli_support::ui::{self, Table, Ui};
use oci_image::oci::{self, Index};
use oci_registry::Client;
use rust_workspace::settings::Workspace;

/// Show the image in each environment, and since when
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
pub struct Row {
    environment: String,
    reference: String,
    digest: Option<Digest>,
    version: Option<String>,
    since: Option<String>,
    by: Option<String>,
    run: Option<String>,
    from: Option<String>,
    previous: Option<Digest>,
}

impl Flags {
    /// Reads the records and prints them.
    pub fn run(self) -> Result<()> {
        let workspace = Workspace::find()?;
        let repository = self.target.repository(workspace.settings.repository.as_deref())?;
        let ui = Ui::detect();
        let places = Places::of(&workspace, &repository)?;
        let others: Vec<_> = places.all().iter().map(|place| &place.at).collect();
        let client = self.target.client_for(&repository, &others, ui)?;
        let rows = places.all().iter().map(|place| row(&client, place)).collect::<Result<Vec<_>>>()?;
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
            let unrecorded = row.digest.map(|_| "unknown (no record)".to_owned());
            table.row([
                row.environment,
                or_dash(row.version),
                or_dash(row.digest.map(|digest| digest.to_string())),
                or_dash(row.since.or(unrecorded)),
                or_dash(row.by),
            ]);
        }
        ui::print(&table.to_string());
        Ok(())
    }
}

/// The image in an environment.
pub fn row(client: &Client, place: &Place) -> Result<Row> {
    let mut row = Row {
        environment: place.environment.name.clone(),
        reference: place.at.to_string(),
        digest: None,
        version: None,
        since: None,
        by: None,
        run: None,
        from: None,
        previous: None,
    };
    let Some(manifest) = client.manifest_if_any(&place.at)? else { return Ok(row) };
    if oci::is_index(&manifest.media_type) {
        let index: Index = oci::from_bytes(&manifest.digest.to_string(), &manifest.bytes)?;
        row.version = index.annotations.get("org.opencontainers.image.version").cloned();
    }
    row.digest = Some(manifest.digest);
    if let Some(record) = History::read(client, place, &manifest.digest)?.current().cloned() {
        (row.since, row.by, row.run) = (Some(record.at), Some(record.by), record.run);
        (row.from, row.previous) = (record.from, record.previous);
    }
    Ok(row)
}
