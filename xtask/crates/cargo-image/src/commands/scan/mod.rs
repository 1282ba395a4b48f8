//! `cargo xtask scan`: whether an image may be shipped.

mod inputs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use super::build_flags::BuildFlags;
use crate::publish::record;
use cli_support::error::{self, ExitKind, Fault, Faults};
use cli_support::plan::Action as _;
use cli_support::time::Date;
use cli_support::ui::{self, Ui};
use image_scan::engines::{builtin, trivy};
use image_scan::policy::gate::{Rules, needs_trivy};
use image_scan::report::{ScanReport, sarif};
use image_scan::scan::{ScanSetup, ScanStep, ScanWork};
use inputs::ScanInputs;
pub(super) use inputs::image_source;
use oci_image::layout::Lock;
use oci_image::platform::PlatformChoice;
use rust_workspace::severity::Severity;

/// Scan an image for known vulnerabilities, secrets and weak settings
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask scan                                  the image in target/image, every platform in it
  cargo xtask scan --platform all                   the platforms in xtask/image.toml; all must be there
  cargo xtask scan --image nginx:1.29-bookworm      an image in a registry
  cargo xtask scan --image image.tar --offline      an archive, without the network
  cargo xtask scan --format sarif --output out.sarif

An image that cannot be scanned as a whole does not pass: a program without a list of crates, a missing
platform, old advisories, an incomplete database and a failing scanner are exit code 3, as a vulnerability is.

The builtin engine reads xtask/advisories.jsonl, which cargo xtask advisories update renews (--from DIR|TAR|URL
without github.com). --engine builtin scans without Trivy's database; an image with packages of an operating
system needs a scan with Trivy to be published.

