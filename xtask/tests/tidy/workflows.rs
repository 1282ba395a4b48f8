//! Rules of the workflows.

use std::collections::BTreeSet;
use std::fs;

use super::{files, root};

#[test]
fn every_step_of_a_workflow_is_one_xtask_command() {
    let mut workflows = Vec::new();
    files(&root().join(".github/workflows"), &[".yml", ".yaml"], &mut workflows);
    for workflow in workflows {
        let text = fs::read_to_string(&workflow).unwrap();
        for (number, line) in text.lines().enumerate() {
            let at = format!("{}:{}", workflow.display(), number + 1);
            let Some(run) = line.trim().trim_start_matches("- ").strip_prefix("run:") else { continue };
            let run = run.trim();
            assert!(run.starts_with("cargo xtask ") && !run.contains(['&', '|', ';', '`']), "{at}: {run}");
        }
        for (number, line) in text.lines().enumerate() {
            let Some(uses) = line.trim().trim_start_matches("- ").strip_prefix("uses:") else { continue };
            let (action, version) = uses.split_once('#').unwrap_or((uses, ""));
            let commit = action.trim().rsplit('@').next().unwrap();
            let pinned = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            let at = format!("{}:{}", workflow.display(), number + 1);
            assert!(
                pinned && version.trim().starts_with('v'),
                "{at}: pin by commit, with '# vX.Y.Z': {uses}"
            );
        }
    }
}

/// Findings are uploaded also if the scan failed, and only jobs that upload have the permission for it.
#[test]
fn scan_findings_are_uploaded_on_success_and_failure() {
    let mut workflows = Vec::new();
    files(&root().join(".github/workflows"), &[".yml", ".yaml"], &mut workflows);
    let mut scans = 0;
    for workflow in workflows {
        let (text, at) = (fs::read_to_string(&workflow).unwrap(), workflow.display());
        // Jobs are the only keys at this depth below `jobs:`.
        let (_, jobs) = text.split_once("\njobs:\n").unwrap();
        let is_key = |line: &str| line.starts_with("  ") && !line.starts_with("   ");
        let mut parts: Vec<String> = Vec::new();
        for line in jobs.lines() {
            if is_key(line) {
                parts.push(String::new());
            }
            parts.last_mut().unwrap().extend([line, "\n"]);
        }
        for job in parts {
            let scan = job.lines().find(|line| line.contains("run: cargo xtask scan"));
            let upload = job.split("      - ").find(|step| step.contains("codeql-action/upload-sarif@"));
            assert_eq!(job.contains("security-events: write"), upload.is_some(), "{at}: {job}");
            let (Some(scan), Some(upload)) = (scan, upload) else {
                assert!(scan.is_none(), "{at}: the findings are not uploaded: {job}");
                continue;
            };
            let file = scan.split("--output ").nth(1).unwrap();
            assert!(
                scan.contains("--format sarif") && upload.contains(&format!("sarif_file: {file}\n")),
                "{at}"
            );
            assert!(upload.contains("!cancelled()"), "{at}: {upload}");
            let of_fork = "github.event.pull_request.head.repo.full_name == github.repository";
            assert!(!text.contains("pull_request:") || upload.contains(of_fork), "{at}: {upload}");
            scans += 1;
        }
    }
    assert_eq!(scans, 2);
}

/// The components that tests ask for with `have`, and those that `cargo xtask ci` asks for itself.
fn components() -> BTreeSet<String> {
    let mut tests = Vec::new();
    for folder in ["xtask/tests", "gateway/tests", "gateway/lab/tests"] {
        files(&root().join(folder), &[".rs"], &mut tests);
    }
    let mut components = BTreeSet::from(["actionlint".to_owned(), "cargo-deny".to_owned()]);
    for test in tests.iter().filter(|test| !test.ends_with("tidy/workflows.rs")) {
        let text = fs::read_to_string(test).unwrap();
        for call in ["have(", "have_program(", "installed(", "oracle("] {
            let calls = text.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            components.extend(calls.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    components
}

/// A test that was skipped because of a missing component makes no run green, except where a reason is written down.
#[test]
fn every_component_of_the_tests_is_required_in_ci() {
    let names = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<BTreeSet<_>>();
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (local, github) = (read(".ci/run"), read(".github/workflows/ci.yml"));
    let in_local = local.split("XTASK_REQUIRE=").nth(1).unwrap().lines().next().unwrap();
    let in_github = github.split("XTASK_REQUIRE: \"").nth(1).unwrap().split('"').next().unwrap();
    for (path, text, required) in
        [(".ci/run", &local, in_local), (".github/workflows/ci.yml", &github, in_github)]
    {
        let mut listed = names(required);
        for rest in text.split("# not required: ").skip(1) {
            let (skipped, reason) = rest.lines().next().unwrap().split_once(" (").unwrap();
            assert!(reason.len() > 10, "{skipped} needs a reason");
            listed.extend(names(skipped));
        }
        assert_eq!(listed, components(), "{path}");
    }
}

/// Another branch must not be able to change the demands on an image.
#[test]
fn workflows_that_promote_use_the_settings_of_the_default_branch() {
    let mut workflows = Vec::new();
    files(&root().join(".github/workflows"), &[".yml", ".yaml"], &mut workflows);
    for workflow in workflows {
        let text = fs::read_to_string(&workflow).unwrap();
        if text.contains("cargo xtask promote") {
            let checkouts = text.matches("uses: actions/checkout@").count();
            let of_default = text.matches("ref: ${{ github.event.repository.default_branch }}").count();
            assert_eq!(checkouts, of_default, "{}", workflow.display());
        }
    }
}
