//! The content of the report as data: what `--json` prints and what the page shows.

use serde::Serialize;
use serde_json::Value;

use super::history::Run;
use cli_support::digest::Digest;
use rust_workspace::settings::{Budgets, Bytes};

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
    /// What differs from the image of `--against`.
    pub changes: Option<Changes>,
    /// The builds on this machine, oldest first.
    pub history: Vec<Run>,
}

/// One platform's image.
#[derive(Clone, Debug, Serialize)]
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
    /// The linked crates.
    pub crates: Vec<CrateRow>,
    /// The bytes of code and data of each crate in the binary, largest first; unset without `--symbols`.
    pub code: Option<Vec<CodeSize>>,
}

/// One layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerSizes {
    /// Its digest.
    pub digest: Digest,
    /// Its compressed size in bytes.
    pub compressed_bytes: u64,
    /// Its files.
    pub files: Vec<FileSize>,
}

/// One file of a layer.
#[derive(Clone, Debug, Serialize)]
pub struct FileSize {
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// One linked crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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

/// The differences to another image. Sizes are of the platforms that both have.
#[derive(Clone, Debug, Serialize)]
pub struct Changes {
    /// The other image, as given.
    pub against: String,
    /// The difference of the compressed sizes in bytes, by platform.
    pub compressed_bytes: Vec<(String, i64)>,
    /// Crates that came: name and version.
    pub came: Vec<String>,
    /// Crates that went.
    pub went: Vec<String>,
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

impl Changes {
    /// Compares two images.
    pub fn between(against: &str, old: &[PlatformSizes], new: &[PlatformSizes]) -> Self {
        let names = |platforms: &[PlatformSizes]| {
            let crates = platforms.iter().flat_map(|platform| &platform.crates);
            crates
                .map(|one| format!("{} {}", one.name, one.version))
                .collect::<std::collections::BTreeSet<_>>()
        };
        let (before, after) = (names(old), names(new));
        let pairs = new.iter().filter_map(|new| {
            let old = old.iter().find(|old| old.platform == new.platform)?;
            Some((
                new.platform.clone(),
                new.compressed_bytes.cast_signed() - old.compressed_bytes.cast_signed(),
            ))
        });
        Self {
            against: against.to_owned(),
            compressed_bytes: pairs.collect(),
            came: after.difference(&before).cloned().collect(),
            went: before.difference(&after).cloned().collect(),
        }
    }
}

/// The targets of the project's plan, and the workspace's budgets.
pub fn targets(
    platforms: &[PlatformSizes],
    budgets: Budgets,
    history: &[Run],
    scan: Option<&ScanSummary>,
) -> Vec<TargetRow> {
    const RUNS: &str = "builds of cargo xtask image on this machine";
    let largest = platforms.iter().map(|platform| platform.compressed_bytes).max().unwrap_or_default();
    let built = history.iter().filter(|run| run.succeeded).map(|run| run.seconds);
    let longest = built.reduce(f64::max);
    let size = |limit: u64| TargetRow {
        target: format!("image under {}", Bytes(limit)),
        measured: Some(format!("{} compressed", Bytes(largest))),
        met: Some(largest < limit),
        source: "the largest platform of this image".to_owned(),
    };
    let time = |limit: u64| TargetRow {
        target: format!("build under {limit} s"),
        measured: longest.map(|seconds| format!("{seconds:.1} s")),
        #[allow(clippy::cast_precision_loss)] // A limit is some minutes.
        met: longest.map(|seconds| seconds < limit as f64),
        source: format!("the longest of the {RUNS}"),
    };
    let succeeded = history.iter().filter(|run| run.succeeded).count();
    // A scan that does not pass may not have seen everything.
    let critical = scan.map(|scan| {
        let critical = |finding: &&FindingRow| finding.severity.eq_ignore_ascii_case("critical");
        (scan.findings.iter().filter(critical).count(), scan.passed)
    });
    let mut rows = vec![
        time(300),
        size(500_000_000),
        TargetRow {
            target: "more than 95 % of builds succeed".to_owned(),
            measured: (!history.is_empty()).then(|| format!("{succeeded} of {}", history.len())),
            met: (!history.is_empty()).then(|| succeeded * 100 > history.len() * 95),
            source: RUNS.to_owned(),
        },
        TargetRow {
            target: "0 critical vulnerabilities".to_owned(),
            measured: critical.map(|(count, passed)| {
                if passed { count.to_string() } else { format!("{count}, but the scan did not pass") }
            }),
            met: critical.map(|(count, passed)| count == 0 && passed),
            source: "the last scan of this image".to_owned(),
        },
    ];
    let budget = |mut row: TargetRow| {
        row.target.push_str(" (budget in image.toml)");
        row
    };
    rows.extend(budgets.compressed.map(|bytes| budget(size(bytes.0))));
    rows.extend(budgets.seconds.map(|seconds| budget(time(seconds))));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(compressed_bytes: u64, crates: &[&str]) -> PlatformSizes {
        let crates = crates.iter().map(|name| CrateRow {
            name: (*name).to_owned(),
            version: "1.0.0".to_owned(),
            licence: None,
            path: Vec::new(),
        });
        PlatformSizes {
            platform: "linux/amd64".to_owned(),
            manifest: Digest::of(b""),
            compressed_bytes,
            unpacked_bytes: 0,
            layers: Vec::new(),
            crates: crates.collect(),
            code: None,
        }
    }

    fn run(succeeded: bool, seconds: f64) -> Run {
        Run { time: String::new(), succeeded, seconds, compressed_bytes: None }
    }

    #[test]
    fn changes_name_what_came_and_went() {
        let changes = Changes::between("old", &[platform(10, &["a", "b"])], &[platform(7, &["b", "c"])]);
        assert_eq!(changes.compressed_bytes, [("linux/amd64".to_owned(), -3)]);
        assert_eq!((changes.came, changes.went), (vec!["c 1.0.0".to_owned()], vec!["a 1.0.0".to_owned()]));
    }

    #[test]
    fn a_target_without_a_measurement_is_neither_met_nor_missed() {
        let budgets = Budgets { compressed: "1 MB".parse().ok(), ..Budgets::default() };
        let met = |history: &[Run]| {
            let rows = targets(&[platform(2_000_000, &[])], budgets, history, None);
            rows.iter().map(|row| row.met).collect::<Vec<_>>()
        };
        assert_eq!(met(&[]), [None, Some(true), None, None, Some(false)]);
        let runs = [run(true, 301.0), run(false, 1.0)];
        assert_eq!(met(&runs), [Some(false), Some(true), Some(false), None, Some(false)]);
    }

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
