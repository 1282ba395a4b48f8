//! The report of `cargo xtask image`, and the check of the budgets.

use serde::Serialize;

use super::assemble::Made;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::plan::StepReport;
use cli_support::ui::{Table, seconds};
use rust_workspace::settings::{Budgets, Bytes, Slow};

/// The result of `cargo xtask image` (docs/json.md).
#[derive(Debug, Serialize)]
pub struct ImageReport {
    /// The kind of document and its version.
    pub schema: &'static str,
    /// The command that made it.
    pub command: &'static str,
    /// `native` or `buildx`.
    pub engine: &'static str,
    /// The image index's digest.
    pub digest: Digest,
    /// `repository@digest`, where the settings name a repository.
    pub reference: Option<String>,
    /// The layout's folder.
    pub layout: String,
    /// The version in the labels.
    pub version: String,
    /// Each platform's image.
    pub platforms: Vec<Row>,
    /// Each step's time and outcome.
    pub steps: Vec<StepReport>,
    /// Warnings.
    pub notes: Vec<String>,
    /// The exceeded budgets, one line each.
    pub over_budget: Vec<String>,
}

/// A platform with its budget.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The image.
    #[serde(flatten)]
    pub made: Made,
    /// Wall-clock seconds until its binary was built. All platforms are built together.
    pub build_seconds: f64,
    /// The largest allowed compressed size in bytes.
    pub budget_bytes: Option<u64>,
    /// The longest allowed build in seconds.
    pub budget_seconds: Option<u64>,
    /// Whether a slow build is a warning or a failure.
    #[serde(skip)]
    pub slow: Slow,
}

impl ImageReport {
    /// A report for these platforms with their budgets checked. The caller sets the other fields.
    pub fn new(digest: Digest, platforms: Vec<Row>) -> Self {
        Self {
            schema: "xtask.image/1",
            command: "image",
            engine: "native",
            digest,
            reference: None,
            layout: String::new(),
            version: String::new(),
            over_budget: platforms.iter().flat_map(Row::over).collect(),
            notes: platforms.iter().filter_map(Row::slow).collect(),
            platforms,
            steps: Vec::new(),
        }
    }

    /// A table with one row for each platform.
    pub fn table(&self) -> Table {
        let mut table = Table::new(&[
            "platform",
            "manifest",
            ">compressed",
            ">budget",
            ">unpacked",
            ">built in",
            ">budget",
        ]);
        for row in &self.platforms {
            let none = || "-".to_owned();
            table.row([
                row.made.platform.to_string(),
                format!("sha256:{}", row.made.manifest.short()),
                Bytes(row.made.compressed_bytes).to_string(),
                row.budget_bytes.map_or_else(none, |bytes| Bytes(bytes).to_string()),
                Bytes(row.made.unpacked_bytes).to_string(),
                seconds(row.build_seconds),
                row.budget_seconds.map_or_else(none, |limit| format!("{limit} s")),
            ]);
        }
        table
    }

    /// The report for GitHub's step summary.
    pub fn markdown(&self) -> String {
        let mut out =
            format!("### Image {}\n\n`{}`\n\n{}", self.version, self.digest, self.table().markdown());
        for line in self.over_budget.iter().chain(&self.notes) {
            out.push_str(&format!("\n- {line}"));
        }
        out.push('\n');
        out
    }

    /// An error (exit code 3) if a budget is exceeded.
    pub fn verdict(&self) -> Result<(), Fault> {
        if self.over_budget.is_empty() {
            return Ok(());
        }
        Err(Fault::gate(format!("over budget: {}", self.over_budget.join("; ")))
            .at(rust_workspace::settings::file())
            .hint("make the image smaller or the build faster, or raise [budgets]"))
    }
}

impl Row {
    /// An image with its budgets.
    pub fn new(made: Made, build_seconds: f64, budgets: Budgets) -> Self {
        let budget_bytes = budgets.compressed.map(|bytes| bytes.0);
        let Budgets { seconds: budget_seconds, slow, .. } = budgets;
        Self { made, build_seconds, budget_bytes, budget_seconds, slow }
    }

    /// The exceeded budgets that are failures, one line each.
    pub fn over(&self) -> Vec<String> {
        let platform = self.made.platform;
        let size = self.budget_bytes.filter(|budget| self.made.compressed_bytes > *budget).map(|budget| {
            format!(
                "{platform} is {} compressed, {} allowed",
                Bytes(self.made.compressed_bytes),
                Bytes(budget)
            )
        });
        let time = self.late().filter(|_| self.slow == Slow::Fail);
        size.into_iter().chain(time).collect()
    }

    /// The exceeded time budget, if that is a warning.
    pub fn slow(&self) -> Option<String> {
        self.late().filter(|_| self.slow == Slow::Warn)
    }

    fn late(&self) -> Option<String> {
        let platform = self.made.platform;
        #[allow(clippy::cast_precision_loss)]
        self.budget_seconds.filter(|budget| self.build_seconds > *budget as f64).map(|budget| {
            format!("{platform} took {} to build, {budget} s allowed", seconds(self.build_seconds))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cli_support::error::ExitKind;
    use oci_image::platform::Platform;

    fn report(compressed: &str, allowed: u64, took: f64, slow: Slow) -> ImageReport {
        let digest = Digest::of(b"");
        let made = Made {
            platform: Platform::LinuxAmd64,
            manifest: digest,
            config: digest,
            layers: Vec::new(),
            compressed_bytes: 3_000_000,
            unpacked_bytes: 9_000_000,
        };
        let budgets = Budgets { compressed: compressed.parse().ok(), seconds: Some(allowed), slow };
        ImageReport::new(digest, vec![Row::new(made, took, budgets)])
    }

    #[test]
    fn a_value_over_its_budget_is_refused() {
        assert!(report("3 MB", 60, 60.0, Slow::Fail).verdict().is_ok());
        let late = "linux/amd64 took 60.5 s to build, 60 s allowed";
        for (compressed, seconds, took, slow, expected) in [
            ("2.9 MB", 60, 1.0, Slow::Warn, "linux/amd64 is 3.00 MB compressed, 2.90 MB allowed"),
            ("3 MB", 60, 60.5, Slow::Fail, late),
        ] {
            let report = report(compressed, seconds, took, slow);
            let fault = report.verdict().unwrap_err();
            assert!(fault.kind() == ExitKind::Gate && fault.to_string().contains(expected), "{fault}");
            assert!(report.notes.is_empty());
        }
        let report = report("3 MB", 60, 60.5, Slow::Warn);
        assert!(report.verdict().is_ok());
        assert_eq!(report.notes, [late]);
    }

    #[test]
    fn the_table_lines_up() {
        let expected = "platform     manifest             compressed   budget  unpacked  built in  budget\n\
                        linux/amd64  sha256:e3b0c44298fc     3.00 MB  8.00 MB   9.00 MB    1.50 s    60 s\n";
        assert_eq!(report("8 MB", 60, 1.5, Slow::Warn).table().to_string(), expected);
    }
}
