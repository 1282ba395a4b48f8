//! What comments keep Trivy from telling: those in files of the source, and those that an image brings along.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::answer::TrivyReport;
use super::deployed::{Deployed, Looked, walk};
use super::inline;
use crate::finding::Finding;
use crate::inventory::Inventory;
use cli_support::error::Fault;
use cli_support::time::Date;

/// What an image's steps of building go by, which Trivy takes for its Dockerfile.
const HISTORY: &str = "history";

/// Looks for comments in what Trivy was given, in every file whatever its name.
pub(super) fn in_source(
    deployed: &Deployed,
    report: &TrivyReport,
    today: Date,
    looked: &mut Looked,
) -> Result<()> {
    if !deployed.path.is_dir() {
        return in_file(&deployed.path, &deployed.name, &kinds(report, None), today, looked);
    }
    // Trivy follows no links.
    let files = walk(&deployed.path)?.into_iter().filter(|(_, kind)| kind.is_file());
    let files: BTreeSet<_> = files.map(|(file, _)| file).collect();
    for file in &files {
        let name = format!("{}/{file}", deployed.name.trim_end_matches('/'));
        let of_chart = inline::is_of_chart(file, |path| files.contains(path));
        // A chart reads files of any name; elsewhere texts for people are none that Trivy takes for settings.
        if !of_chart && is_prose(file) {
            continue;
        }
        let kinds = if of_chart { Vec::new() } else { kinds(report, Some(file)) };
        in_file(&deployed.path.join(file), &name, &kinds, today, looked)?;
    }
    Ok(())
}

/// Whether a file's name says that it is a text for people. Trivy takes `Dockerfile.txt` for a Dockerfile.
fn is_prose(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    !name.contains("dockerfile")
        && !name.contains("containerfile")
        && ["md", "markdown", "rst", "adoc", "txt", "html"].contains(&ending)
}

fn in_file(path: &Path, name: &str, kinds: &[&str], today: Date, looked: &mut Looked) -> Result<()> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(inline::MAX_BYTES + 1).read_to_end(&mut text));
    read.with_context(|| name.to_owned())?;
    if text.len() as u64 > inline::MAX_BYTES {
        let what = format!("a file of configuration of more than {} bytes", inline::MAX_BYTES);
        looked.faults.push(Fault::gate(what).at(name));
        return Ok(());
    }
    let comments = inline::read(&String::from_utf8_lossy(&text));
    if inline::is_deaf(kinds.iter().copied()) {
        let what = "in files for Kubernetes Trivy obeys no comment: what it finds counts";
        looked.notes.extend(comments.first().map(|first| format!("{name}:{}: {what}", first.line)));
        return Ok(());
    }
    let (findings, faults) = inline::of_source(name, &comments, today);
    looked.findings.extend(findings);
    looked.faults.extend(faults);
    Ok(())
}

/// What Trivy took a file for; all that it saw where no file is named.
fn kinds<'a>(report: &'a TrivyReport, file: Option<&str>) -> Vec<&'a str> {
    let configuration = report.results.iter().filter(|one| one.class == "config");
    let own = configuration.filter(|one| file.is_none_or(|file| one.target == file));
    own.map(|one| one.r#type.as_str()).collect()
}

/// What comments in an image's files hide, and in its history.
pub(super) fn in_image(report: &TrivyReport, inventory: &Inventory, today: Date) -> Vec<Finding> {
    let mut all = Vec::new();
    for (path, node) in inventory.rootfs.files().filter(|(_, node)| !node.comments.is_empty()) {
        let of_chart = inline::is_of_chart(path, |path| inventory.rootfs.nodes.contains_key(path));
        if of_chart || !inline::is_deaf(kinds(report, Some(path)).into_iter()) {
            all.extend(inline::of_image(&format!("/{path}"), &node.comments, today));
        }
    }
    let config = &inventory.image.config;
    let texts = |key: &str| config.pointer(key).and_then(Value::as_array).into_iter().flatten();
    let steps = texts("/history").filter_map(|step| step.get("created_by"));
    // Trivy takes these from the config.
    let set =
        texts("/config/Healthcheck/Test").chain(texts("/config/Env")).chain(config.pointer("/config/User"));
    let lines = steps.chain(set).filter_map(Value::as_str);
    let lines: Vec<_> = lines.map(step).collect();
    all.extend(inline::of_image(HISTORY, &inline::read(&lines.join("\n")), today));
    for finding in &mut all {
        finding.platforms.insert(inventory.image.platform.to_string());
    }
    all
}

/// A step of the history as Trivy takes it: without the shell and Docker's mark, what is behind them begins a
/// line.
fn step(line: &str) -> String {
    let line = line.trim_end().trim_end_matches("# buildkit");
    line.replace("#(nop)", "#(nop) ").replace("/bin/sh -c", "/bin/sh -c ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_for_people_are_no_settings() {
        for (file, prose) in [
            ("README.md", true),
            ("notes/HOW.TXT", true),
            ("Dockerfile", false),
            ("main.tf", false),
            ("app.yaml", false),
            ("Dockerfile.txt", false),
            ("x/app.Containerfile.md", false),
        ] {
            assert_eq!(is_prose(file), prose, "{file}");
        }
    }

    #[test]
    fn a_comment_in_the_history_is_seen_wherever_trivy_sees_it() {
        for (line, seen) in [
            ("/bin/sh -c #(nop)#trivy:ignore:*", true),
            ("/bin/sh -c #(nop) #trivy:ignore:DS-0001", true),
            ("/bin/sh -c#trivy:ignore:DS-0001", true),
            ("RUN /bin/sh -c apt-get install x # trivy:ignore:DS-0001 # buildkit", true),
            ("COPY aquasec/trivy:0.74 /x # buildkit", false),
        ] {
            assert_eq!(!inline::read(&step(line)).is_empty(), seen, "{line}");
        }
    }
}
