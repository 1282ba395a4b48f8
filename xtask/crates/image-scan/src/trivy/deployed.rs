//! Files of the source that say how an image is built and deployed, and whether Trivy looked at each.
//!
//! Trivy leaves out without a word what it cannot read or does not take for configuration, so that a file
//! with a mistake in it would be the one without findings.

use std::collections::BTreeSet;
use std::fs::{self, File, FileType};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::answer::{findings, parse};
use super::ignore_comments;
use crate::finding::Finding;
use cli_support::error::Fault;

/// The most files of one folder.
const MAX_ENTRIES: usize = 10_000;
/// Bytes at the beginning of a file in which it says what it is.
const HEAD: u64 = 64 << 10;
/// Names of what Trivy reads as one with other files, or not at all since nothing can be wrong in it.
const OTHERS: [&str; 2] = ["kustomization.yaml", "kustomization.yml"];
/// The file that makes a folder a chart of Helm, whose files Trivy looks at as a whole.
pub(super) const CHART: &str = "Chart.yaml";

/// A file or folder that is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Its path below the workspace's root.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Looked {
    /// What Trivy found.
    pub findings: Vec<Finding>,
    /// Why that means little.
    pub faults: Vec<Fault>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Deployed {
    /// Reads Trivy's answer, and holds the files in it against those that are there. What comments in them
    /// hide is told too.
    pub fn read(&self, json: &[u8]) -> Result<Looked> {
        let report = parse(json)?;
        let seen: BTreeSet<_> =
            report.results.iter().filter(|one| one.class == "config").map(|one| one.target.clone()).collect();
        let mut findings = findings(&report, None);
        let mut looked = Looked::default();
        let is_dir = self.path.is_dir();
        if is_dir {
            let below = |place: &str| format!("{}/{place}", self.name.trim_end_matches('/'));
            for finding in &mut findings {
                finding.place = below(&finding.place);
                finding.subject.clone_from(&finding.place);
            }
            let (files, others) = files(&self.path).with_context(|| self.name.clone())?;
            let unseen = files.iter().filter(|file| match file.strip_suffix(CHART) {
                Some(chart) => !seen.iter().any(|target| target.starts_with(chart)),
                None => !seen.contains(*file),
            });
            looked.faults.extend(unseen.map(|file| unseen_file(&below(file))));
            if !others.is_empty() {
                let what = others.iter().take(5).map(|file| below(file)).collect::<Vec<_>>().join(", ");
                let more =
                    if others.len() > 5 { format!(" and {} more", others.len() - 5) } else { String::new() };
                looked
                    .notes
                    .push(format!("not looked at, since Trivy has no rules for such files: {what}{more}"));
            }
        } else if seen.is_empty() {
            looked.faults.push(unseen_file(&self.name));
        }
        if is_dir && seen.is_empty() && looked.faults.is_empty() {
            let what = "Trivy saw nothing in this folder";
            looked.faults.push(Fault::gate(what).at(&self.name).hint(CURE));
        }
        looked.findings = findings;
        ignore_comments::in_source(self, &mut looked)?;
        Ok(looked)
    }
}

const CURE: &str = "is it what its name says, and without a mistake? What else is to be looked at is named by deploy = [\"…\"] in [scan], folders or single files";

fn unseen_file(name: &str) -> Fault {
    Fault::gate("Trivy did not look at this file").at(name).hint(CURE)
}

/// Everything below a folder that is no folder itself, sorted, with `/` between the parts of its path.
pub(super) fn walk(dir: &Path) -> Result<Vec<(String, FileType)>> {
    let (mut all, mut waiting) = (Vec::new(), vec![(dir.to_owned(), String::new())]);
    while let Some((dir, prefix)) = waiting.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if all.len() + waiting.len() > MAX_ENTRIES {
                return Err(Fault::failed(format!("more than {MAX_ENTRIES} files")).into());
            }
            if kind.is_dir() {
                waiting.push((entry.path(), format!("{name}/")));
            } else {
                all.push((name, kind));
            }
        }
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

/// The files below a folder that Trivy must look at, and those that it has nothing for.
fn files(dir: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let all = walk(dir)?;
    let folder_of = |name: &str| name.strip_suffix(CHART).map(str::to_owned);
    let charts = all.iter().filter_map(|(name, _)| folder_of(name));
    let charts: BTreeSet<_> = charts.filter(|folder| folder.is_empty() || folder.ends_with('/')).collect();
    let (mut must, mut others) = (Vec::new(), Vec::new());
    for (name, kind) in &all {
        let above = charts.iter().filter(|folder| name.starts_with(*folder));
        // A chart within a chart is a part of it.
        if let Some(chart) = above.min_by_key(|folder| folder.len()) {
            if *name == format!("{chart}{CHART}") {
                must.push(name.clone());
            }
        } else if kind.is_symlink() || (kind.is_file() && is_configuration(name, &dir.join(name))?) {
            // Trivy follows no links, and what a link is about may be anything.
            must.push(name.clone());
        } else {
            others.push(name.clone());
        }
    }
    Ok((must, others))
}

