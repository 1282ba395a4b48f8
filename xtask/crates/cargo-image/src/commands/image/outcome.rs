//! The report and the history record of `cargo xtask image`.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Flags;
use crate::commands::report::history::{self, Run};
use crate::image::inputs::ImageInputs;
use crate::image::report::{ImageReport, Row};
use crate::image::work::ImageWork;
use cli_support::plan::StepReport;
use cli_support::time::{now, rfc3339};
use cli_support::ui::{self, Ui};

impl Flags {
    /// Prints the report, and checks the budgets.
    pub(super) fn report(
        &self,
        inputs: &ImageInputs,
        work: ImageWork,
        steps: Vec<StepReport>,
        ui: Ui,
    ) -> Result<()> {
        let settings = &inputs.workspace.settings;
        let image = work.image.context("no image was made")?;
        let digest = image.digest;
        let rows = image.platforms.into_iter();
        let rows = rows.map(|made| Row::new(made, work.build_seconds, settings.budgets)).collect();
        let mut report = ImageReport {
            engine: inputs.engine.name(),
            reference: settings.repository.as_ref().map(|_| format!("{}@{digest}", inputs.repository())),
            layout: shown(&work.setup.output),
            version: inputs.version(),
            steps,
            ..ImageReport::new(digest, rows)
        };
        report.notes.splice(..0, work.build.notes);
        report.notes.extend(inputs.source.missing.as_ref().map(|why| {
            format!(
                "{why}: the image has no revision; its version is the crate's and its time is {}",
                rfc3339(inputs.source.time)
            )
        }));
        report.notes.extend(inputs.source.doubt().map(str::to_owned));
        report.notes.extend(inputs.source.dirt());
        for note in &report.notes {
            ui.warn(note);
        }
        if self.json {
            ui::print(&format!("{:#}\n", serde_json::to_value(&report)?));
        } else {
            ui::print(&format!("\n{}\n{}  {}\n", report.table(), report.digest, report.layout));
        }
        let mut outputs = vec![("digest", report.digest.to_string())];
        outputs.extend(report.reference.clone().map(|reference| ("reference", reference)));
        ui::write_outputs(&report.markdown(), &outputs)?;
        Ok(report.verdict()?)
    }
}

/// Adds the build to the history that `cargo xtask report` shows.
pub(super) fn record(
    inputs: &ImageInputs,
    work: &ImageWork,
    succeeded: bool,
    started: Instant,
) -> Result<()> {
    let platforms = work.image.iter().flat_map(|image| &image.platforms);
    let seconds = if succeeded { work.build_seconds } else { started.elapsed().as_secs_f64() };
    let compressed_bytes = platforms.map(|made| made.compressed_bytes).max();
    let run = Run { time: rfc3339(now()), succeeded, seconds, compressed_bytes };
    history::add(&inputs.package.target_dir, &run)
}

/// The path, relative to the current folder where possible.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
