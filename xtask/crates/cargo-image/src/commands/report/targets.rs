//! The targets of the project's plan and the workspace's budgets, with the measured numbers.

use super::data::{FindingRow, PlatformSizes, ScanSummary, TargetRow};
use super::github_runs::GithubRuns;
use super::history::Run;
use rust_workspace::settings::{Budgets, Bytes};

/// The targets of the project's plan, and the workspace's budgets.
pub fn targets(
    platforms: &[PlatformSizes],
    budgets: Budgets,
    history: &[Run],
    github: Option<&GithubRuns>,
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
    let success = |results: Vec<bool>, source: String| {
        let succeeded = results.iter().filter(|succeeded| **succeeded).count();
        TargetRow {
            target: "more than 95 % of builds succeed".to_owned(),
            measured: (!results.is_empty()).then(|| format!("{succeeded} of {}", results.len())),
            met: (!results.is_empty()).then(|| succeeded * 100 > results.len() * 95),
            source,
        }
    };
    // A scan that does not pass may not have seen everything.
    let critical = scan.map(|scan| {
        let critical = |finding: &&FindingRow| finding.severity.eq_ignore_ascii_case("critical");
        (scan.findings.iter().filter(critical).count(), scan.passed)
    });
    let mut rows = vec![
        time(300),
        size(500_000_000),
        success(history.iter().map(|run| run.succeeded).collect(), RUNS.to_owned()),
        TargetRow {
            target: "0 critical vulnerabilities".to_owned(),
            measured: critical.map(|(count, passed)| {
                if passed { count.to_string() } else { format!("{count}, but the scan did not pass") }
            }),
            met: critical.map(|(count, passed)| count == 0 && passed),
            source: "the last scan of this image".to_owned(),
        },
    ];
    if let Some(github) = github {
        let row = success(github.runs.iter().map(|run| run.succeeded).collect(), github.source());
        rows.insert(3, row);
    }
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
    use super::super::changes::tests::platform;
    use super::*;

    #[test]
    fn a_target_without_a_measurement_is_neither_met_nor_missed() {
        let budgets = Budgets { compressed: "1 MB".parse().ok(), ..Budgets::default() };
        let met = |history: &[Run], github: Option<&GithubRuns>| {
            let rows = targets(&[platform(2_000_000, &[])], budgets, history, github, None);
            rows.iter().map(|row| row.met).collect::<Vec<_>>()
        };
        assert_eq!(met(&[], None), [None, Some(true), None, None, Some(false)]);
        let run =
            |succeeded, seconds| Run { time: String::new(), succeeded, seconds, compressed_bytes: None };
        let runs = [run(true, 301.0), run(false, 1.0)];
        assert_eq!(met(&runs, None), [Some(false), Some(true), Some(false), None, Some(false)]);
        // GitHub's runs are a row of their own.
        let github = GithubRuns::unread("o/r", "403");
        assert_eq!(
            met(&runs, Some(&github)),
            [Some(false), Some(true), Some(false), None, None, Some(false)]
        );
    }
}
