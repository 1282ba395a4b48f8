//! What a scan tells: as a table, as Markdown, as one JSON document.

use std::collections::BTreeSet;

use serde_json::json;

use super::finding::{Finding, FindingKind};
use super::work::ScanWork;
use cli_support::error::{Fault, plain_line};
use cli_support::plan;
use cli_support::ui::{Table, seconds};

/// The most findings that a table shows. GitHub takes a summary of one MiB.
const MAX_ROWS: usize = 500;
/// The longest way to a crate that a table shows whole, in bytes.
const MAX_PATH_BYTES: usize = 400;

/// Everything that a scan tells.
#[derive(Debug)]
pub struct ScanReport<'a> {
    /// The image's name, as it was given.
    pub image: &'a str,
    /// What the steps left.
    pub work: &'a ScanWork,
    /// How the steps went.
    pub steps: &'a [plan::StepReport],
    /// Why it does not pass.
    pub faults: &'a [Fault],
    /// How many of those, the first ones, are about what was not seen; the verdict is not.
    pub blind: usize,
    /// Whether every step came to its end.
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
        for platform in &self.work.platforms {
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
            "how it came in",
            "found by",
            "link",
        ]);
        for finding in self.work.findings.iter().take(MAX_ROWS) {
            let by: Vec<_> = finding.found_by.iter().copied().collect();
            let cells = [
                self.state(finding).to_owned(),
                finding.severity.to_string(),
                finding.id.clone(),
                finding.subject.clone(),
                finding.version.clone(),
                finding.fixed.clone(),
                how(finding),
                by.join(", "),
                finding.link.clone(),
            ];
            table.row(cells.map(|cell| plain_line(&cell)));
        }
        table
    }

    /// What the table leaves out.
    fn more(&self) -> String {
        match self.work.findings.len().saturating_sub(MAX_ROWS) {
            0 => String::new(),
            more => format!("\nand {more} more: --format json has all\n"),
        }
    }

    fn state(&self, finding: &Finding) -> &'static str {
        match () {
            () if finding.ignored.is_some() => "ignored",
            () if self.work.setup.rules.fails(finding) => "FAILS",
            () => "warning",
        }
    }

    fn verdict(&self) -> String {
        let knows: Vec<_> =
            self.work.engines.iter().map(|e| format!("{} {} of {}", e.name, e.version, e.database)).collect();
        let platforms: Vec<_> =
            self.work.platforms.iter().map(|p| format!("{} ({} crates)", p.platform, p.crates)).collect();
        let state = match (self.complete, self.faults.is_empty()) {
            (true, true) => "passes",
            (true, false) => "does not pass",
            (false, _) => "does not pass, and the scan was not finished",
        };
        // A scan that ended early may have seen no platform, and asked no engine.
        let overlooked = self.work.platforms.iter().flat_map(|platform| &platform.overlooked);
        let overlooked: BTreeSet<_> = overlooked
            .map(|one| format!("not seen, and overlooked until {}: {}", one.expires, one.path))
            .collect();
        let overlooked = overlooked.into_iter().collect::<Vec<_>>().join(", ");
        let parts = [platforms.join(", "), knows.join(", "), overlooked];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let colon = if parts.is_empty() { "" } else { ": " };
        plain_line(&format!("{} {state}{colon}{}", self.image, parts.join("; ")))
    }

    /// For a terminal.
    pub fn table(&self) -> String {
        let findings = if self.work.findings.is_empty() {
            if self.complete { "no findings\n" } else { "no findings until then\n" }.to_owned()
        } else {
            format!("{}{}", self.findings(), self.more())
        };
        format!("{}\n{findings}\n{}\n", self.platforms(), self.verdict())
    }

    /// For GitHub's step summary.
    pub fn markdown(&self) -> String {
        let mut out = format!("### Scan\n\n{}\n\n{}", self.verdict(), self.platforms().markdown());
        if self.work.findings.is_empty() {
            out.push_str(if self.complete { "\nNo findings.\n" } else { "\nNo findings until then.\n" });
        } else {
            out.push_str(&format!("\n{}{}", self.findings().markdown(), self.more()));
        }
        for fault in self.faults {
            out.push_str(&format!("\n- {}", plain_line(&fault.to_string())));
        }
        for note in &self.work.notes {
            out.push_str(&format!("\n- {}", plain_line(note)));
        }
        out.push('\n');
        // There is no markup of our own in it, and that of an image's text would be taken for it.
        out.replace('<', "&lt;")
    }

    /// The whole as data (docs/json.md).
    pub fn json(&self) -> serde_json::Value {
        let findings: Vec<_> = self
            .work
            .findings
            .iter()
            .map(|finding| {
                let mut value = json!(finding);
                value["fails"] = json!(self.work.setup.rules.fails(finding));
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
            "engines": self.work.engines,
            "yanked": self.work.yanked,
            "platforms": self.work.platforms,
            "findings": findings,
            "notes": self.work.notes,
            "steps": self.steps,
        })
    }
}

/// The way to a crate, or what else there is to say.
fn how(finding: &Finding) -> String {
    let mut parts = Vec::new();
    if let [first, .., last] = &finding.path[..] {
        let way = finding.path.join(" > ");
        let long = way.len() > MAX_PATH_BYTES;
        parts.push(if long { format!("{first} > … > {last}") } else { way });
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
