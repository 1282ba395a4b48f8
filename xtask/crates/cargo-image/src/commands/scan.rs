//! `cargo xtask scan`: whether an image may be shipped, and proof of what was looked at.

mod inputs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use crate::publish::record;
use cli_support::error::{self, Fault, Faults};
use cli_support::plan::Action as _;
use cli_support::time::Date;
use cli_support::ui::{self, Ui};
use image_scan::builtin;
use image_scan::gate::{Rules, needs_trivy};
use image_scan::report::ScanReport;
use image_scan::sarif;
use image_scan::trivy;
use image_scan::work::{ScanSetup, ScanStep, ScanWork};
use inputs::ScanInputs;
pub(super) use inputs::no_image;
use oci_image::layout::Lock;
use oci_image::platform::PlatformChoice;
use rust_workspace::severity::Severity;

/// Look for known vulnerabilities, secrets and weak settings in an image
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  cargo xtask scan                                  the image in target/image, every platform in it
  cargo xtask scan --platform all                   which must be those of xtask/image.toml
  cargo xtask scan --image nginx:1.29-bookworm      anyone's image, in a registry
  cargo xtask scan --image image.tar --offline      an archive, without the network
  cargo xtask scan --format sarif --output out.sarif

An image that cannot be seen into does not pass: no list of crates, no executable bit, a platform that
is missing, advisories too old, or a scanner that ends oddly are exit code 3 as a vulnerability is.

The builtin engine's advisories are in xtask/advisories.jsonl: cargo xtask advisories update makes them anew,
with --from DIR|TAR|URL where github.com cannot be reached. Where Trivy's database cannot be had,
--engine builtin looks without it; an image with packages of an operating system needs Trivy to be published.

