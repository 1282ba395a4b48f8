//! The content of the report as data: what `--json` prints and what the page shows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::changes::Changes;
use super::github_runs::GithubRuns;
use super::history::Run;
use super::published::Published;
use cli_support::digest::Digest;

/// The report about an image (docs/json.md).
#[derive(Debug, Serialize)]
pub struct Report {
    /// The kind of document and its version.
    pub schema: &'static str,
    /// The command that made it.
    pub command: &'static str,
    /// The title in the image's label, or a part of its digest.
    pub title: String,
    /// The version in the image's label.
    pub version: Option<String>,
    /// The commit in the image's label.
    pub revision: Option<String>,
    /// The digest of the index, or of the only manifest.
    pub digest: Digest,
    /// The image of each platform.
    pub platforms: Vec<PlatformSizes>,
    /// The targets and the budgets with the measured numbers.
    pub targets: Vec<TargetRow>,
    /// The last scan of this very image.
    pub scan: Option<ScanSummary>,
    /// Differences from the image of `--against`.
    pub changes: Option<Changes>,
    /// The builds on this machine, oldest first.
    pub history: Vec<Run>,
    /// The runs of workflows on GitHub.
    pub github: Option<GithubRuns>,
    /// The image in a registry.
    pub published: Option<Published>,
}

/// One platform's image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlatformSizes {
    /// The platform.
    pub platform: String,
    /// Its manifest.
    pub manifest: Digest,
    /// The compressed layers in bytes.
    pub compressed_bytes: u64,
    /// The files in bytes.
    pub unpacked_bytes: u64,
    /// The layers, lowest first.
    pub layers: Vec<LayerSizes>,
    /// The path of the program with the list of crates.
    pub program: Option<String>,
    /// The linked crates.
    pub crates: Vec<CrateRow>,
    /// The bytes of code and data of each crate in the binary, largest first; unset without `--symbols`.
    pub code: Option<Vec<CodeSize>>,
}

/// One layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerSizes {
    /// Its digest.
    pub digest: Digest,
    /// Its compressed size in bytes.
    pub compressed_bytes: u64,
    /// Its files.
    pub files: Vec<FileSize>,
}

/// One file of a layer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FileSize {
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// One linked crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CrateRow {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence expression, from `cargo metadata`.
    pub licence: Option<String>,
    /// The dependency path from the program to it.
    pub path: Vec<String>,
}

/// The size of a crate in the binary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeSize {
    /// The crate; `libc` is code without a Rust name, `other` is what no symbol covers.
    pub name: String,
    /// The bytes of its symbols.
    pub bytes: u64,
}

/// A target with the number that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct TargetRow {
    /// The target.
    pub target: String,
    /// The measured value; unset where nothing was measured.
    pub measured: Option<String>,
    /// Whether the value meets the target.
    pub met: Option<bool>,
    /// Where the value comes from.
    pub source: String,
}

/// A scan of the image.
#[derive(Clone, Debug, Serialize)]
pub struct ScanSummary {
    /// Whether the image passed.
    pub passed: bool,
    /// When it was scanned, RFC 3339.
    pub time: String,
    /// The engines.
    pub engines: Vec<String>,
    /// The findings.
    pub findings: Vec<FindingRow>,
}

/// A finding of a scan.
#[derive(Clone, Debug, Serialize)]
pub struct FindingRow {
    /// Its severity.
    pub severity: String,
    /// Its identifier.
    pub id: String,
    /// The package with its version.
    pub subject: String,
}

impl ScanSummary {
    /// Reads the result of `cargo xtask scan`; none where it is about another image.
    pub fn of(scan: &Value, digest: Digest) -> Option<Self> {
        if scan["digest"].as_str()?.parse::<Digest>().ok()? != digest {
            return None;
        }
        let texts = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let list = |key: &str| scan[key].as_array().into_iter().flatten();
        Some(Self {
            passed: scan["passed"].as_bool()?,
            time: texts(scan, "time"),
            engines: list("engines").map(|engine| texts(engine, "name")).collect(),
            findings: list("findings")
                .map(|finding| FindingRow {
                    severity: texts(finding, "severity"),
                    id: texts(finding, "id"),
                    subject: format!("{} {}", texts(finding, "subject"), texts(finding, "version")),
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_of_another_image_is_not_shown() {
        let digest = Digest::of(b"");
        let scan = serde_json::json!({
            "digest": digest, "passed": true, "time": "2026-01-01T00:00:00Z", "engines": [{"name": "builtin"}],
            "findings": [{"severity": "high", "id": "RUSTSEC-1", "subject": "a", "version": "1.0.0"}],
        });
        let summary = ScanSummary::of(&scan, digest).expect("a scan");
        assert_eq!(summary.findings[0].subject, "a 1.0.0");
        assert!(ScanSummary::of(&scan, Digest::of(b"other")).is_none());
    }
}
