//! Configuration files in the source: the Dockerfile and files for deployment, and whether Trivy checked each of them.
//!
//! Trivy skips a file that it cannot parse without an error, so a file with a syntax error would have no findings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileType};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::answer::{findings, parse};
use super::ignores;
use crate::finding::Finding;
use cli_support::error::Fault;

/// The most files of one folder.
const MAX_ENTRIES: usize = 10_000;
/// The longest configuration file, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// Files that Trivy reads together with others, or that cannot have findings.
const WITHOUT_CHECKS: [&str; 2] = ["kustomization.yaml", "kustomization.yml"];
/// The file that makes a folder a Helm chart. Trivy checks a chart as a whole.
const CHART: &str = "Chart.yaml";

const HINT: &str =
    "correct the file's syntax or name; deploy = [\"…\"] in [scan] names other folders or single files";

/// A file or folder to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// Its path below the workspace's root.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
}

/// The result of a check.
#[derive(Debug, Default)]
pub struct ConfigScan {
    /// Trivy's findings.
    pub findings: Vec<Finding>,
    /// Files that Trivy did not check, and comments that make it ignore findings.
    pub faults: Vec<Fault>,
    /// Files without rules.
    pub notes: Vec<String>,
}

impl Deployed {
    /// Parses Trivy's answer, and compares the files in it with those on disk.
    pub fn read(&self, json: &[u8]) -> Result<ConfigScan> {
        let report = parse(json)?;
        let seen: BTreeSet<_> =
            report.results.iter().filter(|one| one.class == "config").map(|one| one.target.clone()).collect();
        let mut scan = ConfigScan { findings: findings(&report, None), ..ConfigScan::default() };
        if !self.path.is_dir() {
            if seen.is_empty() {
                scan.faults.push(unchecked(&self.name));
            }
            scan.faults.extend(ignored(&self.path, &self.name)?);
            return Ok(scan);
        }
        let below = |place: &str| format!("{}/{place}", self.name.trim_end_matches('/'));
        for finding in &mut scan.findings {
            finding.place = below(&finding.place);
            finding.subject.clone_from(&finding.place);
        }
        let all = walk(&self.path).with_context(|| self.name.clone())?;
        let Classified { checked, in_charts, others } = classify(&all);
        let is_unchecked = |file: &&&String| match file.strip_suffix(CHART) {
            Some(chart) => !seen.iter().any(|target| target.starts_with(chart)),
            None => !seen.contains(**file),
        };
        scan.faults.extend(checked.iter().filter(is_unchecked).map(|file| unchecked(&below(file))));
        if seen.is_empty() && scan.faults.is_empty() {
            let what = "Trivy found no configuration in this folder";
            scan.faults.push(Fault::gate(what).at(&self.name).hint(HINT));
        }
        if let Some(first) = others.first() {
            let count = others.len();
            let note = format!("not checked, Trivy has no rules for {count} files such as {}", below(first));
            scan.notes.push(note);
        }
        // A chart may include files of any name. Trivy follows no links.
        for file in checked.into_iter().chain(in_charts).filter(|file| all[*file].is_file()) {
            scan.faults.extend(ignored(&self.path.join(file), &below(file))?);
        }
        Ok(scan)
    }
}

fn unchecked(name: &str) -> Fault {
    Fault::gate("Trivy did not check this file").at(name).hint(HINT)
}

/// A fault where a file has a comment that makes Trivy ignore findings.
fn ignored(path: &Path, name: &str) -> Result<Option<Fault>> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text));
    read.with_context(|| name.to_owned())?;
    if text.len() as u64 > MAX_BYTES {
        return Ok(Some(Fault::gate(format!("the file is over the limit of {MAX_BYTES} bytes")).at(name)));
    }
    Ok(ignores::in_file(&String::from_utf8_lossy(&text), name))
}