Exit codes: 0 passes, 1 failed, 2 usage or settings, 3 does not pass")]
pub struct Flags {
    /// The engine: auto is the builtin engine, and Trivy where it is installed
    #[arg(long, value_enum, default_value_t, value_name = "ENGINE")]
    engine: EngineFlag,
    /// A layout's folder (DIR or DIR@sha256:…), an archive, or a reference [default: target/image]
    #[arg(long, value_name = "DIR|TAR|REF")]
    image: Option<String>,
    /// The platforms to scan, which must be in the image [default: every platform in it]
    #[arg(long, value_name = "LIST")]
    platform: Option<PlatformChoice>,
    /// The severities that fail; a list must include every worse severity: critical,high,medium,low,unknown
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    severity: Option<Vec<Severity>>,
    /// The format of the result
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Use Trivy's database as it is, without a download
    #[arg(long)]
    offline: bool,
    /// Look up yanked crates in the registry's index, as in CI
    #[arg(long, conflicts_with = "offline")]
    yanked: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
    // Last: the help heading applies to all flags that follow.
    #[command(flatten)]
    build: BuildFlags,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum EngineFlag {
    /// The builtin engine, and Trivy where it is installed
    #[default]
    Auto,
    /// Only Trivy
    Trivy,
    /// Only the builtin engine
    Builtin,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    /// A table for a terminal
    #[default]
    Table,
    /// One JSON document
    Json,
    /// SARIF for GitHub code scanning
    Sarif,
    /// Markdown for a step summary
    Markdown,
}

impl Flags {
    /// Prints the plan, or runs it.
    pub fn run(self) -> Result<()> {
        if let Some(Err(what)) = self.severity.as_deref().map(Severity::check) {
            return Err(Fault::usage(format!("--severity: {what}")).into());
        }
        if self.json && !matches!(self.format, Format::Table | Format::Json) {
            return Err(Fault::usage("--json and --format name different formats; use one of them").into());
        }
        if let Some(path) = &self.output {
            prepare_output(path, self.dry_run)?;
        }
        let inputs = self.inputs()?;
        let plan = self.plan(&inputs);
        let ScanInputs { workspace, target_dir, name, layout, refused, faults, result, .. } = inputs;
        if self.dry_run {
            refused.map_or(Ok(()), Err)?;
            if !faults.is_empty() {
                return Err(Faults(faults).into());
            }
            plan.print(self.json);
            return Ok(());
        }
        let ui = Ui::detect();
        let _lock = Lock::take(&target_dir.join("xtask").join("scan"), |by| {
            ui.warn(&format!("another scan of this workspace is running{by}; waiting for it to end"));
        })?;
        let (settings, base) = (&workspace.settings.scan, &workspace.settings.base);
        let setup = ScanSetup {
            work: target_dir.join("xtask").join("scan-image"),
            expected: inputs.own.filter(|_| layout.is_some()).map(|own| own.path),
            platforms: inputs.platforms,
            rules: Rules {
                severity: self.severity.clone().unwrap_or_else(|| settings.severity.clone()),
                unknown: settings.unknown,
                ignore: settings.ignore.clone(),
            },
            unlisted: settings.unlisted.clone(),
            published: if layout.is_some() { workspace.settings.platforms.clone() } else { Vec::new() },
            max_age: settings.max_age,
            licences: settings.licences.clone(),
            vex: inputs.vex,
            has_trivy: inputs.trivy.is_some(),
            partial: inputs.partial,
            today: Date::today(),
            root: workspace.root.clone(),
        };
        let mut work = ScanWork::new(setup, faults, inputs.notes);
        // The scan that this one waited for may have written a result.
        if layout.is_some() && result.exists() {
            fs::remove_file(&result).with_context(|| result.display().to_string())?;
        }
        let ran = refused.map_or_else(|| plan.run(&mut work, ui), Err);
        let (steps, ended) = match ran {
            Ok(steps) => (steps, None),
            // The result has what was found before the error.
            Err(error) => {
                let notes = work.result.notes.clone();
                ScanStep::Gate.run(&mut work, &ui.step("gate", "the findings before the error"))?;
                work.result.notes = notes;
                (Vec::new(), Some(error))
            }
        };
        let mut faults = std::mem::take(&mut work.result.faults);
        let complete = ended.is_none();
        // A gate in a step is one fault of several. Another error is the command's own.
        let failed = match ended {
            Some(error) if error::kind(&error) == ExitKind::Gate => {
                faults.extend(as_faults(error));
                None
            }
            Some(error) => {
                faults.push(Fault::failed(format!("the scan did not finish: {error:#}")));
                Some(error)
            }
            None => None,
        };
        let blind = faults.len();
        let (scan, rules) = (&work.result, &work.setup.rules);
        faults.extend(rules.verdict(&scan.findings));
        let report =
            ScanReport { image: &name, result: scan, rules, steps: &steps, faults: &faults, blind, complete };
        // A result for `cargo xtask publish`.
        let ran: Vec<_> = scan.engines.iter().map(|engine| engine.name).collect();
        let gaps = scan.platforms.iter().any(|platform| !platform.not_covered.is_empty());
        if let Some(why) = self.less_strict(&settings.severity, needs_trivy(settings, base), gaps, &ran)
            && layout.is_some()
            && faults.is_empty()
        {
            ui.warn(&format!("publish will require another scan: {why}"));
        } else if let Some(dir) = &layout
            && let Err(error) = record(&result, dir, report.json(), faults.is_empty())
        {
            ui.warn(&format!("publish will require another scan: {error:#}"));
        }
        self.write(&report, ui)?;
        if let Some(error) = failed {
            faults.remove(blind - 1);
            if !faults.is_empty() {
                ui::error(&error::render(&Faults(faults).into()));
            }
            return Err(error);
        }
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults).into()) }
    }

    /// Why this scan is less strict than the settings, so that it does not allow publishing. `gaps`: the builtin engine
    /// does not cover the whole image.
    fn less_strict(
        &self,
        severity: &[Severity],
        needs_trivy: bool,
        gaps: bool,
        ran: &[&str],
    ) -> Option<String> {
        let skipped =
            severity.iter().find(|one| self.severity.as_ref().is_some_and(|list| !list.contains(one)));
        match skipped {
            Some(skipped) => Some(format!("--severity leaves out {skipped}, which the settings name")),
            None if needs_trivy && !ran.contains(&trivy::NAME) => {
                Some("Trivy is required, and it did not run".to_owned())
            }
            None if !ran.contains(&builtin::NAME) => Some("the builtin engine did not run".to_owned()),
            None if gaps && !ran.contains(&trivy::NAME) => {
                Some("the image has parts that the builtin engine does not cover".to_owned())
            }
            None => None,
        }
    }

    fn write(&self, report: &ScanReport<'_>, ui: Ui) -> Result<()> {
        let format = if self.json { Format::Json } else { self.format };
        let text = match format {
            Format::Table => format!("\n{}", report.table()),
            Format::Json => format!("{:#}\n", report.json()),
            Format::Sarif => {
                let blind = report.faults.get(..report.blind).unwrap_or(report.faults);
                format!("{:#}\n", sarif::document(&report.result.findings, blind, report.rules))
            }
            Format::Markdown => report.markdown(),
        };
        match &self.output {
            Some(path) => fs::write(path, text).with_context(|| path.display().to_string())?,
            None => ui::print(&text),
        }
        for note in &report.result.notes {
            ui.warn(&error::plain_line(note));
        }
        ui::write_outputs(&report.markdown(), &[("passes", report.faults.is_empty().to_string())])
    }
}

