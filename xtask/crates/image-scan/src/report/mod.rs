//! The report of a scan: as a table, Markdown, JSON or SARIF.

pub mod platform;
pub mod sarif;

use std::collections::BTreeSet;

use serde_json::json;

use crate::engines::EngineReport;
use crate::finding::{Finding, FindingKind};
use crate::policy::gate::Rules;
use cli_support::error::{Fault, plain_line};
use cli_support::plan;
use cli_support::ui::{Table, seconds};
use platform::PlatformReport;

/// The most findings in a table. GitHub accepts a summary of 1 MiB.
const MAX_ROWS: usize = 500;
/// The longest dependency path that a table shows as a whole, in bytes.
const MAX_PATH_BYTES: usize = 400;

/// Results of the steps of a scan.
#[derive(Debug)]
pub struct ScanResult {
    /// The findings, merged, worst first.
    pub findings: Vec<Finding>,
    /// Why an image without findings does not pass.
    pub faults: Vec<Fault>,
    /// Warnings.
    pub notes: Vec<String>,
    /// The platforms.
    pub platforms: Vec<PlatformReport>,
    /// The engines that scanned.
    pub engines: Vec<EngineReport>,
    /// Whether yanked versions were looked up.
    pub yanked: String,
}

/// The report of a scan.
#[derive(Debug)]
pub struct ScanReport<'a> {
    /// The image's name, as given.
    pub image: &'a str,
    /// Results of the steps.
    pub result: &'a ScanResult,
    /// The rules of the gate.
    pub rules: &'a Rules,
    /// The steps.
    pub steps: &'a [plan::StepReport],
    /// Why the image does not pass.
    pub faults: &'a [Fault],
    /// The number of faults, from the first, that are about parts that were not seen. The others are about findings.
    pub blind: usize,
    /// Whether all steps finished.
    pub complete: bool,
}

impl ScanReport<'_> {
    fn platforms(&self) -> Table {
        let mut table = Table::new(&[
            "platform",
            "manifest",
            ">programs",
            ">crates",
            ">OS packages",
            ">builtin",
            "starts",
        ]);
        for platform in &self.result.platforms {
            let cells = [
                platform.platform.clone(),
                platform.manifest.short(),
                format!("{} of {}", platform.audited, platform.programs),
                platform.crates.to_string(),
                platform.packages.to_string(),
                seconds(platform.seconds),
                platform.starts.clone().unwrap_or_default(),
            ];
            table.row(cells.map(|cell| plain_line(&cell)));
        }
        table
    }

    fn findings(&self) -> Table {
        let mut table = Table::new(&[
            "",
            "severity",
            "id",
            "what",
            "version",
            "fixed in",
            "dependency path",
            "found by",
            "link",
        ]);
        for finding in self.result.findings.iter().take(MAX_ROWS) {
            let by: Vec<_> = finding.found_by.iter().copied().collect();
            let cells = [
                self.state(finding).to_owned(),
                finding.severity.to_string(),
                finding.id.clone(),
                finding.subject.clone(),
                finding.version.clone(),
                finding.fixed.clone(),
                explanation(finding),
                by.join(", "),
                finding.link.clone(),
            ];
            table.row(cells.map(|cell| plain_line(&cell)));
        }
        table
    }

    /// The number of findings that are not in the table.
    fn more(&self) -> String {
        match self.result.findings.len().saturating_sub(MAX_ROWS) {
            0 => String::new(),
            more => format!("\nand {more} more, which --format json prints\n"),
        }
    }

    fn state(&self, finding: &Finding) -> &'static str {
        match () {
            () if finding.ignored.is_some() => "ignored",
            () if self.rules.fails(finding) => "FAILS",
            () => "warning",
        }
    }

    fn verdict(&self) -> String {
        let knows: Vec<_> = self
            .result
            .engines
            .iter()
            .map(|e| format!("{} {} of {}", e.name, e.version, e.database))
            .collect();
        let platforms: Vec<_> =
            self.result.platforms.iter().map(|p| format!("{} ({} crates)", p.platform, p.crates)).collect();
        let state = match (self.complete, self.faults.is_empty()) {
            (true, true) => "passes",
            (true, false) => "does not pass",
            (false, _) => "does not pass; the scan was not finished",
        };
        let overlooked = self.result.platforms.iter().flat_map(|platform| &platform.overlooked);
        let overlooked: BTreeSet<_> = overlooked
            .map(|one| format!("excepted until {}, content unknown: {}", one.expires, one.path))
            .collect();
        let overlooked = overlooked.into_iter().collect::<Vec<_>>().join(", ");
        let parts = [platforms.join(", "), knows.join(", "), overlooked];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let colon = if parts.is_empty() { "" } else { ": " };
        plain_line(&format!("{} {state}{colon}{}", self.image, parts.join("; ")))
    }

    /// For a terminal.
    pub fn table(&self) -> String {
        let findings = if self.result.findings.is_empty() {
            if self.complete { "no findings\n" } else { "no findings so far\n" }.to_owned()
        } else {
            format!("{}{}", self.findings(), self.more())
        };
        format!("{}\n{findings}\n{}\n", self.platforms(), self.verdict())
    }

    /// For GitHub's step summary.
    pub fn markdown(&self) -> String {
        let mut out = format!("### Scan\n\n{}\n\n{}", self.verdict(), self.platforms().markdown());
        if self.result.findings.is_empty() {
            out.push_str(if self.complete { "\nNo findings.\n" } else { "\nNo findings so far.\n" });
        } else {
            out.push_str(&format!("\n{}{}", self.findings().markdown(), self.more()));
        }
        for fault in self.faults {
            out.push_str(&format!("\n- {}", plain_line(&fault.to_string())));
        }
        for note in &self.result.notes {
            out.push_str(&format!("\n- {}", plain_line(note)));
        }
        out.push('\n');
        // The report has no HTML of its own, but names in an image may.
        out.replace('<', "&lt;")
    }

    /// The JSON document (docs/json.md).
    pub fn json(&self) -> serde_json::Value {
        let findings: Vec<_> = self
            .result
            .findings
            .iter()
            .map(|finding| {
                let mut value = json!(finding);
                value["fails"] = json!(self.rules.fails(finding));
                value
            })
            .collect();
        json!({
            "schema": "xtask.scan/1",
            "command": "scan",
            "image": self.image,
            "passes": self.faults.is_empty(),
            "complete": self.complete,
            "faults": self.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "engines": self.result.engines,
            "yanked": self.result.yanked,
            "platforms": self.result.platforms,
            "findings": findings,
            "notes": self.result.notes,
            "steps": self.steps,
        })
    }
}

/// The dependency path to a crate, or the place, and the explanations.
fn explanation(finding: &Finding) -> String {
    let mut parts = Vec::new();
    if let [first, .., last] = &finding.path[..] {
        let path = finding.path.join(" > ");
        let long = path.len() > MAX_PATH_BYTES;
        parts.push(if long { format!("{first} > … > {last}") } else { path });
    } else if matches!(finding.kind, FindingKind::Vulnerability | FindingKind::Notice)
        && !finding.place.is_empty()
    {
        parts.push(finding.place.clone());
    }
    if !finding.note.is_empty() {
        parts.push(finding.note.clone());
    }
    if let Some(reason) = &finding.ignored {
        parts.push(format!("ignored: {reason}"));
    }
    parts.join("; ")
}