Exit codes: 0 passes, 1 failed, 2 usage or settings, 3 does not pass")]
pub struct Flags {
    /// Which scanner: auto is Trivy where it is there, and the builtin one always
    #[arg(long, value_enum, default_value_t, value_name = "ENGINE")]
    engine: EngineFlag,
    /// A layout's folder (DIR or DIR@sha256:…), an archive, or a reference [default: target/image]
    #[arg(long, value_name = "DIR|TAR|REF")]
    image: Option<String>,
    /// The platforms that are looked at and must be in it [default: those that it has; publish wants the settings']
    #[arg(long, value_name = "LIST")]
    platform: Option<PlatformChoice>,
    /// The severities that fail, with commas and none skipped: critical,high,medium,low,unknown
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    severity: Option<Vec<Severity>>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Write it to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Use Trivy's database as it is here and fetch none; too old a one does not pass
    #[arg(long)]
    offline: bool,
    /// Ask the registry's index which versions of crates were taken back; in CI that is done anyway
    #[arg(long, conflicts_with = "offline")]
    yanked: bool,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document: the result, or with --dry-run the plan
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum EngineFlag {
    /// Trivy where it is there, and the builtin engine always
    #[default]
    Auto,
    /// Trivy alone
    Trivy,
    /// The builtin engine alone
    Builtin,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    /// For a terminal
    #[default]
    Table,
    /// One document
    Json,
    /// For GitHub code scanning
    Sarif,
    /// For a step summary
    Markdown,
}

impl Flags {
    /// Plans, and then prints the plan or runs it.
    pub fn run(self) -> Result<()> {
        if let Some(Err(what)) = self.severity.as_deref().map(Severity::check) {
            return Err(Fault::usage(format!("--severity: {what}")).into());
        }
        if self.json && !matches!(self.format, Format::Table | Format::Json) {
            return Err(Fault::usage("--json and another --format: one of them").into());
        }
        if let Some(path) = &self.output {
            ready(path, self.dry_run)?;
        }
        let mut facts = self.facts()?;
        let plan = self.plan(&facts);
        let refused = facts.refused.take();
        if self.dry_run {
            refused.map_or(Ok(()), Err)?;
            ui::print(&if self.json { format!("{:#}\n", plan.json()) } else { plan.to_string() });
            return Ok(());
        }
        let ui = Ui::detect();
        let ScanInputs {
            workspace,
            target_dir,
            name,
            own,
            layout,
            platforms,
            trivy,
            partial,
            result,
            notes,
            ..
        } = facts;
        let _lock = Lock::take(&target_dir.join("xtask").join("scan"), |by| {
            ui.warn(&format!("another scan of this workspace is running{by}; waiting for it to end"));
        })?;
        let settings = &workspace.settings.scan;
        let setup = ScanSetup {
            work: target_dir.join("xtask").join("scan-image"),
            expected: own.filter(|_| layout.is_some()).map(|own| own.path),
            platforms,
            rules: Rules {
                severity: self.severity.clone().unwrap_or_else(|| settings.severity.clone()),
                unknown: settings.unknown,
                ignore: settings.ignore.clone(),
            },
            unlisted: settings.unlisted.clone(),
            published: if layout.is_some() { workspace.settings.platforms.clone() } else { Vec::new() },
            max_age: settings.max_age,
            min_advisories: settings.min_advisories,
            licences: settings.licences.clone(),
            vex: settings.vex.clone(),
            trivy: trivy.map(|(trivy, options, _)| (trivy, options)),
            partial,
            today: Date::today(),
            root: workspace.root.clone(),
        };
        let mut work = ScanWork::new(setup);
        work.notes = notes;
        // What another scan left while this one waited for it.
        if layout.is_some() && result.exists() {
            fs::remove_file(&result).with_context(|| result.display().to_string())?;
        }
        let ran = match refused {
            Some(error) if error::kind(&error) != error::ExitKind::Gate => Err(error),
            Some(error) => {
                work.faults.extend(as_faults(error));
                plan.run(&mut work, ui)
            }
            None => plan.run(&mut work, ui),
        };
        let (steps, ended) = match ran {
            Ok(steps) => (steps, None),
            // However a step ends, the result is told, with what was found until then.
            Err(error) => {
                let notes = work.notes.clone();
                ScanStep::Gate.run(&mut work, &ui.step("gate", "what was found until then"))?;
                work.notes = notes;
                (Vec::new(), Some(error))
            }
        };
        let mut faults = std::mem::take(&mut work.faults);
        let complete = ended.is_none();
        // A step that failed is the command's failure; a gate of one is a fault among the others.
        let failed = match ended {
            Some(error) if error::kind(&error) == error::ExitKind::Gate => {
                faults.extend(as_faults(error));
                None
            }
            Some(error) => {
                faults.push(Fault::failed(format!("the scan did not come to its end: {error:#}")));
                Some(error)
            }
            None => None,
        };
        let blind = faults.len();
        faults.extend(work.setup.rules.verdict(&work.findings));
        let report =
            ScanReport { image: &name, work: &work, steps: &steps, faults: &faults, blind, complete };
        // What `cargo xtask publish` wants to see. An image that it could not take leaves nothing, and the
        // verdict here stands all the same.
        let ran: Vec<_> = work.engines.iter().map(|engine| engine.name).collect();
        let gaps = work.platforms.iter().any(|platform| !platform.not_covered.is_empty());
        if let Some(why) = self.looser(&settings.severity, needs_trivy(settings), gaps, &ran)
            && layout.is_some()
            && faults.is_empty()
        {
            ui.warn(&format!("publish will ask for another scan: {why}"));
        } else if let Some(dir) = &layout
            && let Err(error) = record(&result, dir, report.json(), faults.is_empty())
        {
            ui.warn(&format!("publish will ask for another scan: {error:#}"));
        }
        self.tell(&report, ui)?;
        if let Some(error) = failed {
            faults.remove(blind - 1);
            if !faults.is_empty() {
                ui::error(&error::render(&Faults(faults).into()));
            }
            return Err(error);
        }
        if faults.is_empty() { Ok(()) } else { Err(Faults(faults).into()) }
    }