/// All files and links below a folder, each path with `/` as separator.
fn walk(dir: &Path) -> Result<BTreeMap<String, FileType>> {
    let (mut all, mut waiting) = (BTreeMap::new(), vec![(dir.to_owned(), String::new())]);
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
                all.insert(name, kind);
            }
        }
    }
    Ok(all)
}

/// The files of a folder.
#[derive(Default)]
struct Classified<'a> {
    /// Files that Trivy must check: configuration, and links, which it does not follow.
    checked: Vec<&'a String>,
    /// The files of Helm charts but for their `Chart.yaml`.
    in_charts: Vec<&'a String>,
    /// Files without rules.
    others: Vec<&'a String>,
}

fn classify(all: &BTreeMap<String, FileType>) -> Classified<'_> {
    let charts = all.keys().filter_map(|name| name.strip_suffix(CHART));
    let charts: BTreeSet<_> = charts.filter(|folder| folder.is_empty() || folder.ends_with('/')).collect();
    let mut classified = Classified::default();
    for (name, kind) in all {
        let above = charts.iter().filter(|folder| name.starts_with(**folder));
        // A nested chart is a part of the outer one.
        match above.min_by_key(|folder| folder.len()) {
            Some(chart) if *name == format!("{chart}{CHART}") => classified.checked.push(name),
            Some(_) => classified.in_charts.push(name),
            None if kind.is_symlink() || is_configuration(name) => classified.checked.push(name),
            None => classified.others.push(name),
        }
    }
    classified
}

/// Whether Trivy may have rules for a file, by the parts of its name: `Dockerfile.dev`, `pod.yaml.tmpl`.
fn is_configuration(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let known = ["yaml", "yml", "tf", "dockerfile", "containerfile"];
    !WITHOUT_CHECKS.contains(&&*name) && name.split('.').any(|part| known.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(targets: &[&str], files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
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
        let scan = deployed.read(answer.to_string().as_bytes()).unwrap();
        let places = scan.faults.iter().map(|fault| fault.to_string().split(':').next().unwrap().to_owned());
        (places.collect(), scan.notes)
    }

    #[test]
    fn every_configuration_file_must_be_checked() {
        let pod = "apiVersion: v1\nkind: Pod\n";
        for (targets, files, expected) in [
            (&["a.yaml"][..], &[("a.yaml", pod)][..], &[][..]),
            (&[], &[("a.yaml", pod)], &["deploy/a.yaml"]),
            (&["a.yaml"], &[("a.yaml", pod), ("b.yml", "x: [")], &["deploy/b.yml"]),
            (&["a.yaml"], &[("a.yaml", pod), ("sub/b.yaml.tmpl", pod)], &["deploy/sub/b.yaml.tmpl"]),
            (&["a.yaml"], &[("a.yaml", pod), ("b.json", "{\"panels\": []}")], &[]),
            (&["a.yaml"], &[("a.yaml", pod), ("README.md", "# trivy:ignore:X")], &[]),
            (&["a.yaml"], &[("a.yaml", "# trivy:ignore:X\n")], &["deploy/a.yaml"]),
            (&["a.yaml"], &[("a.yaml", pod), ("Dockerfile.dev", "FROM x")], &["deploy/Dockerfile.dev"]),
            (&["a.yaml"], &[("a.yaml", pod), ("kustomization.yaml", pod)], &[]),
            (&["chart/templates/a.yaml"], &[("chart/Chart.yaml", pod), ("chart/values.yaml", "a: 1")], &[]),
            (&["a.yaml"], &[("a.yaml", pod), ("chart/Chart.yaml", pod)], &["deploy/chart/Chart.yaml"]),
            (&[], &[("x.toml", "a = 1")], &["deploy"]),
        ] {
            assert_eq!(scan(targets, files).0, expected, "{files:?}");
        }
        let (_, notes) = scan(&["a.yaml"], &[("a.yaml", pod), ("x.toml", "a = 1")]);
        assert_eq!(notes, ["not checked, Trivy has no rules for 1 files such as deploy/x.toml"]);
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
