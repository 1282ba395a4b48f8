//! What no compiler checks of a repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn files(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !["target", ".git"].contains(&name.as_str()) {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// The sources of xtask without their tests: the path below its folder, and the text.
fn sources() -> Vec<(String, String)> {
    let folder = root().join("xtask/src");
    let mut found = Vec::new();
    files(&folder, &[".rs"], &mut found);
    let is_test = |path: &PathBuf| path.iter().any(|part| part == "tests" || part == "tests.rs");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
        (path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned(), code)
    };
    found.into_iter().filter(|path| !is_test(path)).map(read).collect()
}

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

/// What a scan found is of most use where the gate said no, and the right to show it is asked for by no job that
/// does not use it.
#[test]
fn what_a_scan_found_is_uploaded_however_it_ended() {
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
                assert!(scan.is_none(), "{at}: nobody uploads what this finds: {job}");
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

/// What is demanded of an image is not for a branch to say that somebody runs it from.
#[test]
fn what_promotes_reads_the_settings_of_the_default_branch() {
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

#[test]
fn nothing_is_left_unfinished() {
    let mut sources = Vec::new();
    files(root(), &[".rs", ".toml", ".yml", "Dockerfile"], &mut sources);
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore"), concat!("unimpl", "emented!(")];
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        for (number, line) in text.lines().enumerate() {
            assert!(
                !marks.iter().any(|mark| line.contains(mark)),
                "{}:{}: {line}",
                source.display(),
                number + 1
            );
        }
    }
}

/// Both crates talk TLS and read TOML, and xtask repeats the versions so that it can stand alone.
#[test]
fn versions_that_are_written_twice_agree() {
    let requirement = |file: &str, name: &str| {
        let text = fs::read_to_string(root().join(file)).unwrap();
        text.lines().find(|line| line.split(' ').next() == Some(name)).map(str::to_owned)
    };
    for name in ["rustls", "rustls-graviola", "toml-span"] {
        if let Some(shared) = requirement("Cargo.toml", name) {
            assert_eq!(Some(shared), requirement("xtask/Cargo.toml", name));
        }
    }
}

#[test]
fn nothing_in_xtask_knows_the_service_it_builds() {
    let settings = fs::read_to_string(root().join("xtask/image.toml")).unwrap();
    let package =
        settings.lines().find_map(|line| line.strip_prefix("package = ")).unwrap().trim_matches('"');
    for (path, code) in sources() {
        let words: BTreeSet<_> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        assert!(!words.contains(package), "{path} knows '{package}'");
    }
}

/// The settings are of the rooms' types, and the rooms name the settings' file where they complain.
#[test]
fn no_two_rooms_know_each_other() {
    let mut known = BTreeSet::new();
    for (path, code) in sources() {
        let room = path.split('/').next().unwrap().trim_end_matches(".rs");
        for other in code.split("crate::").skip(1) {
            let other = other.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            known.insert((room.to_owned(), other.to_owned()));
        }
    }
    for (room, other) in known.iter().filter(|(room, other)| room != other && room != "settings") {
        let is_mutual = other != "settings" && known.contains(&(other.clone(), room.clone()));
        assert!(!is_mutual, "{room} and {other} know each other");
    }
}

#[test]
fn children_are_started_in_one_place() {
    for (path, code) in sources().into_iter().filter(|(path, _)| !path.starts_with("process/")) {
        for way in ["process::Command", "duct::"] {
            assert!(!code.contains(way), "{path} uses {way}; children are started by process::Cmd");
        }
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut documents = Vec::new();
    files(root(), &[".md"], &mut documents);
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            assert!(document.parent().unwrap().join(path).exists(), "{}: {link}", document.display());
        }
    }
}