    /// Why this scan says less than the settings ask for, so that nothing may be published on its word. `gaps`
    /// says that the builtin engine alone does not know all of the image.
    fn looser(&self, severity: &[Severity], needs_trivy: bool, gaps: bool, ran: &[&str]) -> Option<String> {
        let skipped =
            severity.iter().find(|one| self.severity.as_ref().is_some_and(|list| !list.contains(one)));
        match skipped {
            Some(skipped) => Some(format!("--severity leaves out {skipped}, which the settings name")),
            None if needs_trivy && !ran.contains(&trivy::NAME) => {
                Some("Trivy is required, and it did not run".to_owned())
            }
            None if !ran.contains(&builtin::NAME) => Some("the builtin engine did not run".to_owned()),
            None if gaps && !ran.contains(&trivy::NAME) => {
                Some("the image has parts that the builtin engine knows nothing of".to_owned())
            }
            None => None,
        }
    }

    fn tell(&self, report: &ScanReport<'_>, ui: Ui) -> Result<()> {
        let format = if self.json { Format::Json } else { self.format };
        let text = match format {
            Format::Table => format!("\n{}", report.table()),
            Format::Json => format!("{:#}\n", report.json()),
            Format::Sarif => {
                let blind = report.faults.get(..report.blind).unwrap_or(report.faults);
                format!("{:#}\n", sarif::document(&report.work.findings, blind, &report.work.setup.rules))
            }
            Format::Markdown => report.markdown(),
        };
        match &self.output {
            Some(path) => fs::write(path, text).with_context(|| path.display().to_string())?,
            None => ui::print(&text),
        }
        for note in &report.work.notes {
            ui.warn(&error::plain_line(note));
        }
        ui::write_outputs(&report.markdown(), &[("passes", report.faults.is_empty().to_string())])
    }
}

/// A place for the result: an older one must not be taken for it.
fn ready(output: &Path, dry_run: bool) -> Result<()> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(Fault::usage("--output: its folder is not there").at(output.display()).into());
    }
    if output.is_dir() {
        return Err(Fault::usage("--output: this is a folder").at(output.display()).into());
    }
    if !dry_run && output.is_file() {
        fs::remove_file(output).with_context(|| output.display().to_string())?;
    }
    Ok(())
}

/// An error of a step, in one line a fault.
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
    use image_scan::source::ImageSource;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        flags: Flags,
    }

    fn flags(line: &str) -> Flags {
        Cli::parse_from(std::iter::once("scan").chain(line.split_whitespace())).flags
    }

    #[test]
    fn a_digest_that_is_none_is_a_mistake_of_usage() {
        let temp = tempfile::tempdir().unwrap();
        let text = format!("{}@sha256:zz", temp.path().display());
        let error =
            ImageSource::parse(&text).with_context(|| Fault::usage("--image names no image")).unwrap_err();
        assert_eq!(error::kind(&error), error::ExitKind::Usage);
    }

    #[test]
    fn a_gate_of_a_step_is_a_fault_with_its_cure() {
        let error = anyhow::Error::new(Fault::gate("no").at("x").hint("mend it")).context("step 'a'");
        let text = error::render(&Faults(as_faults(error)).into());
        assert_eq!(text, "error: step 'a': x: no\n  help: mend it\n");
        let error = anyhow::Error::new(Faults(vec![Fault::gate("a"), Fault::gate("b")])).context("step");
        assert_eq!(as_faults(error).len(), 2);
    }

    #[test]
    fn an_older_result_goes_and_a_folder_must_be_there() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("out.sarif");
        fs::write(&path, "old").unwrap();
        ready(&path, true).unwrap();
        assert!(path.exists());
        ready(&path, false).unwrap();
        assert!(!path.exists());
        let missing = ready(&temp.path().join("no/out"), false).unwrap_err();
        assert_eq!(error::kind(&missing), error::ExitKind::Usage);
    }

    #[test]
    fn a_looser_scan_opens_no_gate() {
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
                flags(line).looser(&settings, needs_trivy, gaps, ran).is_none(),
                good,
                "{line} {gaps}"
            );
        }
    }
}
