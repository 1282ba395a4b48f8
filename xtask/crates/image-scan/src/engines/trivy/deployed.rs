//! Configuration files in the source: the Dockerfile and files for deployment, and whether Trivy checked each of them.
//!
//! Trivy skips a file that it cannot parse without an error, so a file with a syntax error would have no findings.

use std::collections::BTreeSet;
use std::fs::{self, File, FileType};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::answer::{findings, parse};
use crate::finding::Finding;
use crate::image::ignore_comments;
use cli_support::error::Fault;
use rust_workspace::settings::file;

/// The most files of one folder.
const MAX_ENTRIES: usize = 10_000;
/// Bytes at the beginning of a file in which its kind is looked for.
const HEAD: u64 = 64 << 10;
/// Files that Trivy reads together with others, or that cannot have findings.
const WITHOUT_CHECKS: [&str; 2] = ["kustomization.yaml", "kustomization.yml"];
/// The file that makes a folder a Helm chart. Trivy checks a chart as a whole.
const CHART: &str = "Chart.yaml";
/// Files that a note names.
const MAX_NAMED: usize = 5;

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
            scan.faults.extend(ignore_comment(&self.path, &self.name)?);
            return Ok(scan);
        }
        let below = |place: &str| format!("{}/{place}", self.name.trim_end_matches('/'));
        for finding in &mut scan.findings {
            finding.place = below(&finding.place);
            finding.subject.clone_from(&finding.place);
        }
        let all = walk(&self.path).with_context(|| self.name.clone())?;
        let (files, others) = classify(&self.path, &all).with_context(|| self.name.clone())?;
        let is_unchecked = |file: &&String| match file.strip_suffix(CHART) {
            Some(chart) => !seen.iter().any(|target| target.starts_with(chart)),
            None => !seen.contains(*file),
        };
        scan.faults.extend(files.iter().filter(is_unchecked).map(|file| unchecked(&below(file))));
        if seen.is_empty() && scan.faults.is_empty() {
            let what = "Trivy found no configuration in this folder";
            scan.faults.push(Fault::gate(what).at(&self.name).hint(HINT));
        }
        if !others.is_empty() {
            let names: Vec<_> = others.iter().take(MAX_NAMED).map(|file| below(file)).collect();
            let more = others.len().saturating_sub(MAX_NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            scan.notes
                .push(format!("not checked, Trivy has no rules for these files: {}{more}", names.join(", ")));
        }
        // Trivy follows no links. A chart may include files of any name.
        let has_chart = all.iter().any(|(file, _)| file.ends_with(CHART));
        for (file, _) in all.iter().filter(|(file, kind)| kind.is_file() && (has_chart || !is_prose(file))) {
            scan.faults.extend(ignore_comment(&self.path.join(file), &below(file))?);
        }
        Ok(scan)
    }
}

fn unchecked(name: &str) -> Fault {
    Fault::gate("Trivy did not check this file").at(name).hint(HINT)
}

/// A fault where a file has a comment that makes Trivy ignore findings.
fn ignore_comment(path: &Path, name: &str) -> Result<Option<Fault>> {
    let (max, mut text) = (ignore_comments::MAX_BYTES, Vec::new());
    let read = File::open(path).and_then(|file| file.take(max + 1).read_to_end(&mut text));
    read.with_context(|| name.to_owned())?;
    if text.len() as u64 > max {
        return Ok(Some(Fault::gate(format!("the file is over the limit of {max} bytes")).at(name)));
    }
    let line = ignore_comments::first_line(&String::from_utf8_lossy(&text));
    Ok(line.map(|line| {
        let hint =
            format!("remove it; [[scan.ignore]] in {} excepts the same id, with reason and expires", file());
        let fault = Fault::gate("this comment makes Trivy ignore findings without a report");
        fault.at(format!("{name}:{line}")).hint(hint)
    }))
}

/// Whether a file is text for people, by its name. Trivy takes `Dockerfile.txt` for a Dockerfile.
fn is_prose(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    !name.contains("dockerfile")
        && !name.contains("containerfile")
        && ["md", "markdown", "rst", "adoc", "txt", "html"].contains(&ending)
}

/// All files and links below a folder, sorted, each path with `/` as separator.
fn walk(dir: &Path) -> Result<Vec<(String, FileType)>> {
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

/// The files that Trivy must check, and those without rules.
fn classify(dir: &Path, all: &[(String, FileType)]) -> Result<(Vec<String>, Vec<String>)> {
    let folder_of = |name: &str| name.strip_suffix(CHART).map(str::to_owned);
    let charts = all.iter().filter_map(|(name, _)| folder_of(name));
    let charts: BTreeSet<_> = charts.filter(|folder| folder.is_empty() || folder.ends_with('/')).collect();
    let (mut must, mut others) = (Vec::new(), Vec::new());
    for (name, kind) in all {
        let above = charts.iter().filter(|folder| name.starts_with(*folder));
        // A nested chart is a part of the outer one.
        if let Some(chart) = above.min_by_key(|folder| folder.len()) {
            if *name == format!("{chart}{CHART}") {
                must.push(name.clone());
            }
        } else if kind.is_symlink() || (kind.is_file() && is_configuration(name, &dir.join(name))?) {
            // Trivy follows no links.
            must.push(name.clone());
        } else {
            others.push(name.clone());
        }
    }
    Ok((must, others))
}

/// Whether Trivy has rules for a file: by its name, or by a key `apiVersion` in it.
fn is_configuration(name: &str, path: &Path) -> Result<bool> {
    let name = name.rsplit('/').next().unwrap_or(name);
    if WITHOUT_CHECKS.contains(&name) {
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
            (&["a.yaml"], &[("a.yaml", pod), ("b.json", "{ \"apiVersion\": \"v1\"}")], &["deploy/b.json"]),
            (&["a.yaml"], &[("a.yaml", pod), ("b.json", "{\"panels\": []}")], &[]),
            (&["a.yaml"], &[("a.yaml", pod), ("Dockerfile.dev", "FROM x")], &["deploy/Dockerfile.dev"]),
            (&["a.yaml"], &[("a.yaml", pod), ("kustomization.yaml", pod)], &[]),
            (&["chart/templates/a.yaml"], &[("chart/Chart.yaml", pod), ("chart/values.yaml", "a: 1")], &[]),
            (&["a.yaml"], &[("a.yaml", pod), ("chart/Chart.yaml", pod)], &["deploy/chart/Chart.yaml"]),
            (&[], &[("x.toml", "a = 1")], &["deploy"]),
        ] {
            assert_eq!(scan(targets, files).0, expected, "{files:?}");
        }
        let (_, notes) = scan(&["a.yaml"], &[("a.yaml", pod), ("x.toml", "a = 1")]);
        assert_eq!(notes, ["not checked, Trivy has no rules for these files: deploy/x.toml"]);
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

    #[test]
    fn text_for_people_is_not_configuration() {
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