/// Whether a file is one that Trivy has rules for: by its name, or by what it says, whatever its name.
fn is_configuration(name: &str, path: &Path) -> Result<bool> {
    let name = name.rsplit('/').next().unwrap_or(name);
    if OTHERS.contains(&name) {
        return Ok(false);
    }
    let lower = name.to_lowercase();
    let (stem, extension) = lower.rsplit_once('.').unwrap_or((&lower, ""));
    if ["yaml", "yml", "tf", "dockerfile"].contains(&extension)
        || [stem, extension, lower.as_str()].iter().any(|part| ["dockerfile", "containerfile"].contains(part))
    {
        return Ok(true);
    }
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).lines().any(|line| {
        let line = line.trim_start_matches([' ', '{', '"']);
        line.strip_prefix("apiVersion")
            .is_some_and(|rest| rest.trim_start_matches('"').trim_start().starts_with(':'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(targets: &[&str], files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let temp = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = temp.path().join("deploy").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let deployed = Deployed { name: "deploy".to_owned(), path: temp.path().join("deploy") };
        let results = targets
            .iter()
            .map(|one| serde_json::json!({ "Target": one, "Class": "config", "Type": "kubernetes" }));
        let answer = serde_json::json!({ "SchemaVersion": 2, "Results": results.collect::<Vec<_>>() });
        let looked = deployed.read(answer.to_string().as_bytes()).unwrap();
        let places =
            looked.faults.iter().map(|fault| fault.to_string().split(':').next().unwrap().to_owned());
        (places.collect(), looked.notes)
    }

    #[test]
    fn every_file_that_says_how_it_is_deployed_is_looked_at() {
        let pod = "apiVersion: v1\nkind: Pod\n";
        for (targets, files, expected) in [
            (&["a.yaml"][..], &[("a.yaml", pod)][..], &[][..]),
            (&[], &[("a.yaml", pod)], &["deploy/a.yaml"]),
            (&["a.yaml"], &[("a.yaml", pod), ("b.yml", "x: [")], &["deploy/b.yml"]),
            (&["a.yaml"], &[("a.yaml", pod), ("sub/b.yaml.tmpl", pod)], &["deploy/sub/b.yaml.tmpl"]),
            (&["a.yaml"], &[("a.yaml", pod), ("b.json", "{ \"apiVersion\": \"v1\"}")], &["deploy/b.json"]),
            (&["a.yaml"], &[("a.yaml", pod), ("b.json", "{\"panels\": []}")], &[]),
            (&["a.yaml"], &[("a.yaml", pod), ("Dockerfile.dev", "FROM x")], &["deploy/Dockerfile.dev"]),
            (&["a.yaml"], &[("a.yaml", pod), ("kustomization.yaml", pod)], &[]),
            (&["chart/templates/a.yaml"], &[("chart/Chart.yaml", pod), ("chart/values.yaml", "a: 1")], &[]),
            (&["a.yaml"], &[("a.yaml", pod), ("chart/Chart.yaml", pod)], &["deploy/chart/Chart.yaml"]),
            (&[], &[("x.toml", "a = 1")], &["deploy"]),
        ] {
            assert_eq!(looked(targets, files).0, expected, "{files:?}");
        }
        let (_, notes) = looked(&["a.yaml"], &[("a.yaml", pod), ("x.toml", "a = 1")]);
        assert_eq!(notes, ["not looked at, since Trivy has no rules for such files: deploy/x.toml"]);
    }

    #[test]
    fn a_single_file_must_be_in_the_answer() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("Dockerfile");
        fs::write(&path, "FROM x\n").unwrap();
        let deployed = Deployed { name: "Dockerfile".to_owned(), path };
        let read = |answer: &str| deployed.read(answer.as_bytes()).unwrap().faults.len();
        assert_eq!(read(r#"{"SchemaVersion":2}"#), 1);
        assert_eq!(read(r#"{"SchemaVersion":2,"Results":[{"Target":"x","Class":"secret"}]}"#), 1);
        assert_eq!(read(r#"{"SchemaVersion":2,"Results":[{"Target":"Dockerfile","Class":"config"}]}"#), 0);
    }
}