/// Checks the path of the result and removes an earlier result.
fn prepare_output(output: &Path, dry_run: bool) -> Result<()> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Fault::usage("--output: the folder does not exist").at(output.display()).into());
    }
    if output.is_dir() {
        return Err(Fault::usage("--output: this is a folder").at(output.display()).into());
    }
    if !dry_run && output.is_file() {
        fs::remove_file(output).with_context(|| output.display().to_string())?;
    }
    Ok(())
}

/// The error of a step as faults.
fn as_faults(error: anyhow::Error) -> Vec<Fault> {
    let text = format!("{error:#}");
    match error.downcast::<Faults>() {
        Ok(Faults(faults)) => faults,
        Err(error) => {
            let hints = error::render(&error);
            let hints: Vec<_> = hints.lines().filter_map(|line| line.strip_prefix("  help: ")).collect();
            let fault = Fault::gate(text);
            vec![if hints.is_empty() { fault } else { fault.hint(hints.join("; ")) }]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use image_scan::image::source::ImageSource;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        flags: Flags,
    }

    fn flags(line: &str) -> Flags {
        Cli::parse_from(std::iter::once("scan").chain(line.split_whitespace())).flags
    }

    #[test]
    fn an_invalid_digest_is_a_usage_error() {
        let temp = tempfile::tempdir().unwrap();
        let text = format!("{}@sha256:zz", temp.path().display());
        let error =
            ImageSource::parse(&text).with_context(|| Fault::usage("--image names no image")).unwrap_err();
        assert_eq!(error::kind(&error), error::ExitKind::Usage);
    }

    #[test]
    fn a_gate_in_a_step_is_a_fault_with_its_hint() {
        let error = anyhow::Error::new(Fault::gate("no").at("x").hint("fix it")).context("step 'a'");
        let text = error::render(&Faults(as_faults(error)).into());
        assert_eq!(text, "error: step 'a': x: no\n  help: fix it\n");
        let error = anyhow::Error::new(Faults(vec![Fault::gate("a"), Fault::gate("b")])).context("step");
        assert_eq!(as_faults(error).len(), 2);
    }

    #[test]
    fn an_earlier_result_is_removed_and_its_folder_must_exist() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("out.sarif");
        fs::write(&path, "old").unwrap();
        prepare_output(&path, true).unwrap();
        assert!(path.exists());
        prepare_output(&path, false).unwrap();
        assert!(!path.exists());
        let missing = prepare_output(&temp.path().join("no/out"), false).unwrap_err();
        assert_eq!(error::kind(&missing), error::ExitKind::Usage);
    }

    #[test]
    fn a_less_strict_scan_does_not_allow_publishing() {
        let settings = [Severity::Critical, Severity::High];
        for (line, needs_trivy, gaps, ran, good) in [
            ("", false, false, &["builtin"][..], true),
            ("", true, false, &["builtin", "trivy"], true),
            ("", true, true, &["builtin", "trivy"], true),
            ("--severity critical,high,medium", false, false, &["builtin"], true),
            ("--severity critical", false, false, &["builtin"], false),
            ("--engine builtin", true, false, &["builtin"], false),
            ("--engine builtin", false, true, &["builtin"], false),
            ("--engine trivy", true, false, &["trivy"], false),
        ] {
            assert_eq!(
                flags(line).less_strict(&settings, needs_trivy, gaps, ran).is_none(),
                good,
                "{line} {gaps}"
            );
        }
    }
}
