//! Comments that make Trivy ignore a finding: `# trivy:ignore:ID`, `tfsec:ignore:ID`.
//!
//! Trivy obeys them in Dockerfiles, Terraform, CloudFormation and Helm charts, in files of an image and in its
//! history, and does not report what they silence. No flag turns them off (0.74.0), so that they are refused:
//! `[[scan.ignore]]` is the one list of exceptions.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::deployed::{CHART, Deployed, Looked, walk};
use crate::finding::{Finding, FindingKind};
use crate::inventory::Inventory;
use cli_support::error::Fault;
use rust_workspace::settings::FILE;
use rust_workspace::severity::Severity;

/// The longest file that is searched for such comments, in bytes.
pub const MAX_BYTES: u64 = 64 << 20;
/// The rule that such a comment in an image breaks.
const ID: &str = "XT-INLINE-IGNORE";
/// Trivy takes the steps in an image's history for its Dockerfile.
const HISTORY: &str = "history";

/// The first line with such a comment, from 1.
pub fn first_line(text: &str) -> Option<usize> {
    let is_comment = |word: &str| {
        ["trivy:", "tfsec:"]
            .iter()
            .any(|prefix| word.split_once(prefix).is_some_and(|(_, rest)| rest.contains("ignore:")))
    };
    let found = text.split('\n').position(|line| line.split_whitespace().any(is_comment));
    found.map(|at| at + 1)
}

/// Refuses such comments in the files of the source that Trivy checks, whatever their names.
pub(super) fn in_source(deployed: &Deployed, looked: &mut Looked) -> Result<()> {
    if !deployed.path.is_dir() {
        return in_file(&deployed.path, &deployed.name, looked);
    }
    // Trivy follows no links.
    let files = walk(&deployed.path)?.into_iter().filter(|(_, kind)| kind.is_file());
    let files: BTreeSet<_> = files.map(|(file, _)| file).collect();
    // A chart may include files of any name.
    let has_chart = files.iter().any(|file| file.ends_with(CHART));
    for file in files.iter().filter(|file| has_chart || !is_prose(file)) {
        let name = format!("{}/{file}", deployed.name.trim_end_matches('/'));
        in_file(&deployed.path.join(file), &name, looked)?;
    }
    Ok(())
}

fn in_file(path: &Path, name: &str, looked: &mut Looked) -> Result<()> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text));
    read.with_context(|| name.to_owned())?;
    if text.len() as u64 > MAX_BYTES {
        let what = format!("a file of configuration of more than {MAX_BYTES} bytes");
        looked.faults.push(Fault::gate(what).at(name));
        return Ok(());
    }
    if let Some(line) = first_line(&String::from_utf8_lossy(&text)) {
        let hint = format!("remove it; [[scan.ignore]] in {FILE} takes the same id, with reason and expires");
        let fault = Fault::gate("this comment makes Trivy ignore findings without a report");
        looked.faults.push(fault.at(format!("{name}:{line}")).hint(hint));
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

/// Such comments in an image's files and history: findings, since whoever scans the image may be unable to change
/// it. What they silence may be anything, so that they are critical; `[[scan.ignore]]` can except them.
pub(super) fn in_image(inventory: &Inventory) -> Vec<Finding> {
    let files = inventory.rootfs.files();
    let files = files.filter_map(|(path, node)| Some((format!("/{path}"), node.ignore_comment?)));
    let config = &inventory.image.config;
    let texts = |key: &str| config.pointer(key).and_then(Value::as_array).into_iter().flatten();
    let steps = texts("/history").filter_map(|step| step.get("created_by"));
    // Trivy takes these from the config.
    let set =
        texts("/config/Healthcheck/Test").chain(texts("/config/Env")).chain(config.pointer("/config/User"));
    let lines: Vec<_> = steps.chain(set).filter_map(Value::as_str).collect();
    let history = first_line(&lines.join("\n")).map(|line| (HISTORY.to_owned(), line));
    let finding = |(place, line): (String, usize)| Finding {
        subject: place.clone(),
        place,
        note: format!("line {line}: a comment makes Trivy ignore findings without a report"),
        platforms: [inventory.image.platform.to_string()].into(),
        ..Finding::new(FindingKind::Config, ID, Severity::Critical, super::NAME)
    };
    files.chain(history).map(finding).collect()
}

/// Whether a file of an image is, by its name, of a kind in which Trivy obeys comments. A chart's templates may
/// have any name, and so may other things in a folder of theirs, but those are longer.
pub fn may_be_obeyed(path: &str, size: u64) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let endings = [".tf", ".tf.json", ".tofu", ".tofu.json", ".yaml", ".yml", ".tpl"];
    endings.iter().any(|ending| name.ends_with(ending))
        || ["dockerfile", "containerfile"].iter().any(|part| name.contains(part))
        || path.contains("templates/") && size <= MAX_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_found_wherever_trivy_obeys_them() {
        for (text, line) in [
            ("# trivy:ignore:DS-1", Some(1)),
            ("x\n  //tfsec:ignore:a:exp:2026-12-31 it is so */", Some(2)),
            ("USER root\t#trivy:ignore:DS-1", Some(1)),
            ("# trivy:exp:2026-02-01:ignore:A why", Some(1)),
            ("#/*#trivy:ignore:DS-1", Some(1)),
            ("/bin/sh -c #(nop)#trivy:ignore:*", Some(1)),
            ("/bin/sh -c#trivy:ignore:DS-0001", Some(1)),
            ("RUN x # trivy:ignore:DS-0001 # buildkit", Some(1)),
            ("COPY aquasec/trivy:0.74 /x # buildkit", None),
            ("trivy ignore", None),
            ("Trivy:ignore:A", None),
            ("trivy:x:A", None),
            ("", None),
        ] {
            assert_eq!(first_line(text), line, "{text}");
        }
    }

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
}
